"""The engine's measurements as rows of a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from .ResultManifest import ClassResult
from .Translation import tr as _


@dataclass(frozen=True)
class MeasurementRow:
    """One figure; `className` is empty when there is one class only."""

    className: str
    name: str
    value: str


def measurementRows(classes: Sequence[ClassResult]) -> list[MeasurementRow]:
    """Return all figures, nested names joined; empty if nothing was measured."""
    several = len(classes) > 1
    return [
        MeasurementRow(result.name if several else "", name, value)
        for result in classes
        for name, value in _flat(result.measurements)
    ]


def fillTable(table: Any, rows: Sequence[MeasurementRow]) -> None:
    """Write the rows into a vtkMRMLTableNode as text columns."""
    import vtk

    columns = ((_("Class"), "className"), (_("Measurement"), "name"), (_("Value"), "value"))
    for title, field in columns:
        array = vtk.vtkStringArray()
        array.SetName(title)
        for row in rows:
            array.InsertNextValue(getattr(row, field))
        table.AddColumn(array)


def _flat(content: Any, path: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    if isinstance(content, dict):
        return [entry for key, value in content.items() for entry in _flat(value, (*path, str(key)))]
    if isinstance(content, list):
        if all(isinstance(value, (int, float)) for value in content):
            return [(_title(path), ", ".join(_text(value) for value in content))] if content else []
        return [entry for number, value in enumerate(content, 1) for entry in _flat(value, (*path, str(number)))]
    return [] if content is None else [(_title(path), _text(content))]


def _title(path: tuple[str, ...]) -> str:
    return ", ".join(part.replace("_", " ") for part in path)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return f"{value:.3g}" if isinstance(value, float) else str(value)
