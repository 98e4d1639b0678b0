"""Runs cohorts, scans, reports, readers of a case: one engine process at a time, events in, a line to stop it."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.Failure import Failure
from ..common.Signal import Signal
from ..common.Translation import tr as _
from ..model.ModelCatalog import ModelCatalog
from ..settings.PredictionSettings import PredictionSettings

if TYPE_CHECKING:  # they know Qt
    from ..worker.DependencyInstaller import DependencyInstaller
    from ..worker.WorkerProcess import WorkerProcess

CASES, SCAN, REPORT, INPUTS = "cases", "scan", "report", "inputs"
_GRACE_MS = 10_000
"""How long a case may take to stop when Slicer is closed, before its process is killed: a step, or a file."""
_ALL_RUN = "some-cases-failed"


class BatchRun:
    """At most one process at a time; it loads the model anew for each start.

    Signals: `told(dict)` for events `case` and `progress`, `logged(text)`, and once per start
    `finished(kind, message, Failure | None)` with the last event; after a stop the failure is None, too.

    :param makeProcess: makes the process of a command of the engine.
    """

    def __init__(
        self,
        makeProcess: "Callable[[list[str]], WorkerProcess]",
        catalog: ModelCatalog,
        dependencies: "DependencyInstaller",
    ) -> None:
        self.told, self.logged, self.finished = Signal(), Signal(), Signal()
        self.kind = ""
        """What is running: `cases`, `scan`, `report`, `inputs`, or nothing."""
        self.isStopping = False
        self._makeProcess = makeProcess
        self._catalog = catalog
        self._dependencies = dependencies
        self._process: WorkerProcess | None = None
        self._isInstalling = False
        self._last: dict[str, Any] = {}

    @property
    def isActive(self) -> bool:
        """Whether a process is running, or packages are installed for one."""
        return bool(self.kind) or self._isInstalling

    def start(self, table: Path, out: Path, settings: PredictionSettings) -> None:
        """Run the cases of a table, or those of them that are not done.

        :raises Failure: something is running, a setting is not possible, or packages are missing.
        """
        options = settings.cohortOptions(self._catalog.describe(settings.bundleFolder))
        self._begin(CASES, [str(table), "--out", str(out), *options])

    def scan(self, folder: Path, table: Path) -> None:
        """Write the table of what is in a folder.

        :raises Failure: something is running, or packages are missing.
        """
        self._begin(SCAN, [str(table), "--scan", str(folder)])

    def writeReport(self, out: Path) -> None:
        """Write the page about all cases of a folder; the last event names it.

        :raises Failure: something is running, or packages are missing.
        """
        self._begin(REPORT, ["report", str(out)])

    def writeInputs(self, table: Path, case: str, folder: Path) -> None:
        """Write the images of a case as NRRD, as a prediction reads them; the last event names the `files`.

        :raises Failure: something is running, or packages are missing.
        """
        self._begin(INPUTS, ["inputs", str(table), f"--case={case}", "--to", str(folder)])

    def stop(self) -> None:
        """Interrupt the case; its finished slices are kept, and the next start continues."""
        if self.kind and not self.isStopping:
            self.isStopping = True
            self._process.send({"type": "stop"})

    def close(self) -> None:
        """End the process as `stop` does, and wait for it."""
        if self._process is not None:
            self._process.close(_GRACE_MS)
            self._process, self.kind = None, ""

    def _begin(self, kind: str, arguments: list[str]) -> None:
        if self.isActive:
            raise Failure("busy", _("A batch is running already."), _("Wait for its end, or stop it."))
        self._isInstalling = True
        try:
            self._dependencies.ensure()
        finally:
            self._isInstalling = False
        self.kind, self.isStopping, self._last = kind, False, {}
        self._process = self._makeProcess(["cohort", *arguments, "--events"])
        self._process.messageReceived.connect(self._onMessage)
        self._process.logReceived.connect(self.logged.emit)
        self._process.stopped.connect(self._onStopped)
        self._process.start()

    def _onMessage(self, message: dict[str, Any]) -> None:
        if message["type"] == "log":
            self.logged.emit(str(message.get("message", "")))
        elif message["type"] in ("case", "progress"):
            self.told.emit(message)
        else:
            self._last = message

    def _onStopped(self, reason: str, failedToStart: bool) -> None:
        kind, self.kind = self.kind, ""
        self.finished.emit(kind, self._last, self._failure(reason, failedToStart))

    def _failure(self, reason: str, failedToStart: bool) -> Failure | None:
        last = self._last
        if failedToStart:
            message = _("The process for the cases cannot be started.")
            return Failure("worker-start", message, _("Install 3D Slicer again, or tell us with the log."), reason)
        if self.isStopping or last.get("type") == "finished" or last.get("code") == _ALL_RUN:
            return None
        if last.get("type") == "error":
            return Failure(str(last.get("code")), str(last.get("message", "")), str(last.get("remedy", "")))
        message = _("The process for the cases stopped unexpectedly ({reason}).").format(reason=reason)
        remedy = _("Press Continue: cases that are done are not run again, and finished slices are kept.")
        return Failure("worker-stopped", message, remedy, reason)
