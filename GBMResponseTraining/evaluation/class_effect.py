"""What the survival class changes in a prediction: the shortest against the longest class under identical noise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from GBMResponseCore.model.classes import ClassScheme
from scipy import ndimage

from ..items.class_labels import true_class
from .held_out import EvaluationError, HeldOut
from .metrics.image import per_patient_means, standard_metrics
from .model_predictions import LoadedModel, assign_classes, predict_slices
from .statistics.bootstrap import mean_interval
from .statistics.skill import skills

ENHANCEMENT_RATIO = 1.25
NEAR_PIXELS = 12
_TISSUE_PIXELS = 45


Zone = tuple[np.ndarray, float]
"""Where enhancement of a slice is looked for, as indices of its flat pixels, and the intensity it must exceed."""


class Slices(Protocol):
    """Slices (n, H, W) with their patients (n,)."""

    pre: np.ndarray
    gtv: np.ndarray
    patient: np.ndarray


def enhancement_zones(slices: Slices) -> list[Zone]:
    """Zone of every slice: the pixels near the GTV, and 1.25 times the median of the tissue around it.

    "Near" is within 12 pixels of the contour and at least 12 pixels inside the head; the median is that of the
    pre-treatment image, so that one threshold serves all images of a slice.
    """
    zones = []
    for pre, gtv in zip(slices.pre, slices.gtv, strict=True):
        head = ndimage.binary_fill_holes(ndimage.binary_opening(pre > -0.8, iterations=2))
        inside = ndimage.distance_transform_edt(head) > NEAR_PIXELS
        if not inside.any() or not gtv.any():
            zones.append((np.empty(0, np.int64), 0.0))
            continue
        distance = ndimage.distance_transform_edt(~gtv.astype(bool))
        around = inside & (distance > NEAR_PIXELS) & (distance < _TISSUE_PIXELS)
        reference = float(np.median(pre[around if around.any() else head]))
        threshold = (reference + 1.0) * ENHANCEMENT_RATIO - 1.0
        zones.append((np.flatnonzero(inside & (distance <= NEAR_PIXELS)), threshold))
    return zones


def enhancing_pixels(images: np.ndarray, slices: Slices, zones: Sequence[Zone] | None = None) -> np.ndarray:
    """Pixels near the GTV brighter than the tissue around it, per slice (n,). A proxy, not a lesion segmentation.

    :param zones: those of the slices, where many images of them are measured; None finds them.
    """
    zones = enhancement_zones(slices) if zones is None else zones
    return np.array(
        [
            np.count_nonzero(image.ravel()[near] > threshold)
            for image, (near, threshold) in zip(images, zones, strict=True)
        ]
    )


def class_effect(
    short: np.ndarray, long: np.ndarray, slices: Slices, zones: Sequence[Zone] | None = None
) -> dict[str, float]:
    """Size of the effect of the class on predictions (n, H, W) under identical noise."""
    zones = enhancement_zones(slices) if zones is None else zones
    inside = np.asarray(slices.gtv, dtype=bool)
    difference = np.abs(short - long)
    enhancing_short, enhancing_long = (enhancing_pixels(images, slices, zones) for images in (short, long))
    per_patient = [
        (enhancing_short[slices.patient == p].sum(), enhancing_long[slices.patient == p].sum())
        for p in np.unique(slices.patient)
    ]
    return {
        "mean_absolute_difference_gtv": float(difference[inside].mean()) if inside.any() else float("nan"),
        "mean_absolute_difference_elsewhere": float(difference[~inside].mean()),
        "enhancing_pixels_short": float(enhancing_short.mean()),
        "enhancing_pixels_long": float(enhancing_long.mean()),
        "patients_with_more_enhancement_when_short": float(np.mean([s > long_ for s, long_ in per_patient])),
    }


def true_difference(slices: HeldOut, scheme: ClassScheme, zones: Sequence[Zone]) -> dict[str, Any]:
    """Enhancement of the patients who truly are of the first and of the last class: what a prediction should reach.

    :return: mean enhancing pixels per slice in their pre- and post-treatment images (NaN without such patients), the
        change from pre to post as mean over patients with its interval, names of the classes and numbers of patients.
    """
    result: dict[str, Any] = {}
    pre, post = (enhancing_pixels(images, slices, zones) for images in (slices.pre, slices.post))
    for which, inside in _groups(slices, scheme).items():
        entry = scheme.classes[0 if which == "first" else -1]
        result[f"class_{which}"] = entry.name
        result[f"patients_{which}"] = len(np.unique(slices.patient[inside]))
        for image, counts in (("pre", pre), ("post", post)):
            result[f"enhancing_pixels_{image}_{which}"] = _mean_inside(counts, inside)
        change = np.array([(post - pre)[slices.patient == p].mean() for p in np.unique(slices.patient[inside])])
        interval = mean_interval(change)
        mean = float(change.mean()) if len(change) else float("nan")
        result[f"enhancing_change_{which}"] = {"value": mean, "ci_low": interval.low, "ci_high": interval.high}
    return result


def _groups(slices: HeldOut, scheme: ClassScheme) -> dict[str, np.ndarray]:
    """Slices, bool (n,), of the patients whose true class is the `first`, and the `last`."""
    classes = [true_class(record, scheme) for record in slices.records]
    wanted = {"first": 0, "last": len(scheme.classes) - 1}
    return {
        which: np.array([known == index for known in classes], dtype=bool)[slices.patient]
        for which, index in wanted.items()
    }


def _mean_inside(counts: np.ndarray, inside: np.ndarray) -> float:
    return float(counts[inside].mean()) if inside.any() else float("nan")


def guidance_sweep(
    loaded: LoadedModel, slices: HeldOut, scales: Sequence[float], *, seed: int = 1, finished: Path | None = None
) -> dict[str, Any]:
    """Class separation and errors at several guidance scales, one sample per slice and class.

    :param finished: folder that keeps finished slices.
    :return: `rows`, per scale: `guidance_scale`, the values of :func:`class_effect` between the first and last class of
        the scheme, the enhancing pixels per slice of the patients who truly are of these classes, predicted for
        them, and under the model's own class of each patient the means over patients of the metrics and the skills
        `skill_mse`, `skill_mse_local` against the copy of the pre-treatment image; `truth`: :func:`true_difference`;
        `copy`: the metrics of the copy.
    :raises EvaluationError: the model has no class.
    :raises GuidanceError: it was trained without label dropout.
    """
    if loaded.scheme is None:
        raise EvaluationError(
            f"{loaded.model.name} has no survival class to guide.", "Sweep the guidance of a model with a class scheme."
        )
    own = assign_classes(loaded, slices).tokens
    classes = loaded.scheme.classes
    copied = per_patient_means(standard_metrics(slices.pre, slices.post, slices.gtv), slices.patient)
    zones, groups = enhancement_zones(slices), _groups(slices, loaded.scheme)
    rows = []
    for scale in scales:
        # Three requests: with `finished`, the last one finds the patients whose class is the first or the last.
        short, long, predicted = (
            predict_slices(loaded, slices, tokens, seed=seed, guidance_scale=scale, finished=finished)
            for tokens in (np.full(len(own), classes[0].token), np.full(len(own), classes[-1].token), own)
        )
        means = per_patient_means(standard_metrics(predicted, slices.post, slices.gtv), slices.patient)
        gained = skills(means, copied)
        rows.append(
            {
                "guidance_scale": float(scale),
                **class_effect(short, long, slices, zones),
                **{
                    f"enhancing_pixels_own_{which}": _mean_inside(
                        enhancing_pixels(images, slices, zones), groups[which]
                    )
                    for which, images in (("first", short), ("last", long))
                },
                **{name: float(np.nanmean(values)) for name, values in means.items()},
                **{f"skill_{name}": gained[name]["value"] for name in ("mse", "mse_local")},
            }
        )
    return {
        "rows": rows,
        "truth": true_difference(slices, loaded.scheme, zones),
        "copy": {name: float(np.nanmean(values)) for name, values in copied.items()},
    }
