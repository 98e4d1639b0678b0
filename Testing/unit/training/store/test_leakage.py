import itertools
import json
from pathlib import Path

import pytest
from GBMResponseCore.errors import MissingFileError, OptionError

from GBMResponseTraining.cli import main
from GBMResponseTraining.datasets.errors import TableValueError
from GBMResponseTraining.store.leakage import check_stores, groups_within, read_same_patient
from GBMResponseTraining.store.splits import LeakageError, SplitError, read_split


@pytest.fixture
def store(tmp_path):
    """Write the records and the split of a store; values are `train`, `test`, ... by id."""

    def write(name: str, split: dict[str, str] | None, dataset: str | None = "", ids=(), hashes=None) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        records = []
        for patient in split or ids:
            digest = (hashes or {}).get(patient)
            sources = {"image": {"sha256": digest}} if digest else {}
            records.append({"id": patient, "survival_days": 100.0, "sources": sources})
            if dataset is not None:
                records[-1]["dataset"] = dataset or name
        (folder / "patients.json").write_text(json.dumps(records))
        if split is not None:
            lines = [f"{patient},{value}" for patient, value in split.items()]
            (folder / "patient_split.csv").write_text("\n".join(["patient,split", *lines]) + "\n")
        return folder

    return write


@pytest.fixture
def same_patient(tmp_path):
    def write(*lines: str, header="patient,same_as") -> Path:
        path = tmp_path / "same_patient.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return path

    return write


def test_equal_ids_of_two_data_sets_are_two_people(store):
    report = check_stores([store("CFB", {"15": "train"}), store("MU", {"15": "test"})])
    assert report.patients == {"train": 1, "validation": 0, "test": 1}
    assert report.shared == []


def test_equal_ids_of_one_data_set_are_one_person(store):
    first, second = store("a", {"15": "train"}, "CFB"), store("b", {"015_t1": "test"}, "CFB")
    with pytest.raises(LeakageError, match=r"15 \(CFB\)"):
        check_stores([first, second])


def test_stores_without_data_set_are_named_by_their_folder(store):
    check_stores([store("a", {"15": "train"}, None), store("b", {"15": "test"}, None)])


@pytest.mark.parametrize("line", ["P1,Q9", "MU:P1,BraTS:Q9", "mu:p01,brats:q09"])
def test_a_known_duplicate(store, same_patient, line):
    pairs = read_same_patient(same_patient(line))
    train, test = store("MU", {"P1": "train", "P2": "train"}), store("BraTS", {"Q9": "test"})
    check_stores([train, test])
    with pytest.raises(LeakageError, match=r"1 \(MU\), q9 \(BraTS\)"):
        check_stores([train, test], pairs)


def test_a_folder_named_like_a_visit(store):
    check_stores([store("t1", {"15": "train"}, None), store("t2", {"15": "test"}, None)])


def test_a_known_duplicate_in_one_split_is_reported(store, same_patient):
    stores = [store("MU", {"P1": "train"}), store("BraTS", {"Q9": "train"})]
    assert check_stores(stores, [("P1", "Q9")]).shared == [["p1 (MU)", "q9 (BraTS)"]]


def test_people_are_linked_through_an_id_that_is_in_no_store(store):
    stores = [store("MU", {"P1": "train"}), store("BraTS", {"Q9": "test"})]
    with pytest.raises(LeakageError):
        check_stores(stores, [("P1", "hospital 7"), ("hospital 7", "Q9")])


def test_an_ambiguous_id_needs_its_data_set(store):
    stores = [store("A", {"1": "train"}), store("B", {"1": "train"}), store("C", {"9": "test"})]
    with pytest.raises(SplitError, match=r"1 \(A\) and 1 \(B\)"):
        check_stores(stores, [("1", "9")])
    with pytest.raises(LeakageError, match=r"1 \(B\), 9 \(C\)"):
        check_stores(stores, [("B:1", "C:9")])


def test_copies_of_an_image_are_found_without_a_list(store):
    first = store("A", {"1": "train"}, hashes={"1": "abc"})
    with pytest.raises(LeakageError, match=r"1 \(A\), x3 \(B\)"):
        check_stores([first, store("B", {"x3": "test"}, hashes={"x3": "abc"})])


def test_an_external_test_set_needs_no_split(store):
    train, test = store("MU", {"P1": "train"}), store("UCSF", None, ids=["Q1"])
    with pytest.raises(SplitError, match=r"no patient_split\.csv"):
        check_stores([train, test])
    assert check_stores([train], external_tests=[test]).patients["test"] == 1
    with pytest.raises(LeakageError):
        check_stores([train], [("P1", "Q1")], [test])


def test_a_split_that_lacks_a_patient(store):
    folder = store("A", {"1": "train", "2": "test"})
    (folder / "patient_split.csv").write_text("patient,split\n1,train\n")
    with pytest.raises(SplitError, match="does not list 2"):
        check_stores([folder])


def test_groups_of_one_store():
    records = [{"id": "P1", "dataset": "MU-Glioma-Post"}]
    pairs = [("mu-glioma-post:P1", "BraTS:Q1"), ("P2", "P3")]
    assert groups_within(pairs, records) == [("P1", "BraTS:Q1"), ("P2", "P3")]


def test_list_with_a_missing_id(same_patient):
    with pytest.raises(SplitError, match="Line 3"):
        read_same_patient(same_patient("a,b", "c,"))


def test_list_with_a_missing_column(same_patient):
    with pytest.raises(TableValueError, match="same_as"):
        read_same_patient(same_patient("a,b", header="first,second"))


# Commands


def test_commands(store, same_patient, capsys):
    train, test = store("MU", {"P1": "train"}), store("UCSF", None, ids=["Q1"])
    listed = same_patient("P1,Q1")
    assert main(["check-leakage", str(train), "--test", str(test)]) == 0
    assert "No person is in two splits.\ntrain: 1\nvalidation: 0\ntest: 1\n" in capsys.readouterr().out
    command = ["check-leakage", str(train), "--test", str(test), "--same-patient", str(listed)]
    assert main(command) == LeakageError.exit_code
    assert "One patient, listed as p1 (MU), q1 (UCSF)" in capsys.readouterr().err


def test_a_folder_that_is_no_store(tmp_path):
    with pytest.raises(MissingFileError):
        check_stores([tmp_path])


def test_no_store(capsys):
    assert main(["check-leakage"]) == OptionError.exit_code


def test_split_keeps_known_duplicates_together(store, same_patient):
    ids = [f"P{number}" for number in range(12)]
    folder = store("MU", None, ids=ids)
    chain = [f"MU:{first},{second}" for first, second in itertools.pairwise(ids[:9])]
    assert main(["split", str(folder), "--same-patient", str(same_patient(*chain))]) == 0
    split = dict(read_split(folder / "patient_split.csv"))
    assert len({split[patient] for patient in ids[:9]}) == 1
