"""The true follow-up MRI on the grid of the input, to show it and to score a prediction against it."""

from dataclasses import dataclass

import SimpleITK as sitk

from .case import Case
from .preprocessing import IntensityScale, NormalizationSettings, fit_scale
from .registration import register_rigidly
from .resampling import resample_onto


@dataclass(frozen=True, eq=False)
class AlignedFollowUp:
    """A follow-up after rigid registration.

    :param image: on the grid of the case's image.
    :param scale: its own, as its intensities have another unit than the input's.
    :param registered: False if the registration did not improve the match and was dropped.
    """

    image: sitk.Image
    scale: IntensityScale
    registered: bool


def align_follow_up(case: Case, normalization: NormalizationSettings) -> AlignedFollowUp | None:
    """Register the case's follow-up to its image; None if it has none.

    :param normalization: as that of the input, so that the same tissue has the same normalized intensity.
    """
    if case.follow_up is None:
        return None
    result = register_rigidly(case.image, case.follow_up)
    scale = fit_scale(sitk.GetArrayViewFromImage(case.follow_up), normalization)
    return AlignedFollowUp(resample_onto(case.follow_up, case.image, result.transform), scale, result.improved)
