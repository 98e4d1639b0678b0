"""Lesions in a mask: connected parts, their volumes, and perpendicular diameters as radiologists measure them.

Masks are axial stacks (slices, rows, columns); spacings are mm in the same order.
"""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from .diameters import largest_product, lengths_mm


@dataclass(frozen=True)
class LesionRule:
    """What counts as a lesion and as a measurable one.

    :param smallest_ml: smaller connected parts are noise and dropped.
    :param smallest_diameter_mm: of both diameters of a measurable lesion.
    :param thick_slice_mm: with slices farther apart than this, both diameters must reach twice the slice distance.
    :param smallest_slices: that a measurable lesion is seen on.
    """

    smallest_ml: float = 0.1
    smallest_diameter_mm: float = 10.0
    thick_slice_mm: float = 5.0
    smallest_slices: int = 2

    def diameter_limit_mm(self, slice_mm: float) -> float:
        """Smallest diameter of a measurable lesion at this distance of slices."""
        return max(self.smallest_diameter_mm, 2 * slice_mm if slice_mm > self.thick_slice_mm else 0.0)


@dataclass(frozen=True)
class Lesion:
    """One connected part.

    :param diameter_mm: longest line inside the lesion, on the axial slice with the largest product; see
        :func:`.diameters.largest_product`.
    :param perpendicular_mm: longest line inside the lesion at a right angle to it, on the same slice.
    :param slice_index: of that slice in the stack.
    :param slices: on which the lesion is seen.
    :param lines: ends of both lines (2, 2, 3): line, end, slice and row and column of the stack.
    """

    volume_ml: float
    diameter_mm: float
    perpendicular_mm: float
    slice_index: int
    slices: int
    measurable: bool
    lines: np.ndarray = field(default_factory=lambda: np.zeros((2, 2, 3)), compare=False, repr=False)

    @property
    def product_mm2(self) -> float:
        """Product of both diameters."""
        return self.diameter_mm * self.perpendicular_mm


@dataclass(frozen=True, eq=False)
class LesionMap:
    """Lesions of one mask, largest first.

    :param labels: lesion i of `lesions` has the label i + 1; shape of the mask.
    """

    labels: np.ndarray
    lesions: list[Lesion]
    spacing_mm: tuple[float, float, float]

    @property
    def volume_ml(self) -> float:
        """Volume of all lesions."""
        return float(sum(lesion.volume_ml for lesion in self.lesions))


def find_lesions(mask: np.ndarray, spacing_mm: tuple[float, float, float], rule: LesionRule | None = None) -> LesionMap:
    """Split a mask into lesions (voxels that touch at a corner belong together) and measure each."""
    rule = rule or LesionRule()
    found, count = ndimage.label(mask, structure=np.ones((3, 3, 3)))
    voxel_ml = float(np.prod(spacing_mm)) / 1000
    sizes = np.bincount(found.ravel(), minlength=count + 1)[1:] * voxel_ml
    kept = [number for number in np.argsort(-sizes, kind="stable") if sizes[number] >= rule.smallest_ml]
    labels = np.zeros(found.shape, np.int32)
    boxes = ndimage.find_objects(found)
    lesions = []
    for label, number in enumerate(kept, start=1):
        part = found[boxes[number]] == number + 1
        labels[boxes[number]][part] = label
        first = tuple(side.start for side in boxes[number])
        lesions.append(_measure(part, first, float(sizes[number]), spacing_mm, rule))
    return LesionMap(labels, lesions, (spacing_mm[0], spacing_mm[1], spacing_mm[2]))


def _measure(
    part: np.ndarray, first: tuple[int, int, int], volume_ml: float, spacing_mm: tuple[float, float, float],
    rule: LesionRule,
) -> Lesion:  # fmt: skip
    """:param first: voxel of the stack that the part begins at."""
    index, ends = largest_product(part, spacing_mm[1:])
    longest, across = lengths_mm(ends, spacing_mm[1:])
    lines = np.insert(ends, 0, index, axis=2) + first
    slices = int(part.any(axis=(1, 2)).sum())
    measurable = across >= rule.diameter_limit_mm(spacing_mm[0]) and slices >= rule.smallest_slices
    return Lesion(volume_ml, longest, across, first[0] + index, slices, bool(measurable), lines)
