"""`gbmresponse-train selftest`: cases in which nothing changed."""

import csv

import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.case_table import read_case_table
from GBMResponseCore.model.manifest import default_bundle

from GBMResponseTraining import cli

SIZE, SPACING = (120, 128, 8), (0.95, 0.95, 5.0)


@pytest.fixture
def table(tmp_path):
    """Two cases: the GTV is the lesion, or lies where no lesion is."""
    sitk.WriteImage(phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER), str(tmp_path / "image.nrrd"))
    for name, place in (("gtv", phantoms.GTV_CENTER), ("elsewhere", (25.0, 20.0, 20.0))):
        gtv = phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER, at=place)
        sitk.WriteImage(gtv, str(tmp_path / f"{name}.nrrd"))
    path = tmp_path / "cases.csv"
    path.write_text("id,image,gtv\nfound,image.nrrd,gtv.nrrd\nmissed,image.nrrd,elsewhere.nrrd\n", "utf-8")
    assert len(read_case_table(path)) == 2
    return path


def rows(folder):
    return list(csv.DictReader((folder / "self_test.csv").read_text("utf-8").splitlines()))


def test_the_shipped_bundle_passes_and_a_missed_tumor_is_withheld(table, tmp_path, capsys):
    assert cli.main(["selftest", str(table), str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert "found: no change" in capsys.readouterr().out
    found, missed = rows(tmp_path / "out")
    assert float(found["copy_volume_change"]) == 0
    assert found["autoencoder_category_by_area"] == "SD"
    assert (found["withheld_volume"], float(found["gtv_dice"]) > 0.4) == ("", True)
    assert "does not find this tumor" in missed["withheld_volume"]
    page = (tmp_path / "out" / "self_test.md").read_text("utf-8")
    assert "**Passed:**" in page and "2 of 2 (autoencoder)" in page and default_bundle().name in page


def test_an_autoencoder_that_changes_lesions_fails(table, tiny_bundle, tmp_path, capsys):
    """That of the tiny bundle has random weights."""
    arguments = ["selftest", str(table), str(tmp_path / "out"), "--bundle", str(tiny_bundle), "--device", "cpu"]
    assert cli.main(arguments) == 1
    found = rows(tmp_path / "out")[0]
    assert float(found["copy_volume_change"]) == 0
    assert "nothing changed would already show" in found["withheld_volume"]
    assert "**Failed:**" in (tmp_path / "out" / "self_test.md").read_text("utf-8")


def test_a_case_that_cannot_be_read_does_not_stop_the_others(table, tmp_path, capsys):
    table.write_text(table.read_text("utf-8") + "gone,nothing.nrrd,gtv.nrrd\n", "utf-8")
    assert cli.main(["selftest", str(table), str(tmp_path / "out"), "--device", "cpu"]) == 1
    output = capsys.readouterr().out
    assert "found: no change" in output and "gone: " in output
    assert rows(tmp_path / "out")[2]["error"]
