"""Slices as pictures."""

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore.outputs.picture import (
    CYAN,
    YELLOW,
    difference_colors,
    enlarged,
    heat_colors,
    marked,
    png,
    stamped,
    with_contour,
)


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


@pytest.mark.parametrize("color", [YELLOW, CYAN])
@pytest.mark.parametrize("gray", [0, 80, 255])
def test_a_contour_stands_out_from_every_gray_level(color, gray):
    mask = np.zeros((20, 20), bool)
    mask[5:15, 5:15] = True
    colors = with_contour(np.full((20, 20), gray, np.uint8), mask, color)
    assert tuple(colors[5, 8]) == color
    assert tuple(colors[10, 10]) == tuple(colors[0, 0]) == (gray, gray, gray)
    beside = colors[4, 8].astype(int)
    assert (beside <= gray // 4).all()
    # Contrast ratio of WCAG 2, from relative luminance: the old red on gray had 1.1 to 1.7.
    luminance = lambda rgb: ((np.asarray(rgb) / 255) ** 2.2) @ (0.2126, 0.7152, 0.0722)  # noqa: E731
    assert (luminance(color) + 0.05) / (luminance(beside) + 0.05) > 7


def test_a_mask_at_the_border_of_a_picture_has_no_rim_there():
    mask = np.zeros((10, 10), bool)
    mask[:, :4] = True
    colors = with_contour(np.zeros((10, 10), np.uint8), mask)
    assert (colors[:, 3] == YELLOW).all()
    assert (colors[:, :3] == 0).all()


def test_marks_say_sides_place_and_a_scale_in_millimeters():
    picture = np.zeros((200, 160), np.uint8)
    page = marked(picture, 0.5, ("R", "L"), "12: S 32.5 mm")
    white = (page > 150).all(axis=-1)
    assert white[90:110, :20].any() and white[90:110, -20:].any()
    assert white[:20, :100].any()
    bar = white[-8:].sum(axis=1).max()
    assert bar == 20 / 0.5 + 1
    assert not white[30:80].any()


def test_heat_rises_from_black_to_nearly_white():
    levels = heat_colors(np.linspace(0, 1, 11)[None]).sum(axis=-1, dtype=int)[0]
    assert levels[0] == 0 and levels[-1] > 600
    assert (np.diff(levels) > 0).all()
    assert np.array_equal(heat_colors(np.array([[-1.0, 2.0]])), heat_colors(np.array([[0.0, 1.0]])))


def test_an_enlarged_picture_shows_every_pixel():
    big = enlarged(np.arange(6).reshape(2, 3), 2)
    assert big.shape == (4, 6)
    assert (big[2:, 4:] == 5).all()


def test_differences_are_blue_white_and_red():
    colors = difference_colors(np.array([[-1.0, 0.0, 1.0]]), 1.0)
    assert colors[0].tolist() == [[0, 0, 255], [255, 255, 255], [255, 0, 0]]
