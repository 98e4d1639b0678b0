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
from ..measure.check import FEWEST_SAMPLES
from ..measure.measurements import CAVEATS, TITLE, Measurements
from .columns import CaseColumns, Column
from .picture import png

if TYPE_CHECKING:
    from ..prediction import Prediction

_WITHHELD = "withheld"
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


def text_lines(prediction: "Prediction", measurements: Measurements | None = None) -> list[str]:
    """What the page says of one class, as lines of plain text."""
    name, chances, method, samples, shown = _class_row(prediction)
    lines = [SYNTHETIC_NOTICE, "", f"Survival class: {name}; probabilities: {chances}."]
    lines += [f"Expected image: {method}. Samples: {samples}. Shown as predicted: {shown}.", ""]
    if measurements is not None:
        found = _measured(measurements)
        names = ("Class", "Volume before", "Volume after", "Change", "Category by volume")
        names += ("Area before", "Area after", "Category by area")
        lines += [found["title"], ""]
        for row in found["rows"]:
            lines += [f"{title}: {cell}" for title, cell in zip(names, row, strict=True)] + [""]
        lines += [*found["check"], *found["withheld"], ""]
    return [*lines, *CAVEATS]


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
    return {
        "title": TITLE,
        "rows": _rows(measurements),
        "check": _check(measurements.record["check"]),
        "withheld": _withheld(measurements),
        "score_names": score_names,
        "scores": scores,
    }


def _rows(measurements: Measurements) -> list[list[str]]:
    rows = []
    for entry in measurements.record["classes"].values():
        withheld = entry["withheld"]
        volumes = [_WITHHELD] * 4 if withheld["volume"] else _volume_cells(entry)
        rows.append([entry["class"], *volumes, *([_WITHHELD] * 3 if withheld["area"] else _area_cells(entry))])
    return rows


def _volume_cells(entry: Mapping[str, Any]) -> list[str]:
    by_volume, change = entry["by_volume"], entry["volume_change"]
    category = _chances(by_volume, entry["samples"])
    if len(by_volume["possible_within_noise"]) > 1:
        category += f"; within noise: {' or '.join(by_volume['possible_within_noise'])}"
    if entry["area_and_volume_disagree"]:
        category += "; area and volume disagree"
    noise = by_volume["noise_band"]
    known = "-" if change is None else f"{change:+.0%}"
    still = change is not None and abs(change) <= noise
    return [
        f"{entry['volume_before_ml']:.1f} ml",
        _interval(entry["volume_after_ml"], ".1f", "ml"),
        f"{known}, within the noise of ±{noise:.0%}" if still else known,
        category,
    ]


def _area_cells(entry: Mapping[str, Any]) -> list[str]:
    return [
        f"{entry['area_before_mm2']:.0f} mm²" if entry["measurable"] else "not measurable",
        _interval(entry["area_after_mm2"], ".0f", "mm²"),
        _chances(entry["by_area"], entry["samples"]),
    ]


def _interval(value: Mapping[str, float | None], form: str, unit: str) -> str:
    """A mean with its interval, if there are samples enough for one."""
    mean, low, high = (value[key] for key in ("mean", "p10", "p90"))
    return f"{mean:{form}} {unit}" + ("" if low is None else f" ({low:{form}} to {high:{form}})")


def _check(check: Mapping[str, Any]) -> list[str]:
    """Sentences about what the measures say where the answer is known."""
    sentences = [
        f"Overlap of what enhances before treatment with the GTV: Dice {check['gtv_dice']:.2f}. Below "
        f"{check['lowest_gtv_dice']:.2f} nothing that rests on enhancement is shown."
    ]
    still = check["unchanged"]
    if still is not None:
        changes = {"volume": still["volume_change"], "area": still["area_change"]}
        known = [f"{what} {'not known' if change is None else f'{change:+.0%}'}" for what, change in changes.items()]
        categories = f"{still['category_by_volume']} by volume, {still['category_by_area']} by area"
        sentences.append(f"An image in which nothing changed would show: {', '.join(known)}; {categories}.")
    return sentences


def _withheld(measurements: Measurements) -> list[str]:
    """Reasons why measures are not shown, each once, in the order of the classes."""
    reasons = {}
    for entry in measurements.record["classes"].values():
        volume, area = entry["withheld"]["volume"], entry["withheld"]["area"]
        if volume:
            reasons[f"Volumes, areas and size categories are withheld. {volume}"] = None
        elif area:
            reasons[f"Areas and the category by area are withheld. {area}"] = None
    return list(reasons)


def _chances(category: Mapping[str, Any], samples: int) -> str:
    """Probabilities; too few samples have none."""
    count = f"{samples} sample{'s' if samples > 1 else ''}"
    if samples < FEWEST_SAMPLES:
        return f"indeterminate, {count}: {' or '.join(category['probabilities'])}"
    text = ", ".join(f"P({name}) = {chance:.0%}" for name, chance in category["probabilities"].items())
    return f"{text}, {count}" + ("; indeterminate" if category["indeterminate"] else "")


def _scores(measurements: Measurements) -> tuple[list[str], list[list[str]]]:
    """Names of the scores, and a row for each class and whoever was scored; empty without a true follow-up."""
    names, rows = [], []
    for entry in measurements.record["classes"].values():
        for who, score in entry.get("score", {}).items():
            names = [name.replace("_", " ") for name in score]
            rows.append([entry["class"], who.replace("_", " "), *map(_score, score.values())])
    return names, rows


def _score(value: float | None) -> str:
    return _WITHHELD if value is None else f"{value:.3f}"


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
