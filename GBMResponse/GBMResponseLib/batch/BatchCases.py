"""The cases of a table and what has become of each, as plain values."""

import enum
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from GBMResponseCore.cohort.status import read_status
from GBMResponseCore.inputs.case_table import TableCase, read_case_table
from GBMResponseCore.request import NO_CLASS

from ..common.Failure import engineErrors
from ..common.Translation import tr as _

_SURE = 0.2
"""Part of the first case after which its time says something about the others'."""


class CaseState(enum.Enum):
    """Where a case is. The values of the last five are the engine's."""

    unusable = "unusable"
    before = "before"
    waiting = "waiting"
    running = "running"
    elsewhere = "elsewhere"
    done = "done"
    failed = "failed"

    def label(self) -> str:
        """Return what the panel shows."""
        return {
            CaseState.unusable: _("Unusable"),
            CaseState.before: _("Done before"),
            CaseState.waiting: _("Waiting"),
            CaseState.running: _("Running"),
            CaseState.elsewhere: _("Running elsewhere"),
            CaseState.done: _("Done"),
            CaseState.failed: _("Failed"),
        }[self]


@dataclass
class BatchCase:
    """A line of the table.

    :param details: why it is unusable or failed, how long it took, or what a scan has found.
    """

    row: TableCase
    state: CaseState
    details: str

    @property
    def hasResult(self) -> bool:
        """Whether there is something to open."""
        return self.state in (CaseState.done, CaseState.before)


class BatchCases:
    """All cases, and how it goes on with them.

    :param out: folder of the results; None before it was chosen.
    :raises Failure: the table cannot be read.
    """

    def __init__(self, table: Path, out: Path | None) -> None:
        with engineErrors():
            rows = read_case_table(table)
        self.all = [_asFound(row, out) for row in rows]
        self._index = {case.row.identifier: number for number, case in enumerate(self.all)}
        self._seconds: list[float] = []
        self._running: int | None = None
        self._fraction, self._since = 0.0, 0.0

    def count(self, *states: CaseState) -> int:
        """Return how many cases are in one of these states."""
        return sum(case.state in states for case in self.all)

    @property
    def isBegun(self) -> bool:
        """Whether a case has a result, so that a start goes on with the others."""
        return any(case.hasResult for case in self.all)

    def begin(self) -> list[int]:
        """A start tries again what failed before; returns the places of those cases."""
        failed = [number for number, case in enumerate(self.all) if case.state is CaseState.failed]
        for number in failed:
            self.all[number].state, self.all[number].details = CaseState.waiting, self.all[number].row.found
        return failed

    def take(self, event: dict[str, Any]) -> int | None:
        """Take the engine's word on a case; returns its place, None if it is not in the table."""
        number = self._index.get(str(event.get("id")))
        if number is None:
            return None
        case, status = self.all[number], str(event.get("status"))
        known = [state.value for state in CaseState]
        case.state = CaseState(status) if status in known else CaseState.waiting
        if case.state is CaseState.running:
            self._running, self._fraction, self._since = number, 0.0, time.monotonic()
        elif number == self._running:
            self._running = None
        if case.state is CaseState.done and event.get("again"):
            case.state = CaseState.before
        elif case.state is CaseState.done and event.get("seconds"):
            self._seconds.append(float(event["seconds"]))
        elif case.state is CaseState.failed and case.row.unusable:
            case.state = CaseState.unusable
        case.details = _details(case.row, event)
        return number

    def progress(self, event: dict[str, Any]) -> int | None:
        """Take how far the running case is; returns its place, None if none is running."""
        self._fraction = max(self._fraction, min(1.0, float(event.get("fraction", 0.0))))
        if self._running is not None:
            self.all[self._running].details = f"{self._fraction:.0%}"
        return self._running

    def stopped(self) -> int | None:
        """The process has ended: what was running waits; returns its place, None if none was."""
        number, self._running = self._running, None
        if number is not None:
            self.all[number].state, self.all[number].details = CaseState.waiting, self.all[number].row.found
        return number

    def secondsLeft(self) -> float | None:
        """Return an estimate from the cases that were run since the start; None while nothing is known."""
        elapsed = time.monotonic() - self._since if self._running is not None else 0.0
        if self._seconds:
            each = sum(self._seconds) / len(self._seconds)
        elif self._running is not None and self._fraction >= _SURE:
            each = elapsed / self._fraction
        else:
            return None
        waiting = sum(case.state is CaseState.waiting and not case.row.unusable for case in self.all)
        rest = each * (1.0 - self._fraction) if self._running is not None else 0.0
        return waiting * each + rest


def _asFound(row: TableCase, out: Path | None) -> BatchCase:
    """A case before the start, with what an earlier one has left in its folder."""
    status = read_status(out / row.identifier) if out is not None else {}
    if status.get("status") == CaseState.done.value:
        return BatchCase(row, CaseState.before, _details(row, status))
    if row.unusable:
        return BatchCase(row, CaseState.unusable, _details(row, {}))
    if status.get("status") == CaseState.failed.value:
        return BatchCase(row, CaseState.failed, _details(row, status))
    return BatchCase(row, CaseState.waiting, row.found)


def _details(row: TableCase, status: dict[str, Any]) -> str:
    if status.get("status") == CaseState.failed.value and not row.unusable:
        return f"{status.get('message', '')} {status.get('remedy', '')}".strip()
    if status.get("status") == CaseState.done.value:
        took = _("{seconds:.1f} s").format(seconds=float(status.get("seconds") or 0.0))
        classes = str(status.get("classes", ""))
        if classes == f"{NO_CLASS} ({NO_CLASS})":
            return _("{time}, without class").format(time=took)
        return _("{time}, class {name}").format(name=classes, time=took)
    if status.get("status") == CaseState.running.value:
        return ""
    return " ".join(
        text for text in (row.unusable, f"({row.found})" if row.unusable and row.found else row.found) if text
    )
