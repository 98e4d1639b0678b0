"""What the survival class changes in a prediction: the shortest against the longest class under identical noise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy import ndimage

from .held_out import EvaluationError, HeldOut
from .metrics import per_patient_means, standard_metrics
from .model_predictions import LoadedModel, assign_classes, predict_slices
from .skill import skills

ENHANCEMENT_RATIO = 1.25
NEAR_PIXELS = 12
_TISSUE_PIXELS = 45


class Slices(Protocol):
    """Slices (n, H, W) with their patients (n,)."""

    pre: np.ndarray
    gtv: np.ndarray
    patient: np.ndarray


def enhancing_pixels(images: np.ndarray, slices: Slices) -> np.ndarray:
    """Pixels near the GTV brighter than 1.25 times the median of the tissue around it, per slice (n,).

    "Near" is within 12 pixels of the contour and at least 12 pixels inside the head; the median is that of the
    pre-treatment image, so that one threshold serves all images of a slice. A proxy, not a lesion segmentation.
    """
    counts = []
    for image, pre, gtv in zip(images, slices.pre, slices.gtv, strict=True):
        head = ndimage.binary_fill_holes(ndimage.binary_opening(pre > -0.8, iterations=2))
        inside = ndimage.distance_transform_edt(head) > NEAR_PIXELS
        if not inside.any() or not gtv.any():
            counts.append(0)
            continue
        distance = ndimage.distance_transform_edt(~gtv.astype(bool))
        around = inside & (distance > NEAR_PIXELS) & (distance < _TISSUE_PIXELS)
        reference = float(np.median(pre[around if around.any() else head]))
        threshold = (reference + 1.0) * ENHANCEMENT_RATIO - 1.0
        counts.append(np.count_nonzero((image > threshold) & inside & (distance <= NEAR_PIXELS)))
    return np.array(counts)


def class_effect(short: np.ndarray, long: np.ndarray, slices: Slices) -> dict[str, float]:
    """Size of the effect of the class on predictions (n, H, W) under identical noise."""
    inside = np.asarray(slices.gtv, dtype=bool)
    difference = np.abs(short - long)
    enhancing_short, enhancing_long = enhancing_pixels(short, slices), enhancing_pixels(long, slices)
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


def guidance_sweep(
    loaded: LoadedModel, slices: HeldOut, scales: Sequence[float], *, seed: int = 1, finished: Path | None = None
) -> list[dict[str, Any]]:
    """Class separation and errors at several guidance scales, one sample per slice and class.

    :param finished: folder that keeps finished slices.
    :return: per scale: `guidance_scale`, the values of :func:`class_effect` between the first and the last class of the
        scheme, and under the model's own class of each patient the means over patients of the metrics and the skills
        `skill_mse`, `skill_mse_local` against the copy of the pre-treatment image.
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
                **class_effect(short, long, slices),
                **{name: float(np.nanmean(values)) for name, values in means.items()},
                **{f"skill_{name}": gained[name]["value"] for name in ("mse", "mse_local")},
            }
        )
    return rows
