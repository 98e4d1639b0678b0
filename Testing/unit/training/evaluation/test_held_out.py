"""Which slices are evaluated."""

import numpy as np
import pytest
from GBMResponseCore.errors import MissingFileError
from small_store import SLICES, SPLIT, write_small_store

from GBMResponseTraining.evaluation.held_out import EvaluationError, patient_ids, read_held_out, training_mean
from GBMResponseTraining.store.slice_store import open_store, stack_indices
from GBMResponseTraining.store.splits import SPLIT_FILE, SplitError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store"))


def test_only_the_patients_of_the_split_are_read(store):
    slices = read_held_out(store, "test")
    assert sorted(set(patient_ids(slices))) == ["P4", "P5", "P6"]
    assert len(slices) == 3 * SLICES


def test_slices_and_records_belong_together(store):
    slices, whole = read_held_out(store, "test"), open_store(store)
    row = [record["id"] for record in whole.patients].index("P5")
    own = slices.rows_of([record["id"] for record in slices.records].index("P5"))
    assert np.array_equal(slices.post[own], np.asarray(whole.post[whole.patient == row], np.float32))
    assert slices.positions_mm[own].tolist() == [0.0, 5.0, 10.0]


def test_a_selection_is_spread_over_the_patient(store):
    slices = read_held_out(store, "test", max_slices_per_patient=1)
    assert slices.positions_mm.tolist() == [5.0] * 3
    assert slices.stack_indices.tolist() == [1] * 3


def test_a_gap_between_slices_is_seen():
    assert stack_indices({"slice_positions_mm": [10.0, 13.0, 19.0]}).tolist() == [0, 1, 3]
    assert stack_indices({"slice_positions_mm": [10.0, 16.0], "stack_spacing_mm": [1, 1, 3.0]}).tolist() == [0, 2]
    assert stack_indices({"slice_positions_mm": [10.0]}).tolist() == [0]


def test_an_empty_split_is_refused(tmp_path):
    store = write_small_store(tmp_path, dict.fromkeys(SPLIT, "train"))
    with pytest.raises(EvaluationError, match="has no slice"):
        read_held_out(store, "test")


def test_a_store_without_split_is_refused_and_gets_none(tmp_path):
    store = write_small_store(tmp_path)
    (store / SPLIT_FILE).unlink()
    with pytest.raises(SplitError, match="has no patient_split"):
        read_held_out(store, "test")
    assert not (store / SPLIT_FILE).exists()


def test_a_folder_that_is_no_store_is_refused(tmp_path):
    with pytest.raises(MissingFileError):
        read_held_out(tmp_path, "test")


def test_the_mean_is_that_of_the_training_follow_ups(store):
    whole = open_store(store)
    expected = np.asarray(whole.post[np.isin(whole.patient, (0, 1))], np.float64).mean(axis=0)
    assert np.allclose(training_mean(store), expected, atol=1e-6)


def test_without_training_patients_there_is_no_mean(tmp_path):
    assert training_mean(write_small_store(tmp_path, dict.fromkeys(SPLIT, "test"))) is None
