"""One self-contained page about a prediction: pictures, measurements, provenance and caveats.

The page loads nothing from anywhere, runs no script and holds no names of files or patients.
"""

from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from .. import SYNTHETIC_NOTICE
from ..files import write_text
from ..measure.measurements import CAVEATS, TITLE, Measurements
from .columns import CaseColumns, Column
from .picture import png

if TYPE_CHECKING:
    from ..prediction import Prediction

_TEMPLATES = Path(__file__).with_name("templates")


def write_report(
    path: Path,
    columns: CaseColumns,
    predictions: Mapping[str, "Prediction"],
    records: Mapping[str, Mapping[str, Any]],
    measurements: Measurements | None = None,
) -> Path:
    """Write the page.

    :param columns: pictures of the case.
    :param predictions: of the case with one model, by the class that was asked for.
    :param records: the provenance of each.
    :raises OutputFolderError: it cannot be written.
    """
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = _shown(columns, predictions)
    page = environment.get_template("report.html").render(
        notice=SYNTHETIC_NOTICE,
        classes=[_class_row(prediction) for prediction in predictions.values()],
        class_notes=sorted({choice.class_choice.note for choice in predictions.values()} - {""}),
        titles=[column.title for column in shown],
        slices=[
            (index, [_embedded(column.pictures[line]) for column in shown])
            for line, index in enumerate(columns.indices)
        ],
        measured=None if measurements is None else _measured(measurements),
        caveats=CAVEATS,
        records=[{"name": name, "rows": _flat(record)} for name, record in records.items()],
    )
    return write_text(page, path)


def _class_row(prediction: "Prediction") -> list[str]:
    choice = prediction.class_choice
    chances = ", ".join(f"{name} {chance:.0%}" for name, chance in choice.probabilities.items())
    shown = [f"{choice.name} ({choice.class_source})", chances or "-"]
    return [*shown, prediction.expected_method, str(len(prediction.samples)), prediction.predicted_name]


def _shown(columns: CaseColumns, predictions: Mapping[str, "Prediction"]) -> list[Column]:
    shown = [columns.before]
    for prediction in predictions.values():
        shown += columns.of_prediction(prediction)
    return shown if columns.truth is None else [*shown, columns.truth]


def _embedded(picture: np.ndarray) -> str:
    """Base64 of its PNG file."""
    return b64encode(png(picture)).decode("ascii")


def _measured(measurements: Measurements) -> dict[str, Any]:
    score_names, scores = _scores(measurements)
    return {"title": TITLE, "rows": _rows(measurements), "score_names": score_names, "scores": scores}


def _rows(measurements: Measurements) -> list[list[str]]:
    rows = []
    for entry in measurements.record["classes"].values():
        if "withheld" in entry:
            rows.append([entry["class"], f"{entry['volume_before_ml']:.1f} ml", entry["withheld"], *["-"] * 5])
            continue
        by_volume, by_area = entry["by_volume"], entry["by_area"]
        category = _chances(by_volume["probabilities"], entry["samples"])
        if by_volume["indeterminate"]:
            category += f"; indeterminate within noise: {' or '.join(by_volume['possible_within_noise'])}"
        if entry["area_and_volume_disagree"]:
            category += "; area and volume disagree"
        volume, area = entry["volume_after_ml"], entry["area_after_mm2"]
        rows.append(
            [
                entry["class"],
                f"{entry['volume_before_ml']:.1f} ml",
                f"{volume['mean']:.1f} ml ({volume['p10']:.1f} to {volume['p90']:.1f})",
                "-" if entry["volume_change"] is None else f"{entry['volume_change']:+.0%}",
                category,
                f"{entry['area_before_mm2']:.0f} mm²" if entry["measurable"] else "not measurable",
                f"{area['mean']:.0f} mm² ({area['p10']:.0f} to {area['p90']:.0f})",
                _chances(by_area["probabilities"], entry["samples"]),
            ]
        )
    return rows


def _chances(probabilities: Mapping[str, float], samples: int) -> str:
    text = ", ".join(f"P({name}) = {chance:.0%}" for name, chance in probabilities.items())
    return f"{text}, {samples} sample{'s' if samples > 1 else ''}"


def _scores(measurements: Measurements) -> tuple[list[str], list[list[str]]]:
    """Names of the scores, and a row for each class and whoever was scored; empty without a true follow-up."""
    names, rows = [], []
    for entry in measurements.record["classes"].values():
        for who, score in entry.get("score", {}).items():
            names = [name.replace("_", " ") for name in score]
            rows.append([entry["class"], who.replace("_", " "), *(f"{value:.3f}" for value in score.values())])
    return names, rows


def _flat(record: Mapping[str, Any], prefix: str = "") -> list[list[str]]:
    rows = []
    for name, value in record.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}: ")
        elif isinstance(value, list):
            rows.append([prefix + name, ", ".join(str(entry) for entry in value) or "-"])
        else:
            rows.append([prefix + name, str(value)])
    return rows
