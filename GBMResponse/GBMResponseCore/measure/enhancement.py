"""What finds enhancing tissue near the GTV, the same for the input, predictions and the true follow-up.

A bundle may bring a small network that learned it (:mod:`.enhancement_head`). Without one a voxel enhances if it is
brighter than 1.25 times the median of the tissue around the GTV: a proxy, by which vessels and blood products count as
well. Looked at are the generated slices only, there the GTV itself and what is near it and at least 12 mm below the
head's surface, which keeps scalp and dura out.

Every image is smoothed alike before. A scan is sharper and noisier than an image from a decoder: unsmoothed, the noise
tears holes into the scan's mask, the decoder's blur fills them, and lesions seem to grow although nothing changed
(docs/measurements.md).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from ..inputs.preprocessing import bounding_box
from .enhancement_head import FEATURES, EnhancementHead, Tissue, Voxels, features, reach_pixels

_SMOOTHING_REACH = 4.0
"""Standard deviations after which the Gaussian is cut off, SciPy's default."""
_HEAD_LEVEL = -0.8
"""Normalized intensity from which a voxel belongs to the head."""


@dataclass(frozen=True)
class EnhancementRule:
    """Settings of the segmenter.

    :param smoothing_mm: standard deviation of the Gaussian that smooths every image in its slices. 1.5 mm is the least
        at which images with and without a decoder's blur have the same mask (Dice 0.98 on real cases 01 to 04).
    :param ratio: of the intensity to the median of the tissue around; a head does without.
    :param near_mm: distance from the GTV that is measured.
    :param reach_mm: distance from the GTV that planning looks at. Compositions end about there, so that nothing
        predicted lies beyond.
    :param rim_mm: depth below the head's surface that is not looked at, outside the GTV.
    :param around_mm: the tissue around lies between `near_mm` and this distance from the GTV.
    :param head: of a bundle, in the place of the ratio.
    """

    smoothing_mm: float = 1.5
    ratio: float = 1.25
    near_mm: float = 12.0
    reach_mm: float = 25.0
    rim_mm: float = 12.0
    around_mm: float = 45.0
    head: EnhancementHead | None = None

    @classmethod
    def with_head(cls, entry: Mapping[str, Any] | None) -> "EnhancementRule":
        """The rule of a bundle with this `enhancement_head`; None: of one without."""
        return cls(head=None if entry is None else EnhancementHead.from_dict(entry))

    def evidence(self, stack: np.ndarray, voxels: Voxels, tissue: Tissue) -> np.ndarray:
        """How clearly voxels enhance (k,), float32; they do above 0.

        :param stack: normalized (n, H, W); slices are not mixed.
        :param tissue: of the image, see :meth:`EnhancementSegmenter.tissue`.
        """
        if self.head is None:
            levels = smoothed(stack, voxels.where, self.smoothing_pixels(voxels.spacing_mm))
            return levels - (tissue.median * self.ratio - 1.0)
        return self.head.logits(self.features(stack, voxels, tissue))

    def features(self, stack: np.ndarray, voxels: Voxels, tissue: Tissue) -> np.ndarray:
        """What a head knows of voxels, (k, 8), see :func:`.enhancement_head.features`; as :meth:`evidence`."""
        margin = reach_pixels(voxels.spacing_mm)
        box = bounding_box(voxels.where, (0, margin, margin))
        if box is None:
            return np.zeros((0, FEATURES), np.float32)
        seen = np.zeros(stack.shape, bool)
        seen[box] = True
        where = voxels.where[box]
        levels = smoothed(stack, seen, self.smoothing_pixels(voxels.spacing_mm)).reshape(where.shape) + 1.0
        return features(levels, voxels._replace(where=where), tissue)

    def smoothing_pixels(self, spacing_mm: tuple[float, float, float]) -> tuple[float, float, float]:
        """Standard deviation of the Gaussian in voxels (slice, row, column) of this size; slices are not mixed."""
        return (0.0, self.smoothing_mm / spacing_mm[1], self.smoothing_mm / spacing_mm[2])

    def to_dict(self) -> dict[str, Any]:
        """The settings in use; whether there is a head, without its weights."""
        unused = {"ratio"} if self.head else set()
        return {name: value for name, value in asdict(self).items() if name not in unused} | {
            "head": self.head is not None
        }

    def __str__(self) -> str:
        if self.head is None:
            return f"what is brighter than {self.ratio:g} x the median of the tissue around"
        return (
            f"what is found by a network of {sum(map(len, self.head.hidden)) + 2 * len(self.head.output) + 1} weights"
        )


class EnhancementSegmenter:
    """The segmenter of one case; arrays are axial stacks (slices, rows, columns), normalized to -1...

    `region` is what is measured, and lies in `reach`, which planning looks at, both bool. `depth_mm` is the depth of
    each voxel below the head's surface, -inf far from the generated slices, and `distance_mm` that from the GTV.

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
        self.depth_mm, self.distance_mm = (np.full(pre.shape, fill, np.float32) for fill in (-np.inf, np.inf))
        self.depth_mm[slab], self.distance_mm[slab] = inside_mm, outside_mm
        self.region, self.reach, self._around = (np.zeros(pre.shape, bool) for _ in range(3))
        self.region[slab] = shown & (gtv[slab] | (deep & near))
        self.reach[slab] = shown & (gtv[slab] | (deep & (outside_mm <= self.rule.reach_mm)))
        self._around[slab] = shown & deep & ~near & (outside_mm <= self.rule.around_mm)
        if not self._around.any():
            self._around[slab] = shown & (inside_mm > 0)

    def tissue(self, stack: np.ndarray) -> Tissue:
        """The tissue around the GTV of an image; input and predictions share that of the input."""
        levels = smoothed(stack, self._around, self.rule.smoothing_pixels(self.spacing_mm))
        low, high = np.quantile(levels, (0.25, 0.75)) if len(levels) else (np.nan, np.nan)
        return Tissue(float(np.median(levels)) + 1.0, float(high - low))

    def segment(self, stack: np.ndarray, tissue: Tissue, where: np.ndarray | None = None) -> np.ndarray:
        """Mask of the enhancing voxels, bool.

        :param where: is looked at, bool; None: `region`.
        """
        where = self.region if where is None else where
        mask = np.zeros(stack.shape, bool)
        mask[where] = self.rule.evidence(stack, self.voxels(where), tissue) > 0
        return mask

    def voxels(self, where: np.ndarray) -> Voxels:
        """The voxels `where`, bool, and their places."""
        return Voxels(where, self.distance_mm[where], self.depth_mm[where], self.spacing_mm)


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
