"""Images and masks on other grids."""

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.resampling import resample_mask, same_grid
from phantoms import rotation


def array(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)


def test_a_tiny_mask_does_not_vanish():
    reference = phantoms.empty((64, 64, 10), (3, 3, 6))
    dot = phantoms.gtv((100, 100, 100), (0.3, 0.3, 0.3), radius_mm=0.5, at=(1.8, 1.2, 2.5), center=(2, 1, 1))
    assert resample_mask(dot, reference).sum() == 1


def test_a_finer_mask_keeps_its_volume():
    reference = phantoms.empty((64, 64, 20), (2.5, 2.5, 5))
    ball = phantoms.gtv((160, 160, 160), (0.5, 0.5, 0.5), center=phantoms.GTV_CENTER)
    volume_ml = resample_mask(ball, reference).sum() * 2.5 * 2.5 * 5 / 1000
    assert volume_ml == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.1)


def test_a_coarser_mask_becomes_smoother_than_its_voxels():
    reference = phantoms.gtv((200, 200, 100), (0.6, 0.6, 1.2), rotation("z", 1), center=phantoms.GTV_CENTER)
    coarse = phantoms.gtv((40, 40, 40), (3, 3, 3), center=phantoms.GTV_CENTER)
    truth = array(reference) > 0
    dice = {
        "here": resample_mask(coarse, reference),
        "nearest": array(sitk.Resample(coarse, reference, sitk.Transform(), sitk.sitkNearestNeighbor)) > 0,
    }
    dice = {name: 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) for name, mask in dice.items()}
    assert dice["here"] > max(0.93, dice["nearest"])


def test_a_mask_elsewhere_is_empty():
    reference = phantoms.empty((64, 64, 10), (3, 3, 6))
    assert not resample_mask(phantoms.gtv((20, 20, 20), (1, 1, 1), at=(900, 0, 0), center=(900, 0, 0)), reference).any()


def test_same_grid_tolerates_rounded_headers_only():
    image = phantoms.empty((64, 64, 10), (1, 1, 6))
    rounded, moved = sitk.Image(image), sitk.Image(image)
    rounded.SetOrigin([value + 1e-4 for value in image.GetOrigin()])
    moved.SetOrigin([value + 0.5 for value in image.GetOrigin()])
    assert same_grid(image, rounded)
    assert not same_grid(image, moved)


@pytest.mark.parametrize("shift", [(0.5, 0.5, 0.5), (-0.5, 0.5, 0), (0.3, 0, 0.49)])
def test_a_grid_that_is_only_shifted_keeps_the_mask_voxel_by_voxel(shift):
    mask = phantoms.gtv((64, 64, 20), (2, 2, 5), center=phantoms.GTV_CENTER)
    reference = sitk.Image(mask)
    reference.SetOrigin((np.array(mask.GetOrigin()) + np.array(shift) * mask.GetSpacing()).tolist())
    moved = resample_mask(mask, reference)
    assert moved.sum() == (array(mask) > 0).sum()
    assert moved.any(axis=(1, 2)).sum() == (array(mask) > 0).any(axis=(1, 2)).sum()


def test_ties_between_slices_go_to_one_side_and_keep_the_volume():
    mask = phantoms.gtv((64, 64, 20), (2, 2, 5), center=phantoms.GTV_CENTER)
    reference = phantoms.empty((64, 64, 20), (2.0001, 2, 5.01))
    start = np.add(mask.GetOrigin(), (0, 0, 2.5))
    reference.SetOrigin(start.tolist())
    volume_ml = resample_mask(mask, reference).sum() * np.prod(reference.GetSpacing()) / 1000
    assert volume_ml == pytest.approx((array(mask) > 0).sum() * 20 / 1000, rel=0.1)
