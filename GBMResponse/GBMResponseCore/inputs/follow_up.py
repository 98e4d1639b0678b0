"""The true follow-up MRI on the grid of the input, to show it and to score a prediction against it."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .case import Case
from .grid import StackGrid
from .preprocessing import IntensityScale, NormalizationSettings, fit_scale
from .reading import Note
from .registration import register_rigidly
from .resampling import image_like, resample_onto

SMALLEST_COVERAGE = 0.9
"""Least fraction of the GTV that a follow-up must show."""
LOWEST_CORRELATION = 0.5
"""Least correlation of the heads: scans that are off by a few mm have 0.2 to 0.56, registered ones above 0.7 (measured
on three patients)."""


@dataclass(frozen=True, eq=False)
class AlignedFollowUp:
    """A follow-up after rigid registration.

    :param image: on the grid of the case's image.
    :param scale: its own, as its intensities have another unit than the input's.
    :param registered: False if the registration did not improve the match and was dropped.
    :param transform: maps points of the case's image to points of the follow-up, LPS mm.
    """

    image: sitk.Image
    scale: IntensityScale
    registered: bool
    transform: sitk.Transform


@dataclass(frozen=True)
class FollowUpMatch:
    """How well a follow-up shows what the other image shows.

    :param coverage: fraction of the GTV that lies in its field.
    :param correlation: of the two over the head outside the GTV, -1...1.
    """

    coverage: float
    correlation: float

    def coverage_note(self) -> Note | None:
        """What to say if a part of the GTV is not shown."""
        sentence = f"The post-treatment image shows {100 * self.coverage:.3g} % of the GTV."
        return None if self.coverage == 1 else Note("follow-up-coverage", sentence)

    def correlation_note(self, lowest: float = LOWEST_CORRELATION) -> Note | None:
        """What to say if the images do not match."""
        sentence = f"Pre- and post-treatment slices correlate by {self.correlation:.2f}, less than {lowest:g}."
        return None if self.correlation >= lowest else Note("bad-registration", sentence)


def align_follow_up(case: Case, normalization: NormalizationSettings) -> AlignedFollowUp | None:
    """Register the case's follow-up to its image; None if it has none.

    :param normalization: as that of the input, so that the same tissue has the same normalized intensity.
    """
    if case.follow_up is None:
        return None
    result = register_rigidly(case.image, case.follow_up)
    scale = fit_scale(sitk.GetArrayViewFromImage(case.follow_up), normalization)
    image = resample_onto(case.follow_up, case.image, result.transform)
    return AlignedFollowUp(image, scale, result.improved, result.transform)


def match_follow_up(
    follow_up: sitk.Image,
    transform: sitk.Transform,
    grid: StackGrid,
    rows: np.ndarray,
    slices: tuple[np.ndarray, np.ndarray],
    gtv: np.ndarray,
) -> FollowUpMatch:
    """Compare a follow-up with the image before treatment.

    :param follow_up: on its own grid.
    :param transform: maps points of the other image to points of the follow-up, LPS mm.
    :param rows: slices of the stack, from inferior to superior (n,).
    :param slices: both images there, normalized (n, H, W).
    :param gtv: its mask there, bool.
    """
    slab, inside = grid.slab(rows)
    field = image_like(follow_up, np.ones(follow_up.GetSize()[::-1], np.uint8))
    shown = sitk.GetArrayFromImage(resample_onto(field, slab, transform, label=True))[inside] > 0
    return FollowUpMatch(float(shown[gtv].mean()), correlation(*slices, gtv))


def correlation(pre: np.ndarray, post: np.ndarray, gtv: np.ndarray) -> float:
    """Pearson correlation of two stacks over the head outside the GTV; 0 if one is constant there.

    The head is every pixel above the mean of the pre-treatment slices. The tumor is left out: it may change.
    """
    head = (pre > pre.mean()) & ~gtv
    a, b = pre[head].astype(np.float64), post[head].astype(np.float64)
    if a.size < 2 or a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])
