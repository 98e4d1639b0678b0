"""What differs between two runs: settings and circumstances of their records, and their measurements."""

from collections.abc import Iterator, Mapping
from typing import Any

from ..common.Translation import tr as _
from .ResultNodes import ResultNodes

_SKIPPED = {"notice", "synthetic", "seconds", "files", "warnings", "classes", "classes_made", "batch_size"}
"""What is the same in all records, or no choice and no result."""


def differences(first: ResultNodes, second: ResultNodes) -> list[tuple[str, str, str]]:
    """Return name and both values of everything that is not equal, settings first."""
    records = [dict(_flat(run.record())) for run in (first, second)]
    rows = _unequal(*records)
    return rows + _unequal(*(_measures(run) for run in (first, second)))


def _unequal(first: Mapping[str, str], second: Mapping[str, str]) -> list[tuple[str, str, str]]:
    names = dict.fromkeys([*first, *second])
    pairs = [(name, first.get(name, ""), second.get(name, "")) for name in names]
    return [row for row in pairs if row[1] != row[2]]


def _flat(record: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in record.items():
        if name in _SKIPPED:
            continue
        label = f"{prefix}{name}".replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{label}: ")
        elif value is not None:
            isHash = isinstance(value, str) and len(value) == 64
            yield label, f"{value[:8]}..." if isHash else f"{value}"


def _measures(run: ResultNodes) -> dict[str, str]:
    """The rows of the table of measurements, by name; of several classes each has its own."""
    table, found = run.measurements, {}
    if table is None:
        return found
    columns = table.GetNumberOfColumns()
    for row in range(table.GetNumberOfRows()):
        for column in range(1, columns):
            name = table.GetCellText(row, 0)
            name = (
                name
                if columns == 2
                else _("{name}, {class_name}").format(name=name, class_name=table.GetColumnName(column))
            )
            found[name] = table.GetCellText(row, column)
    return found
