"""Is the spread of the samples right? Prediction intervals of a patient's enhancing volume against the true volume.

Volume: pixels that :func:`.class_effect.enhancing_pixels` counts, times the size of a voxel, summed over the evaluated
slices of a patient; the truth is the true follow-up measured by the same rule.

Five to ten samples have no 2.5 % quantile, so an interval assumes that truth and samples are normal draws of one
distribution of log(volume + 0.5 ml): mean ± t(n - 1) s sqrt(1 + 1/n), Student's prediction interval of one more draw.
The rank of the truth among the samples assumes nothing: it falls into each third equally often if the spread is right,
into the middle third too rarely if it is too small.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from .class_effect import Zone, enhancing_pixels
from .held_out import HeldOut
from .statistics.bootstrap import mean_interval

FEWEST_SAMPLES = 5
LEVELS = (50, 80, 95)
OFFSET_ML = 0.5

_ROUNDING = 1e-9


def voxel_ml(record: Mapping[str, Any]) -> float:
    """Volume of a pixel of a patient's slices in ml; NaN if the record does not know its size.

    :param record: `stack_spacing_mm`, or `spacing_mm` and at least two `slice_positions_mm`.
    """
    stated = record.get("stack_spacing_mm")
    if stated:
        return float(np.prod(stated)) / 1000.0
    steps = np.diff(np.asarray(record["slice_positions_mm"], dtype=np.float64))
    if record.get("spacing_mm") is None or not len(steps):
        return float("nan")
    return float(record["spacing_mm"]) ** 2 * float(steps.min()) / 1000.0


def enhancing_ml(images: np.ndarray, slices: HeldOut, zones: Sequence[Zone]) -> np.ndarray:
    """Enhancing volume of every patient (patients,) in ml; NaN where the size of a voxel is not known."""
    counts = enhancing_pixels(images, slices, zones)
    pixels = np.bincount(slices.patient, weights=counts, minlength=len(slices.records))
    return pixels * np.array([voxel_ml(record) for record in slices.records])


def prediction_interval(samples: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Student's prediction interval of one more draw.

    :param samples: (n, patients), n at least 2.
    :param level: in percent.
    :return: limits (patients,).
    """
    count = len(samples)
    t = stats.t.ppf(0.5 + level / 200.0, count - 1)
    half = t * samples.std(axis=0, ddof=1) * np.sqrt(1.0 + 1.0 / count)
    mean = samples.mean(axis=0)
    return mean - half, mean + half


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


def evaluate_spread(slices: HeldOut, zones: Sequence[Zone], volumes: Mapping[str, np.ndarray]) -> dict[str, Any] | None:
    """Calibration of the samples' spread of every model; None if no voxel's size is known.

    :param volumes: by model, of every sample and patient (samples, patients) in ml.
    :return: `patients` whose volume is known, `true_mean_ml`, `copy` and `models`.
    """
    truth, copied = (enhancing_ml(images, slices, zones) for images in (slices.post, slices.pre))
    # A record of the split may have no slice in a selection.
    truth[np.setdiff1d(np.arange(len(truth)), slices.patient)] = np.nan
    known = int((~np.isnan(truth)).sum())
    if not known:
        return None
    return {
        "patients": known,
        "true_mean_ml": float(np.nanmean(truth)),
        "copy": volume_report(truth, copied),
        "models": {name: spread_report(truth, samples) for name, samples in volumes.items()},
    }


def spread_report(truth: np.ndarray, samples: np.ndarray) -> dict[str, Any]:
    """Coverage, ranks and spread of one model.

    :param truth: volume of every patient (patients,) in ml; patients with NaN are left out.
    :param samples: the same of every sample (n, patients).
    :return: `coverage` by level in percent, `mean_sd_ml`, and of the samples' mean volume `mean_ml` and
        `mean_absolute_error_ml`, each with `value`, `ci_low`, `ci_high`; `rank_thirds`, means of :func:`rank_thirds`.
    """
    known = ~np.isnan(truth)
    truth, samples = truth[known], samples[:, known]
    log_truth, log_samples = np.log(truth + OFFSET_ML), np.log(samples + OFFSET_ML)
    coverage = {}
    for level in LEVELS:
        low, high = prediction_interval(log_samples, level)
        coverage[str(level)] = _figure((low - _ROUNDING <= log_truth) & (log_truth <= high + _ROUNDING))
    mean = samples.mean(axis=0)
    return {
        "coverage": coverage,
        "rank_thirds": [float(share) for share in rank_thirds(truth, samples).mean(axis=0)],
        "mean_sd_ml": _figure(samples.std(axis=0, ddof=1)),
        "mean_ml": _figure(mean),
        "mean_absolute_error_ml": _figure(np.abs(mean - truth)),
    }


def volume_report(truth: np.ndarray, volume: np.ndarray) -> dict[str, Any]:
    """`mean_ml` and `mean_absolute_error_ml` of one volume of every patient (patients,), such as the copy's."""
    known = ~np.isnan(truth)
    return {
        "mean_ml": _figure(volume[known]),
        "mean_absolute_error_ml": _figure(np.abs(volume - truth)[known]),
    }


def _figure(values: np.ndarray) -> dict[str, float]:
    """Mean over patients with its 95 % patient-bootstrap interval."""
    interval = mean_interval(values)
    return {"value": float(np.mean(values)), "ci_low": interval.low, "ci_high": interval.high}
