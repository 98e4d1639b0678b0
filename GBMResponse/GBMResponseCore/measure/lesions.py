"""Lesions in a mask: connected parts, their volumes, and perpendicular diameters as radiologists measure them.

Masks are axial stacks (slices, rows, columns); spacings are mm in the same order.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

_COARSE, _FINE = (15, 1.0), (3, 0.25)
"""Angle between two directions in degrees, and distance of sample points in pixels; the angle divides 90."""
_SLICES_MEASURED_FINELY = 3


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

    :param diameter_mm: longest line inside the lesion, on the axial slice with the largest product.
    :param perpendicular_mm: longest line inside the lesion at a right angle to it, on the same slice.
    :param slice_index: of that slice in the stack.
    :param slices: on which the lesion is seen.
    """

    volume_ml: float
    diameter_mm: float
    perpendicular_mm: float
    slice_index: int
    slices: int
    measurable: bool

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
        lesions.append(_measure(part, boxes[number][0].start, float(sizes[number]), spacing_mm, rule))
    return LesionMap(labels, lesions, tuple(spacing_mm))


def perpendicular_diameters(mask: np.ndarray, spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """Longest line inside a mask (rows, columns), and the longest one at a right angle to it; mm, edge to edge.

    Both lines lie entirely inside the mask, so that they cross no cavity. Directions are 3 degrees apart.
    """
    return _diameters(mask, spacing_mm, *_FINE)


def _measure(
    part: np.ndarray, first_slice: int, volume_ml: float, spacing_mm: tuple[float, float, float], rule: LesionRule
) -> Lesion:
    pixel_mm = spacing_mm[1:]
    products = [np.prod(_diameters(plane, pixel_mm, *_COARSE)) for plane in part]
    best = np.argsort(products)[::-1][:_SLICES_MEASURED_FINELY]
    diameters = {int(index): perpendicular_diameters(part[index], pixel_mm) for index in best}
    index = max(diameters, key=lambda candidate: np.prod(diameters[candidate]))
    longest, across = diameters[index]
    slices = int(part.any(axis=(1, 2)).sum())
    measurable = across >= rule.diameter_limit_mm(spacing_mm[0]) and slices >= rule.smallest_slices
    return Lesion(volume_ml, longest, across, first_slice + index, slices, bool(measurable))


def _diameters(mask: np.ndarray, spacing_mm: tuple[float, float], degrees: int, density: float) -> tuple[float, float]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return 0.0, 0.0
    padded = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1], 1)
    middle = (np.array(padded.shape) - 1) / 2
    step = density * min(spacing_mm)
    radius = float(np.linalg.norm((middle - 0.5) * spacing_mm))
    points = np.arange(-radius - step / 2, radius + step, step)
    filled = np.flatnonzero(padded.any(axis=1))
    ends = [padded[filled].argmax(axis=1), padded.shape[1] - 1 - padded[filled, ::-1].argmax(axis=1)]
    rim = (np.stack([np.tile(filled, 2), np.concatenate(ends)]) - middle[:, None]) * np.reshape(spacing_mm, (2, 1))
    longest = [_longest_run(padded, middle, spacing_mm, points, rim, np.radians(a)) for a in range(0, 180, degrees)]
    first = int(np.argmax(longest))
    across = longest[(first + 90 // degrees) % len(longest)]
    return longest[first] * step, across * step


def _longest_run(
    mask: np.ndarray,
    middle: np.ndarray,
    spacing_mm: tuple[float, float],
    points: np.ndarray,
    rim: np.ndarray,
    angle: float,
) -> int:
    """Most consecutive sample points inside the mask on any line in this direction.

    :param rim: first and last pixel of each row of the mask (2, n), mm from the middle.
    """
    sine, cosine = np.sin(angle), np.cos(angle)
    reach = np.linalg.norm(spacing_mm) / 2 + points[1] - points[0]

    def near(places: np.ndarray) -> np.ndarray:
        return points[(points >= places.min() - reach) & (points <= places.max() + reach)]

    along, across = near(sine * rim[0] + cosine * rim[1])[None, :], near(cosine * rim[0] - sine * rim[1])[:, None]
    row = np.rint(middle[0] + (sine * along + cosine * across) / spacing_mm[0]).astype(int)
    column = np.rint(middle[1] + (cosine * along - sine * across) / spacing_mm[1]).astype(int)
    # The mask has an empty rim, which is what points outside it meet.
    inside = mask[row.clip(0, mask.shape[0] - 1), column.clip(0, mask.shape[1] - 1)].ravel()
    # Every line begins and ends outside.
    changes = np.flatnonzero(inside[1:] != inside[:-1])
    return int((changes[1::2] - changes[::2]).max(initial=0))
