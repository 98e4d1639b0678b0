"""A small network that tells enhancing tissue from vessels, dura and bright tissue, one voxel at a time.

Eight figures of a voxel (:func:`features`), a hidden layer, one logit: some hundred weights, which a bundle holds in
its `bundle.json`. They are those of a voxel in its slice, so a network that learned from stacks serves single slices.
`gbmresponse-train segmenter` fits one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage

FEATURES = 8
NEIGHBORHOODS_MM = (6.5, 14.0, 29.0)
"""Sides of the squares around a voxel whose mean level is looked at; of the first also the standard deviation."""
NEAREST_MM, FARTHEST_MM, DEEPEST_MM = -12.0, 25.0, 60.0
"""Distances from the GTV and depths below the surface beyond these count as these."""
_DARKEST = 1e-3
"""Level of tissue that is as good as black."""


class Tissue(NamedTuple):
    """The tissue around the GTV of one image: median and quartile range of its level above black."""

    median: float
    quartile_range: float


class Voxels(NamedTuple):
    """What is looked at of an axial stack.

    :param where: the voxels, bool (n, H, W); of them k.
    :param distance_mm, depth_mm: from the GTV, negative inside, and below the head's surface (k,).
    :param spacing_mm: of the stack (slice, row, column).
    """

    where: np.ndarray
    distance_mm: np.ndarray
    depth_mm: np.ndarray
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True)
class EnhancementHead:
    """Weights; a voxel enhances if `output @ max(hidden @ features + hidden_bias, 0) + output_bias` is above 0.

    :param hidden: (units, 8).
    :param hidden_bias, output: (units,).
    :raises ValueError: they do not fit each other.
    """

    hidden: tuple[tuple[float, ...], ...]
    hidden_bias: tuple[float, ...]
    output: tuple[float, ...]
    output_bias: float

    def __post_init__(self) -> None:
        units = len(self.hidden)
        if not units or {len(self.hidden_bias), len(self.output)} != {units}:
            raise ValueError("weights of the segmenter's head do not fit each other")
        if {len(row) for row in self.hidden} != {FEATURES}:
            raise ValueError(f"the segmenter's head does not have {FEATURES} features")

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> "EnhancementHead":
        """The head that a bundle's `enhancement_head` describes."""
        hidden = tuple(tuple(row) for row in entry["hidden"])
        return cls(hidden, tuple(entry["hidden_bias"]), tuple(entry["output"]), entry["output_bias"])

    def logits(self, rows: np.ndarray) -> np.ndarray:
        """Of voxels (n, 8) (n,), float32."""
        hidden, bias, output = (np.asarray(part, np.float32) for part in (self.hidden, self.hidden_bias, self.output))
        return np.maximum(rows @ hidden.T + bias, 0.0) @ output + np.float32(self.output_bias)


def reach_pixels(spacing_mm: tuple[float, float, float]) -> int:
    """Pixels beyond a voxel that its features look at."""
    return max(_sides(spacing_mm, NEIGHBORHOODS_MM[-1])) // 2 + 1


def features(levels: np.ndarray, voxels: Voxels, tissue: Tissue) -> np.ndarray:
    """What a head knows of voxels (k, 8), float32.

    Relative to the tissue around: level, mean levels of three neighborhoods, standard deviation in the smallest. Then
    distance from the GTV, depth, and spread of the tissue around.

    :param levels: smoothed, above black (n, H, W), with :func:`reach_pixels` more than the voxels if there are so many.
    """
    where, spacing_mm = voxels.where, voxels.spacing_mm
    unit = max(tissue.median, _DARKEST)
    levels = (levels / unit).astype(np.float32)
    means = [ndimage.uniform_filter(levels, (1, *_sides(spacing_mm, mm)))[where] for mm in NEIGHBORHOODS_MM]
    squares = ndimage.uniform_filter(levels**2, (1, *_sides(spacing_mm, NEIGHBORHOODS_MM[0])))[where]
    deviation = np.sqrt(np.maximum(squares - means[0] ** 2, 0.0))
    places = (voxels.distance_mm.clip(NEAREST_MM, FARTHEST_MM) / 10, voxels.depth_mm.clip(0.0, DEEPEST_MM) / 30)
    spread = np.full(len(means[0]), tissue.quartile_range / unit)
    return np.stack([levels[where], *means, deviation, *places, spread], axis=1).astype(np.float32)


def _sides(spacing_mm: tuple[float, float, float], mm: float) -> tuple[int, int]:
    """Odd sides of a square in pixels (rows, columns)."""
    rows, columns = (2 * round((mm / step - 1) / 2) + 1 for step in spacing_mm[1:])
    return max(1, rows), max(1, columns)
