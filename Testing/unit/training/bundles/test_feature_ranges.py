"""Ranges of image features over the training patients of a store."""

import numpy as np
from GBMResponseCore.measure.guard import IMAGE_FEATURES, TOGETHER, image_features

from GBMResponseTraining.bundles.feature_ranges import MOST_PATIENTS, image_ranges
from GBMResponseTraining.store.slice_store import SliceStore


def store_of(levels):
    """One slice per patient: a bright disc with a GTV, as bright as its level."""
    y, x = np.indices((64, 64)) - 31.5
    head, gtv = np.hypot(x, y) < 28, np.hypot(x - 6, y) < 5
    noise = np.random.default_rng(2).normal(0, 0.02, (64, 64))
    pre = np.stack([np.where(head, level + noise, -1) for level in levels]).astype(np.float16)
    records = [{"id": str(number), "spacing_mm": 1.0} for number in range(len(levels))]
    return SliceStore(pre, pre, np.repeat(gtv[None], len(levels), 0).astype(np.uint8), np.arange(len(levels)), records)


def test_a_range_holds_the_training_patients_alone():
    store = store_of([-0.4, -0.2, 0.0, 0.9])
    split = {"0": "train", "1": "train", "2": "train", "3": "test"}
    found = image_ranges(store, split, store.patients)
    assert TOGETHER not in found  # three patients say nothing of it
    ranges = found[IMAGE_FEATURES]
    low, high = ranges["median"]
    assert -0.45 < low < -0.35 and -0.05 < high < 0.05
    slices = store.batch([3])
    outside = image_features(slices["pre"], slices["gtv"] > 0, 1.0)
    assert outside["median"] > high
    assert set(ranges) == set(outside)


def test_patients_without_pixel_size_and_single_images_do_not_count():
    store = store_of([-0.4, -0.2, 0.5])
    store.patients[1]["spacing_mm"] = None
    store.patients[2]["single_images"] = True
    ranges = image_ranges(store, {str(number): "train" for number in range(3)}, store.patients)[IMAGE_FEATURES]
    assert ranges["median"][0] == ranges["median"][1] < -0.35


def test_many_patients_are_thinned_out_to_both_ends(monkeypatch):
    monkeypatch.setattr("GBMResponseTraining.bundles.feature_ranges.MOST_PATIENTS", 2)
    store = store_of([-0.4, -0.3, -0.2, -0.1])
    ranges = image_ranges(store, {str(number): "train" for number in range(4)}, store.patients)
    low, high = ranges[IMAGE_FEATURES]["median"]
    assert -0.45 < low < -0.35 and -0.25 < high < -0.15
    assert MOST_PATIENTS >= 100
