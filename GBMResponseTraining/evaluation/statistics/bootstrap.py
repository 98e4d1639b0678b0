"""Patient bootstrap: how far a figure could be from this one with other patients of the same kind.

Slices of a patient are not independent, so whole patients are drawn, never slices (Efron and Tibshirani 1993,
percentile interval).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

DRAWS = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """A 95 % interval; both limits are NaN where the figure is not defined, or rests on one patient."""

    low: float
    high: float


def bootstrap_interval(
    count: int,
    statistic: Callable[[np.ndarray], np.ndarray],
    seed: int = 0,
    strata: np.ndarray | None = None,
    persons: np.ndarray | None = None,
) -> Interval:
    """Interval of a statistic of `count` patients.

    :param statistic: gets how often each patient was drawn (draws, count) and returns a number for each draw (draws,);
        draws with NaN are left out, for example those without a patient of one class.
    :param strata: group of every patient (count,); each group keeps its size in every draw, and must have two patients.
        None: all are one group.
    :param persons: person of every entry (count,) where they are visits: those of a person are drawn together, without
        strata. None: every entry is a person.
    """
    if persons is not None:
        names, person = np.unique(persons, return_inverse=True)
        return bootstrap_interval(len(names), lambda drawn: statistic(drawn[:, person]), seed)
    rng = np.random.default_rng(seed)
    strata = np.zeros(count, dtype=int) if strata is None else strata
    groups = [np.flatnonzero(strata == group) for group in np.unique(strata)]
    if not groups or min(map(len, groups)) < 2:
        return Interval(float("nan"), float("nan"))
    drawn = np.empty((DRAWS, count))
    for group in groups:
        size = len(group)
        picks = rng.integers(size, size=(DRAWS, size)) + size * np.arange(DRAWS)[:, None]
        drawn[:, group] = np.bincount(picks.ravel(), minlength=DRAWS * size).reshape(DRAWS, size)
    return _percentiles(statistic(drawn))


def drawn_means(values: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """Mean of finite values (n,) for each draw of a bootstrap (draws,); NaN where nothing was drawn.

    :param drawn: how often each value was drawn (draws, n).
    """
    with np.errstate(invalid="ignore"):
        return (drawn * values).sum(axis=1) / drawn.sum(axis=1)


def group_means(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean of the values of each group, in the order of `np.unique(groups)`; NaN values count as absent.

    :param values, groups: (n,), such as those of slices and their patients.
    """
    place = np.unique(groups, return_inverse=True)[1]
    known = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.bincount(place, np.where(known, values, 0.0)) / np.bincount(place, known)


def known_mean(values: np.ndarray) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    values = values[~np.isnan(values)]
    return float(values.mean()) if len(values) else float("nan")


def mean_interval(values: np.ndarray, seed: int = 0) -> Interval:
    """Interval of the mean of one value per patient (n,); NaN values count as absent."""
    values = np.asarray(values, dtype=np.float64)
    values = values[~np.isnan(values)]
    if len(values) < 2:
        return Interval(float("nan"), float("nan"))
    picks = np.random.default_rng(seed).integers(len(values), size=(DRAWS, len(values)))
    return _percentiles(values[picks].mean(axis=1))


def _percentiles(values: np.ndarray) -> Interval:
    values = values[~np.isnan(values)]
    if not len(values):
        return Interval(float("nan"), float("nan"))
    tail = (1.0 - CONFIDENCE) / 2.0
    # "linear" would turn infinite values into NaN.
    low, high = np.quantile(values, (tail, 1.0 - tail), method="nearest")
    return Interval(float(low), float(high))
