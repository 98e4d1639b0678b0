"""Proper scores of probabilistic predictions: a forecaster cannot win by blurring, or by claiming more than is known.

All but AUC and average precision are errors: smaller is better. `scoringrules` 0.10 gives the same values; these few
lines spare a dependency.

Gneiting and Raftery 2007, doi 10.1198/016214506000001437 (CRPS, energy, Brier and logarithmic score); Ferro 2014,
doi 10.1002/qj.2270 (fair scores of ensembles).
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.special import ndtr
from scipy.stats import rankdata


def fair_crps(members: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Fair continuous ranked probability score of ensembles (...,).

    mean |x - y| - sum over i, j of |x_i - x_j| / (2 m (m - 1)): its expectation does not depend on the number of
    members. One member has no pairs: its score is the absolute error.

    :param members: (m, ...), draws.
    :param truth: (...,).
    """
    count = len(members)
    error = np.abs(members - truth).mean(axis=0)
    if count == 1:
        return error
    weights = 2.0 * np.arange(1, count + 1) - count - 1.0
    return error - np.tensordot(weights, np.sort(members, axis=0), axes=1) / (count * (count - 1))


def gaussian_crps(mean: np.ndarray, sd: float, truth: np.ndarray) -> np.ndarray:
    """CRPS of normal distributions in closed form (...,); the absolute error for SD 0.

    :param mean, truth: (...,).
    """
    error = np.abs(truth - mean)
    if sd == 0:
        return error
    z = error / sd
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    return sd * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - 1.0 / np.sqrt(np.pi))


def energy_score(members: np.ndarray, truth: np.ndarray) -> float:
    """Fair energy score of an ensemble of vectors, divided by the root of their length.

    mean ||x - y|| - sum over i, j of ||x_i - x_j|| / (2 m (m - 1)), over sqrt(n): in the unit of a pixel whatever the
    size of the area. One member has no pairs.

    :param members: (m, n).
    :param truth: (n,); an empty one gives NaN.
    """
    count, length = members.shape
    if not length:
        return float("nan")
    score = np.linalg.norm(members - truth, axis=1).mean()
    if count > 1:
        pairs = sum(np.linalg.norm(members[k + 1 :] - members[k], axis=1).sum() for k in range(count - 1))
        score -= pairs / (count * (count - 1))
    return float(score / np.sqrt(length))


def brier_score(probability: np.ndarray, event: np.ndarray) -> float:
    """Mean of (p - y)^2, of the probabilities as they are shown; NaN of nothing.

    :param probability, event: (n,).
    """
    return float(((probability - event) ** 2).mean()) if len(event) else float("nan")


def roc_auc(probability: np.ndarray, event: np.ndarray) -> float:
    """Probability that an event is given more than a non-event, ties half (Mann-Whitney); NaN if either is missing.

    :param probability, event: (n,).
    """
    event = event.astype(bool)
    positive, negative = int(event.sum()), int((~event).sum())
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(probability)[event].sum()
    return float((ranks - positive * (positive + 1) / 2.0) / (positive * negative))


def average_precision(probability: np.ndarray, event: np.ndarray) -> float:
    """Sum of precision times gain in recall over the distinct probabilities, highest first; NaN without event.

    :param probability, event: (n,).
    """
    event = event.astype(bool)
    if not event.any():
        return float("nan")
    order = np.argsort(-probability, kind="stable")
    last_of_tie = np.append(np.flatnonzero(np.diff(probability[order])), len(order) - 1)
    found = np.cumsum(event[order])[last_of_tie]
    precision = found / (last_of_tie + 1.0)
    return float((np.diff(found, prepend=0) * precision).sum() / event.sum())


def log_score(counts: Mapping[str, float], names: Sequence[str], truth: str) -> float:
    """Logarithmic score, -ln p(truth), of the categories of an ensemble.

    Half a count is added to every category (Krichevsky and Trofimov 1981), so that one that no member has is not
    impossible.

    :param counts: members in each category.
    :param names: all categories.
    """
    total = sum(counts.get(name, 0) for name in names) + 0.5 * len(names)
    return float(-np.log((counts.get(truth, 0) + 0.5) / total))
