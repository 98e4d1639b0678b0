"""Where a prediction shows and where the input stays."""

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.case import make_case
from GBMResponseCore.inputs.composition import Composition
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.inputs.slices import read_slices


def test_the_share_falls_from_one_to_zero_between_the_two_distances():
    gtv = np.zeros((2, 64, 64), bool)
    gtv[0, 32, 20] = True
    shares = Composition(8.0, 24.0).shares(gtv)
    assert shares.dtype == np.float32
    along = shares[0, 32, 20:]
    assert np.array_equal(along[:9], np.ones(9))
    np.testing.assert_allclose(along[8:25], np.linspace(1.0, 0.0, 17), atol=1e-6)
    assert not along[24:].any()
    assert not shares[1].any()


@pytest.mark.parametrize("distances", [(8.0, 8.0), (9.0, 8.0), (-1.0, 8.0), (float("nan"), 8.0)])
def test_distances_that_are_not_in_order_are_refused(distances):
    with pytest.raises(ValueError, match="fade out"):
        Composition(*distances)


def voxels(image):
    return sitk.GetArrayFromImage(image)


@pytest.mark.parametrize(
    ("spacing", "direction"),
    [((0.95, 0.95, 5.0), phantoms.IDENTITY), ((0.6, 0.6, 5.0), phantoms.IDENTITY), ((1.0, 1.0, 1.0), "coronal")],
    ids=["exact", "in-plane", "resampled"],
)
@pytest.mark.parametrize("pixel", [sitk.sitkInt16, sitk.sitkFloat32])
def test_a_volume_is_the_mixture_in_the_mask_and_the_input_elsewhere(spacing, direction, pixel):
    matrix = phantoms.rotation("x", 80) if isinstance(direction, str) else direction
    size = (96, 96, 12) if spacing[2] > 1 else (64, 64, 64)
    image = phantoms.head(size, spacing, matrix, center=phantoms.GTV_CENTER, pixel=pixel)
    case = make_case(image, phantoms.gtv(size, spacing, matrix, center=phantoms.GTV_CENTER))
    slices = read_slices(case, InPlaneRule(size=64), NormalizationSettings())
    shares = Composition(2.0, 10.0).shares(slices.gtv[slices.indices])
    pixels = np.full(slices.pre.shape, 0.5, np.float32)
    whole, slabs = slices.to_volume(pixels)
    mixed, mask = slices.to_volume(pixels, shares)
    weight, written, before = voxels(slices.share_volume(shares)), voxels(mask) > 0, voxels(case.image)
    assert 0 < written.sum() < (voxels(slabs) > 0).sum()
    assert np.array_equal(weight > 0, written)
    assert weight.max() == 1.0
    assert np.array_equal(voxels(mixed)[~written], before[~written])
    wanted = weight * voxels(whole) + (1.0 - weight) * before
    np.testing.assert_allclose(voxels(mixed)[written], wanted[written], atol=1.01 if pixel == sitk.sitkInt16 else 1e-2)
