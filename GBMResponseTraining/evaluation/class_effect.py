"""What the survival class changes in a prediction: the shortest against the longest class under identical noise."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore.model.classes import ClassScheme

from ..items.class_labels import true_class
from .enhancement import Zone, enhancing_pixels
from .held_out import EvaluationError, HeldOut
from .metrics.image import mean_inside, per_patient_means
from .model_predictions import LoadedModel, assign_classes, predict_slices
from .options import Measure
from .statistics.bootstrap import bootstrap_interval, drawn_means, group_means, mean_interval
from .statistics.skill import skills


def class_effect(short: np.ndarray, long: np.ndarray, slices: HeldOut, zones: Sequence[Zone]) -> dict[str, float]:
    """Size of the effect of the class on predictions (n, H, W) under identical noise."""
    inside = np.asarray(slices.gtv, dtype=bool)
    difference = np.abs(short - long)
    enhancing_short, enhancing_long = (enhancing_pixels(images, zones) for images in (short, long))
    per_patient = [
        (enhancing_short[slices.person == p].sum(), enhancing_long[slices.person == p].sum())
        for p in np.unique(slices.person)
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
        change from pre to post as mean over patients with its interval and the difference of these changes, names of
        the classes and numbers of patients.
    """
    result: dict[str, Any] = {}
    pre, post = enhancing_pixels(slices.pre, zones), enhancing_pixels(slices.post, zones, true=True)
    changes = []
    for which, inside in _groups(slices, scheme).items():
        entry = scheme.classes[0 if which == "first" else -1]
        result[f"class_{which}"] = entry.name
        result[f"patients_{which}"] = len(np.unique(slices.person[inside]))
        for image, counts in (("pre", pre), ("post", post)):
            result[f"enhancing_pixels_{image}_{which}"] = mean_inside(counts, inside)
        change = group_means((post - pre)[inside].astype(np.float64), slices.person[inside])
        interval = mean_interval(change)
        mean = float(change.mean()) if len(change) else float("nan")
        result[f"enhancing_change_{which}"] = {"value": mean, "ci_low": interval.low, "ci_high": interval.high}
        changes.append(change)
    result["enhancing_change_difference"] = _difference(*changes)
    return result


def _difference(first: np.ndarray, last: np.ndarray) -> dict[str, float]:
    """Difference of the means of two groups of patients, each of which keeps its size when patients are drawn."""
    values, group = np.concatenate([first, last]), np.repeat([1, 0], [len(first), len(last)])

    def difference(drawn: np.ndarray) -> np.ndarray:
        return drawn_means(values, drawn * group) - drawn_means(values, drawn * (1 - group))

    interval = bootstrap_interval(len(values), difference, strata=group)
    value = float(difference(np.ones((1, len(values))))[0])
    return {"value": value, "ci_low": interval.low, "ci_high": interval.high}


def _groups(slices: HeldOut, scheme: ClassScheme) -> dict[str, np.ndarray]:
    """Slices, bool (n,), of the patients whose true class is the `first`, and the `last`."""
    classes = [true_class(record, scheme) for record in slices.records]
    wanted = {"first": 0, "last": len(scheme.classes) - 1}
    return {
        which: np.array([known == index for known in classes], dtype=bool)[slices.patient]
        for which, index in wanted.items()
    }


def guidance_sweep(
    loaded: LoadedModel,
    slices: HeldOut,
    scales: Sequence[float],
    zones: Sequence[Zone],
    measure: Measure,
    *,
    seed: int = 1,
    finished: Path | None = None,
) -> dict[str, Any]:
    """Class separation and errors at several guidance scales, one sample per slice and class.

    :param zones: where enhancement of the slices is looked for.
    :param measure: the metrics.
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
    copied = per_patient_means(measure(slices.pre, slices.post), slices.person)
    groups = _groups(slices, loaded.scheme)
    rows = []
    for scale in scales:
        # Three requests: with `finished`, the last one finds the patients whose class is the first or the last.
        short, long, predicted = (
            predict_slices(loaded, slices, tokens, seed=seed, guidance_scale=scale, finished=finished)
            for tokens in (np.full(len(own), classes[0].token), np.full(len(own), classes[-1].token), own)
        )
        means = per_patient_means(measure(predicted, slices.post), slices.person)
        gained = skills(means, copied)
        rows.append(
            {
                "guidance_scale": float(scale),
                **class_effect(short, long, slices, zones),
                **{
                    f"enhancing_pixels_own_{which}": mean_inside(enhancing_pixels(images, zones), groups[which])
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
