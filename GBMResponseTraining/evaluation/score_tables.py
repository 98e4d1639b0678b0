"""The tables of the proper scores: `scores.md`, and the values of every slice, patient and test as CSV."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.files import write_csv, write_json, write_text

from .held_out import HeldOut, patient_ids
from .score_report import TITLES, beats
from .scores import APPEARANCE, HIGHER_IS_BETTER, SCORES, ScoredRow
from .spread import LEVELS
from .tables import data_sentence, formatted, join_parts, markdown_table, note_list, with_interval

FITTED = "baselines.json"

_FORMS = {
    "auc": "{:.3f}", "average_precision": "{:.3f}", "crps_volume": "{:.2f}", "log_score": "{:.3f}",
    "sharpness_ratio": "{:.2f}", "skull_shift": "{:.2f}", "skull_jitter": "{:.2f}", "gain_drift": "{:.3f}",
    "flicker_ratio": "{:.2f}",
}  # fmt: skip
_STATISTICS = ("mean", "sd", "patient_mean", "patient_sd", "ci_low", "ci_high")
_TEST_COLUMNS = (
    "metric", "first", "second", "patients", "difference", "ci_low", "ci_high", "rank_biserial", "p", "p_holm",
)  # fmt: skip


def write_scores(report: Mapping[str, Any], rows: Sequence[ScoredRow], slices: HeldOut, out: Path) -> None:
    """Write `scores.md`, its figures as `scores*.csv`, and what the baselines know.

    :param rows: with the scores of every slice.
    :raises OutputFolderError: if a file cannot be written.
    """
    scores = report["scores"]
    write_text(scores_markdown(report), out / "scores.md")
    lines = []
    for name, row in scores["rows"].items():
        for score, values in row["scores"].items():
            skill = row.get("skill", {}).get(score, {})
            gained = [skill.get(key) for key in ("value", "ci_low", "ci_high", "baseline")]
            lines.append([name, row["kind"], score, *(values[key] for key in _STATISTICS), *gained])
    columns = ["model", "kind", "score", *_STATISTICS, "skill", "skill_ci_low", "skill_ci_high", "best_baseline"]
    write_csv(columns, lines, out / "scores.csv")
    _write_values(rows, slices, out)
    tests = [[test[column] for column in _TEST_COLUMNS] for test in scores["paired_tests"]]
    write_csv(_TEST_COLUMNS, tests, out / "scores_tests.csv")
    write_json(scores["fitted"], out / FITTED)


def scores_markdown(report: Mapping[str, Any]) -> str:
    """Where baselines win, the scores, skill against the best baseline, and appearance."""
    parts = [
        "# Proper scores",
        f"**{SYNTHETIC_NOTICE}** All predictions are synthetic.",
        data_sentence(report),
        scores_text(report),
        sentence_list(report),
        "Means over patients with 95 % patient-bootstrap intervals; bold: better than the best baseline.",
        score_table(report),
        "## Skill against the best baseline",
        "1 - error / error of the best baseline, in brackets its 95 % patient-bootstrap interval and that baseline: 1 "
        "is perfect, 0 as good as the best baseline, below 0 worse. Bold where the interval lies above 0. The error of "
        "AUC and average precision is what they lack to 1.",
        best_baseline_table(report),
        "## Coverage of the enhancing volume",
        coverage_text(report),
        "## Appearance",
        "Descriptions, no scores. Sharpness and flicker: 1 is as the true follow-up. Skull and gain: against the "
        "pre-treatment slice outside the tumor, where the row of the true follow-up shows what registration and "
        "scanner leave.",
        appearance_table(report),
        note_list(report),
    ]
    return join_parts(parts)


def scores_text(report: Mapping[str, Any]) -> str:
    """What was scored, and what the baselines know."""
    scores = report["scores"]
    blur, training = scores["fitted"]["blur"], scores["fitted"]["training"]
    blurs = ", ".join(f"{TITLES[name]} {sigma:g}" for name, sigma in blur["sigma"].items())
    text = (
        f"Scores of {scores['samples']} samples per slice that blur cannot win, beside baselines without a model. "
        f"Their blur, spread and calibration are chosen in hindsight, as suits these very slices best: {blurs} pixels."
    )
    if training is None:
        return (
            f"{text} **There were no training patients: base rate and usual changes are missing, so the best baseline "
            "is weaker than it could be.**"
        )
    return (
        f"{text} Base rate and usual changes of {training['patients']} {training['split']} patients, "
        f"{training['slices']} slices."
    )


def sentence_list(report: Mapping[str, Any]) -> str:
    """Where a baseline wins, as a list."""
    return "\n".join(f"- {sentence}" for sentence in report["scores"]["sentences"])


def score_table(report: Mapping[str, Any]) -> str:
    """Means over patients [95 % interval] of every score."""
    return _table(report, SCORES)


def appearance_table(report: Mapping[str, Any]) -> str:
    """Means over patients [95 % interval] of what slices look like."""
    return _table(report, APPEARANCE)


def best_baseline_table(report: Mapping[str, Any]) -> str:
    """Skill of every model [95 % interval] (best baseline)."""
    rows = []
    for name, row in report["scores"]["rows"].items():
        if row["kind"] == "model":
            rows.append([name, *(_skill_cell(row["skill"][score]) for score in SCORES)])
    return markdown_table(["model", *(TITLES[score] for score in SCORES)], rows)


def coverage_text(report: Mapping[str, Any]) -> str:
    """How often prediction intervals hold the true volume."""
    spread = report["spread"]
    if spread is None:
        return "Prediction intervals take 5 samples or more, and the size of the voxels."
    rows = [
        [name, *(with_interval(values["coverage"][str(level)], "value", "{:.0%}") for level in LEVELS)]
        for name, values in spread["models"].items()
    ]
    table = markdown_table(["model", *(f"{level} % interval" for level in LEVELS)], rows)
    return f"Share of patients whose true volume lies in the interval of the samples, as in `spread.md`.\n\n{table}"


def _table(report: Mapping[str, Any], names: Sequence[str]) -> str:
    rows = []
    for name, row in report["scores"]["rows"].items():
        cells = [_score_cell(row, score) for score in names]
        if any(cell != "–" for cell in cells):
            rows.append([name, *cells])
    titles = [f"{TITLES[name]}{_arrow(name)}" for name in names]
    return markdown_table(["model", *titles], rows)


def _arrow(name: str) -> str:
    if name not in SCORES:
        return ""
    return " ↑" if name in HIGHER_IS_BETTER else " ↓"


def _score_cell(row: dict[str, Any], name: str) -> str:
    values = row["scores"].get(name)
    if values is None or values["patient_mean"] is None:
        return "–"
    form = _FORMS.get(name, "{:.4f}")
    mean, low, high = (formatted(form, values[key]) for key in ("patient_mean", "ci_low", "ci_high"))
    bold = "**" if name in row.get("skill", {}) and beats(row["skill"][name]) else ""
    return f"{bold}{mean}{bold} [{low}, {high}]"


def _skill_cell(skill: dict[str, Any]) -> str:
    if skill["baseline"] is None or skill["value"] is None:
        return "–"
    text = with_interval(skill, "value", "{:.3f}")
    return f"{f'**{text}**' if beats(skill) else text} ({skill['baseline']})"


def _write_values(rows: Sequence[ScoredRow], slices: HeldOut, out: Path) -> None:
    names = (*SCORES, *APPEARANCE)
    by_slice = [name for name in names if any(name in row.per_slice[0] for row in rows)]
    ids, lines, patient_lines = patient_ids(slices), [], []
    first_of_person = [int((slices.person == person).argmax()) for person in sorted(set(slices.person.tolist()))]
    for row in rows:
        for k, values in enumerate(row.per_slice):
            place = [row.name, ids[k], float(slices.positions_mm[k])]
            lines.append([*place, *(_cell(values.get(name)) for name in by_slice)])
        means = row.per_patient(slices)
        for k, index in enumerate(first_of_person):
            cells = [_cell(means[name][k]) if name in means else None for name in names]
            patient_lines.append([row.name, ids[index], *cells])
    write_csv(["model", "patient", "position_mm", *by_slice], lines, out / "scores_per_slice.csv")
    write_csv(["model", "patient", *names], patient_lines, out / "scores_per_patient.csv")


def _cell(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)
