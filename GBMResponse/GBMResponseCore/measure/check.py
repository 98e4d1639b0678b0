"""Whether a case's measures can be trusted: measured where the answer is known, and withheld with a reason where not.

Three things decide, all of them measured on the case itself; nothing is switched on by hand. The segmenter has to find
this tumor: what enhances before treatment is compared with the GTV. An image in which nothing changed, the input as the
model's own decoder draws it, has to show no change. And there have to be samples.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..setting import decided
from .response import SD, SizeChange, noise_band

LOWEST_GTV_DICE = 0.4
"""Least overlap of the enhancing tissue before with the GTV. On 20 scans the volume found was 0.37 to
1.3 times a reference where the overlap was at least this, and 0.07 to 2.6 times where it was less: see
docs/measurements.md."""
LOWEST_WITH_HEAD = 0.2
"""The same where a bundle's head finds the tissue, which may be a thin rim of a GTV that is mostly cavity. On the scans
that it learned from the volume found was 0.61 to 1.95 times the reference where the overlap was at least this."""
FEWEST_SAMPLES = 4
"""Fewer samples get no interval, and their category is indeterminate."""
NO_SAMPLES = (
    "There are no samples. The expected image is an average: it fades enhancement that is uncertain, so volumes by a "
    "segmenter mean nothing in it."
)
_OF_AREAS = (
    "area_before_mm2", "area_after_mm2", "area_change", "measurable", "category_by_area", "by_area",
    "area_and_volume_disagree",
)  # fmt: skip
_OF_VOLUMES = (
    "volume_ml", "volume_before_ml", "volume_after_ml", "volume_change", "new_lesions", "category_by_volume",
    "by_volume", "lesions", "enhancement_dice", "volume_error_ml", "probability_of_the_true_category", "brier_score",
)  # fmt: skip
_DIAMETERS = ("diameter_mm", "perpendicular_mm", "product_mm2", "measurable")


@dataclass(frozen=True)
class SelfCheck:
    """What the measures of a case say where the answer is known.

    :param gtv_dice: Dice coefficient of the enhancing tissue before with the GTV.
    :param unchanged: what is measured when nothing changed; None if that was not tried.
    :param lowest_gtv_dice: least Dice with which volumes are shown.
    """

    gtv_dice: float
    unchanged: SizeChange | None
    lowest_gtv_dice: float = LOWEST_GTV_DICE

    def withheld(self, samples: int | None = None) -> "Withheld":
        """What is not to be shown.

        :param samples: of a prediction; None for what does not come from samples.
        """
        if samples == 0:
            return Withheld(NO_SAMPLES, NO_SAMPLES)
        volume = self._against_volumes()
        return Withheld(volume, volume or self._against_areas())

    def to_dict(self) -> dict[str, Any]:
        unchanged = None if self.unchanged is None else asdict(self.unchanged)
        return {
            "gtv_dice": self.gtv_dice,
            "lowest_gtv_dice": self.lowest_gtv_dice,
            "fewest_samples": FEWEST_SAMPLES,
            "unchanged": unchanged,
        }

    def _against_volumes(self) -> str | None:
        if self.gtv_dice < self.lowest_gtv_dice:
            return (
                "The segmenter does not find this tumor: what enhances before treatment overlaps little with "
                f"the GTV (Dice {self.gtv_dice:.2f}, at least {self.lowest_gtv_dice:.2f} is needed)."
            )
        change = self.unchanged
        if change is None or (change.category_by_volume == SD and _within_noise(change)):
            return None
        return (
            "On this case an image in which nothing changed would already show a volume change of "
            f"{_percent(change.volume_change)} ({change.category_by_volume})."
        )

    def _against_areas(self) -> str | None:
        change = self.unchanged
        if change is None:
            return "It was not tried whether an image in which nothing changed shows an unchanged area on this case."
        if change.category_by_area == SD:
            return None
        return (
            "On this case an image in which nothing changed would already show an area change of "
            f"{_percent(change.area_change)} ({change.category_by_area})."
        )


@dataclass(frozen=True)
class Withheld:
    """Why measures are not shown, a sentence each; None if they are.

    :param volume: reason for all that rests on enhancing volumes, which areas do, too.
    :param area: for areas, diameters and the category by area.
    """

    volume: str | None
    area: str | None

    def apply(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values, None in the place of those withheld; also in lists of lesions."""
        hidden = (*(_OF_VOLUMES if self.volume else ()), *(_OF_AREAS if self.area else ()))
        kept = {name: None if name in hidden else value for name, value in values.items()}
        lesions = kept.get("lesions")
        if self.area and lesions:
            kept["lesions"] = [{**lesion, **dict.fromkeys(_DIAMETERS)} for lesion in lesions]
        return kept


def dice(first: np.ndarray, second: np.ndarray) -> float:
    """Dice coefficient of two masks; 1 if both are empty."""
    total = int(first.sum()) + int(second.sum())
    return 2.0 * int((first & second).sum()) / total if total else 1.0


def _within_noise(change: SizeChange) -> bool:
    return abs(decided(change.volume_change)) <= noise_band(change.volume_before_ml)


def _percent(change: float | None) -> str:
    return "an unknown size" if change is None else f"{change:+.0%}"
