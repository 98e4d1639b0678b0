"""What a prediction says in numbers: enhancing volume and diameters before and after, and size categories.

A true follow-up is measured likewise, and the prediction is scored against it beside the copy of the input. Definitions
and caveats: docs/measurements.md.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .. import SYNTHETIC_NOTICE
from ..files import write_csv, write_json
from ..inputs.resampling import image_like
from ..inputs.slices import CaseSlices
from .check import FEWEST_SAMPLES, LOWEST_GTV_DICE, LOWEST_WITH_HEAD, SelfCheck, dice
from .enhancement import EnhancementRule, EnhancementSegmenter
from .interval import prediction_interval
from .lesions import LesionMap, find_lesions
from .own_segments import BEFORE, FOLLOW_UP, sample_names
from .planning import Plan, PlanningView
from .probability import ProbabilityRule
from .response import (
    CATEGORIES,
    SizeChange,
    SizeRule,
    category_by_volume,
    compare_lesions,
    noise_band,
    possible_categories,
    probabilities,
)

if TYPE_CHECKING:
    from ..prediction import Prediction

UNKNOWN_WEEKS = (
    "Weeks since the end of radiotherapy are not known here. In the first 12 weeks, new enhancement can be "
    "pseudoprogression."
)
TITLE = "RANO-style size category (pre-treatment reference)"
CAVEATS = (
    SYNTHETIC_NOTICE,
    "Size categories compare the scan before treatment with a synthetic one. They are no RANO categories: RANO 2.0 "
    "takes the first scan after radiotherapy as reference, and needs steroids, clinical status and confirmation.",
    UNKNOWN_WEEKS,
    "Enhancing tissue is found automatically near the GTV, in the generated slices only, by a small network of the "
    "model or by one intensity threshold (settings say which): vessels and blood products may count, faint enhancement "
    "may not. All images are smoothed alike before, as a scan is sharper than a synthetic image.",
    "The noise band of a volume change (37 percentage points below 1 ml, 15 below 5 ml, 5 above) comes from a third "
    "party's repeated measurements, not from this software.",
)
BLUR_MM = 5.6
"""Blur of the blurred copy: of those tried, the one nearest, by squared error in the GTV, to the follow-ups of 30
simulated patients with noise of their own (6 pixels of 0.94 mm: card of gbm-response-demo-1)."""
UNKNOWN = ("steroid dose", "clinical status", "T2/FLAIR", "scan dates", "weeks since the end of radiotherapy")
_COLUMNS = (
    "class", "sample", "synthetic", "volume_before_ml", "volume_after_ml", "volume_change_percent", "area_before_mm2",
    "area_after_mm2", "area_change_percent", "new_lesions", "measurable", "category_by_volume", "category_by_area",
    "gtv_dice", "withheld_volume", "withheld_area",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class EnhancementMasks:
    """What enhances, bool (n, H, W) on the stack.

    :param samples: of each prediction.
    :param chances: probability that each voxel enhances, float32, of predictions with several samples.
    :param truth, blurred: of the true follow-up, if there is one, and of the blurred copy that it is compared with.
    """

    before: np.ndarray
    samples: dict["Prediction", list[np.ndarray]]
    chances: dict["Prediction", np.ndarray]
    truth: np.ndarray | None
    blurred: np.ndarray | None

    def of(self, prediction: "Prediction") -> list[np.ndarray]:
        """Masks of the samples of a prediction; none if it was not measured."""
        return self.samples.get(prediction, [])


@dataclass(frozen=True, eq=False)
class Measurements:
    """Measures of all predictions of a case.

    :param record: what `measurements.json` holds.
    :param enhancement_probability: per class, how likely a voxel enhances, see :mod:`.probability`, float32 on the
        input's grid; only for several samples.
    :param masks: what they were measured on.
    :param planning: as in the record, with that of the `classes`, also where it is withheld there.
    """

    record: dict[str, Any]
    enhancement_probability: dict[str, sitk.Image]
    masks: EnhancementMasks
    planning: dict[str, Any]

    def of_class(self, name: str) -> dict[str, Any]:
        """The measures of one class, with those before."""
        shared = {key: self.record[key] for key in ("title", "before", "check")}
        return {**shared, **self.record["classes"][name]}


def measure(
    slices: CaseSlices,
    predictions: Mapping[str, "Prediction"],
    unchanged: np.ndarray | None = None,
    rule: SizeRule | None = None,
    enhancement: EnhancementRule | None = None,
    plan: Plan | None = None,
    own: Mapping[str, np.ndarray] | None = None,
    probability: ProbabilityRule | None = None,
    interval_factor: float = 1.0,
) -> Measurements:
    """Measure the input, every sample and the true follow-up, if there is one, with one segmenter.

    :param predictions: of one case with one model, by the class that was asked for.
    :param unchanged: the slices to generate as the model draws them if nothing changes, normalized (k, H, W): what is
        measured in them decides what is shown. None: no areas are.
    :param plan: whose coverage of the predicted enhancement is measured beside that of margins.
    :param own: masks of what enhances in the place of the segmenter's, see :mod:`.own_segments`; planning takes none.
    :param probability: of enhancement; None: the share of the samples.
    :param interval_factor: of the intervals of volumes, see :func:`.interval.prediction_interval`.
    """
    rule, own, probability = rule or SizeRule(), own or {}, probability or ProbabilityRule()
    grid, case, gtv, generated = slices.grid, slices.case, slices.gtv, slices.generated
    spacing = grid.spacing[::-1]
    pre = slices.scale.normalize(slices.stack)
    segmenter = EnhancementSegmenter(pre, gtv, generated, spacing, enhancement)
    tissue = segmenter.tissue(pre)
    found_before = segmenter.segment(pre, tissue, segmenter.reach)
    mask_before = own.get(BEFORE, found_before & segmenter.region)
    before = find_lesions(mask_before, spacing, rule.lesions)

    def whole(pixels: np.ndarray) -> np.ndarray:
        """The stack with other pixels in the generated slices, the only ones that are measured."""
        stack = pre.copy()
        stack[slices.indices] = pixels
        return stack

    still, names = None, sample_names(predictions)
    if own and own.keys() >= {BEFORE, *(sample for entry in names.values() for sample in entry)}:
        still = compare_lesions(before, before, rule)
    elif unchanged is not None:
        mask = segmenter.segment(whole(unchanged), tissue)
        still = compare_lesions(before, find_lesions(mask, spacing, rule.lesions), rule)
    lowest = LOWEST_WITH_HEAD if segmenter.rule.head else LOWEST_GTV_DICE
    check = SelfCheck(dice(mask_before, gtv), still, lowest)
    withheld = check.withheld()

    truth = None
    if slices.follow_up is not None:
        truth = _Truth(whole(slices.truth), segmenter, before, rule, slices.follow_up.registered, own.get(FOLLOW_UP))
        blurry = whole(blurred(slices.pre, spacing))
        blurred_mask = segmenter.segment(blurry, tissue)
        blurred_change = compare_lesions(before, find_lesions(blurred_mask, spacing, rule.lesions), rule)

    view, plans = PlanningView(segmenter, found_before, gtv, generated, plan), {}
    classes, maps, sample_masks, chances = {}, {}, {}, {}
    for name, prediction in predictions.items():
        stacks = [whole(pixels) for pixels in prediction.pixels]
        wide = [segmenter.segment(stack, tissue, segmenter.reach) for stack in stacks]
        pairs = zip(names[name], wide, strict=True)
        masks = [own.get(sample, found & segmenter.region) for sample, found in pairs]
        sample_masks[prediction] = masks
        lesions = [find_lesions(mask, spacing, rule.lesions) for mask in masks]
        changes = [compare_lesions(before, after, rule) for after in lesions]
        hidden = check.withheld(len(stacks))
        per_sample = [
            asdict(change) | {"lesions": _lesions(after)} for change, after in zip(changes, lesions, strict=True)
        ]
        entry = {
            "class": prediction.class_choice.name,
            "class_source": prediction.class_choice.class_source,
            "samples": len(stacks),
            "withheld": asdict(hidden),
            **hidden.apply(_summary(changes, rule, interval_factor)),
            "per_sample": [hidden.apply(sample) for sample in per_sample],
        }
        if truth is not None and stacks:
            scores = {
                "prediction": truth.score(stacks, masks, changes, gtv),
                "copy_of_the_input": truth.score([pre], [mask_before], [compare_lesions(before, before, rule)], gtv),
                "blurred_copy": truth.score([blurry], [blurred_mask], [blurred_change], gtv),
            }
            entry["score"] = {who: hidden.apply(score) for who, score in scores.items()}
        if stacks:
            plans[name] = view.of_samples([view.recurrence(found) for found in wide])
            entry |= {} if hidden.volume else {"planning": plans[name]}
        classes[name] = entry
        if len(masks) > 1:
            zero = image_like(case.image, np.zeros(case.image.GetSize()[::-1], np.float32))
            share = np.asarray(np.mean(masks, axis=0, dtype=np.float32))
            chances[prediction] = probability.of(share, mask_before, segmenter.region, spacing)
            maps[name] = grid.to_volume(chances[prediction], generated, zero)[0]

    record = {
        "notice": SYNTHETIC_NOTICE,
        "synthetic": True,
        "title": TITLE,
        "caveats": list(CAVEATS),
        "unknown": list(UNKNOWN),
        "settings": {
            "enhancement": segmenter.rule.to_dict(),
            "size": asdict(rule),
            "probability": asdict(probability),
            "interval_factor": interval_factor,
        },
        **({"outlined_by_the_user": sorted(own)} if own else {}),
        "gtv_volume_ml": case.gtv_volume_ml,
        "check": check.to_dict(),
        "withheld": asdict(withheld),
        "before": withheld.apply({"volume_ml": before.volume_ml, "lesions": _lesions(before)}),
        "classes": classes,
    }
    if truth is not None:
        record["true_follow_up"] = withheld.apply(truth.to_dict())
    shared = {**view.margins(), "copy_of_the_input": view.of_copy()}
    if truth is not None:
        shared["true_follow_up"] = view.of_mask(view.recurrence(truth.found))
    if not withheld.volume:
        record["planning"] = shared
    after = (truth.mask, blurred_mask) if truth else (None, None)
    found = EnhancementMasks(mask_before, sample_masks, chances, *after)
    return Measurements(rounded(record), maps, found, {**shared, "classes": plans})


def write_measurements(measurements: Measurements, folder: Path) -> dict[str, Path]:
    """Write `measurements.json` and `measurements.csv`, one row per class and sample.

    :raises OutputFolderError: they cannot be written.
    """
    rows = []
    for name, entry in measurements.record["classes"].items():
        reasons = {f"withheld_{what}": reason for what, reason in entry["withheld"].items()}
        fixed = {"class": name, "synthetic": True, "gtv_dice": measurements.record["check"]["gtv_dice"], **reasons}
        for number, sample in enumerate(entry["per_sample"] or [{}], start=1):
            changes = {kind: sample.get(f"{kind}_change") for kind in ("volume", "area")}
            percent = {f"{kind}_change_percent": 100 * change for kind, change in changes.items() if change is not None}
            rows.append({**sample, **percent, **fixed, "sample": number if entry["per_sample"] else None})
    rows = [{column: _cell(row.get(column)) for column in _COLUMNS} for row in rows]
    return {
        "measurements": write_json(measurements.record, folder / "measurements.json"),
        "measurements_table": write_csv(_COLUMNS, rows, folder / "measurements.csv"),
    }


def _summary(changes: list[SizeChange], rule: SizeRule, interval_factor: float) -> dict[str, Any]:
    """What all samples of a class say together; nothing if there are none."""
    names = (
        "volume_before_ml", "volume_after_ml", "volume_change", "area_before_mm2", "area_after_mm2", "measurable",
        "by_volume", "by_area", "area_and_volume_disagree",
    )  # fmt: skip
    if not changes:
        return dict.fromkeys(names)
    relative = [change.volume_change for change in changes if change.volume_change is not None]
    by_volume = probabilities([change.category_by_volume for change in changes])
    by_area = probabilities([change.category_by_area for change in changes])
    category, category_by_area = _most_frequent(by_volume), _most_frequent(by_area)
    before = changes[0].volume_before_ml
    possible = possible_categories(before, float(np.median(relative)) if relative else None, rule)
    after = _volume_and_interval([change.volume_after_ml for change in changes], interval_factor)
    limits = {category_by_volume(before, ml, rule) for ml in (after["p10"], after["p90"]) if ml is not None}
    known = limits | (set(by_volume) if any(change.new_lesions for change in changes) else set())
    possible = [name for name in CATEGORIES if name in {*possible, *known}]
    few = len(changes) < FEWEST_SAMPLES
    values = (
        before,
        after,
        float(np.mean(relative)) if relative else None,
        changes[0].area_before_mm2,
        _mean_and_interval([change.area_after_mm2 for change in changes]),
        changes[0].measurable,
        {
            "category": category,
            "probabilities": by_volume,
            "possible_within_noise": possible,
            "noise_band": noise_band(before),
            "indeterminate": few or len(possible) > 1,
        },
        {"category": category_by_area, "probabilities": by_area, "indeterminate": few},
        category != category_by_area,
    )
    return dict(zip(names, values, strict=True))


def _volume_and_interval(volumes_ml: list[float], factor: float) -> dict[str, float | None]:
    """Mean of the samples, and limits beyond which the true volume lies in 10 % each; few samples have none."""
    few = len(volumes_ml) < FEWEST_SAMPLES
    low, high = (None, None) if few else map(float, prediction_interval(np.array(volumes_ml), 0.8, factor))
    return {"mean": float(np.mean(volumes_ml)), "p10": low, "p90": high}


def _mean_and_interval(values: list[float]) -> dict[str, float | None]:
    """Mean, 10th and 90th percentile over the samples; few samples have no percentiles."""
    low, high = np.quantile(values, (0.1, 0.9)) if len(values) >= FEWEST_SAMPLES else (None, None)
    return {"mean": float(np.mean(values)), "p10": low, "p90": high}


def blurred(planes: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Slices of the input (k, H, W) blurred: the trivial forecast that says what is likely on average."""
    return ndimage.gaussian_filter(planes, (0.0, *(BLUR_MM / step for step in spacing_mm[1:])))


class _Truth:
    """The true follow-up, measured by the same segmenter beside its own tissue.

    `found` is what enhances in the segmenter's `reach`.
    """

    def __init__(
        self,
        stack: np.ndarray,
        segmenter: EnhancementSegmenter,
        before: LesionMap,
        rule: SizeRule,
        registered: bool,
        own: np.ndarray | None,
    ) -> None:
        self.stack, self.found = stack, segmenter.segment(stack, segmenter.tissue(stack), segmenter.reach)
        self.mask = self.found & segmenter.region if own is None else own
        self._lesions = find_lesions(self.mask, segmenter.spacing_mm, rule.lesions)
        self._change = compare_lesions(before, self._lesions, rule)
        self._registered = registered

    def score(
        self, stacks: list[np.ndarray], masks: list[np.ndarray], changes: list[SizeChange], gtv: np.ndarray
    ) -> dict[str, Any]:
        """How close samples come to the truth; means over the samples, intensities in normalized units."""
        by_volume = probabilities([change.category_by_volume for change in changes])
        truth = self._change.category_by_volume
        return {
            "mean_absolute_difference_gtv": float(np.mean([np.abs(s - self.stack)[gtv].mean() for s in stacks])),
            "enhancement_dice": float(np.mean([dice(mask, self.mask) for mask in masks])),
            "volume_error_ml": float(
                np.mean([change.volume_after_ml - self._change.volume_after_ml for change in changes])
            ),
            "probability_of_the_true_category": by_volume.get(truth, 0.0),
            "brier_score": sum((by_volume.get(name, 0.0) - (name == truth)) ** 2 for name in CATEGORIES),
        }

    def to_dict(self) -> dict[str, Any]:
        return {"registered": self._registered, **asdict(self._change), "lesions": _lesions(self._lesions)}


def _most_frequent(chances: dict[str, float]) -> str:
    return max(chances, key=chances.__getitem__)


def _lesions(found: LesionMap) -> list[dict[str, Any]]:
    entries = [asdict(lesion) | {"product_mm2": lesion.product_mm2} for lesion in found.lesions]
    return [{name: value for name, value in entry.items() if name != "lines"} for entry in entries]


def _cell(value: Any) -> Any:
    return "" if value is None else round(value, 4) if isinstance(value, float) else value


def rounded(value: Any) -> Any:
    """A record with numbers that JSON can hold, of four digits after the point."""
    if isinstance(value, dict):
        return {name: rounded(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [rounded(entry) for entry in value]
    return round(float(value), 4) if isinstance(value, (float, np.floating)) else value
