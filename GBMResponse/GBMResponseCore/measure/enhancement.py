"""A simple segmenter of enhancing tissue near the GTV, the same for the input, predictions and the true follow-up.

A voxel enhances if it is brighter than 1.25 times the median of the tissue around the GTV. Looked at are the
generated slices only, there the GTV itself and what is within 12 mm of it and at least 12 mm below the head's surface,
which keeps scalp and dura out. It is a proxy, not a lesion segmentation: vessels and blood products count as well.

Every image is smoothed alike before it is compared with the threshold. A scan is sharper and noisier than an image from
a decoder: unsmoothed, the noise tears holes into the scan's mask, the decoder's blur fills them, and lesions seem to
grow although nothing changed (docs/measurements.md).
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from ..inputs.preprocessing import bounding_box

_SMOOTHING_REACH = 4.0
"""Standard deviations after which the Gaussian is cut off, SciPy's default."""
_HEAD_LEVEL = -0.8
"""Normalized intensity from which a voxel belongs to the head."""


@dataclass(frozen=True)
class EnhancementRule:
    """Settings of the segmenter.

    :param smoothing_mm: standard deviation of the Gaussian that smooths every image in its slices. 1.5 mm is the least
        at which images with and without a decoder's blur have the same mask (Dice 0.98 on real cases 01 to 04).
    :param ratio: of the intensity to the median of the tissue around.
    :param near_mm: distance from the GTV that is looked at.
    :param rim_mm: depth below the head's surface that is not looked at, outside the GTV.
    :param around_mm: the tissue around lies between `near_mm` and this distance from the GTV.
    """

    smoothing_mm: float = 1.5
    ratio: float = 1.25
    near_mm: float = 12.0
    rim_mm: float = 12.0
    around_mm: float = 45.0

    def smoothing_pixels(self, spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
        """Standard deviation of the Gaussian in voxels (slice, row, column) of this size; slices are not mixed."""
        return (0.0, self.smoothing_mm / spacing_mm[1], self.smoothing_mm / spacing_mm[2])

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class EnhancementSegmenter:
    """The segmenter of one case; arrays are axial stacks (slices, rows, columns), normalized to -1...

    `depth_mm` is the depth of each voxel below the head's surface, -inf far from the generated slices.

    :param pre: the input.
    :param spacing_mm: of the stack, same order.
    :param generated: bool (slices,).
    """

    def __init__(
        self,
        pre: np.ndarray,
        gtv: np.ndarray,
        generated: np.ndarray,
        spacing_mm: tuple[float, float, float],
        rule: EnhancementRule | None = None,
    ) -> None:
        self.rule = rule or EnhancementRule()
        self.spacing_mm = spacing_mm
        margin = int(np.ceil(self.rule.rim_mm / spacing_mm[0]))
        rows = np.flatnonzero(generated)
        slab = slice(max(0, rows[0] - margin), rows[-1] + 1 + margin)
        inside_mm = -signed_distance(_head(pre[slab]), spacing_mm)
        outside_mm = signed_distance(gtv[slab], spacing_mm)
        deep = inside_mm >= self.rule.rim_mm
        near = outside_mm <= self.rule.near_mm
        shown = np.asarray(generated, bool)[slab, None, None]
        self.depth_mm = np.full(pre.shape, -np.inf, np.float32)
        self.depth_mm[slab] = inside_mm
        self.region = np.zeros(pre.shape, bool)
        self.region[slab] = shown & (gtv[slab] | (deep & near))
        self._around = np.zeros(pre.shape, bool)
        self._around[slab] = shown & deep & ~near & (outside_mm <= self.rule.around_mm)
        if not self._around.any():
            self._around[slab] = shown & (inside_mm > 0)

    def threshold(self, stack: np.ndarray) -> float:
        """Normalized intensity from which a voxel of an image with this tissue enhances."""
        return (float(np.median(self._smoothed(stack, self._around))) + 1.0) * self.rule.ratio - 1.0

    def segment(self, stack: np.ndarray, threshold: float) -> np.ndarray:
        """Mask of the enhancing voxels, bool."""
        mask = np.zeros(stack.shape, bool)
        mask[self.region] = self._smoothed(stack, self.region) > threshold
        return mask

    def _smoothed(self, stack: np.ndarray, where: np.ndarray) -> np.ndarray:
        return smoothed(stack, where, self.rule.smoothing_pixels(self.spacing_mm))


def smoothed(stack: np.ndarray, where: np.ndarray, sigma: tuple[float, float, float]) -> np.ndarray:
    """Intensities of the voxels `where` of a smoothed stack, flat.

    :param where: bool, shape of the stack.
    :param sigma: of the Gaussian in pixels, see :meth:`EnhancementRule.smoothing_pixels`.
    """
    box = bounding_box(where, [int(np.ceil(_SMOOTHING_REACH * pixels)) + 1 for pixels in sigma])
    if box is None:
        return stack[where]
    return ndimage.gaussian_filter(stack[box], sigma, truncate=_SMOOTHING_REACH)[where[box]]


def _head(stack: np.ndarray) -> np.ndarray:
    head = ndimage.binary_opening(stack > _HEAD_LEVEL, structure=np.ones((1, 3, 3)), iterations=2)
    return np.stack([ndimage.binary_fill_holes(plane) for plane in head])


def signed_distance(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Distance to the outermost voxels of the mask, mm, negative inside; infinite without a surface."""
    if not mask.any() or mask.all():
        return np.full(mask.shape, -np.inf if mask.any() else np.inf, np.float32)
    surface = mask & ~ndimage.binary_erosion(mask, np.ones((3, 3, 3), bool), border_value=1)
    distance = ndimage.distance_transform_edt(~surface, sampling=spacing_mm).astype(np.float32)
    return np.where(mask, -distance, distance)
