"""How close a prediction came to the true follow-up, beside the forecasts that need no model.

Intensities are normalized and clipped to -1...1, so that their range L is 2, as in docs/evaluation.md; slices are the
generated ones. *Local* is inside the GTV. Everything that rests on enhancement is scored on the masks of the case, also
where :mod:`.check` would not show it to a reader; `withheld` says so.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from ..errors import ScoreLogError
from ..inputs.slices import CaseSlices
from ..setting import decided
from .check import FEWEST_SAMPLES, dice
from .interval import prediction_interval
from .lesions import find_lesions
from .measurements import Measurements, blurred, rounded
from .response import CATEGORIES, SizeRule, compare_lesions, probabilities

if TYPE_CHECKING:
    from ..prediction import Prediction

RANGE = 2.0
COVERAGES = (0.5, 0.8, 0.95)
_SSIM_SIGMA, _SSIM_RADIUS = 1.5, 5
_ERRORS = ("mse", "mse_local", "ssim", "ssim_local", "enhancement_dice", "volume_error_ml")
_HIGHER_IS_BETTER = ("ssim", "ssim_local", "enhancement_dice")


def score(
    slices: CaseSlices,
    predictions: Mapping[str, "Prediction"],
    measurements: Measurements,
    rule: SizeRule | None = None,
) -> dict[str, Any]:
    """Score the predictions of a case, ready for JSON.

    :param slices: of the case, with its follow-up.
    :param measurements: of these predictions.
    :raises ScoreLogError: there is no follow-up that shows the same head.
    """
    if slices.follow_up is None or measurements.masks.truth is None:
        raise ScoreLogError("There is no true follow-up that shows the same head.")
    return _Scorer(slices, measurements, rule or SizeRule()).record(predictions)


class _Scorer:
    def __init__(self, slices: CaseSlices, measurements: Measurements, rule: SizeRule) -> None:
        self._slices, self._measurements, self._rule = slices, measurements, rule
        self._spacing = slices.grid.spacing[::-1]
        self._gtv = slices.gtv[slices.indices]
        self._truth = np.clip(slices.truth, -1.0, 1.0)
        masks = measurements.masks
        self._before = find_lesions(masks.before, self._spacing, rule.lesions)
        self._true_mask = decided(masks.truth)
        self._after = find_lesions(self._true_mask, self._spacing, rule.lesions)
        self._change = compare_lesions(self._before, self._after, rule)

    def record(self, predictions: Mapping[str, "Prediction"]) -> dict[str, Any]:
        slices, masks, withheld = self._slices, self._measurements.masks, self._measurements.record["withheld"]
        pre, change = slices.pre, self._change
        rivals = {
            "copy_of_the_input": self._forecast([pre], [masks.before]),
            "blurred_copy": self._forecast([blurred(pre, self._spacing)], [decided(masks.blurred)]),
        }
        classes = {}
        for name, prediction in predictions.items():
            samples = masks.of(prediction)
            forecasts = {"expected_image": self._images([prediction.expected_pixels]), **rivals}
            if samples:
                forecasts = {"samples": self._forecast(prediction.pixels, samples), **forecasts}
            classes[name] = {
                "class": prediction.class_choice.name,
                "samples": len(samples),
                "seed": prediction.options.seed,
                "forecasts": forecasts,
                "skill": _skill(forecasts),
                "volume": self._volumes(samples),
                "category": self._categories(samples),
                "planning": self._measurements.planning["classes"].get(name),
            }
        return rounded(
            {
                "synthetic": True,
                "scored_utc": datetime.now(UTC).isoformat(timespec="seconds"),
                "registered": decided(slices.follow_up).registered,
                "withheld": withheld["volume"],
                "gtv_dice": self._measurements.record["check"]["gtv_dice"],
                "volume_before_ml": self._before.volume_ml,
                "true_volume_ml": change.volume_after_ml,
                "true_category": change.category_by_volume,
                "true_planning": self._measurements.planning["true_follow_up"],
                "classes": classes,
            }
        )

    def _images(self, images: Sequence[np.ndarray]) -> dict[str, float | None]:
        """Metrics of the paper's Table 1 without LPIPS: means over slices, then over samples."""
        rows = [
            image_metrics(*triple)
            for image in images
            for triple in zip(np.clip(image, -1.0, 1.0), self._truth, self._gtv, strict=True)
        ]
        known = {name: [row[name] for row in rows if np.isfinite(row[name])] for name in rows[0]}
        return {name: float(np.mean(values)) if values else None for name, values in known.items()}

    def _forecast(self, images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> dict[str, Any]:
        truth = self._true_mask
        volumes = [find_lesions(mask, self._spacing, self._rule.lesions).volume_ml for mask in masks]
        distances = [surface_distance_95(mask, truth, self._spacing) for mask in masks]
        known = [distance for distance in distances if distance is not None]
        return {
            **self._images(images),
            "enhancement_dice": float(np.mean([dice(mask, truth) for mask in masks])),
            "hd95_mm": float(np.mean(known)) if known else None,
            "volume_error_ml": float(np.mean(volumes)) - self._change.volume_after_ml,
        }

    def _volumes(self, masks: Sequence[np.ndarray]) -> dict[str, Any]:
        """Volumes of the samples, and whether their prediction intervals hold the true one."""
        volumes = [find_lesions(mask, self._spacing, self._rule.lesions).volume_ml for mask in masks]
        true = self._change.volume_after_ml
        inside = {}
        if len(volumes) >= FEWEST_SAMPLES:
            factor = self._measurements.record["settings"]["interval_factor"]
            intervals = {part: prediction_interval(np.array(volumes), part, factor) for part in COVERAGES}
            inside = {f"{part:.0%}": bool(low <= true <= high) for part, (low, high) in intervals.items()}
        return {"samples_ml": volumes, "inside": inside, "rank": sum(volume < true for volume in volumes)}

    def _categories(self, masks: Sequence[np.ndarray]) -> dict[str, Any]:
        lesions = [find_lesions(mask, self._spacing, self._rule.lesions) for mask in masks]
        named = [compare_lesions(self._before, entry, self._rule).category_by_volume for entry in lesions]
        chances = probabilities(named) if named else {}
        true = self._change.category_by_volume
        brier = sum((chances.get(name, 0.0) - (name == true)) ** 2 for name in CATEGORIES) if named else None
        return {"probabilities": chances, "true": true, "brier_score": brier}


def _skill(forecasts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """1 - error / error of the better copy, for samples and expected image; None where the better copy has no error."""
    skills: dict[str, Any] = {}
    for who in ("samples", "expected_image"):
        for name in _ERRORS:
            if forecasts.get(who, {}).get(name) is None:
                continue
            errors = {key: _error(name, forecasts[key][name]) for key in (who, "copy_of_the_input", "blurred_copy")}
            best = min(("copy_of_the_input", "blurred_copy"), key=errors.__getitem__)
            value = 1.0 - errors[who] / errors[best] if errors[best] > 0 else None
            skills.setdefault(who, {})[name] = {"value": value, "against": best}
    return skills


def _error(name: str, value: float) -> float:
    return 1.0 - value if name in _HIGHER_IS_BETTER else abs(value)


def image_metrics(predicted: np.ndarray, truth: np.ndarray, gtv: np.ndarray) -> dict[str, float]:
    """MSE, PSNR and SSIM of a slice (H, W), whole and inside the GTV; defined as in docs/evaluation.md."""
    squared = (predicted.astype(np.float64) - truth) ** 2
    similarity = ssim_map(predicted, truth)
    values = {"mse": float(squared.mean()), "ssim": float(similarity.mean())}
    if gtv.any():
        values |= {"mse_local": float(squared[gtv].mean()), "ssim_local": float(similarity[gtv].mean())}
    for name, psnr in (("mse", "psnr"), ("mse_local", "psnr_local")):
        if values.get(name):
            values[psnr] = float(10.0 * np.log10(RANGE**2 / values[name]))
    nothing = ("mse", "psnr", "ssim", "mse_local", "psnr_local", "ssim_local")
    return {name: values.get(name, float("nan")) for name in nothing}


def ssim_map(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """SSIM at every pixel of two slices (H, W); Gaussian window, mirrored border (doi 10.1109/TIP.2003.819861)."""
    p, t = predicted.astype(np.float64), truth.astype(np.float64)

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.gaussian_filter(values, _SSIM_SIGMA, mode="mirror", radius=_SSIM_RADIUS)

    of_p, of_t, c1, c2 = mean(p), mean(t), (0.01 * RANGE) ** 2, (0.03 * RANGE) ** 2
    var_p, var_t, both = mean(p * p) - of_p**2, mean(t * t) - of_t**2, mean(p * t) - of_p * of_t
    return (2 * of_p * of_t + c1) * (2 * both + c2) / ((of_p**2 + of_t**2 + c1) * (var_p + var_t + c2))


def surface_distance_95(first: np.ndarray, second: np.ndarray, spacing_mm: tuple[float, float, float]) -> float | None:
    """95th percentile of the distances between the surfaces of two masks, both ways, mm; None if one is empty."""
    if not first.any() or not second.any():
        return None
    surfaces = [mask & ~ndimage.binary_erosion(mask, border_value=0) for mask in (first, second)]
    distances = [ndimage.distance_transform_edt(~surface, sampling=spacing_mm) for surface in surfaces]
    return float(np.percentile(np.concatenate([distances[1][surfaces[0]], distances[0][surfaces[1]]]), 95))
