"""Slices as pictures."""

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore.outputs.picture import difference_colors, png, stamped, with_contour


@pytest.mark.parametrize("shape", [(5, 7), (4, 6, 3)])
def test_a_png_holds_its_pixels(shape, tmp_path):
    pixels = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape) * 2
    (tmp_path / "x.png").write_bytes(png(pixels))
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "x.png"))), pixels)


@pytest.mark.parametrize("shape", [(64, 64), (256, 240), (20, 20)])
def test_a_stamp_changes_one_corner_only(shape):
    gray = np.full(shape, 100, np.uint8)
    changed = stamped(gray) != gray
    assert changed.any()
    assert not changed[: shape[0] // 2].any()
    assert (gray == 100).all()


def test_a_contour_is_red_and_the_rest_gray():
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    colors = with_contour(np.full((20, 20), 80, np.uint8), mask)
    assert tuple(colors[5, 8]) == (255, 60, 60)
    assert tuple(colors[10, 10]) == tuple(colors[0, 0]) == (80, 80, 80)


def test_differences_are_blue_white_and_red():
    colors = difference_colors(np.array([[-1.0, 0.0, 1.0]]), 1.0)
    assert colors[0].tolist() == [[0, 0, 255], [255, 255, 255], [255, 0, 0]]
