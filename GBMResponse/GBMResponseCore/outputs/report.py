"""One self-contained page about a prediction: pictures, measurements, provenance and caveats.

The page loads nothing from anywhere, runs no script and holds no names of files or patients.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import SYNTHETIC_NOTICE
from ..files import write_text
from ..inputs.slices import CaseSlices
from ..measure.measurements import CAVEATS, TITLE, Measurements
from .picture import difference_colors, gray_levels, head_window, png, stamped, white_level, with_contour

if TYPE_CHECKING:
    from ..prediction import Prediction

_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em; color: #1b1b1b }
.notice { background: #b34700; color: #fff; padding: .6em 1em; font-weight: 600; position: sticky; top: 0 }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em }
table { border-collapse: collapse } th, td { padding: .25em .7em; text-align: left; vertical-align: top }
tr + tr { border-top: 1px solid #ddd } .scroll { overflow-x: auto }
.pictures { background: #000; color: #ddd } .pictures tr + tr { border: 0 }
.pictures img { width: 13em; display: block }
.pictures td { padding: 1px } .pictures th { font-weight: 400; font-size: .85em }
code { font-size: .85em; overflow-wrap: anywhere }
"""
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class _Column:
    """Pictures of all slices, uint8 (H, W) or (H, W, 3), under one title."""

    title: str
    pictures: Sequence[np.ndarray]


def write_report(
    path: Path,
    slices: CaseSlices,
    predictions: Mapping[str, "Prediction"],
    records: Mapping[str, Mapping[str, Any]],
    measurements: Measurements | None = None,
) -> Path:
    """Write the page.

    :param predictions: of one case with one model, by the class that was asked for.
    :param records: the provenance of each.
    :raises OutputFolderError: it cannot be written.
    """
    parts = [
        "<h1>Synthetic follow-up MRI of a glioblastoma</h1>",
        _classes(predictions),
        "<h2>Pictures</h2>",
        _pictures(slices, predictions),
    ]
    if measurements is not None:
        parts += [f"<h2>Measurements: {escape(TITLE)}</h2>", _measurements(measurements)]
        parts += _scores(measurements)
    parts += ["<h2>Caveats</h2>", _list(CAVEATS), "<h2>Provenance</h2>"]
    for name, record in records.items():
        parts.append(f"<h3>Class asked for: {escape(name)}</h3>" + _table(["", ""], _flat(record)))
    return write_text(_page("\n".join(parts)), path)


def _page(body: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>Synthetic follow-up MRI (research use)</title>\n<style>{_STYLE}</style></head>\n"
        f'<body><p class="notice">{escape(SYNTHETIC_NOTICE)}</p>\n{body}\n</body></html>\n'
    )


def _classes(predictions: Mapping[str, "Prediction"]) -> str:
    rows = []
    for prediction in predictions.values():
        choice = prediction.class_choice
        chances = ", ".join(f"{name} {chance:.0%}" for name, chance in choice.probabilities.items())
        rows.append([f"{choice.name} ({choice.class_source})", chances or "-", str(len(prediction.samples))])
    return _table(["survival class", "classifier's probabilities", "samples"], rows)


def _pictures(slices: CaseSlices, predictions: Mapping[str, "Prediction"]) -> str:
    rows = slices.indices[::-1]
    pre, gtv = slices.pre[::-1], slices.gtv[rows]
    window, white = head_window(pre), white_level(pre)
    pre, gtv = pre[:, *window], gtv[:, *window]
    before = [with_contour(gray_levels(plane, white), mask) for plane, mask in zip(pre, gtv, strict=True)]
    columns = [_Column("T1-Gd before, GTV in red", before)]
    for prediction in predictions.values():
        name = prediction.class_choice.name
        predicted = prediction.pixels[0][::-1, *window]
        columns.append(_Column(f"SYNTHETIC, class {name}", [stamped(gray_levels(p, white)) for p in predicted]))
        changes = [difference_colors(plane, 1.0 + white) for plane in predicted - pre]
        columns.append(_Column(f"SYNTHETIC minus before, class {name}", changes))
    if slices.follow_up is not None:
        truth = slices.truth[::-1, *window]
        own_white = white_level(truth)
        title = "true follow-up" if slices.follow_up.registered else "true follow-up, not registered"
        columns.append(_Column(title, [gray_levels(plane, own_white) for plane in truth]))

    lines = ["<tr><th></th>" + "".join(f"<th>{escape(column.title)}</th>" for column in columns) + "</tr>"]
    for line, index in enumerate(rows):
        cells = "".join(f"<td>{_image(c.pictures[line], f'{c.title}, slice {index}')}</td>" for c in columns)
        lines.append(f"<tr><th>{index}</th>{cells}</tr>")
    return f'<div class="scroll"><table class="pictures">{"".join(lines)}</table></div>'


def _image(pixels: np.ndarray, description: str) -> str:
    return f'<img alt="{escape(description)}" src="data:image/png;base64,{b64encode(png(pixels)).decode("ascii")}">'


def _measurements(measurements: Measurements) -> str:
    rows = []
    for entry in measurements.record["classes"].values():
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
    header = [
        "class", "volume before", "after: mean (p10 to p90)", "change", "predicted category by volume",
        "area before", "after: mean (p10 to p90)", "predicted category by area",
    ]  # fmt: skip
    return _table(header, rows)


def _chances(probabilities: Mapping[str, float], samples: int) -> str:
    text = ", ".join(f"P({name}) = {chance:.0%}" for name, chance in probabilities.items())
    return f"{text}, {samples} sample{'s' if samples > 1 else ''}"


def _scores(measurements: Measurements) -> list[str]:
    rows = []
    for entry in measurements.record["classes"].values():
        for who, score in entry.get("score", {}).items():
            values = [f"{value:.3f}" for value in score.values()]
            rows.append([entry["class"], who.replace("_", " "), *values])
            names = [name.replace("_", " ") for name in score]
    if not rows:
        return []
    return ["<h2>Score against the true follow-up</h2>", _table(["class", "", *names], rows)]


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


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["".join(f"<th>{escape(cell)}</th>" for cell in header)] if any(header) else []
    lines += ["".join(f"<td>{escape(cell)}</td>" for cell in row) for row in rows]
    return '<div class="scroll"><table>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def _list(sentences: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(sentence)}</li>" for sentence in sentences) + "</ul>"
