"""How much of what is predicted to enhance a margin around the GTV, a contour, or a dose would cover.

Weights say how likely a voxel enhances: the share of the samples in which it does, or a mask. Distances are those from
the center of a voxel to that of the nearest voxel of the GTV, as an expansion of a contour by a ball counts them, 0
inside. Arrays are axial stacks (slices, rows, columns); spacings are mm in the same order.

A margin ends at the skull: voxels less than :data:`SKULL_MM` below the head's surface are in no margin, as a CTV is
cropped there. What a plan covers of a prediction says nothing about what it covers of a patient's tumor.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..dicom.plan import read_plan_contour, read_plan_dose
from ..dicom.tree import Series
from ..errors import NoOverlapError
from ..inputs.grid import StackGrid
from ..inputs.resampling import resample_linear
from .check import FEWEST_SAMPLES
from .enhancement import EnhancementRule, EnhancementSegmenter, signed_distance

MARGINS_MM = tuple(range(0, 31))
FRACTIONS = (0.5, 0.8, 0.95)
SKULL_MM = 12.0
_DOSE_STEPS = 40
LIMITS = (
    "Looked at is what enhances in the predicted slices, those with GTV, within "
    f"{EnhancementRule.reach_mm:g} mm of it; what enhances already before treatment and more than 12 mm away, such as "
    "vessels, is left out.",
    "Tumor above and below these slices is not predicted, so no margin along the patient follows from it.",
)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a plan gives, on the stack of a case.

    :param contours: masks such as CTV and PTV, bool, by name.
    :param dose: Gy; None: not known.
    """

    contours: Mapping[str, np.ndarray] = field(default_factory=dict)
    dose: np.ndarray | None = None


@dataclass(frozen=True)
class PlanFiles:
    """Files of a plan, on any grid of the same patient; with an image of DICOM also RTSTRUCT, SEG and RTDOSE.

    :param contours: masks such as CTV and PTV, by name.
    :param dose: of the whole treatment, Gy; a volume, or an RTDOSE.
    """

    contours: Mapping[str, Path] = field(default_factory=dict)
    dose: Path | None = None

    def on(self, grid: StackGrid, series: Series | None = None) -> Plan:
        """What they give on a stack; outside its volume there is no dose.

        :param series: of the image, if that was read from DICOM; then they may be RTSTRUCT, SEG and RTDOSE.
        :raises GBMResponseError: by a file.
        :raises NoOverlapError: a contour, or the dose, lies outside the stack.
        """
        contours = {
            name: grid.to_stack(read_plan_contour(path, name, series), label=True)
            for name, path in self.contours.items()
        }
        dose = None
        if self.dose is not None:
            image = read_plan_dose(self.dose, series)
            dose = np.maximum(resample_linear(image, grid.reference, 0.0), 0.0)
        for name, values in {**contours, "dose": dose}.items():
            if values is not None and not values.any():
                raise NoOverlapError(f"The {name} lies outside the field of view around the head.")
        return Plan(contours, dose)


def margin_distance(
    gtv: np.ndarray, spacing_mm: tuple[float, float, float], allowed: np.ndarray | None = None
) -> np.ndarray:
    """Margin in mm that reaches each voxel, 0 inside the GTV; infinite where a margin is not allowed."""
    distance = np.maximum(signed_distance(gtv, spacing_mm), 0.0)
    return distance if allowed is None else np.where(allowed | gtv, distance, np.inf)


def covered(weights: np.ndarray, reached_at: np.ndarray, levels: Sequence[float]) -> list[float] | None:
    """Part of the weights in voxels that are reached at each level or before; None without any weight."""
    inside = weights > 0
    if not inside.any():
        return None
    order = np.argsort(reached_at[inside], kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(weights[inside][order], dtype=np.float64)])
    places = np.searchsorted(reached_at[inside][order], np.asarray(levels, np.float64) + 1e-6, side="right")
    return (sums[places] / sums[-1]).tolist()


def level_that_covers(weights: np.ndarray, reached_at: np.ndarray, fraction: float) -> float | None:
    """Least level at which this part of the weights is reached; None if none does, or if there is no weight."""
    inside = weights > 0
    if not inside.any():
        return None
    order = np.argsort(reached_at[inside], kind="stable")
    sums = np.cumsum(weights[inside][order], dtype=np.float64)
    place = int(np.searchsorted(sums, fraction * sums[-1] * (1 - 1e-9)))
    level = float(reached_at[inside][order][place])
    return level if np.isfinite(level) else None


class PlanningView:
    """The planning view of one case.

    :param segmenter: of the case.
    :param before: what of the input enhances in the segmenter's `reach`, bool (n, H, W).
    """

    def __init__(
        self,
        segmenter: EnhancementSegmenter,
        before: np.ndarray,
        gtv: np.ndarray,
        generated: np.ndarray,
        plan: Plan | None = None,
    ) -> None:
        self._plan, self._spacing = plan or Plan(), segmenter.spacing_mm
        self._far_before = before & ~segmenter.region
        self._before = before & segmenter.region
        self._generated = np.broadcast_to(np.asarray(generated, bool)[:, None, None], gtv.shape)
        inside = segmenter.depth_mm >= SKULL_MM
        self._distance = margin_distance(gtv, self._spacing, inside)

    def recurrence(self, found: np.ndarray) -> np.ndarray:
        """What of an image would have to be covered, bool, of what enhances in the segmenter's `reach`."""
        return found & ~self._far_before

    def of_samples(self, masks: Sequence[np.ndarray]) -> dict[str, Any]:
        """Coverage of what the samples say, ready for JSON; few samples get no interval.

        :param masks: :meth:`recurrence` of each sample.
        """
        weights = np.asarray(np.mean(masks, axis=0, dtype=np.float32))
        record = self._of(weights)
        if len(masks) >= FEWEST_SAMPLES:
            record["interval"] = {
                f"{fraction:.0%}": _interval([level_that_covers(mask, self._distance, fraction) for mask in masks])
                for fraction in FRACTIONS
            }
        return record

    def of_mask(self, mask: np.ndarray) -> dict[str, Any]:
        """The same of one mask, such as that of a true follow-up."""
        return self._of(mask.astype(np.float32))

    def of_copy(self) -> dict[str, Any]:
        """The same of what enhances already: the forecast that nothing changes."""
        return self.of_mask(self._before)

    def margins(self) -> dict[str, Any]:
        """The margins, and their volume in the predicted slices, ml."""
        shown = self._distance[self._generated]
        voxel = float(np.prod(self._spacing)) / 1000
        volumes = [float((shown <= margin + 1e-6).sum() * voxel) for margin in MARGINS_MM]
        return {"margins_mm": list(MARGINS_MM), "volumes_ml": volumes, "limits": list(LIMITS)}

    def _of(self, weights: np.ndarray) -> dict[str, Any]:
        voxel = float(np.prod(self._spacing)) / 1000
        record = {
            "volume_ml": float(weights.sum(dtype=np.float64) * voxel),
            "covered": covered(weights, self._distance, MARGINS_MM),
            "margin_that_covers_mm": {
                f"{fraction:.0%}": level_that_covers(weights, self._distance, fraction) for fraction in FRACTIONS
            },
        }
        total = float(weights.sum(dtype=np.float64))
        if self._plan.contours:
            record["contours"] = {
                name: float(weights[mask].sum(dtype=np.float64) / total) if total else None
                for name, mask in self._plan.contours.items()
            }
        if self._plan.dose is not None:
            record["dose"] = dose_coverage(weights, self._plan.dose)
        return record


def dose_coverage(weights: np.ndarray, dose: np.ndarray) -> dict[str, Any]:
    """The cumulative dose-volume histogram of the weights, and the least dose that parts of them get.

    :param dose: Gy, shape of the weights.
    """
    highest = float(dose.max())
    levels = np.linspace(0.0, highest, _DOSE_STEPS + 1)
    at_least = {fraction: level_that_covers(weights, -dose, fraction) for fraction in FRACTIONS}
    return {
        "dose_gy": levels.tolist(),
        "covered": covered(weights, -dose, (-levels).tolist()),
        "dose_that_covers_gy": {f"{part:.0%}": None if level is None else -level for part, level in at_least.items()},
        "covered_by_isodoses": {
            f"{part:.0%}": next(iter(covered(weights, -dose, [-part * highest]) or ()), None)
            for part in (0.95, 0.8, 0.5)
        },
    }


def _interval(levels: Sequence[float | None]) -> dict[str, float | None]:
    """10th and 90th percentile over the samples; one that no margin covers counts as beyond all."""
    known = [np.inf if level is None else level for level in levels]
    low, high = (float(value) for value in np.quantile(known, (0.1, 0.9), method="nearest"))
    return {"p10": low if np.isfinite(low) else None, "p90": high if np.isfinite(high) else None}
