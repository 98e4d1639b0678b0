import numpy as np
import pytest

from GBMResponseTraining.store.slice_store import as_float32, open_store, write_store


@pytest.fixture
def store(tmp_path):
    rng = np.random.default_rng(0)
    pre, post = rng.normal(size=(2, 7, 6, 5))
    gtv = rng.random((7, 6, 5)) > 0.5
    patients = [{"id": name, "survival_days": days} for name, days in (("a", 1.0), ("b", 2.0))]
    write_store(tmp_path, pre, post, gtv, np.array([0, 0, 0, 1, 1, 1, 1]), patients)
    return open_store(tmp_path)


@pytest.mark.parametrize("indices", [[4, 0, 4], (6,), np.array([2, 1]), []])
def test_a_batch_in_any_order(store, indices):
    batch = store.batch(indices)
    assert set(batch) == {"pre", "post", "gtv"}
    for name, array in batch.items():
        assert array.dtype == np.float32
        expected = getattr(store, name)[np.asarray(indices, int)].astype(np.float32)
        assert np.array_equal(array, expected)


def test_a_batch_can_be_changed_without_touching_the_store(store):
    before = np.array(store.pre)
    store.batch([0, 1])["pre"][:] = 9
    assert np.array_equal(store.pre, before)


def test_mapped_half_floats_are_converted_exactly(store):
    assert not store.pre.flags.writeable
    assert np.array_equal(as_float32(store.pre[2]), store.pre[2].astype(np.float32))


def test_survival_of_every_slice(store):
    assert store.survival_days.tolist() == [1, 1, 1, 2, 2, 2, 2]
