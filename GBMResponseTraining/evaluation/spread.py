"""Is the spread of the samples right? Prediction intervals of a patient's enhancing volume against the true volume.

Volume: that of :mod:`.enhancement`, summed over the evaluated slices of a patient. Patients are persons: several visits
of one count once, with their mean.

Five to ten samples have no 2.5 % quantile, so an interval is that of :mod:`GBMResponseCore.measure.interval`, which a
user is shown: mean ± k t(n - 1) s sqrt(1 + 1/n) of log(volume + 0.5 ml), with the bundle's own factor k.
The rank of the truth among the samples assumes nothing: it falls into each third equally often if the spread is right,
into the middle third too rarely if it is too small.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from GBMResponseCore.measure.interval import prediction_interval

from .enhancement import Zone, enhancing_ml
from .held_out import HeldOut
from .statistics.bootstrap import group_means, mean_interval

FEWEST_SAMPLES = 5
LEVELS = (50, 80, 95)


def rank_thirds(truth: np.ndarray, samples: np.ndarray) -> np.ndarray:
    """Share of the truth's rank among the samples that lies in the lower, middle and upper third, (patients, 3).

    A truth between samples has one of n + 1 ranks, each as wide as the others; one that equals samples shares their
    ranks evenly. So the means over patients are 1/3 each if truth and samples are draws of one distribution.

    :param samples: (n, patients).
    """
    ranks = len(samples) + 1
    low = (samples < truth).sum(axis=0) / ranks
    high = ((samples <= truth).sum(axis=0) + 1) / ranks
    edges = np.array([0.0, 1.0, 2.0, 3.0]) / 3.0
    inside = np.clip(high[:, None], edges[:-1], edges[1:]) - np.clip(low[:, None], edges[:-1], edges[1:])
    return inside / (high - low)[:, None]


def evaluate_spread(
    slices: HeldOut, zones: Sequence[Zone], volumes: Mapping[str, np.ndarray], factors: Mapping[str, float]
) -> dict[str, Any] | None:
    """Calibration of the samples' spread of every model; None if no voxel's size is known.

    :param volumes: by model, of every sample and record (samples, records) in ml.
    :param factors: of the intervals, by model.
    :return: `patients` whose volume is known, `true_mean_ml`, `copy` and `models`.
    """
    truth = enhancing_ml(slices.post, slices, zones, true=True)
    copied = enhancing_ml(slices.pre, slices, zones)
    # A record of the split may have no slice in a selection.
    truth[np.setdiff1d(np.arange(len(truth)), slices.patient)] = np.nan
    known = ~np.isnan(truth)
    if not known.any():
        return None
    persons = slices.persons
    return {
        "patients": len(np.unique(persons[known])),
        "true_mean_ml": float(group_means(truth[known], persons[known]).mean()),
        "copy": volume_report(truth, copied, persons),
        "models": {name: spread_report(truth, samples, persons, factors[name]) for name, samples in volumes.items()},
    }


def spread_report(
    truth: np.ndarray, samples: np.ndarray, persons: np.ndarray | None = None, factor: float = 1.0
) -> dict[str, Any]:
    """Coverage, ranks and spread of one model.

    :param truth: volume of every record (records,) in ml; those with NaN are left out.
    :param samples: the same of every sample (n, records).
    :param persons: person of every record (records,); None: every record is a person.
    :param factor: of the intervals.
    :return: `interval_factor`; `coverage` by level in percent, `mean_sd_ml`, and of the samples' mean volume `mean_ml`
        and `mean_absolute_error_ml`, each with `value`, `ci_low`, `ci_high`; `rank_thirds`, see :func:`rank_thirds`.
    """
    known = ~np.isnan(truth)
    persons = (np.arange(len(truth)) if persons is None else persons)[known]
    truth, samples = truth[known], samples[:, known]
    coverage = {}
    for level in LEVELS:
        low, high = prediction_interval(samples, level / 100, factor)
        coverage[str(level)] = _figure((low <= truth) & (truth <= high), persons)
    mean = samples.mean(axis=0)
    thirds = rank_thirds(truth, samples)
    return {
        "interval_factor": factor,
        "coverage": coverage,
        "rank_thirds": [float(group_means(thirds[:, third], persons).mean()) for third in range(3)],
        "mean_sd_ml": _figure(samples.std(axis=0, ddof=1), persons),
        "mean_ml": _figure(mean, persons),
        "mean_absolute_error_ml": _figure(np.abs(mean - truth), persons),
    }


def volume_report(truth: np.ndarray, volume: np.ndarray, persons: np.ndarray | None = None) -> dict[str, Any]:
    """`mean_ml` and `mean_absolute_error_ml` of one volume of every record (records,), such as the copy's."""
    known = ~np.isnan(truth)
    persons = (np.arange(len(truth)) if persons is None else persons)[known]
    return {
        "mean_ml": _figure(volume[known], persons),
        "mean_absolute_error_ml": _figure(np.abs(volume - truth)[known], persons),
    }


def _figure(values: np.ndarray, persons: np.ndarray) -> dict[str, float]:
    """Mean over persons with its 95 % patient-bootstrap interval."""
    values = group_means(values.astype(np.float64), persons)
    interval = mean_interval(values)
    return {"value": float(np.mean(values)), "ci_low": interval.low, "ci_high": interval.high}
