"""Ranges of image features over the training patients of a store."""

import numpy as np
import torch
from GBMResponseCore.measure.guard import (
    GREEN,
    IMAGE_FEATURES,
    LATENTS_TOGETHER,
    RED,
    TOGETHER,
    image_features,
    judge,
)
from GBMResponseCore.model.familiarity import autoencoder_features
from GBMResponseCore.model.manifest import AUTOENCODER_FEATURES, REBUILT
from GBMResponseCore.model.networks import LatentAutoencoder

from GBMResponseTraining.bundles.feature_ranges import MOST_PATIENTS, autoencoder_ranges, image_ranges
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


class Means(torch.nn.Module):
    """Draws what is even in blocks of 4 pixels, and nothing else; two channels of latents."""

    def __init__(self):
        super().__init__()
        self.encoder = torch.nn.AvgPool2d(4)
        self.quant_conv = torch.nn.Conv2d(1, 2, 1)
        self.post_quant_conv = torch.nn.Conv2d(2, 1, 1)
        self.decoder = torch.nn.Upsample(scale_factor=4)
        self.codes = torch.zeros(0, 1, 2)
        for layer, weight in ((self.quant_conv, 1.0), (self.post_quant_conv, 0.5)):
            torch.nn.init.constant_(layer.weight, weight)
            torch.nn.init.zeros_(layer.bias)


def test_what_the_autoencoder_cannot_draw_and_where_no_latents_lay_is_unlike_training():
    autoencoder = LatentAutoencoder(Means(), [0.0, 0.0], [1.0, 1.0])
    store = store_of(np.linspace(-0.5, 0.3, 40))
    found = autoencoder_ranges(store, {str(number): "train" for number in range(40)}, store.patients, autoencoder)
    assert set(found) == {AUTOENCODER_FEATURES, LATENTS_TOGETHER}
    assert found[AUTOENCODER_FEATURES][REBUILT][0] == 0.0

    def colors(pre):
        return judge(autoencoder_features(autoencoder, pre), found).colors

    usual = store.batch([20])["pre"]
    assert colors(usual) == {REBUILT: GREEN, LATENTS_TOGETHER: GREEN}
    stripes = np.where(usual > -0.9, usual + 0.4 * (np.indices(usual.shape)[2] % 2 - 0.5), usual).astype(np.float32)
    assert colors(stripes)[REBUILT] == RED
    assert colors(-usual)[LATENTS_TOGETHER] == RED


def test_the_ranges_of_a_cohort_leave_out_what_is_not_for_training():
    autoencoder = LatentAutoencoder(Means(), [0.0, 0.0], [1.0, 1.0])
    store = store_of([-0.4, 0.2])
    assert autoencoder_ranges(store, {"0": "test", "1": "validation"}, store.patients, autoencoder) == {}
