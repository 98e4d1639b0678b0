from collections import Counter

import numpy as np
import pytest

from GBMResponseTraining.datasets.errors import TableValueError
from GBMResponseTraining.store.person import patient_key, person_numbers, person_of
from GBMResponseTraining.store.splits import (
    SPLIT_FILE,
    LeakageError,
    SplitError,
    check_leakage,
    read_split,
    split_store,
    stratified_split,
    survival_thresholds,
    write_split,
)


def cohort(count: int) -> dict[str, float]:
    days = np.random.default_rng(1).gamma(2, 200, count)
    return {f"P{number:03d}": float(value) for number, value in enumerate(days)}


def records(survival: dict[str, float]) -> list[dict]:
    return [{"id": patient, "survival_days": days} for patient, days in survival.items()]


# The split


@pytest.mark.parametrize(
    "count, sizes", [(3, (1, 1, 1)), (10, (8, 1, 1)), (25, (21, 2, 2)), (140, (112, 14, 14)), (163, (131, 16, 16))]
)
def test_sizes_are_exact(count, sizes):
    found = Counter(stratified_split(cohort(count)).values())
    assert (found["train"], found["validation"], found["test"]) == sizes


@pytest.mark.parametrize("seed", range(5))
def test_every_quartile_has_its_share(seed):
    survival = cohort(160)
    split = stratified_split(survival, seed)
    quartiles = np.searchsorted(np.quantile(list(survival.values()), (0.25, 0.5, 0.75)), list(survival.values()))
    for name, share in (("train", 32), ("validation", 4), ("test", 4)):
        counts = Counter(q for q, patient in zip(quartiles, survival, strict=True) if split[patient] == name)
        assert all(abs(counts[quartile] - share) <= 1 for quartile in range(4))


def test_equal_survival_is_no_problem():
    assert Counter(stratified_split(dict.fromkeys(cohort(20), 100.0)).values())["test"] == 2


def test_the_order_of_patients_does_not_matter():
    survival = cohort(40)
    shuffled = dict(sorted(survival.items(), key=lambda item: item[1]))
    assert stratified_split(survival, 3) == stratified_split(shuffled, 3)


def test_another_seed_gives_another_split():
    assert stratified_split(cohort(40), 0) != stratified_split(cohort(40), 1)


def test_visits_of_a_patient_stay_together():
    survival = {f"P{number}_t{visit}": 100.0 * number for number in range(20) for visit in (1, 2)}
    split = stratified_split(survival)
    assert all(split[f"P{number}_t1"] == split[f"P{number}_t2"] for number in range(20))
    assert Counter(split.values()) == {"train": 32, "validation": 4, "test": 4}


@pytest.mark.parametrize("seed", range(4))
def test_known_duplicates_stay_together(seed):
    split = stratified_split(cohort(30), seed, [("P001", "P015"), ("P015", "P029")])
    assert split["P001"] == split["P015"] == split["P029"]


@pytest.mark.parametrize(
    "held_out, sizes", [((0.05, 0.0), (38, 2, 0)), ((0.0, 1.0), (0, 0, 40)), ((0.5, 0.5), (0, 20, 20))]
)
def test_shares_are_free(held_out, sizes):
    found = Counter(stratified_split(cohort(40), held_out=held_out).values())
    assert (found["train"], found["validation"], found["test"]) == sizes


def test_two_patients_can_all_be_tested_on():
    assert set(stratified_split(cohort(2), held_out=(0.0, 1.0)).values()) == {"test"}


@pytest.mark.parametrize("held_out", [(-0.1, 0.1), (0.6, 0.6)])
def test_impossible_shares_are_refused(held_out):
    with pytest.raises(SplitError, match="impossible"):
        stratified_split(cohort(40), held_out=held_out)


def test_too_few_patients():
    with pytest.raises(SplitError, match="2 patients"):
        stratified_split(cohort(2))


# Leakage


@pytest.mark.parametrize(
    "text, key",
    [
        ("015", "15"),
        ("15_t0", "15"),
        ("Patient-007/week-012-1", "patient-7"),
        ("sub-01_ses-02", "sub-1"),
        ("PatientID_0003_Timepoint_2", "patientid_3"),
        ("gbm_scan_001", "gbm_scan_1"),
        ("T1", "t1"),
    ],
)
def test_patient_key(text, key):
    assert patient_key(text) == key


@pytest.mark.parametrize("first, second", [("P7", "P7"), ("P7", "p07 "), ("15_t0", "015_t1")])
def test_one_patient_in_two_splits(first, second):
    with pytest.raises(LeakageError, match=r"is in test and train\.") as caught:
        check_leakage([(first, "train"), ("other", "test"), (second, "test")])
    assert caught.value.code == "leakage"


def test_known_duplicate_in_two_splits():
    entries = [("UCSF-1", "train"), ("PDGM-9", "test")]
    check_leakage(entries)
    with pytest.raises(LeakageError, match="UCSF-1, PDGM-9"):
        check_leakage(entries, [("PDGM-9", "UCSF-1")])


def test_a_split_has_no_leak():
    check_leakage(stratified_split(cohort(50)).items())


# The file


def test_split_is_saved_and_reused(tmp_path):
    patients = records(cohort(30))
    split = split_store(tmp_path, patients, seed=0)
    assert (tmp_path / SPLIT_FILE).read_text().startswith("patient,split\nP000,")
    assert split_store(tmp_path, patients, seed=99) == split
    assert split_store(tmp_path, patients[:12], seed=99) == {
        record["id"]: split[record["id"]] for record in patients[:12]
    }
    assert dict(read_split(tmp_path / SPLIT_FILE)) == split


def test_saved_split_lacks_a_patient(tmp_path):
    patients = records(cohort(30))
    split_store(tmp_path, patients[:20])
    with pytest.raises(SplitError, match="10 patients of the store, such as P020"):
        split_store(tmp_path, patients)


def test_saved_split_with_a_leak(tmp_path):
    (tmp_path / SPLIT_FILE).write_text("patient,split\nP1,train\nP1,test\n")
    with pytest.raises(LeakageError):
        split_store(tmp_path, records({"P1": 3.0}))


def test_saved_split_that_is_none(tmp_path):
    (tmp_path / SPLIT_FILE).write_text("patient,split\nP1,val\n")
    with pytest.raises(SplitError, match="'val'"):
        split_store(tmp_path, records({"P1": 3.0}))
    (tmp_path / SPLIT_FILE).write_text("id,fold\nP1,1\n")
    with pytest.raises(TableValueError, match="patient, split"):
        split_store(tmp_path, records({"P1": 3.0}))


def test_unknown_survival_is_a_stratum_of_its_own(tmp_path):
    survival = cohort(40) | {f"U{number:03d}": None for number in range(40)}
    split = split_store(tmp_path, records(survival))
    for name, count in (("validation", 4), ("test", 4)):
        assert sum(split[patient] == name for patient in split if patient.startswith("U")) == count


def test_a_cohort_without_any_survival_can_be_split(tmp_path):
    split = split_store(tmp_path, records({f"U{number}": None for number in range(10)}))
    assert Counter(split.values()) == {"train": 8, "validation": 1, "test": 1}


# Thresholds


def test_thresholds_see_training_patients_only():
    survival = {"a": 100.0, "b": 200.0, "c": 300.0, "d": 400.0, "e": 500.0, "f": 9000.0, "g": 1.0}
    split = dict.fromkeys("abcde", "train") | {"f": "test", "g": "validation"}
    assert survival_thresholds(records(survival), split, 2) == [300]
    assert survival_thresholds(records(survival), split, 4) == [200, 300, 400]


def test_thresholds_leave_out_censored_patients():
    patients = [*records({"a": 100.0, "b": 200.0}), {"id": "c", "survival_days": 5.0, "censored": True}]
    assert survival_thresholds(patients, dict.fromkeys("abc", "train"), 2) == [150]


def test_thresholds_need_a_known_survival():
    with pytest.raises(SplitError, match="No training patient"):
        survival_thresholds(records({"a": 1.0}), {"a": "test"}, 2)


def test_a_split_with_an_id_that_looks_like_a_formula_is_read_as_it_was_written(tmp_path):
    split = {"-lab 3": "train", "=1": "test", "@P2": "validation", "-4": "train"}
    write_split(split, tmp_path / SPLIT_FILE)
    assert "'=1" in (tmp_path / SPLIT_FILE).read_text("utf-8")
    assert dict(read_split(tmp_path / SPLIT_FILE)) == split


# Persons with several visits


def visits(persons: int) -> list[dict]:
    """Two records of every person, the second of a shorter survival."""
    return [
        {"id": f"P{number}_t{visit}", "survival_days": 100.0 * number - 40.0 * (visit - 1)}
        for number in range(1, persons + 1)
        for visit in (1, 2)
    ]


def test_the_person_that_an_import_stored_counts_more_than_the_id():
    records = [{"id": "A1", "person": "x1"}, {"id": "B2", "person": "x1"}, {"id": "A1_t2"}, {"id": "a01"}]
    assert [person_of(record) for record in records] == ["x1", "x1", "a1", "a1"]
    assert person_numbers(records).tolist() == [0, 0, 1, 1]


def test_stored_persons_stay_in_one_split(tmp_path):
    patients = [{**record, "person": f"x{index % 10}"} for index, record in enumerate(records(cohort(20)))]
    split = split_store(tmp_path, patients)
    assert all(split[patients[k]["id"]] == split[patients[k + 10]["id"]] for k in range(10))


def test_a_saved_split_with_a_stored_person_in_two_groups_is_refused(tmp_path):
    patients = [{"id": "A", "person": "x1", "survival_days": 1.0}, {"id": "B", "person": "x1", "survival_days": 2.0}]
    write_split({"A": "train", "B": "test"}, tmp_path / SPLIT_FILE)
    with pytest.raises(LeakageError, match="A, B"):
        split_store(tmp_path, patients)


def test_thresholds_count_a_person_of_two_visits_once():
    patients = [*visits(2), {"id": "P3", "survival_days": 1000.0}]
    split = dict.fromkeys((record["id"] for record in patients), "train")
    # The means of the three persons are 80, 180 and 1000; the median of the five records would be 160.
    assert survival_thresholds(patients, split, 2) == [180.0]
