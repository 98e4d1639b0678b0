"""Boxes of slices instead of whole ones, on autoencoders with random weights."""

import numpy as np
import pytest
import torch
from GBMResponseCore.inputs.composition import Composition
from GBMResponseCore.model import crops
from GBMResponseCore.model.block_autoencoder import BlockAutoencoder
from GBMResponseCore.model.crops import find_crops
from GBMResponseCore.model.networks import LatentAutoencoder, build_autoencoder
from tiny_bundle import SETTINGS

SLICES, SIDE = 5, 64
POSITIONS = np.arange(SLICES) * 5.0


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    model = LatentAutoencoder(build_autoencoder(SETTINGS.image_autoencoder.network()), [0.0] * 4, [1.0] * 4)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def shares():
    gtv = np.zeros((SLICES, 4 * SIDE, 4 * SIDE), bool)
    for k in range(SLICES):
        gtv[k, 90 + 4 * k : 110, 60:85] = True
    gtv[2, 80:115, 50:90] = True
    return Composition(4.0, 12.0).shares(gtv)


@pytest.fixture(scope="module")
def latents():
    """Of one head: neighbors are alike."""
    drawn = torch.randn((SLICES + 1, 4, 8, 8), generator=torch.Generator().manual_seed(1))
    smooth = drawn[:1] + 0.02 * drawn[1:]
    return torch.nn.functional.interpolate(smooth, size=(SIDE, SIDE), mode="bicubic")


def difference(images, whole, shares):
    return float(((images - whole)[:, 0].abs() * torch.from_numpy(shares)).max())


def test_boxes_hold_everything_that_shows_with_a_margin(autoencoder, latents, shares):
    found = find_crops(autoencoder, latents, shares, POSITIONS)
    for (row, column), plane in zip(found.corners, shares, strict=True):
        rows, columns = (np.flatnonzero(plane.any(axis=axis)) for axis in (1, 0))
        for first, length, inside in ((row, found.size[0], rows), (column, found.size[1], columns)):
            assert 4 * (first + 2) <= inside[0] and inside[-1] < 4 * (first + length - 2)
    assert np.prod(found.size) < 0.5 * SIDE**2


def test_a_box_comes_out_as_in_the_whole_slice_and_not_as_by_itself(autoencoder, latents, shares):
    changed = latents.clone()
    changed[..., 22:27, 15:21] += 0.1 * torch.randn((SLICES, 4, 5, 6), generator=torch.Generator().manual_seed(2))
    whole = autoencoder.decode(changed)
    found = find_crops(autoencoder, latents, shares, POSITIONS)
    images = found.decode(autoencoder, changed)
    assert images.shape == whole.shape
    alone, shown = autoencoder.decode(found.cut(changed)), found.cut(torch.from_numpy(shares)[:, None], 4)
    by_itself = float(((alone - found.cut(whole, 4)).abs() * shown).max())
    assert difference(images, whole, shares) < 0.1 < 1.0 < by_itself  # the random decoder's values span 9


def test_some_of_the_slices_are_decoded_as_among_all(autoencoder, latents, shares):
    found = find_crops(autoencoder, latents, shares, POSITIONS)
    torch.testing.assert_close(
        found[[3, 1]].decode(autoencoder, latents[[3, 1]]), found.decode(autoencoder, latents)[[3, 1]]
    )


def test_a_decoder_is_left_as_it_was(autoencoder, latents, shares):
    before = autoencoder.decode(latents[:1])
    find_crops(autoencoder, latents, shares, POSITIONS).decode(autoencoder, latents)
    assert torch.equal(autoencoder.decode(latents[:1]), before)
    assert not [module for module in autoencoder.modules() if "forward" in vars(module)]


def test_whole_slices_are_decoded_where_boxes_differ_too_much(autoencoder, latents, shares, monkeypatch):
    monkeypatch.setattr(crops, "TOLERANCE", 1e-7)
    assert find_crops(autoencoder, latents, shares, POSITIONS) is None


def test_whole_slices_are_decoded_where_boxes_would_be_large(autoencoder, latents):
    assert find_crops(autoencoder, latents, np.ones((SLICES, 256, 256), np.float32), POSITIONS) is None


def test_without_normalization_one_whole_slice_is_enough_to_compare_boxes_with(shares, latents, monkeypatch):
    torch.manual_seed(0)
    blocks = BlockAutoencoder((8, 8), 1, 1, latent_channels=4)
    for parameter in blocks.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    plain = LatentAutoencoder(blocks, [0.0] * 4, [1.0] * 4).eval().requires_grad_(False)
    decoded, original = [], plain.decode
    monkeypatch.setattr(plain, "decode", lambda part: decoded.append(tuple(part.shape)) or original(part))
    found = find_crops(plain, latents, shares, POSITIONS)
    assert [shape for shape in decoded if shape[-1] == SIDE] == [(1, 4, SIDE, SIDE)]
    assert difference(found.decode(plain, latents), plain.decode(latents), shares) < 2 * crops.TOLERANCE


def test_few_whole_slices_are_decoded_for_those_between_them(autoencoder, latents, shares, monkeypatch):
    decoded, decode = [], LatentAutoencoder.decode
    monkeypatch.setattr(LatentAutoencoder, "decode", lambda self, x: decoded.append(x.shape[-1]) or decode(self, x))
    find_crops(autoencoder, latents, shares, POSITIONS)
    assert decoded.count(SIDE) == 2  # at 0 and 20 mm
