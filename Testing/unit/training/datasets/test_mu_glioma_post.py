import pytest
from fake_cohorts import MU_HEADER, mu_row, write_mu_visit, write_mu_workbook

from GBMResponseTraining.datasets.errors import DatasetError, TableValueError
from GBMResponseTraining.datasets.public import mu_glioma_post
from GBMResponseTraining.datasets.public.mu_glioma_post import LABELS, MuRule, read_mu_glioma_post
from GBMResponseTraining.datasets.visits import Window

PATIENT = "PatientID_0003"
DAYS = (5, 40, None, 100, 170)
"""Time points 1, 2, 4 and 5; radiotherapy from day 50 to 92."""


def row(patient=PATIENT, days=DAYS, start=50, end=92, death=600, **more):
    return mu_row(patient, days, start, end, death, **more)


@pytest.fixture
def tree(tmp_path):
    write_mu_workbook(tmp_path, [row()])
    for k in (1, 2, 4, 5):
        write_mu_visit(tmp_path / "PKG", PATIENT, k)
    return tmp_path


def only_skipped(tree, rule=None):
    pairs, (skipped,) = read_mu_glioma_post(tree, rule)
    assert pairs == []
    return skipped


def test_a_pair(tree):
    (pair,), skipped = read_mu_glioma_post(tree)
    assert skipped == []
    folder = tree / "PKG" / PATIENT
    assert pair.pre == folder / "Timepoint_2" / f"{PATIENT}_Timepoint_2_brain_t1c.nii.gz"
    assert pair.post == folder / "Timepoint_5" / f"{PATIENT}_Timepoint_5_brain_t1c.nii.gz"
    assert pair.gtv == folder / "Timepoint_2" / f"{PATIENT}_Timepoint_2_tumorMask.nii.gz"
    assert pair.post_gtv == folder / "Timepoint_5" / f"{PATIENT}_Timepoint_5_tumorMask.nii.gz"
    assert (pair.survival_days, pair.interval_days, pair.radiotherapy_days) == (560, 130, 10)
    assert pair.days_since_radiotherapy == 120
    assert (pair.gtv_labels, pair.label_names) == ((1, 3, 4), LABELS)
    assert pair.extra["diagnosis"] == "GBM"
    assert pair.extra["dose_gy"] == "60"


def test_headers_may_have_blanks_and_any_case(tree):
    write_mu_workbook(tree, [row()], [f"  {name.upper()}  " for name in MU_HEADER])
    assert len(read_mu_glioma_post(tree)[0]) == 1


def test_the_follow_up_is_not_during_radiotherapy(tree):
    rule = MuRule(window=Window(8, 24))
    assert read_mu_glioma_post(tree, rule)[0][0].extra["post_visit"] == "Timepoint_4"
    write_mu_workbook(tree, [row(end=101)])
    assert read_mu_glioma_post(tree, rule)[0][0].extra["post_visit"] == "Timepoint_5"


def test_no_follow_up_in_the_window(tree):
    skipped = only_skipped(tree, MuRule(window=Window(19, 30)))
    assert skipped.code == "no-follow-up"
    assert "19 to 30" in skipped.reason


def test_no_mri_before_radiotherapy(tree):
    write_mu_workbook(tree, [row(start=3)])
    skipped = only_skipped(tree)
    assert skipped.code == "no-pre-image"
    assert "2 days after the start" in skipped.reason


@pytest.mark.parametrize("start", [None, "NA"])
def test_unknown_radiotherapy(tree, start):
    write_mu_workbook(tree, [row(start=start)])
    assert only_skipped(tree).code == "no-radiotherapy-date"


def test_who_is_stated_to_be_alive_is_censored_on_the_last_known_day(tree):
    write_mu_workbook(tree, [row(death=None)])
    (pair,), _ = read_mu_glioma_post(tree)
    assert (pair.survival_days, pair.censored) == (170 - 40, True)


def test_the_last_known_day_may_be_that_of_an_mri_without_images(tree):
    write_mu_workbook(tree, [row(days=(*DAYS, 400), death=None)])
    (pair,), _ = read_mu_glioma_post(tree)
    assert (pair.survival_days, pair.censored) == (400 - 40, True)


@pytest.mark.parametrize("stated", [None, 1])
def test_without_a_day_of_death_survival_is_not_known_unless_the_table_says_alive(tree, stated):
    cells = list(row(death=None))
    cells[MU_HEADER.index("Overall Survival (Death)")] = stated
    write_mu_workbook(tree, [cells])
    (pair,), _ = read_mu_glioma_post(tree)
    assert (pair.survival_days, pair.censored) == (None, False)


def test_who_died_is_not_censored(tree):
    assert not read_mu_glioma_post(tree)[0][0].censored


def test_death_before_the_pre_image(tree):
    write_mu_workbook(tree, [row(death=20)])
    assert only_skipped(tree).code == "table-value"


def test_no_mask(tree):
    next(tree.rglob("*_2_tumorMask*")).unlink()
    assert only_skipped(tree).code == "no-gtv"


def test_images_decide_which_time_points_there_are(tree):
    next(tree.rglob("*_2_brain_t1c*")).unlink()
    assert read_mu_glioma_post(tree, MuRule(window=Window(12, 24)))[0][0].extra["pre_visit"] == "Timepoint_1"


def test_diagnosis(tree):
    write_mu_workbook(tree, [row(diagnosis="Astrocytoma")])
    assert len(read_mu_glioma_post(tree)[0]) == 1
    assert only_skipped(tree, MuRule(diagnosis="gbm")).code == "diagnosis"


def test_a_bad_cell_concerns_one_patient(tree):
    write_mu_workbook(tree, [row(), row("PatientID_0004", days=("soon",))])
    write_mu_visit(tree, "PatientID_0004", 1)
    (pair,), (skipped,) = read_mu_glioma_post(tree)
    assert (pair.patient, skipped.patient, skipped.code) == (PATIENT, "PatientID_0004", "table-value")


def test_a_patient_in_two_rows(tree):
    write_mu_workbook(tree, [row(), row("PatientID_3")])
    pairs, skipped = read_mu_glioma_post(tree)
    assert pairs == []
    assert [item.code for item in skipped] == ["duplicate-patient"]


def test_images_without_a_row(tree):
    write_mu_visit(tree, "PatientID_0099", 1)
    pairs, (skipped,) = read_mu_glioma_post(tree)
    assert len(pairs) == 1
    assert (skipped.patient, skipped.code) == ("patientid_99", "no-table-row")


def test_rows_that_are_no_patients_are_ignored(tree):
    write_mu_workbook(tree, [row(), ("Legend: days from diagnosis",)])
    assert read_mu_glioma_post(tree)[1] == []


# The workbook


def test_missing_workbook(tree):
    next(tree.glob("*.xlsx")).unlink()
    with pytest.raises(DatasetError, match="MU-Glioma-Post_ClinicalData"):
        read_mu_glioma_post(tree)


def test_damaged_workbook(tree):
    next(tree.glob("*.xlsx")).write_text("no workbook")
    with pytest.raises(DatasetError, match="cannot be read"):
        read_mu_glioma_post(tree)


def test_missing_sheet(tree):
    from fake_cohorts import write_workbook

    write_workbook(next(tree.glob("*.xlsx")), {"Other": [["a"]]})
    with pytest.raises(DatasetError, match="no sheet 'MU Glioma Post'"):
        read_mu_glioma_post(tree)


@pytest.mark.parametrize(
    "words, missing", [("MRI", "days of the MRIs"), ("Radiation", "radiotherapy"), ("death", "death")]
)
def test_missing_columns(tree, words, missing):
    write_mu_workbook(tree, [row()], [name.replace(words, "x") for name in MU_HEADER])
    with pytest.raises(DatasetError, match=missing):
        read_mu_glioma_post(tree)


def test_missing_id_column(tree):
    write_mu_workbook(tree, [row()], ["Subject", *MU_HEADER[1:]])
    with pytest.raises(TableValueError, match="patient_id"):
        read_mu_glioma_post(tree)


def test_no_images(tmp_path):
    write_mu_workbook(tmp_path, [row()])
    with pytest.raises(DatasetError, match="no image"):
        read_mu_glioma_post(tmp_path)


def test_what_nobody_expected_of_a_patient_is_listed_with_its_type(tree, monkeypatch):
    def fails(*arguments):
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(mu_glioma_post, "_pair", fails)
    pairs, skipped = read_mu_glioma_post(tree)
    assert pairs == []
    assert ("error", "Unexpected failure: ZeroDivisionError: by chance") in [
        (item.code, item.reason) for item in skipped
    ]
