"""What predictions look like, on images that were blurred, moved and scaled by known amounts."""

import numpy as np
import pytest
from scipy import ndimage

from GBMResponseTraining.evaluation.metrics.appearance import appearance, outside_tumor, sharpness, shift_and_gain

SIZE = 96
Y, X = np.mgrid[:SIZE, :SIZE] - SIZE / 2
HEAD = np.hypot(X, Y) < 40
NOISE = np.random.default_rng(0).normal(size=(3, SIZE, SIZE))
PRE = ndimage.gaussian_filter(
    np.where(HEAD, -0.2 + 0.5 * ndimage.gaussian_filter(NOISE, (0, 1.5, 1.5)), -1.0), (0, 1, 1)
)
GTV = np.repeat((np.hypot(X - 5, Y) < 8)[None], 3, axis=0)
OUTSIDE = [outside_tumor(pre, gtv) for pre, gtv in zip(PRE, GTV, strict=True)]
FOLLOWS = np.array([True, True, False])


def looks(images, truth=PRE):
    rows = appearance(images, PRE, truth, GTV, OUTSIDE, FOLLOWS)
    return {name: [row[name] for row in rows] for name in rows[0]}


def test_the_pre_image_has_not_moved():
    found = looks(PRE)
    assert found["skull_shift"] == pytest.approx([0, 0, 0], abs=1e-9)
    assert found["gain_drift"] == pytest.approx([0, 0, 0], abs=1e-9)
    assert found["sharpness_ratio"] == pytest.approx([1, 1, 1])
    assert found["flicker_ratio"] == pytest.approx([1, 1, np.nan], nan_ok=True)


def test_intensities_above_the_range_are_no_drift():
    bright = np.where(HEAD & (X < -25), 1.4, PRE)
    rows = appearance(bright, bright, bright, GTV, OUTSIDE, FOLLOWS)
    assert max(row["gain_drift"] for row in rows) < 1e-9


@pytest.mark.parametrize("shift", [(0.3, 0.0), (0.0, -0.7), (0.5, 0.5)])
def test_a_shift_is_found_by_its_size_and_direction(shift):
    moved = ndimage.shift(PRE[0], shift, order=3, mode="nearest")
    assert shift_and_gain(moved, PRE[0], OUTSIDE[0])[:2] == pytest.approx(shift, abs=0.06)


def test_a_gain_is_found_beside_an_offset():
    scaled = (PRE[0] + 1) * 1.1 - 1 + 0.02
    row, column, gain = shift_and_gain(scaled, PRE[0], OUTSIDE[0])
    assert (row, column) == pytest.approx((0, 0), abs=0.01)
    assert gain == pytest.approx(1.1, abs=0.005)


def test_a_change_of_the_tumor_alone_is_neither():
    changed = np.where(GTV, 0.9, PRE)
    assert max(looks(changed)["skull_shift"]) < 1e-6
    assert max(looks(changed)["gain_drift"]) < 1e-6


def test_jitter_is_what_neighbors_move_apart():
    moved = np.stack(
        [
            ndimage.shift(pre, (0, step), order=3, mode="nearest")
            for pre, step in zip(PRE, (0.4, -0.4, 0.4), strict=True)
        ]
    )
    found = looks(moved)
    assert found["skull_shift"] == pytest.approx([0.4] * 3, abs=0.06)
    assert found["skull_jitter"][:2] == pytest.approx([0.8] * 2, abs=0.1)
    assert np.isnan(found["skull_jitter"][2])


def test_blur_is_less_sharp_and_noise_flickers():
    assert max(looks(ndimage.gaussian_filter(PRE, (0, 2, 2)))["sharpness_ratio"]) < 0.5
    assert min(looks(PRE + 0.3 * NOISE)["flicker_ratio"][:2]) > 1.2


def test_sharpness_is_the_sd_of_the_laplacian():
    image = np.zeros((5, 5))
    image[2, 2] = 1.0
    inside = np.zeros((5, 5), bool)
    inside[2, 1:4] = True
    assert sharpness(image, inside) == pytest.approx(np.std([1, -4, 1]))
    assert np.isnan(sharpness(image, np.zeros((5, 5), bool)))


def test_too_little_outside_gives_nothing():
    assert np.isnan(shift_and_gain(PRE[0], PRE[0], np.zeros((SIZE, SIZE), bool))).all()
