"""Skill: how much of a baseline's error a prediction removes.

skill = 1 - error / error of the baseline, each error the mean over patients. 1 is perfect, 0 is as good as the
baseline, less is worse. Errors are MSE, MSE local, LPIPS, 1 - SSIM and 1 - SSIM local; PSNR, a logarithm, has none.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .bootstrap import bootstrap_interval, drawn_means

NAMES = ("ssim", "ssim_local", "lpips", "mse", "mse_local")


def skills(
    patient_means: Mapping[str, np.ndarray], copy_means: Mapping[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Skill of each metric, with its 95 % patient-bootstrap interval.

    :param patient_means, copy_means: metric -> one value per patient (n,), patients in one order.
    :return: metric -> `value`, `ci_low`, `ci_high`; NaN where the copy has no error.
    """
    result = {}
    for name in NAMES:
        if name not in patient_means:
            continue
        errors, copied = _errors(name, patient_means[name]), _errors(name, copy_means[name])
        known = np.isfinite(errors) & np.isfinite(copied)
        errors, copied = errors[known], copied[known]

        def skill(drawn: np.ndarray, errors: np.ndarray = errors, copied: np.ndarray = copied) -> np.ndarray:
            return _removed(drawn_means(errors, drawn), drawn_means(copied, drawn))

        interval = bootstrap_interval(len(errors), skill)
        value = skill(np.ones((1, len(errors))))[0]
        result[name] = {"value": float(value), "ci_low": interval.low, "ci_high": interval.high}
    return result


def skills_against_best(
    patient_means: Mapping[str, np.ndarray], baselines: Mapping[str, Mapping[str, np.ndarray]]
) -> dict[str, dict[str, Any]]:
    """Skill of each metric against the best baseline in it, see :func:`skill_against_best`.

    :param patient_means: metric -> one value per patient (n,), patients in one order; of every baseline by its name.
    """
    return {
        name: skill_against_best(
            _errors(name, patient_means[name]),
            {other: _errors(name, means[name]) for other, means in baselines.items()},
        )
        for name in NAMES
        if name in patient_means
    }


def _removed(error: np.ndarray, baseline: np.ndarray) -> np.ndarray:
    """1 - error / baseline; NaN where the baseline has no error."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(baseline > 0, 1.0 - error / baseline, np.nan)


def _errors(name: str, values: np.ndarray) -> np.ndarray:
    return 1.0 - values if name.startswith("ssim") else values


def skill_against_best(errors: np.ndarray, baselines: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Skill against the best of several baselines: 1 - error / smallest error of a baseline.

    The best baseline is found again in every draw of the bootstrap, so that its choice is part of the uncertainty.

    :param errors: one value per patient (n,), smaller is better.
    :param baselines: the same of every baseline. Patients count who have a value everywhere; a baseline without any
        value does not count.
    :return: `value`, `ci_low`, `ci_high`, NaN where nothing can be compared; `baseline`, the best one's name or None;
        `patients`, the number that was compared.
    """
    others = {name: values for name, values in baselines.items() if np.isfinite(values).any()}
    table = np.stack([errors, *others.values()])
    table = table[:, np.isfinite(table).all(axis=0)]
    count = table.shape[1]

    def skill(drawn: np.ndarray) -> np.ndarray:
        error, *rest = (drawn_means(values, drawn) for values in table)
        return _removed(error, np.min(rest, axis=0))

    if not others or not count:
        return {"value": float("nan"), "ci_low": float("nan"), "ci_high": float("nan"), "baseline": None, "patients": 0}
    interval = bootstrap_interval(count, skill)
    return {
        "value": float(skill(np.ones((1, count)))[0]),
        "ci_low": interval.low,
        "ci_high": interval.high,
        "baseline": list(others)[int(table[1:].mean(axis=1).argmin())],
        "patients": count,
    }
