"""The engine's measurements as a short table: one row per figure, one column per class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..common.Translation import tr as _
from .ResultManifest import ClassResult


@dataclass(frozen=True)
class MeasurementRow:
    """One figure.

    :param values: text per class, in the order of the classes.
    """

    name: str
    values: tuple[str, ...]


def measurementRows(classes: Sequence[ClassResult]) -> list[MeasurementRow]:
    """Return the figures that at least one class has; docs/measurements.md says what they are."""
    rows = []
    for name, describe in _figures():
        values = tuple(_described(describe, result.measurements) for result in classes)
        if any(values):
            rows.append(MeasurementRow(name, values))
    return rows


def columnTitles(classes: Sequence[ClassResult]) -> list[str]:
    """Return the titles of the value columns."""
    return [result.name for result in classes] if len(classes) > 1 else [_("Value")]


def fillTable(table: Any, titles: Sequence[str], rows: Sequence[MeasurementRow], first: str = "") -> None:
    """Write the rows into a vtkMRMLTableNode as text columns.

    :param titles: of the columns of values.
    :param first: title of the names; by default that they are about the synthetic image.
    """
    import vtk

    columns = [(first or _("Synthetic image"), [row.name for row in rows])]
    columns += [(title, [row.values[number] for row in rows]) for number, title in enumerate(titles)]
    for title, texts in columns:
        array = vtk.vtkStringArray()
        array.SetName(title)
        for text in texts:
            array.InsertNextValue(text)
        table.AddColumn(array)


def _figures() -> list[tuple[str, Callable[[dict[str, Any]], str]]]:
    return [
        (_("Enhancing volume before"), lambda m: _("{value:.1f} ml").format(value=m["volume_before_ml"])),
        (_("Enhancing volume predicted"), lambda m: _("{value} ml").format(value=_spread(m["volume_after_ml"], 1))),
        (_("Change of volume"), lambda m: _change(m["volume_change"], m["by_volume"])),
        (_("Area before"), lambda m: _("{value:.0f} mm²").format(value=m["area_before_mm2"])),
        (_("Area predicted"), lambda m: _("{value} mm²").format(value=_spread(m["area_after_mm2"], 0))),
        (_("Size category by volume (RANO-style)"), lambda m: _category(m, "by_volume")),
        (_("Size category by area (RANO-style)"), lambda m: _category(m, "by_area")),
        (_("Within measurement noise"), lambda m: _noise(m["by_volume"])),
        (_("Overlap of the enhancement with the GTV before"), lambda m: f"{m['check']['gtv_dice']:.2f}"),
        (_("Withheld"), lambda m: _withheld(m["withheld"])),
        (_("Overlap with the true enhancement"), lambda m: _score(m, "enhancement_dice", ".2f")),
        (_("Error of the volume (ml)"), lambda m: _score(m, "volume_error_ml", "+.1f")),
        (_("Mean difference inside the GTV"), lambda m: _score(m, "mean_absolute_difference_gtv", ".3f")),
    ]


def _described(describe: Callable[[dict[str, Any]], str], measurements: dict[str, Any]) -> str:
    """The text of a figure; empty if it was not measured, or is not defined for this case."""
    try:
        return describe(measurements)
    except (KeyError, TypeError, ValueError):
        return ""


def _spread(value: Any, digits: int) -> str:
    """A mean, with its interval if there is one that is not a point."""
    if not isinstance(value, dict):
        return f"{value:.{digits}f}"
    mean, low, high = (None if value[key] is None else f"{value[key]:.{digits}f}" for key in ("mean", "p10", "p90"))
    return mean if low == high else _("{mean} ({low} to {high})").format(mean=mean, low=low, high=high)


def _change(change: float, entry: dict[str, Any]) -> str:
    if abs(change) > entry["noise_band"]:
        return f"{change:+.0%}"
    return _("{change:+.0%}, within the noise of ±{noise:.0%}").format(change=change, noise=entry["noise_band"])


def _category(measurements: dict[str, Any], kind: str) -> str:
    """The category with its share of the samples; too few samples have none."""
    entry, samples, fewest = measurements[kind], measurements["samples"], measurements["check"]["fewest_samples"]
    if samples < fewest:
        text = _("{category}, indeterminate: {samples} sample(s), at least {fewest} are needed")
        return text.format(category=entry["category"], samples=samples, fewest=fewest)
    return f"{entry['category']} ({entry['probabilities'][entry['category']]:.0%})"


def _noise(entry: dict[str, Any]) -> str:
    """Empty unless the noise reaches another category."""
    names = entry["possible_within_noise"]
    return " / ".join(names) if len(names) > 1 else ""


def _withheld(reasons: dict[str, str | None]) -> str:
    """What is not shown, with the engine's reason."""
    if reasons["volume"]:
        return _("Volumes and areas. {reason}").format(reason=reasons["volume"])
    return _("Areas. {reason}").format(reason=reasons["area"]) if reasons["area"] else ""


def _score(measurements: dict[str, Any], name: str, form: str) -> str:
    """A score against the true follow-up, always beside that of a copy of the input."""
    predicted, copied = (measurements["score"][key][name] for key in ("prediction", "copy_of_the_input"))
    text = _("{predicted}; copy of the input {copied}")
    return text.format(predicted=format(predicted, form), copied=format(copied, form))
