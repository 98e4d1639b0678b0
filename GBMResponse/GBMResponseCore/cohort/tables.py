"""The tables of a cohort, one line per case, and how often they are written."""

import csv
import io
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import OutputFolderError, SomeCasesFailedError
from ..files import discard, plain_cell, write_csv
from ..inputs.case_table import TableCase
from .status import DONE, read_status

SUMMARY = "summary.csv"
MEASUREMENTS = "measurements.csv"
_COLUMNS = (
    "id",
    "status",
    "error_code",
    "exit_code",
    "message",
    "remedy",
    "classes",
    "samples",
    "seconds",
    "synthetic",
)
_TRIES, _BETWEEN_TRIES_S = 4, 0.5
_PAUSE = 20.0
"""Times as long as writing took, nothing is written again: a large cohort spends no more than this part on it."""

Say = Callable[[str], None]
"""Takes one line about the progress."""


class Tables:
    """`summary.csv`, and `measurements.csv` with the measurements of all cases that are done."""

    def __init__(self, cases: Sequence[TableCase], out: Path, say: Say = print) -> None:
        self._cases, self._out, self._say = cases, out, say
        self._statuses = {case.identifier: read_status(out / case.identifier) for case in cases}
        self._next = 0.0

    def put(self, identifier: str, status: dict[str, Any]) -> None:
        """What has become of a case."""
        self._statuses[identifier] = status

    def is_done(self, identifier: str) -> bool:
        """Whether a case is done."""
        return self._statuses[identifier]["status"] == DONE

    def write_sometimes(self) -> None:
        """Write them unless that was done a short time ago."""
        now = time.monotonic()
        if now >= self._next:
            self.write()
            self._next = time.monotonic() + _PAUSE * (time.monotonic() - now)

    def write(self) -> None:
        """Write them. What cannot be written now is said, and written the next time."""
        lines: list[dict[str, Any]] = []
        measured: list[dict[str, Any]] = []
        for case in self._cases:
            status = self._statuses[case.identifier]
            lines.append({name: status.get(name) for name in _COLUMNS} | {"id": case.identifier, "synthetic": True})
            if status["status"] == DONE and status.get("measured", True):
                rows = _rows(self._out / case.identifier / MEASUREMENTS)
                measured += [{"id": case.identifier, **row} for row in rows]
        _write_table(_COLUMNS, lines, self._out / SUMMARY, self._say)
        columns = list(dict.fromkeys(name for row in measured for name in row))
        if measured:
            _write_table(columns, measured, self._out / MEASUREMENTS, self._say)
        else:
            discard(self._out / MEASUREMENTS)  # of an earlier run

    def raise_if_failed(self) -> None:
        """:raises SomeCasesFailedError: not every case is done."""
        count = sum(not self.is_done(case.identifier) for case in self._cases)
        if count:
            raise SomeCasesFailedError(f"{count} of {len(self._cases)} cases are not done.")


def _rows(table: Path) -> list[dict[str, str]]:
    """Rows of a table that `write_csv` wrote; none if there is no such table."""
    try:
        rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    except (OSError, ValueError, csv.Error):
        return []
    return [{name: plain_cell(cell) for name, cell in row.items() if name and cell is not None} for row in rows]


def _write_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], path: Path, say: Say) -> None:
    """Write a table, beside its place if a spreadsheet keeps that locked for longer than a moment."""
    beside = path.with_stem(f"{path.stem}-1")
    try:
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                write_csv(columns, rows, path)
            except OutputFolderError as error:
                if last or not isinstance(error.__cause__, PermissionError):
                    raise
                time.sleep(_BETWEEN_TRIES_S)
            else:
                discard(beside)
                return
    except OutputFolderError as error:
        message = error.message
    known = beside.exists()
    try:
        write_csv(columns, rows, beside)
        if not known:
            say(f"{message} It may be open in a spreadsheet: {beside.name} holds the same, until it can be written.")
    except OutputFolderError:
        say(f"{message} It will be written with the next case.")
