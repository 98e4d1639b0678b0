"""What one training step sees."""

import numpy as np
import pytest
import torch
from GBMResponseCore.survival import ClassScheme

from GBMResponseTraining.items import classifier_items, gtv_crops, image_crops, latent_items
from GBMResponseTraining.latents import change_scale, gtv_at_latent_size
from GBMResponseTraining.slice_store import SliceStore

RNG = np.random.default_rng(0)
LATENTS = {name: RNG.standard_normal((5, 4, 8, 8)).astype(np.float32) for name in ("pre", "gtv", "post")}
TOKENS = np.array([[0, 2], [0, 3], [1, 4], [1, 5], [0, 2]])
GTV = np.zeros((5, 8, 8), np.float16)


def rng(seed=1):
    return np.random.default_rng(seed)


def test_the_target_is_the_post_latent():
    item = latent_items(LATENTS, GTV, TOKENS)(rng())
    assert any(np.array_equal(item["target"].numpy(), post) for post in LATENTS["post"])


def test_the_target_may_be_the_scaled_change():
    scale = np.array([1.0, 2.0, 3.0, 4.0])
    item = latent_items(LATENTS, GTV, TOKENS, scale)(rng())
    pre = item["sources"][:4].numpy()
    index = next(k for k in range(5) if np.array_equal(LATENTS["pre"][k], pre))
    expected = (LATENTS["post"][index] - pre) * scale[:, None, None]
    np.testing.assert_allclose(item["target"].numpy(), expected, rtol=1e-5)


def test_the_change_scale_gives_unit_variance():
    change = (LATENTS["post"] - LATENTS["pre"]) * change_scale(LATENTS["pre"], LATENTS["post"])[None, :, None, None]
    np.testing.assert_allclose(change.std(axis=(0, 2, 3)), 1.0, rtol=1e-4)


def test_the_token_is_one_of_the_patients_own_classes():
    make = latent_items(LATENTS, GTV, TOKENS)
    for seed in range(20):
        item = make(rng(seed))
        index = next(k for k in range(5) if np.array_equal(LATENTS["pre"][k], item["sources"][:4].numpy()))
        assert item["token"].item() in TOKENS[index]


def test_masks_shrink_to_the_share_of_their_block():
    mask = np.zeros((1, 8, 8), np.uint8)
    mask[0, :2, :4] = 1
    np.testing.assert_array_equal(gtv_at_latent_size(mask, 4)[0], [[0.5, 0.0], [0.0, 0.0]])


def test_image_crops_stay_in_range_and_size():
    slices = RNG.uniform(-1, 1, (3, 64, 64)).astype(np.float16)
    crop = image_crops([slices], [1.0], 32)(rng())
    assert crop.shape == (1, 32, 32)
    assert crop.min() >= -1


@pytest.mark.parametrize("seed", range(5))
def test_gtv_crops_hold_gtv(seed):
    masks = np.zeros((2, 64, 64), np.uint8)
    masks[:, 30:34, 50:60] = 1
    assert gtv_crops(masks, 32)(rng(seed)).sum() > 0


def test_left_out_slices_are_never_shown():
    store = SliceStore(
        pre=np.arange(4, dtype=np.float16)[:, None, None] * np.ones((4, 8, 8), np.float16),
        post=np.zeros((4, 8, 8), np.float16),
        gtv=np.zeros((4, 8, 8), np.uint8),
        patient=np.array([0, 0, 1, 1]),
        patients=[{"survival_days": 100.0}, {"survival_days": 900.0}],
    )
    scheme = ClassScheme.from_thresholds("2-class", ("short", "long"), (400.0,), 0)
    make = classifier_items(store, scheme, 2, np.array([True, True, False, False]))
    assert {make(rng(seed))["label"].item() for seed in range(20)} == {1}
    assert isinstance(make(rng())["inputs"], torch.Tensor)
