"""Nobody is evaluated who was trained with."""

import json

import pytest
from small_store import SPLIT, write_small_store

from GBMResponseTraining.evaluation.held_out import stored_split
from GBMResponseTraining.stages.training_run import STORE_FILE
from GBMResponseTraining.store.leakage import check_training_split
from GBMResponseTraining.store.slice_store import read_patients
from GBMResponseTraining.store.splits import SPLIT_FILE, LeakageError, write_split

TRAINED = dict.fromkeys(SPLIT, "train")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store"))


@pytest.fixture
def run(tmp_path):
    """An empty bundle folder of a run."""
    folder = tmp_path / "run" / "bundles" / "2-class"
    folder.mkdir(parents=True)
    return folder


def test_the_same_split_passes(store, run):
    write_split(SPLIT, run.parent.parent / SPLIT_FILE)
    assert check_training_split(run, stored_split(store)).known


def test_a_test_patient_who_was_trained_with_is_refused(store, run):
    write_split({**SPLIT, "P5": "train"}, run.parent.parent / SPLIT_FILE)
    with pytest.raises(LeakageError, match="P5"):
        check_training_split(run, stored_split(store))


def test_another_visit_of_a_test_patient_is_refused(store, run):
    write_split({"P-005_t2": "train", "P5_t3": "train", "p-5": "train"}, run.parent.parent / SPLIT_FILE)
    split = {"P-5_t1": "test"}
    with pytest.raises(LeakageError):
        check_training_split(run, split)


def test_a_split_beside_the_bundle_counts_too(store, run):
    write_split({"P4": "validation"}, run / SPLIT_FILE)
    with pytest.raises(LeakageError):
        check_training_split(run, stored_split(store))


def test_another_cohort_shares_nobody(store, run):
    write_split({"Q1": "train"}, run.parent.parent / SPLIT_FILE)
    assert check_training_split(run, stored_split(store)).known


def test_without_the_run_s_split_nothing_is_known(store, run):
    assert not check_training_split(run, stored_split(store)).known


def of(dataset, **images):
    """Records of all patients of a data set; images by the patient's id."""
    return {
        name: {"dataset": dataset} | ({"sources": {"image": {"sha256": images[name]}}} if name in images else {})
        for name in SPLIT
    }


def check(run, folder, trained, tested):
    """Check patients of one cohort with a bundle trained on another cohort of the same ids."""
    store = write_small_store(folder / "trained", TRAINED, **trained)
    (run.parent.parent / STORE_FILE).write_text(json.dumps({"store": str(store)}), encoding="utf-8")
    write_split(TRAINED, run.parent.parent / SPLIT_FILE)
    other = write_small_store(folder / "tested", dict.fromkeys(SPLIT, "test"), **tested)
    return check_training_split(run, stored_split(other), read_patients(other))


def test_equal_ids_of_two_data_sets_are_different_people(run, tmp_path):
    found = check(run, tmp_path, of("cohort, seed 1"), of("cohort, seed 2"))
    assert found.known
    assert found.same_ids == ("p1", "p2", "p3", "p4", "p5", "p6")


def test_equal_ids_of_one_data_set_are_one_person(run, tmp_path):
    with pytest.raises(LeakageError, match="cohort, seed 1"):
        check(run, tmp_path, of("cohort, seed 1"), of("cohort, seed 1"))


def test_equal_ids_without_data_set_are_one_person(run, tmp_path):
    with pytest.raises(LeakageError, match="P1"):
        check(run, tmp_path, {}, {})


def test_a_data_set_is_not_one_without_name(run, tmp_path):
    assert check(run, tmp_path, of("cohort, seed 1"), {}).known


def test_a_copied_image_of_another_data_set_is_refused(run, tmp_path):
    with pytest.raises(LeakageError, match=r"p5 \(b\), p2 \(a\)"):
        check(run, tmp_path, of("a", P2="0" * 64), of("b", P5="0" * 64))


def test_without_the_run_s_store_equal_ids_are_refused_with_a_way_out(run, tmp_path):
    (run.parent.parent / STORE_FILE).write_text(json.dumps({"store": str(tmp_path / "gone")}), encoding="utf-8")
    write_split(TRAINED, run.parent.parent / SPLIT_FILE)
    store = write_small_store(tmp_path / "tested", **of("b"))
    with pytest.raises(LeakageError) as caught:
        check_training_split(run, stored_split(store), read_patients(store))
    assert "bring the run's slice store back" in caught.value.remedy


def seen(run, folder, extra, tested):
    """Patients of a cohort whom the image autoencoder of a run saw in extra images."""
    store = write_small_store(folder / "trained", TRAINED, **of("simulated"))
    extra = write_small_store(folder / "extra", TRAINED, **extra)
    content = {"store": str(store), "extra_images": [str(extra)]}
    (run.parent.parent / STORE_FILE).write_text(json.dumps(content), encoding="utf-8")
    write_split(TRAINED, run.parent.parent / SPLIT_FILE)
    other = write_small_store(folder / "tested", dict.fromkeys(SPLIT, "test"), **tested)
    return check_training_split(run, stored_split(other), read_patients(other)).seen_by_autoencoder


def test_patients_of_the_extra_images_are_told(run, tmp_path):
    assert seen(run, tmp_path, of("real"), of("real")) == tuple(SPLIT)


def test_images_of_the_extra_images_are_found_under_other_ids(run, tmp_path):
    assert seen(run, tmp_path, of("real", P2="0" * 64), of("again", P5="0" * 64)) == ("P5",)


def test_patients_of_other_data_sets_are_not_seen(run, tmp_path):
    assert seen(run, tmp_path, of("real"), of("other")) == ()
