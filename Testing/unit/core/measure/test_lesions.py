"""Lesions of masks with known size: volumes, diameters, and what is measurable."""

import numpy as np
import pytest
from GBMResponseCore.measure.lesions import LesionRule, find_lesions

SPACING = (2.0, 1.0, 1.0)


def grid(shape, spacing):
    """Coordinates (3, ...) in mm from the middle."""
    axes = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(shape, spacing, strict=True)]
    return np.stack(np.meshgrid(*axes, indexing="ij"))


def ellipsoid(radii, spacing=SPACING, shape=(40, 80, 80), center=(0, 0, 0)):
    offset = [(axis - c) / r for axis, c, r in zip(grid(shape, spacing), center, radii, strict=True)]
    return sum(part**2 for part in offset) <= 1


@pytest.mark.parametrize("spacing", [(2.0, 1.0, 1.0), (3.0, 0.7, 0.7), (5.0, 1.0, 0.5)])
def test_a_ball_has_its_volume_and_diameters(spacing):
    (lesion,) = find_lesions(ellipsoid((15, 15, 15), spacing, (20, 90, 90)), spacing).lesions
    assert lesion.volume_ml == pytest.approx(4 / 3 * np.pi * 1.5**3, rel=0.03)
    # A slice through the very middle need not exist, so the largest disc may be a little smaller.
    assert lesion.diameter_mm == pytest.approx(30, abs=1.3)
    assert lesion.perpendicular_mm == pytest.approx(30, abs=1.3)


def test_an_ellipse_has_its_axes():
    (lesion,) = find_lesions(ellipsoid((10, 20, 12)), SPACING).lesions
    assert lesion.diameter_mm == pytest.approx(40, abs=1.2)
    assert lesion.perpendicular_mm == pytest.approx(24, abs=1.2)
    assert lesion.product_mm2 == lesion.diameter_mm * lesion.perpendicular_mm


def test_the_slice_with_the_largest_product_is_named():
    mask = np.zeros((12, 60, 60), bool)
    mask[2:10, 25:35, 25:35] = True
    mask[7, 15:45, 15:45] = True
    (lesion,) = find_lesions(mask, SPACING).lesions
    assert (lesion.slice_index, lesion.slices) == (7, 8)


def test_small_parts_are_dropped():
    mask = ellipsoid((10, 10, 10))
    mask[1, 2:8, 2:8] = True  # 36 voxels of 2 mm3
    assert len(find_lesions(mask, SPACING).lesions) == 1
    assert len(find_lesions(mask, SPACING, LesionRule(smallest_ml=0.05)).lesions) == 2


def test_voxels_that_touch_at_a_corner_are_one_lesion():
    mask = np.zeros((4, 20, 20), bool)
    mask[0:2, 0:10, 0:10] = True
    mask[2:4, 10:20, 10:20] = True
    assert len(find_lesions(mask, SPACING).lesions) == 1


def test_lesions_come_largest_first_with_their_labels():
    mask = ellipsoid((8, 8, 8), center=(0, -25, -25)) | ellipsoid((12, 12, 12), center=(0, 20, 20))
    found = find_lesions(mask, SPACING)
    assert [lesion.volume_ml for lesion in found.lesions] == sorted(
        (le.volume_ml for le in found.lesions), reverse=True
    )
    assert found.labels[20, 60, 60] == 1
    assert np.count_nonzero(found.labels == 2) * 0.002 == pytest.approx(found.lesions[1].volume_ml)


def test_an_empty_mask_has_no_lesions():
    found = find_lesions(np.zeros((5, 10, 10), bool), SPACING)
    assert (found.lesions, found.volume_ml) == ([], 0.0)


@pytest.mark.parametrize(
    ("diameter", "slices", "slice_mm", "measurable"),
    [
        (12, 3, 3.0, True),
        (8, 3, 3.0, False),  # shorter than 10 mm
        (12, 1, 3.0, False),  # on one slice only
        (11, 3, 5.0, True),
        (11, 3, 6.0, False),  # thick slices: 12 mm are needed
        (16, 3, 6.0, True),
    ],
)
def test_what_is_measurable(diameter, slices, slice_mm, measurable):
    mask = np.zeros((8, 60, 60), bool)
    y, x = grid((1, 60, 60), (1, 1, 1))[1:, 0]
    mask[2 : 2 + slices] = np.hypot(x, y) <= diameter / 2 - 0.3
    assert find_lesions(mask, (slice_mm, 1.0, 1.0)).lesions[0].measurable is measurable
