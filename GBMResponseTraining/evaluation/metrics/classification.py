"""How good a survival classifier is, with intervals: a dozen test patients do not tell 60 % from 80 %.

One row is one patient, or one visit of a patient; the bootstrap draws visits of a person together. With class
probabilities p_k and true class y (one-hot y_k):

- accuracy: share of patients whose most probable class is y;
- AUC: chance that a patient of a class gets a higher p of it than a patient of another class, ties counted half; of
  the second class for two classes, else the mean over the classes, each against the rest;
- Brier score: mean of sum_k (p_k - y_k)^2 / 2, which for two classes is the usual (p - y)^2;
- expected calibration error: with 10 equal bins of the highest probability, sum over the bins of their share of the
  patients times |accuracy - mean highest probability|;
- majority accuracy: always the most frequent class among these labels; the baseline of the accuracy.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..statistics.bootstrap import bootstrap_interval, drawn_means

BINS = 10


def classification_report(
    probabilities: np.ndarray, labels: np.ndarray, seed: int = 0, persons: np.ndarray | None = None
) -> dict[str, Any]:
    """Figures of patient-level probabilities (n, K) against the true classes (n,) 0 to K - 1.

    :param seed: of the patient bootstrap.
    :param persons: person of every row (n,); None: every row is a person.
    :return: JSON values. `patients` counts persons. `accuracy`, `auc` and `brier` are
        `{"value", "ci_low", "ci_high"}`, None where not defined, as is the AUC if a class has no patient.
    :raises ValueError: the shapes do not fit, there is no patient, or a label is no class.
    """
    probabilities = np.asarray(probabilities, dtype=np.float64)
    labels = np.asarray(labels)
    if probabilities.ndim != 2 or not len(probabilities) or labels.shape != probabilities.shape[:1]:
        raise ValueError(f"Probabilities {probabilities.shape} and labels {labels.shape} do not fit.")
    count, classes = probabilities.shape
    if labels.min() < 0 or labels.max() >= classes:
        raise ValueError(f"Labels run from {labels.min()} to {labels.max()}, but there are {classes} classes.")
    labels = labels.astype(int)
    right = probabilities.argmax(axis=1) == labels
    squared = ((probabilities - np.eye(classes)[labels]) ** 2).sum(axis=1) / 2.0

    own = [1] if classes == 2 else range(classes)

    def auc(drawn: np.ndarray) -> np.ndarray:
        return np.mean([drawn_auc(probabilities[:, k], labels == k, drawn) for k in own], axis=0)

    figures: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "accuracy": partial(drawn_means, right),
        "auc": auc,
        "brier": partial(drawn_means, squared),
    }
    per_class = np.bincount(labels, minlength=classes)
    bins = _reliability(probabilities.max(axis=1), right)
    return {
        "patients": count if persons is None else len(np.unique(persons)),
        "patients_per_class": per_class.tolist(),
        **{name: value_with_interval(figure, count, seed, persons=persons) for name, figure in figures.items()},
        "majority_accuracy": float(per_class.max() / count),
        "expected_calibration_error": sum(
            entry["patients"] / count * abs(entry["accuracy"] - entry["confidence"]) for entry in bins
        ),
        "reliability": bins,
    }


def value_with_interval(
    figure: Callable[[np.ndarray], np.ndarray],
    count: int,
    seed: int,
    strata: np.ndarray | None = None,
    persons: np.ndarray | None = None,
) -> dict[str, float | None]:
    """`value`, `ci_low` and `ci_high` of a figure of `count` patients as JSON values: None where not defined.

    :param figure, strata, persons: as the statistic and the others in :func:`bootstrap_interval`.
    """
    interval = bootstrap_interval(count, figure, seed, strata, persons)
    values = {"value": float(figure(np.ones((1, count)))[0]), "ci_low": interval.low, "ci_high": interval.high}
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def area_under_curve(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive gets a higher score than another, ties counted half; NaN if there is only one kind.

    :param scores, positive: (n,), the latter bool.
    """
    return float(drawn_auc(scores, positive, np.ones((1, len(scores))))[0])


def drawn_auc(scores: np.ndarray, positive: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """The same for each draw of a bootstrap (draws,).

    :param drawn: how often each score was drawn (draws, n).
    """
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    ordered, kind = drawn[:, order], positive[order]
    # Of each different score, in rising order.
    positives, others = (np.add.reduceat(ordered * part, starts, axis=1) for part in (kind, ~kind))
    below = others.cumsum(axis=1) - others
    pairs = positives.sum(axis=1) * others.sum(axis=1)
    with np.errstate(invalid="ignore"):
        return (positives * (below + others / 2)).sum(axis=1) / pairs


def _reliability(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Bins of the highest probability that hold a patient: limits, patients, mean probability and accuracy."""
    index = np.minimum((confidence * BINS).astype(int), BINS - 1)
    return [
        {
            "low": int(k) / BINS,
            "high": (int(k) + 1) / BINS,
            "patients": int((index == k).sum()),
            "confidence": float(confidence[index == k].mean()),
            "accuracy": float(right[index == k].mean()),
        }
        for k in np.unique(index)
    ]
