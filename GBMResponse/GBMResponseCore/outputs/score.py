"""The score of a run against its true follow-up, and the page of the log that it goes into."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .. import SYNTHETIC_NOTICE
from ..errors import ScoreLogError
from ..files import note_written, write_json, write_text
from ..measure.score_log import LoggedScore, ScoreLog, summaries
from ..measure.scoring import score
from ..setting import decided
from .folder import folder_in_use
from .report import page_template
from .report_words import pseudonym
from .write import SCORE, RunResult

_FEW_CASES = 10
_SIDE = 150
"""Of a plot, in units of the drawing."""


def write_score_again(result: RunResult, log: Path | None = None) -> dict[str, Path]:
    """Score a run that was read again; returns the files: `score.json`, and with a log its file, page and table.

    :param log: of the department, to which the score is added; its page and its table get its name.
    :raises ScoreLogError: there is no follow-up that shows the same head, or the log cannot be used.
    :raises OutputFolderError: a file cannot be written.
    """
    request, follow_up = result.request, result.slices.case.sources.get("follow-up")
    if follow_up is None:
        raise ScoreLogError("There is no true follow-up.", "Give it with --follow-up.")
    record = {"notice": SYNTHETIC_NOTICE, **score(result.slices, result.predictions, decided(result.measurements))}
    with folder_in_use(request.out):
        files = {"score": write_json(record, request.out / SCORE)}
    if log is None:
        return files
    known = {
        name: {**entry, "inputs_sha256": {**entry["inputs_sha256"], "follow-up": follow_up["sha256"]}}
        for name, entry in result.records.items()
    }
    book = ScoreLog(log)
    book.add(record, request.facts.case_id or pseudonym(next(iter(known.values()))), known)
    return files | {"log": log, **write_log(book)}


def write_log(log: ScoreLog) -> dict[str, Path]:
    """Write the page of a log and its table beside it.

    :raises OutputFolderError: a file cannot be written.
    """
    note_written(log.path)
    page, table = (log.path.with_suffix(suffix) for suffix in (".html", ".csv"))
    return {"log_page": write_log_page(log.rows(), page), "log_table": log.export(table)}


def write_log_page(rows: Sequence[LoggedScore], path: Path) -> Path:
    """Write what a department has learned about its models: calibration, reliability, skill.

    :raises OutputFolderError: it cannot be written.
    """
    page = page_template("log.html").render(
        notice=SYNTHETIC_NOTICE,
        groups=[_group(entry) for entry in summaries(rows)],
        rows=[_row(row) for row in rows],
        side=_SIDE,
    )
    return write_text(page, path)


def _group(summary: Mapping[str, Any]) -> dict[str, Any]:
    cases, shown = summary["cases"], summary["cases"] - summary["withheld"]
    few = f" These are few cases: {_FEW_CASES} or more say something." if cases < _FEW_CASES else ""
    return {
        "title": f"{summary['model']}, class {summary['class']}",
        "words": f"{cases} case{'s' if cases > 1 else ''}; volumes of {shown} may be shown to a reader.{few}",
        "plots": [
            {"title": "interval of the volume, all cases", "points": _points(summary["coverage"])},
            {"title": "the same, volumes that are shown", "points": _points(summary["coverage_shown"])},
            {"title": "probability of a category", "points": _points(summary["reliability"])},
        ],
        "skill": [
            [
                f"{entry['of'].replace('_', ' ')}, {entry['measure'].replace('_', ' ')}",
                f"{entry['median']:+.2f}",
                f"{round(entry['observed'] * entry['cases'])} of {entry['cases']}",
            ]
            for entry in summary["skill"]
        ],
        "margins": [
            [f"{entry['part']} of the prediction", f"{round(entry['observed'] * entry['cases'])} of {entry['cases']}"]
            for entry in summary["margins"]
        ],
    }


def _points(shares: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Points of a plot: said against observed, with the interval of what was observed."""
    return [
        {
            "x": round(_SIDE * entry["nominal"], 1),
            "y": round(_SIDE * (1 - entry["observed"]), 1),
            "low": round(_SIDE * (1 - entry["low"]), 1),
            "high": round(_SIDE * (1 - entry["high"]), 1),
            "words": f"said {entry['nominal']:.0%}, observed {entry['observed']:.0%} of {entry['cases']}",
        }
        for entry in shares
        if entry["observed"] is not None
    ]


def _row(row: LoggedScore) -> list[str]:
    record = row.record
    volumes = record["volume"]["samples_ml"]
    mean = f"{sum(volumes) / len(volumes):.1f}" if volumes else "–"
    chances = ", ".join(f"{name} {chance:.0%}" for name, chance in record["category"]["probabilities"].items())
    skill = record["skill"].get("expected_image", {}).get("mse_local", {}).get("value")
    return [
        row.scored_utc[:10],
        row.case_label,
        f"{row.model}, {row.survival_class}",
        f"{record['volume_before_ml']:.1f}",
        f"{mean} ({len(volumes)})",
        f"{record['true_volume_ml']:.1f}",
        chances or "–",
        record["true_category"],
        "–" if skill is None else f"{skill:+.2f}",
        "withheld" if row.withheld else "shown",
    ]
