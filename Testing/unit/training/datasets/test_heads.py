"""Whole heads without a follow-up: volumes of a table through the importer."""

import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.errors import MissingFileError

from GBMResponseTraining import cli
from GBMResponseTraining.datasets.errors import TableValueError
from GBMResponseTraining.datasets.hospital.heads import read_heads
from GBMResponseTraining.store.slice_store import SINGLE_IMAGES, open_store

GRID = ((60, 66, 12), (3.5, 3.5, 5.0))


@pytest.fixture
def table(tmp_path):
    """Two volumes of one patient; half of the second is above the head."""
    for name, center in (("a", (0, 0, 0)), ("b", (0, 0, 50))):
        sitk.WriteImage(phantoms.head(*GRID, center=center), str(tmp_path / f"{name}.nii.gz"))
    path = tmp_path / "heads.csv"
    path.write_text("patient,image\nP1,a.nii.gz\nP1,b.nii.gz\n", encoding="utf-8")
    return path


def imported(table, out):
    assert cli.main(["import", "heads", str(table), str(out), "--size", "64"]) == 0
    return open_store(out)


def test_rows_of_a_patient_are_its_volumes(table, tmp_path):
    assert read_heads(table) == {"P1": [tmp_path / "a.nii.gz", tmp_path / "b.nii.gz"]}


def test_a_row_without_an_image_is_refused(table):
    table.write_text("patient,image\nP1,\n", encoding="utf-8")
    with pytest.raises(TableValueError, match="Row 2"):
        read_heads(table)


def test_a_missing_volume_is_named(table):
    table.write_text("patient,image\nP1,c.nii.gz\n", encoding="utf-8")
    with pytest.raises(MissingFileError, match=r"c\.nii\.gz"):
        read_heads(table)


def test_slices_that_show_the_head_are_imported(table, tmp_path):
    store = imported(table, tmp_path / "store")
    assert 12 <= len(store) < 24
    assert ((store.pre[:] > -0.8).mean(axis=(1, 2)) >= 0.12).all()


def test_their_records_say_that_there_is_no_follow_up(table, tmp_path):
    assert imported(table, tmp_path / "store").patients[0][SINGLE_IMAGES] is True


def test_their_records_keep_the_fingerprint_of_every_volume(table, tmp_path):
    sources = imported(table, tmp_path / "store").patients[0]["sources"]
    assert [source["file"] for source in sources.values()] == ["a.nii.gz", "b.nii.gz"]
    assert len({source["sha256"] for source in sources.values()}) == 2


def test_a_dry_run_writes_nothing(table, tmp_path):
    assert cli.main(["import", "heads", str(table), str(tmp_path / "store"), "--dry-run"]) == 0
    assert not (tmp_path / "store").exists()
