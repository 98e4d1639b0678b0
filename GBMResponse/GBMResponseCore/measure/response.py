"""Change of enhancing lesions between two masks, and RANO-style size categories. See docs/measurements.md.

A size category is not a RANO response: the reference is the scan before treatment, and steroids, clinical status,
T2/FLAIR and dates are not known here.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from ..errors import GridMismatchError
from ..inputs.preprocessing import bounding_box
from .lesions import LesionMap, LesionRule

CR, PR, MR, SD, PD, NOT_ASSESSABLE = "CR", "PR", "MR", "SD", "PD", "not assessable"
CATEGORIES = (PD, SD, MR, PR, CR, NOT_ASSESSABLE)
"""In the order in which a tie between samples is decided."""
_TOLERANCE = 1e-9
_NOISE_BANDS = ((1.0, 0.37), (5.0, 0.15), (float("inf"), 0.05))
"""Up to this volume before in ml, a repeated measurement of the volume change varies by this much."""


@dataclass(frozen=True)
class SizeRule:
    """Thresholds of the relative change that separate the categories; a change at a threshold is in the category.

    :param minor: the decrease of the volume from which a change is MR; None leaves MR out.
    :param targets: number of largest measurable lesions whose products are added.
    :param match_mm: a lesion after that comes this close to a lesion before is the same one.
    """

    progression_area: float = 0.25
    progression_volume: float = 0.40
    partial_area: float = 0.50
    partial_volume: float = 0.65
    minor: float | None = None
    targets: int = 2
    match_mm: float = 4.0
    lesions: LesionRule = field(default_factory=LesionRule)


@dataclass(frozen=True)
class SizeChange:
    """Comparison of two masks.

    :param area_before_mm2: sum of the products of diameters of the target lesions; 0 without a measurable lesion.
    :param volume_change, area_change: relative, -1...; None if there was nothing before.
    :param new_lesions: measurable lesions that match none before.
    :param measurable: whether there is a target lesion before.
    """

    volume_before_ml: float
    volume_after_ml: float
    volume_change: float | None
    area_before_mm2: float
    area_after_mm2: float
    area_change: float | None
    new_lesions: int
    measurable: bool
    category_by_volume: str
    category_by_area: str


def category_by_volume(before: float, after: float, rule: SizeRule, new_lesion: bool = False) -> str:
    """RANO-style size category of two volumes in any one unit; progression is checked first."""
    if new_lesion:
        return PD
    if before <= 0:
        return NOT_ASSESSABLE
    change = after / before - 1.0
    if change >= rule.progression_volume - _TOLERANCE:
        return PD
    if after <= 0:
        return CR
    if change <= _TOLERANCE - rule.partial_volume:
        return PR
    if rule.minor is not None and change <= _TOLERANCE - rule.minor:
        return MR
    return SD


def category_by_area(before: float, after: float, rule: SizeRule, new_lesion: bool = False, gone: bool = False) -> str:
    """RANO-style size category of two sums of products of diameters.

    :param before: 0 if no lesion is measurable: then only CR, SD and PD are possible.
    :param gone: no enhancing lesion of any size is left.
    """
    if new_lesion:
        return PD
    if before > 0 and after / before - 1.0 >= rule.progression_area - _TOLERANCE:
        return PD
    if gone:
        return CR
    if before > 0 and after / before - 1.0 <= _TOLERANCE - rule.partial_area:
        return PR
    return SD


def compare_lesions(before: LesionMap, after: LesionMap, rule: SizeRule | None = None) -> SizeChange:
    """Compare the lesions of two masks on one grid.

    :raises GridMismatchError: the grids differ.
    """
    rule = rule or SizeRule()
    if before.labels.shape != after.labels.shape or not np.allclose(before.spacing_mm, after.spacing_mm, rtol=1e-4):
        raise GridMismatchError("The two masks to compare lie on different grids.")
    matches = _matches(before, after, rule.match_mm)
    targets = [i for i, lesion in enumerate(before.lesions) if lesion.measurable]
    targets = sorted(targets, key=lambda i: -before.lesions[i].product_mm2)[: rule.targets]
    area_before = sum(before.lesions[i].product_mm2 for i in targets)
    followed = [j for j in range(len(after.lesions)) if any((i, j) in matches for i in targets)]
    area_after = sum(after.lesions[j].product_mm2 for j in followed)
    known = {j for _, j in matches}
    new = sum(lesion.measurable for j, lesion in enumerate(after.lesions) if j not in known)

    volume_before, volume_after = before.volume_ml, after.volume_ml
    by_area = category_by_area(area_before, area_after, rule, new > 0, not after.lesions)
    return SizeChange(
        volume_before_ml=volume_before,
        volume_after_ml=volume_after,
        volume_change=_change(volume_before, volume_after),
        area_before_mm2=float(area_before),
        area_after_mm2=float(area_after),
        area_change=_change(area_before, area_after),
        new_lesions=int(new),
        measurable=bool(targets),
        category_by_volume=category_by_volume(volume_before, volume_after, rule, new > 0),
        category_by_area=by_area if before.lesions or new else NOT_ASSESSABLE,
    )


def possible_categories(before_ml: float, change: float | None, rule: SizeRule) -> list[str]:
    """Categories by volume within the measurement noise of a change, the most likely one not first."""
    if change is None:
        return [NOT_ASSESSABLE]
    band = noise_band(before_ml)
    found = {
        category_by_volume(1.0, max(0.0, 1.0 + change + shift), rule) for shift in np.linspace(-band, band, 41).tolist()
    }
    return [category for category in CATEGORIES if category in found]


def noise_band(before_ml: float) -> float:
    """By how much the relative change of a volume varies when it is measured again."""
    return next(band for limit, band in _NOISE_BANDS if before_ml < limit)


def probabilities(categories: Sequence[str]) -> dict[str, float]:
    """Fraction of the samples in each category that occurs."""
    counts = Counter(categories)
    return {name: counts[name] / len(categories) for name in CATEGORIES if counts[name]}


def _change(before: float, after: float) -> float | None:
    return float(after / before - 1.0) if before > 0 else None


def _matches(before: LesionMap, after: LesionMap, match_mm: float) -> set[tuple[int, int]]:
    """Pairs (lesion before, lesion after) that overlap after the first is dilated."""
    box = bounding_box((before.labels > 0) | (after.labels > 0))
    if not before.lesions or not after.lesions or box is None:
        return set()
    old, new = before.labels[box], after.labels[box]
    distance, nearest = ndimage.distance_transform_edt(old == 0, sampling=before.spacing_mm, return_indices=True)
    grown = np.where(distance <= match_mm, old[tuple(nearest)], 0)
    both = (grown > 0) & (new > 0)
    return {(int(i) - 1, int(j) - 1) for i, j in np.unique(np.stack([grown[both], new[both]], axis=1), axis=0)}
