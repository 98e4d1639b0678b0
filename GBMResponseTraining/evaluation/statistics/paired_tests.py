"""Is one configuration better than another? Paired tests over patients, not slices.

For each metric and each pair of rows, the difference of the two patient means is taken for every patient. Reported are
the mean difference with its 95 % patient-bootstrap interval, the two-sided Wilcoxon signed-rank test, the matched-pairs
rank-biserial correlation (sum of the ranks of positive minus negative differences, over the sum of all; -1...1), and
the p-value after Holm's correction over all pairs of one metric.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata, wilcoxon

from .bootstrap import Interval, mean_interval


@dataclass(frozen=True)
class PairedTest:
    """Comparison of two rows in one metric; the difference is `first` minus `second`."""

    metric: str
    first: str
    second: str
    patients: int
    difference: float
    interval: Interval
    rank_biserial: float
    p: float
    p_holm: float


def paired_tests(
    patient_means: Mapping[str, Mapping[str, np.ndarray]], pairs: Sequence[tuple[str, str]]
) -> list[PairedTest]:
    """Compare pairs of rows in every metric that both have.

    :param patient_means: row -> metric -> one value per patient (n,), patients in one order.
    :param pairs: names of the rows to compare.
    """
    tests = []
    metrics = dict.fromkeys(metric for columns in patient_means.values() for metric in columns)
    for metric in metrics:
        compared = [(a, b) for a, b in pairs if metric in patient_means[a] and metric in patient_means[b]]
        differences = [_finite_difference(patient_means[a][metric], patient_means[b][metric]) for a, b in compared]
        p_values = [_wilcoxon_p(values) for values in differences]
        for pair, values, p, corrected in zip(compared, differences, p_values, holm(p_values), strict=True):
            mean = float(values.mean()) if len(values) else float("nan")
            tests.append(
                PairedTest(
                    metric, *pair, len(values), mean, mean_interval(values), _rank_biserial(values), p, corrected
                )
            )
    return tests


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction; the order of the values is kept."""
    corrected = [0.0] * len(p_values)
    largest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        largest = max(largest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = largest
    return corrected


def _finite_difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Differences of the patients whose two values are finite."""
    known = np.isfinite(first) & np.isfinite(second)
    return first[known] - second[known]


def _wilcoxon_p(differences: np.ndarray) -> float:
    """1 where nothing differs, or nobody is left."""
    changed = differences[differences != 0]
    return float(wilcoxon(changed).pvalue) if len(changed) else 1.0


def _rank_biserial(differences: np.ndarray) -> float:
    changed = differences[differences != 0]
    if not len(changed):
        return 0.0
    ranks = rankdata(np.abs(changed))
    return float((ranks * np.sign(changed)).sum() / ranks.sum())
