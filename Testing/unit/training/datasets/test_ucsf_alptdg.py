import pytest
from fake_cohorts import UCSF_HEADER, write_ucsf_patient, write_ucsf_workbook

from GBMResponseTraining.datasets.errors import DatasetError, TableValueError
from GBMResponseTraining.datasets.public import ucsf_alptdg
from GBMResponseTraining.datasets.public.ucsf_alptdg import UcsfRule, read_ucsf_alptdg


@pytest.fixture
def tree(tmp_path):
    write_ucsf_workbook(tmp_path, [(100002, 65, -400)])
    write_ucsf_patient(tmp_path / "images", 100002)
    return tmp_path


def only_skipped(tree, rule=None):
    pairs, (skipped,) = read_ucsf_alptdg(tree, rule)
    assert pairs == []
    return skipped


def test_a_pair(tree):
    (pair,), skipped = read_ucsf_alptdg(tree)
    assert skipped == []
    folder = tree / "images" / "100002"
    assert [pair.pre, pair.post, pair.gtv, pair.post_gtv] == [
        folder / f"100002_{name}.nii.gz" for name in ("time1_t1ce", "time2_t1ce", "time1_seg", "time2_seg")
    ]
    assert (pair.survival_days, pair.interval_days, pair.gtv_labels) == (400, 65, (1, 3, 4))
    assert pair.extra["publishers_split"] == "train"
    assert pair.extra["task"] == "both scans are after treatment"


@pytest.mark.parametrize("death, survival", [(-400, 400), (400, 400), (None, None)])
def test_the_sign_of_survival_is_ignored(tree, death, survival):
    write_ucsf_workbook(tree, [(100002, 65, death)])
    assert read_ucsf_alptdg(tree)[0][0].survival_days == survival


@pytest.mark.parametrize("times, code", [((2,), "no-pre-image"), ((1,), "no-follow-up")])
def test_incomplete_patients(tree, times, code):
    write_ucsf_workbook(tree, [(100002, 65, 400), (100003, 65, 400)])
    write_ucsf_patient(tree, 100003, times)
    (pair,), (skipped,) = read_ucsf_alptdg(tree)
    assert (pair.patient, skipped.patient, skipped.code) == ("100002", "100003", code)


def test_no_mask(tree):
    next(tree.rglob("*time1_seg*")).unlink()
    assert only_skipped(tree).code == "no-gtv"


def test_two_copies_of_an_image(tree):
    write_ucsf_patient(tree / "again", 100002)
    assert only_skipped(tree).code == "duplicate-file"


def test_images_without_a_row(tree):
    write_ucsf_patient(tree, 5)
    assert read_ucsf_alptdg(tree)[1][0].code == "no-table-row"


@pytest.mark.parametrize("limits, kept", [((9, 10), 1), ((None, 9), 0), ((10, None), 0)])
def test_interval_limits(tree, limits, kept):
    pairs, skipped = read_ucsf_alptdg(tree, UcsfRule(*limits))
    assert len(pairs) == kept
    assert all(item.code == "interval" for item in skipped)


def test_unknown_interval(tree):
    write_ucsf_workbook(tree, [(100002, "na", 400)])
    assert read_ucsf_alptdg(tree)[0][0].interval_days is None
    assert only_skipped(tree, UcsfRule(min_weeks=1)).code == "interval"


def test_diagnosis(tree):
    assert len(read_ucsf_alptdg(tree, UcsfRule(diagnosis="glioblastoma"))[0]) == 1
    assert only_skipped(tree, UcsfRule(diagnosis="astro")).code == "diagnosis"


def test_bad_number(tree):
    write_ucsf_workbook(tree, [(100002, "two months", 400)])
    assert only_skipped(tree).code == "table-value"


def test_missing_column(tree):
    write_ucsf_workbook(tree, [(100002, 65, 400)], [*UCSF_HEADER[:-1], "Vital status"])
    with pytest.raises(TableValueError, match="days from death to 1st scan"):
        read_ucsf_alptdg(tree)


def test_missing_workbook(tree):
    next(tree.glob("*.xlsx")).unlink()
    with pytest.raises(DatasetError, match="UCSF_PostopGlioma"):
        read_ucsf_alptdg(tree)


def test_no_images(tmp_path):
    write_ucsf_workbook(tmp_path, [(100002, 65, 400)])
    with pytest.raises(DatasetError, match="no image"):
        read_ucsf_alptdg(tmp_path)


def test_what_nobody_expected_of_a_patient_is_listed_with_its_type(tree, monkeypatch):
    def fails(*arguments):
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(ucsf_alptdg, "_pair", fails)
    pairs, skipped = read_ucsf_alptdg(tree)
    assert pairs == []
    assert ("error", "Unexpected failure: ZeroDivisionError: by chance") in [
        (item.code, item.reason) for item in skipped
    ]
