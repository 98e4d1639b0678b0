"""The interval that holds a volume with some probability, told from a few samples."""

import numpy as np
from scipy import special

SOFTENING_ML = 0.5
"""Added to volumes before their logarithm is taken, so that one of 0 ml has one."""
_ROUNDING_ML = 1e-9


def prediction_interval(volumes_ml: np.ndarray, part: float, factor: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Student's interval that holds the next volume with this probability, of log(volume + 0.5 ml).

    Few samples have no 2.5 % quantile, so truth and samples are taken for normal draws. Equal volumes have an interval
    without width.

    :param volumes_ml: of samples (n, ...), n at least 2.
    :param factor: by which a bundle's samples lie too close together, fitted on its validation patients.
    :return: limits (...), ml.
    """
    logs = np.log(np.asarray(volumes_ml, np.float64) + SOFTENING_ML)
    spread = logs.std(axis=0, ddof=1) * np.sqrt(1.0 + 1.0 / len(logs))
    reach = factor * special.stdtrit(len(logs) - 1, 0.5 + part / 2) * spread
    low, high = (np.exp(logs.mean(axis=0) + sign * reach) - SOFTENING_ML for sign in (-1, 1))
    return np.maximum(0.0, low - _ROUNDING_ML), high + _ROUNDING_ML
