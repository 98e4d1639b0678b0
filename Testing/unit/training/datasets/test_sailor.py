import pytest
from fake_cohorts import write_sailor_patient

from GBMResponseTraining.datasets.errors import DatasetError
from GBMResponseTraining.datasets.public import sailor
from GBMResponseTraining.datasets.public.sailor import SailorRule, read_sailor
from GBMResponseTraining.datasets.visits import Window

INTERVALS = (10, 30, 30, 40, 30)
"""Sessions on the days 0, 10, 40, 70, 110 and 140."""


@pytest.fixture
def folder(tmp_path):
    return write_sailor_patient(tmp_path / "mni2009c-n-s", 1, INTERVALS, ("no", "unknown", "CRT", "CRT", "TMZ", "no"))


def only_skipped(folder, rule=None):
    pairs, (skipped,) = read_sailor(folder.parent, rule)
    assert pairs == []
    return skipped


def test_a_pair(folder):
    (pair,), skipped = read_sailor(folder.parent.parent)
    assert skipped == []
    assert pair.patient == "sub-01"
    assert pair.pre == folder / "ses-02" / "T1c.nii.gz"
    assert pair.post == folder / "ses-05" / "T1c.nii.gz"
    assert pair.gtv == folder / "ses-02" / "ContrastEnhancedMask-CL.nii.gz"
    assert pair.post_gtv == folder / "ses-05" / "ContrastEnhancedMask-CL.nii.gz"
    assert pair.interval_days == 100
    assert pair.survival_days == pytest.approx(15.5 * 365.25 / 12 - 10)
    assert (pair.extra["pre_treatment"], pair.extra["post_treatment"]) == ("unknown", "tmz")


def test_without_treatments_the_first_session_is_pre(folder):
    for path in folder.rglob("treatment.txt"):
        path.unlink()
    (pair,), _ = read_sailor(folder.parent)
    assert (pair.extra["pre_visit"], pair.extra["pre_treatment"]) == ("ses-01", "not stated")


def test_sessions_without_image_keep_their_days(folder):
    (folder / "ses-05" / "T1c.nii.gz").unlink()
    (pair,), _ = read_sailor(folder.parent)
    assert (pair.extra["post_visit"], pair.interval_days) == ("ses-06", 130)


def test_no_follow_up_in_the_window(folder):
    assert only_skipped(folder, SailorRule(window=Window(20, 30))).code == "no-follow-up"


def test_no_mask(folder):
    skipped = only_skipped(folder, SailorRule(mask="ContrastEnhancedMask-ONCO"))
    assert skipped.code == "no-gtv"
    assert "ONCO" in skipped.reason


@pytest.mark.parametrize(
    "text, code", [("10 30\n", "table-value"), ("10\n30\nNA\n40\n30\n", "table-value"), ("", "empty-file")]
)
def test_bad_intervals(folder, text, code):
    (folder / "intervals-days.txt").write_text(text)
    assert only_skipped(folder).code == code


def test_missing_intervals(folder):
    (folder / "intervals-days.txt").unlink()
    assert only_skipped(folder).code == "missing-file"


@pytest.mark.parametrize("text", ["", "NA\n"])
def test_unknown_survival(folder, text):
    (folder / "overall-survival-months.txt").write_text(text)
    assert read_sailor(folder.parent)[0][0].survival_days is None


def test_one_bad_patient_stops_nothing(folder):
    write_sailor_patient(folder.parent, 2, INTERVALS, months="many")
    (pair,), (skipped,) = read_sailor(folder.parent)
    assert (pair.patient, skipped.patient, skipped.code) == ("sub-01", "sub-02", "table-value")


def test_two_versions_of_the_data(folder):
    write_sailor_patient(folder.parent.parent / "native", 1, INTERVALS)
    with pytest.raises(DatasetError, match="more than one folder sub-01"):
        read_sailor(folder.parent.parent)


def test_no_images(tmp_path):
    with pytest.raises(DatasetError, match="no image"):
        read_sailor(tmp_path)


def test_what_nobody_expected_of_a_patient_is_listed_with_its_type(folder, monkeypatch):
    def fails(*arguments):
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(sailor, "_pair", fails)
    pairs, skipped = read_sailor(folder.parent)
    assert pairs == []
    assert ("error", "Unexpected failure: ZeroDivisionError: by chance") in [
        (item.code, item.reason) for item in skipped
    ]
