"""A follow-up is compared with the image before it is shown or scored, at prediction as at import."""

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.case import make_case
from GBMResponseCore.inputs.follow_up import align_follow_up, correlation
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.inputs.slices import read_slices

GRID = ((96, 110, 16), (1.8, 1.8, 6.5))


def compared(follow_up: sitk.Image):
    """The follow-up that is left after the comparison, or None, and the codes of the notes."""
    case = make_case(phantoms.head(*GRID), phantoms.gtv(*GRID), follow_up)
    normalization = NormalizationSettings()
    slices = read_slices(case, InPlaneRule(), normalization)
    slices, notes = slices.with_follow_up(align_follow_up(case, normalization))
    return slices.follow_up, [note.code for note in notes]


def test_a_follow_up_of_the_same_head_is_used_without_a_note():
    moved = sitk.Resample(phantoms.head(*GRID), sitk.TranslationTransform(3, (4, -3, 2)), sitk.sitkLinear, 0)
    follow_up, codes = compared(moved)
    assert follow_up.registered
    assert codes == []


def test_noise_as_follow_up_is_not_used_and_said():
    noise = sitk.GetImageFromArray(np.random.default_rng(0).integers(0, 900, GRID[0][::-1]).astype(np.int16))
    noise.CopyInformation(phantoms.head(*GRID))
    follow_up, codes = compared(noise)
    assert follow_up is None
    assert codes == ["bad-registration", "follow-up-unused"]


def test_a_follow_up_that_does_not_show_the_gtv_is_not_used_and_said():
    follow_up, codes = compared(phantoms.head(*GRID)[:, :, :8])
    assert follow_up is None
    assert codes[0] == "follow-up-coverage"
    assert codes[-1] == "follow-up-unused"


def test_the_tumor_does_not_count_for_the_correlation():
    pre = np.random.default_rng(0).normal(size=(3, 40, 40))
    gtv = np.zeros(pre.shape, bool)
    gtv[:, 10:30, 10:30] = True
    post = np.where(gtv, -pre, pre)
    assert correlation(pre, post, gtv) == pytest.approx(1)
    assert correlation(pre, post, np.zeros_like(gtv)) < 0.8
    assert correlation(pre, np.ones_like(pre), gtv) == 0
