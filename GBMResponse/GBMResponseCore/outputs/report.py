"""One self-contained page about a prediction that prints to A4: the answer first, then what it rests on.

The page loads nothing from anywhere, runs no script and holds no names of files or patients but what the user gives.
Its twin `report.json` holds all of its texts and figures.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from .. import SYNTHETIC_NOTICE
from ..files import write_json, write_text
from ..measure.guard import judge_case
from ..measure.measurements import Measurements
from ..model.manifest import Manifest
from ..request import CaseFacts
from .columns import CaseColumns, Column
from .picture import heat_gradient, png
from .reformats import reformats
from .report_provenance import provenance_rows
from .report_words import answers, better_here, case_rows, caveats, measured, planning_words
from .trust import trust

if TYPE_CHECKING:
    from ..prediction import Prediction

_MOST_SLICES = 6
_CHART = (240, 78)
"""Width and height of the plotted area, in units of the drawing."""


@cache
def page_template(name: str) -> Template:
    """A page that escapes what it is given, and for which nothing may be missing; it is compiled once."""
    loader = FileSystemLoader(Path(__file__).with_name("templates"))
    pages = Environment(loader=loader, trim_blocks=True, lstrip_blocks=True, autoescape=True, undefined=StrictUndefined)
    return pages.get_template(name)


def write_report(
    path: Path,
    columns: CaseColumns,
    predictions: Mapping[str, "Prediction"],
    records: Mapping[str, Mapping[str, Any]],
    measurements: Measurements | None = None,
    *,
    manifest: Manifest | None = None,
    facts: CaseFacts | None = None,
) -> Path:
    """Write the page, and beside it `.json` with all that it says.

    :param columns: pictures of the case.
    :param predictions: of the case with one model, by the class that was asked for; the first is the one in front.
    :param records: the provenance of each.
    :param manifest: of the model, whose held-out figures say what to trust.
    :param facts: what is said of the case; without it, a pseudonym.
    :raises OutputFolderError: it cannot be written.
    """
    facts = facts or CaseFacts()
    twin = _texts(columns, predictions, records, measurements, manifest, facts)
    first = next(iter(predictions.values()))
    key, shown = columns.largest, _shown(columns, predictions)
    page = page_template("report.html").render(
        **twin,
        key=[_picture(column.title, column.pictures[key]) for column in _front(columns, first)],
        key_place=columns.places[key],
        reformats=[_picture(entry.title, entry.picture) for entry in reformats(columns, first)],
        close_ups=_close_ups(columns, first),
        what_if=_what_if(columns, list(predictions.values())),
        titles=[column.title for column in shown],
        slices=[
            (index, [_embedded(column.pictures[line]) for column in shown])
            for line, index in enumerate(columns.indices)
        ],
        heat=heat_gradient(),
        chart=_chart(measurements),
    )
    write_json(twin, path.with_suffix(".json"))
    return write_text(page, path)


def text_lines(
    prediction: "Prediction", measurements: Measurements | None = None, facts: CaseFacts | None = None
) -> list[str]:
    """What the page says of one class, as lines of plain text."""
    choice = prediction.class_choice
    shown = f"Samples: {len(prediction.samples)}. Shown as predicted: {prediction.predicted_name}."
    lines = [
        SYNTHETIC_NOTICE, "",
        choice.sentence,
        f"Expected image: {prediction.expected_method}. {shown}", "",
        *answers({choice.name: prediction}, measurements), "",
    ]  # fmt: skip
    if measurements is not None:
        found = measured(measurements)
        names = ["Class", "Volume before", "Volume after", "Change", "Category by volume"]
        names += ["Area before", "Area after", "Category by area"]
        lines += [found["title"], ""]
        for row in found["rows"]:
            lines += [f"{title}: {cell}" for title, cell in zip(names, row, strict=True)] + [""]
        lines += [*found["check"], *found["withheld"], ""]
    return [*lines, *caveats(facts or CaseFacts())]


def _texts(
    columns: CaseColumns,
    predictions: Mapping[str, "Prediction"],
    records: Mapping[str, Mapping[str, Any]],
    measurements: Measurements | None,
    manifest: Manifest | None,
    facts: CaseFacts,
) -> dict[str, Any]:
    """All that the page says, ready for JSON."""
    notes = [note.sentence for note in columns.slices.case.notes]
    notes += [prediction.stopped_sentence for prediction in predictions.values()]
    notes += sorted(prediction.class_choice.note for prediction in predictions.values())
    worth = None if manifest is None else trust(manifest)
    return {
        "notice": SYNTHETIC_NOTICE,
        "synthetic": True,
        "case": case_rows(facts, records),
        "answers": answers(predictions, measurements),
        "measured": None if measurements is None else measured(measurements),
        "planning": planning_words(measurements),
        "trust": worth,
        "guard": _judged(columns, manifest),
        "here": better_here(measurements),
        "findings": [note for note in dict.fromkeys(notes) if note and (worth is None or note != worth["classifier"])],
        "caveats": caveats(facts),
        "records": [{"name": name, "rows": provenance_rows(record)} for name, record in records.items()],
    }


def _judged(columns: CaseColumns, manifest: Manifest | None) -> dict[str, Any] | None:
    """Whether the model has seen anything like the case; None if its bundle does not tell."""
    judgement = None if manifest is None else judge_case(columns.slices, manifest.description.get("ranges", {}))
    return None if judgement is None or judgement.color is None else judgement.to_dict()


def _front(columns: CaseColumns, prediction: "Prediction") -> list[Column]:
    """What stands in the first row: the expected image first."""
    expected = columns.of_prediction(prediction)[0]
    shown = (expected, columns.before, columns.truth, *columns.maps_of(prediction))
    return [column for column in shown if column is not None]


def _shown(columns: CaseColumns, predictions: Mapping[str, "Prediction"]) -> list[Column]:
    shown = [columns.before]
    for prediction in predictions.values():
        shown += columns.of_prediction(prediction)
    return shown if columns.truth is None else [*shown, columns.truth]


def _close_ups(columns: CaseColumns, prediction: "Prediction") -> list[list[dict[str, str]]]:
    """Rows of pictures of the tumor in a few slices, evenly spaced, also the front one: before, expected, truth."""
    close, count = columns.close_up(), len(columns.indices)
    lines = {round(place) for place in np.linspace(0, count - 1, min(_MOST_SLICES, count))}
    if columns.largest not in lines:
        lines = lines - {min(lines, key=lambda line: abs(line - columns.largest))} | {columns.largest}
    rows = [close.before, close.of_prediction(prediction)[0], close.truth]
    return [[_picture(row.title, row.pictures[line]) for line in sorted(lines)] for row in rows if row is not None]


def _what_if(columns: CaseColumns, predictions: Sequence["Prediction"]) -> list[dict[str, str]]:
    """Expected images of all classes at the largest slice, from the same noise, and how each differs from the first."""
    if len(predictions) < 2:
        return []
    shown = [columns.of_prediction(prediction)[0] for prediction in predictions]
    shown += [columns.change_between(predictions[0], other) for other in predictions[1:]]
    return [_picture(column.title, column.pictures[columns.largest]) for column in shown]


def _picture(title: str, picture: np.ndarray) -> dict[str, str]:
    return {"title": title, "source": _embedded(picture)}


def _embedded(picture: np.ndarray) -> str:
    """Base64 of its PNG file."""
    return b64encode(png(picture)).decode("ascii")


def _chart(measurements: Measurements | None) -> dict[str, Any] | None:
    """Curves of the part that margins cover; None if there is nothing to plot."""
    planning = (measurements.record if measurements else {}).get("planning")
    if measurements is None or not planning:
        return None
    entries = measurements.record["classes"].values()
    curves = {f"predicted, class {entry['class']}": entry.get("planning") for entry in entries}
    curves |= {"what enhances already": planning["copy_of_the_input"], "true follow-up": planning.get("true_follow_up")}
    margins, (width, height) = planning["margins_mm"], _CHART
    drawn = {
        name: " ".join(
            f"{width * margin / margins[-1]:.1f},{height * (1 - part):.1f}"
            for margin, part in zip(margins, curve["covered"], strict=True)
        )
        for name, curve in curves.items()
        if curve and curve["covered"]
    }
    ticks = [(width * margin / margins[-1], str(margin)) for margin in margins if margin % 5 == 0]
    return {"width": width, "height": height, "curves": drawn, "ticks": ticks} if drawn else None
