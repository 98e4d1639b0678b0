import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fake_cfb_gbm import Patient, write_table, write_tables

from GBMResponseTraining.cli import main
from GBMResponseTraining.datasets.errors import DatasetError, TableValueError
from GBMResponseTraining.datasets.public import cfb_gbm
from GBMResponseTraining.datasets.public.cfb_gbm import (
    find_images,
    read_cfb_gbm,
    read_tables,
    report,
    select_candidates,
)

REPOSITORY = Path(__file__).resolve().parents[4]
DATA = Path(os.environ.get("GBMRESPONSE_SHARED", REPOSITORY.parent / "shared")) / "data"
IMAGES = ("t0_t1gd", "t1_t1gd", "t0_gtv")


def write_images(folder: Path, number: int, images=IMAGES, suffix: str = ".nii.gz") -> None:
    """Empty files in a folder padded with zeros, as in version 4."""
    for image in images:
        path = folder / f"{number:03d}" / image[:2] / f"{number}_{image}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


@pytest.fixture
def tree(tmp_path) -> Path:
    """One complete patient, number 15."""
    write_tables(tmp_path / "tables", [Patient(15)])
    write_images(tmp_path / "data", 15)
    return tmp_path


# The published tables


@pytest.fixture(scope="module")
def published():
    folder = DATA / "cfb-gbm-tables"
    if not folder.is_dir():
        pytest.skip(f"The tables of CFB-GBM are not in the shared data folder {DATA}")
    return read_tables(folder)


def test_published_pairs(published):
    candidates, skipped = select_candidates(published)
    assert len(candidates) == 163
    assert sum(candidate.post_gtv for candidate in candidates) == 160
    assert sum(candidate.human_gtv for candidate in candidates) == 139
    assert Counter(item.code for item in skipped) == {"no-follow-up": 101}


def test_published_report(published):
    assert report(published).splitlines() == [
        "Patients: 264",
        "Pairs (T1-Gd at t0 and t1, GTV at t0): 163",
        "  also with a GTV at t1: 160",
        "  GTV at t0 drawn by a person: 139",
        "  start of radiotherapy known: 140",
        "Survival in weeks, quartiles: 35 / 56 / 77.5",
        "t0 to t1 in weeks, quartiles: 12 / 14 / 20",
    ]


def test_the_tables_alone_are_enough_for_a_dry_run(published, tmp_path, capsys):
    assert main(["import", "cfb-gbm", str(DATA / "cfb-gbm-tables"), str(tmp_path / "out"), "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "also with a GTV at t1: 160" in printed
    assert "Pairs found: 163; patients without a usable pair: 101" in printed
    assert not (tmp_path / "out").exists()


def test_published_survival(published):
    candidates, _ = select_candidates(published)
    survival = [candidate.survival_weeks for candidate in candidates]
    assert np.percentile(survival, (25, 50, 75)).tolist() == [35, 56, 77.5]
    everyone = [float(row["survival (weeks)"]) for row in published.patients["clinical_data"].values()]
    assert len(everyone) == 264
    assert np.percentile(everyone, (25, 50, 75)).tolist() == [23, 50.5, 76.25]


def test_published_intervals(published):
    candidates, _ = select_candidates(published)
    weeks = [candidate.interval_weeks for candidate in candidates]
    assert np.percentile(weeks, (0, 25, 50, 75, 100)).tolist() == [5, 12, 14, 20, 35]
    for limits, count in (((12, 20), 85), ((None, 11), 39), ((21, None), 39)):
        chosen, skipped = select_candidates(published, *limits)
        assert len(chosen) == count
        assert Counter(item.code for item in skipped)["interval"] == 163 - count


# Tables


def test_the_newest_version_of_a_table_is_read(tree):
    for version in ("v02_20260129", "v10", "v4.1_20270101", "v03_20280101"):
        write_table(tree / "older", "clinical_data", [f"15,{10 if version == 'v10' else 99},,,,,,"], version)
    assert read_cfb_gbm(tree)[0][0].survival_days == 70


@pytest.mark.parametrize("name", ["clinical_data", "mri_availability", "treatment_imaging_availability"])
def test_missing_table(tree, name):
    next(tree.rglob(f"*_{name}_v*")).unlink()
    with pytest.raises(DatasetError, match=f"CFB-GBM_{name}"):
        read_cfb_gbm(tree)


def test_treatment_table_is_optional(tree):
    next(tree.rglob("*treatment_data*")).unlink()
    assert "dose_gy" not in read_cfb_gbm(tree)[0][0].extra


def test_missing_column(tree):
    path = next(tree.rglob("*clinical_data*"))
    path.write_text(path.read_text().replace("survival (weeks)", "os_months"))
    with pytest.raises(TableValueError, match=r"no column survival \(weeks\)"):
        read_cfb_gbm(tree)


def test_id_that_is_no_number(tree):
    write_table(tree / "newer", "clinical_data", ["fifteen,50,,,,,,"], "v99")
    with pytest.raises(TableValueError, match="fifteen"):
        read_cfb_gbm(tree)


# Pairs


def test_a_pair(tree):
    (pair,), skipped = read_cfb_gbm(tree)
    assert skipped == []
    assert pair.patient == "15"
    assert [path.name for path in (pair.pre, pair.post, pair.gtv)] == [f"15_{name}.nii.gz" for name in IMAGES]
    assert (pair.survival_days, pair.censored, pair.interval_days) == (350, False, 98)
    assert pair.gtv_labels is None
    assert pair.extra == {
        "dataset": "CFB-GBM",
        "gtv_by": "human",
        "age_at_t0_years": "65",
        "gender": "F",
        "t0_to_radiotherapy_weeks": "3",
        "dose_gy": "60",
        "fractions": "30",
    }


@pytest.mark.parametrize(
    "content, seed", [('{"simulation": {"seed": 7}}', "7"), ("{}", "unknown"), ("[1]", "unknown"), ("x", "unknown")]
)
def test_a_simulated_cohort_is_a_data_set_of_its_seed(tree, content, seed):
    (tree / "simulation.json").write_text(content, encoding="utf-8")
    (pair, *_), _ = read_cfb_gbm(tree)
    assert pair.extra["dataset"] == f"simulated patients (synthetic, in the layout of CFB-GBM, seed {seed})"


def test_days_since_radiotherapy(tree):
    (pair,), _ = read_cfb_gbm(tree)
    assert pair.radiotherapy_days == 21
    assert pair.days_since_radiotherapy == 98 - 21


def test_optional_images(tree):
    assert (read_cfb_gbm(tree)[0][0].post_gtv, read_cfb_gbm(tree)[0][0].brain_mask) == (None, None)
    write_images(tree / "data", 15, ["t1_gtv", "t0_brain_mask"])
    (pair,), _ = read_cfb_gbm(tree)
    assert pair.post_gtv.name == "15_t1_gtv.nii.gz"
    assert pair.brain_mask.name == "15_t0_brain_mask.nii.gz"


@pytest.mark.parametrize("lacking, code", [("t0", "no-pre-image"), ("t1", "no-follow-up"), ("gtv", "no-gtv")])
def test_incomplete_patients_are_named(tree, lacking, code):
    write_tables(tree / "tables", [Patient(15), Patient(16, **{lacking: 0})])
    pairs, (skipped,) = read_cfb_gbm(tree)
    assert [pair.patient for pair in pairs] == ["15"]
    assert (skipped.patient, skipped.code) == ("16", code)


def test_promised_image_that_is_missing(tree):
    next(tree.rglob("15_t1_t1gd*")).unlink()
    pairs, (skipped,) = read_cfb_gbm(tree)
    assert pairs == []
    assert skipped.code == "missing-file"
    assert "15_t1_t1gd.nii.gz" in skipped.reason


def test_two_versions_of_an_image(tree):
    write_images(tree / "data-v2", 15, ["t0_gtv"])
    pairs, (skipped,) = read_cfb_gbm(tree)
    assert pairs == []
    assert skipped.code == "duplicate-file"


def test_no_images(tmp_path):
    write_tables(tmp_path, [Patient(15)])
    with pytest.raises(DatasetError, match="no image"):
        read_cfb_gbm(tmp_path)


def test_images_are_matched_by_name_not_by_folder(tmp_path):
    write_images(tmp_path, 7, [*IMAGES, "t0_brain_mask", "t2_adc"])
    write_images(tmp_path, 8, ["t0_t1gd"], suffix=".nii")
    (tmp_path / "007" / "notes_t0_t1gd.nii.gz").touch()
    assert set(find_images(tmp_path)) == {
        (7, "t0", "t1gd"),
        (7, "t1", "t1gd"),
        (7, "t0", "gtv"),
        (7, "t0", "brain_mask"),
        (7, "t2", "adc"),
        (8, "t0", "t1gd"),
    }


@pytest.mark.parametrize("limits, kept", [((12, 20), ["12", "20"]), ((None, 12), ["11", "12"]), ((21, None), ["21"])])
def test_interval_limits_are_included(tmp_path, limits, kept):
    weeks = (11, 12, 20, 21)
    write_tables(tmp_path, [Patient(week, delay=str(week)) for week in weeks])
    candidates, skipped = select_candidates(read_tables(tmp_path), *limits)
    assert [str(candidate.patient) for candidate in candidates] == kept
    assert {item.code for item in skipped} == {"interval"}


def test_unknown_interval_is_kept_unless_limits_are_given(tmp_path):
    write_tables(tmp_path, [Patient(1, delay="")])
    tables = read_tables(tmp_path)
    assert select_candidates(tables)[0][0].interval_weeks is None
    assert select_candidates(tables, min_weeks=8)[1][0].code == "interval"


def test_unknown_survival_is_none(tmp_path):
    write_tables(tmp_path, [Patient(1, survival="")])
    assert select_candidates(read_tables(tmp_path))[0][0].survival_weeks is None


def test_a_bad_number_concerns_one_patient(tmp_path):
    write_tables(tmp_path, [Patient(1, survival="alive"), Patient(2)])
    candidates, (skipped,) = select_candidates(read_tables(tmp_path))
    assert [candidate.patient for candidate in candidates] == [2]
    assert (skipped.patient, skipped.code) == ("1", "table-value")
    assert "alive" in skipped.reason


def test_who_drew_the_gtv(tmp_path):
    write_tables(tmp_path, [Patient(1), Patient(2, gtv_type="genSegmentation")])
    assert [c.human_gtv for c in select_candidates(read_tables(tmp_path))[0]] == [True, False]


def test_what_nobody_expected_of_a_patient_is_listed_with_its_type(tree, monkeypatch):
    def fails(*arguments):
        raise ZeroDivisionError("by chance")

    monkeypatch.setattr(cfb_gbm, "_pair", fails)
    pairs, skipped = read_cfb_gbm(tree)
    assert pairs == []
    assert ("error", "Unexpected failure: ZeroDivisionError: by chance") in [
        (item.code, item.reason) for item in skipped
    ]
