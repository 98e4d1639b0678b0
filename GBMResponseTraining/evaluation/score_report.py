"""What the proper scores of an evaluation say, as JSON: means, skill against the best baseline, tests, sentences."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from .held_out import HeldOut
from .metrics.image import summarize_values
from .scores import APPEARANCE, HIGHER_IS_BETTER, SCORES, ScoredRow
from .statistics.paired_tests import paired_tests
from .statistics.skill import skill_against_best

BEST_BASELINE = "best baseline"
KINDS = ("baseline", "model", "truth")
"""Of rows, in the order of the tables."""
TITLES = {
    "crps_gtv": "CRPS in GTV",
    "crps_region": "CRPS in region",
    "mse_local": "MSE local",
    "energy": "energy score",
    "brier": "Brier score",
    "auc": "AUC",
    "average_precision": "average precision",
    "crps_volume": "CRPS of volume, ml",
    "log_score": "log score of category",
    "sharpness_ratio": "sharpness ratio",
    "skull_shift": "skull shift, px",
    "skull_jitter": "skull jitter, px",
    "gain_drift": "gain drift",
    "flicker_ratio": "flicker ratio",
}


def scores_report(
    rows: Sequence[ScoredRow], slices: HeldOut, fitted: dict[str, Any] | None, samples: int
) -> dict[str, Any]:
    """The scores of baselines and models.

    :param rows: baselines and models with the scores that they have.
    :param fitted: what the baselines know, see :class:`.results.EvaluationResult`.
    :return: `samples`, `fitted`, `rows` by name with `kind`, `scores` (means and intervals) and, of models, `skill`;
        `paired_tests` of every two models and of each with the best baseline; `sentences` where a baseline wins.
    """
    rows = sorted(rows, key=lambda row: KINDS.index(row.kind))
    means = {row.name: row.per_patient(slices) for row in rows}
    models = [row for row in rows if row.kind == "model"]
    baselines = [row for row in rows if row.kind == "baseline"]
    content = {}
    for row in rows:
        entry: dict[str, Any] = {"kind": row.kind, "scores": _summaries(row, means[row.name])}
        if row.kind == "model":
            entry["skill"] = {name: _skill(name, row, baselines, means) for name in SCORES}
        content[row.name] = entry
    return {
        "samples": samples,
        "fitted": fitted,
        "rows": content,
        "paired_tests": _tests(models, means, content),
        "sentences": [sentence for row in models for sentence in sentences(row.name, content[row.name]["skill"])],
    }


def sentences(model: str, skill: dict[str, dict[str, Any]]) -> list[str]:
    """Where a baseline is at least as good as the model, and where nothing shows that it is not."""
    known = {name: values for name, values in skill.items() if values["baseline"] and np.isfinite(values["value"])}
    lost: dict[str, list[str]] = {}
    unclear: list[str] = []
    for name, values in known.items():
        if values["value"] <= 0:
            lost.setdefault(values["baseline"], []).append(TITLES[name])
        elif not beats(values):
            unclear.append(TITLES[name])
    found = [f"**The {other} is at least as good as {model} in {', '.join(names)}.**" for other, names in lost.items()]
    if unclear:
        found.append(f"Nothing shows that {model} is better than the best baseline in {', '.join(unclear)}.")
    if known and not found:
        found.append(f"{model} is better than the best baseline in every score.")
    return found


def beats(skill: dict[str, Any]) -> bool:
    """Whether a model is better than the best baseline: the interval of its skill lies above 0."""
    return skill["ci_low"] is not None and skill["ci_low"] > 0


def _skill(
    name: str, model: ScoredRow, baselines: Sequence[ScoredRow], means: dict[str, dict[str, np.ndarray]]
) -> dict[str, Any]:
    others = {row.name: _error(name, means[row.name][name]) for row in baselines if name in means[row.name]}
    return skill_against_best(_error(name, means[model.name][name]), others)


def _error(name: str, values: np.ndarray) -> np.ndarray:
    return 1.0 - values if name in HIGHER_IS_BETTER else values


def _summaries(row: ScoredRow, per_patient: dict[str, np.ndarray]) -> dict[str, dict[str, float]]:
    """Of slices, or of records for a score that slices do not have, and of patients."""
    return {
        name: summarize_values(_values(row, name), per_patient[name])
        for name in (*SCORES, *APPEARANCE)
        if name in per_patient
    }


def _values(row: ScoredRow, name: str) -> np.ndarray:
    if row.per_slice and name in row.per_slice[0]:
        return np.array([entry[name] for entry in row.per_slice])
    return row.per_record[name]


def _tests(
    models: Sequence[ScoredRow], means: dict[str, dict[str, np.ndarray]], content: dict[str, dict[str, Any]]
) -> list[dict[str, Any]]:
    compared = {row.name: {name: means[row.name][name] for name in SCORES} for row in models}
    tests = []
    names = list(compared)
    pairs = [(first, second) for index, second in enumerate(names) for first in names[index + 1 :]]
    best = {}
    for model in names:
        title = f"{BEST_BASELINE} of {model}"
        skill = content[model]["skill"]
        best[title] = {
            name: means[values["baseline"]][name] for name, values in skill.items() if values["baseline"] is not None
        }
        pairs.append((model, title))
    for test in paired_tests({**compared, **best}, pairs):
        entry = asdict(test)
        interval = entry.pop("interval")
        if entry["second"] in best:
            entry["second"] = content[entry["first"]]["skill"][entry["metric"]]["baseline"]
        tests.append({**entry, "ci_low": interval["low"], "ci_high": interval["high"]})
    return tests
