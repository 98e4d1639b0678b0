"""Runs predictions: scene to files, files to worker, result to scene, in short steps of the event loop."""

import hashlib
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.Failure import Failure, anyError
from ..common.Signal import Signal
from ..common.Steps import Later, Steps
from ..common.Translation import tr as _
from ..inputs.InputFacts import PredictionInputs
from ..model.ModelCatalog import ModelCatalog
from ..results.ResultManifest import ResultManifest
from ..settings.PredictionSettings import PredictionSettings
from ..worker.WorkerClient import CANCELLED, FAILED, RequestOutcome, WorkerClient
from .PredictionRun import PredictionRun, RunState
from .ProgressText import ProgressState, progressState, stageText
from .RunFolders import RunFolders

if TYPE_CHECKING:  # they know Slicer
    from ..common.QtTimers import QtTimer
    from ..inputs.SceneExporter import SceneExporter
    from ..results.ResultImporter import ResultImporter
    from ..worker.DependencyInstaller import DependencyInstaller


_FINISHING = ("measure", "write")
"""Stages after the last picture."""


class PredictionController:
    """At most one run at a time.

    Signals: `progressChanged(ProgressState)`, `previewReady(className, path)`, `expectedReady(className, path)`,
    `classified(probabilities, note)`, `warned(sentence)`, `logged(text)`, and once per run `finished(PredictionRun)`.
    The files of the second and third are there while the run is.

    :param startTimer: calls a function once after some milliseconds; returns the timer.
    """

    def __init__(
        self,
        client: WorkerClient,
        catalog: ModelCatalog,
        exporter: "SceneExporter",
        importer: "ResultImporter",
        dependencies: "DependencyInstaller",
        folders: RunFolders,
        startTimer: "Callable[[int, Callable[[], None]], QtTimer]",
    ) -> None:
        self.progressChanged, self.previewReady, self.classified = Signal(), Signal(), Signal()
        self.expectedReady, self.warned, self.logged, self.finished = Signal(), Signal(), Signal(), Signal()
        self.progress = ProgressState("")
        self.run: PredictionRun | None = None
        self.isInstalling = False
        """Packages are being installed, which runs the event loop; no run begins meanwhile."""
        self.isScoring: Callable[[], bool] = lambda: False
        """Whether a run is being scored, for which the process is needed."""
        self._isSceneGone = False
        self._client = client
        self._catalog = catalog
        self._exporter = exporter
        self._importer = importer
        self._dependencies = dependencies
        self._folders = folders
        self._later = Later(startTimer)
        self._steps = Steps(self._later, self._guarded)
        self._handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "slice_ready": self._onSlice,
            "expected_ready": self._onExpected,
            "classification": self._onClassification,
            "warning": self._onWarning,
        }
        client.eventReceived.connect(self._onEvent)
        client.logReceived.connect(self.logged.emit)
        client.finished.connect(self._onFinished)

    @property
    def isActive(self) -> bool:
        """Whether a run has not ended yet."""
        return self.run is not None and self.run.isActive

    @property
    def canStop(self) -> bool:
        """Whether samples are drawn while the expected image is there: then `stop` makes that a result."""
        run = self.run
        return self.isActive and run.hasExpected and run.settings.samples > 0 and not (run.isStopped or run.isFinishing)

    @property
    def isWarm(self) -> bool:
        """Whether the worker is there and ready, so that a run starts at once."""
        return self._client.isWarm

    def start(self, inputs: PredictionInputs, settings: PredictionSettings) -> PredictionRun:
        """Begin a run; it goes on while the event loop runs, and ends with `finished`.

        :raises Failure: a run is under way, the model cannot be read, a setting is not possible, or packages are
            missing and were not installed.
        """
        if self.isInstalling:
            raise Failure("busy", _("Python packages are being installed."), _("Wait for the end."))
        if self.isScoring():
            raise Failure("busy", _("A run is being scored."), _("Wait for its end, or cancel it."))
        if self.isActive or self._client.isBusy:
            raise Failure("busy", _("A prediction is running already."), _("Wait for its end, or cancel it."))
        model = self._catalog.describe(settings.bundleFolder)
        settings.options(model)  # whatever is not possible is said before anything is installed
        installed = self._installMissing()
        if self._isSceneGone or (installed and not self._exporter.arePresent(inputs)):
            remedy = _("The packages are installed: press Predict again.")
            raise Failure("abandoned", _("The inputs changed while packages were installed."), remedy)
        self.run = PredictionRun(inputs, settings, model)
        logging.info("GBMResponse prediction %s started", self.run.identifier)
        self._setProgress(ProgressState(stageText("export"), 0.0))
        if installed:
            self._later.call(self._checkEnvironment)
        else:
            self._later.call(self._export)
        return self.run

    def _installMissing(self) -> bool:
        self.isInstalling, self._isSceneGone = True, False
        try:
            return self._dependencies.ensure()
        finally:
            self.isInstalling = False

    def stop(self) -> None:
        """End the run with the expected image and the samples that are complete, as a result."""
        if self.canStop:
            self.run.isStopped = True
            self._client.stop()

    def cancel(self) -> None:
        """End the run; slices that are finished stay on disk for the next run with the same inputs and settings."""
        if not self.isActive:
            return
        if self._client.isBusy:
            self._setProgress(ProgressState(_("Cancelling"), self.progress.fraction))
            self._client.cancel()
        else:
            self._end(RunState.cancelled)

    def abandon(self, reason: str) -> None:
        """End the run at once because its scene is going; nothing is imported any more."""
        self._isSceneGone = self.isInstalling
        if self.isActive:
            self._client.abandon()
            self._end(RunState.cancelled, Failure("abandoned", reason))
        self.run = None  # it would keep the voxels of the scene

    def close(self) -> None:
        """End the run and ask the worker to end. Temporary files are removed when it has."""
        self._steps.stop()
        if self.isActive:
            self.run.state = RunState.cancelled
        self._client.shutdown()

    def _checkEnvironment(self) -> None:
        """After an installation, ask the worker whether everything loads."""
        self._setProgress(ProgressState(_("Checking the installed packages"), 0.0))
        self._submit({"type": "check"})

    def _export(self) -> None:
        self._guarded(self._prepareExport)

    def _prepareExport(self) -> None:
        run = self.run
        run.inputFolder = self._folders.inputs()
        self._steps.run(self._exporter.steps(run.inputs, run.inputFolder), self._sendRequest)

    def _sendRequest(self, files: dict[str, str | None]) -> None:
        run = self.run
        run.image = self._exporter.image()
        unplaced = run.settings.request(run.model, files, Path(), "")
        content = {name: value for name, value in unplaced.items() if name not in (*files, "out", "id")}
        key = json.dumps([content, self._exporter.fingerprint(files)], sort_keys=True, default=str)
        out = self._folders.results(hashlib.sha256(key.encode()).hexdigest()[:16])
        run.state = RunState.predicting
        if not self._client.isWarm:
            self._setProgress(ProgressState(stageText("start"), 0.0))
        self._submit(run.settings.request(run.model, files, out, run.identifier))

    def _submit(self, request: dict[str, Any]) -> None:
        try:
            self._client.submit(request)
        except Failure as failure:
            self._end(RunState.failed, failure)

    def _onEvent(self, event: dict[str, Any]) -> None:
        if not self.isActive:
            return
        handler = self._handlers.get(event["type"])
        if handler is not None:
            handler(event)
        else:
            self.run.isFinishing |= event.get("stage") in _FINISHING
            self._setProgress(progressState(event, self.progress))

    def _onExpected(self, event: dict[str, Any]) -> None:
        self.run.hasExpected, self.run.slices = True, list(event.get("slices", []))
        self.expectedReady.emit(str(event.get("class", "")), str(event["path"]))

    def _onSlice(self, event: dict[str, Any]) -> None:
        self.previewReady.emit(str(event.get("class", "")), str(event["path"]))

    def _onClassification(self, event: dict[str, Any]) -> None:
        self.run.probabilities = dict(event.get("probabilities", {}))
        self.classified.emit(self.run.probabilities, str(event.get("note", "")))

    def _onWarning(self, event: dict[str, Any]) -> None:
        self.run.warnings.append(str(event.get("message", "")))
        self.warned.emit(str(event.get("message", "")))

    def _onFinished(self, outcome: RequestOutcome) -> None:
        if not self.isActive or outcome.message.get("id") not in (None, self.run.identifier):
            return
        if outcome.kind == CANCELLED:
            self.run.keptSlices = int(outcome.message.get("kept_slices") or 0)
            self._end(RunState.cancelled)
        elif outcome.kind == FAILED:
            self._end(RunState.failed, outcome.failure)
        elif outcome.message["type"] == "environment":
            self._onEnvironment(outcome.message)
        else:
            self._guarded(lambda: self._import(outcome.message))

    def _onEnvironment(self, message: dict[str, Any]) -> None:
        problems = [str(problem) for problem in message.get("problems", [])]
        if message.get("ok", not problems):
            self._later.call(self._export)
        else:
            remedy = _("Restart Slicer and try again; if it stays, look at the log.")
            text = " ".join(problems) or _("The installed packages do not work.")
            self._end(RunState.failed, Failure("dependency", text, remedy, json.dumps(message, default=str)))

    def _import(self, message: dict[str, Any]) -> None:
        run = self.run
        run.state = RunState.importing
        self._setProgress(ProgressState(stageText("import"), 0.99))
        run.manifest = ResultManifest.fromMessage(message)
        if run.inputs.followUp is not None and run.manifest.registeredFollowUp is None:
            run.warnings.append(_("The follow-up could not be aligned; it is shown as it is."))
        register = run.settings.registerFollowUp
        steps = self._importer.steps(run.manifest, run.inputs, run.image, run.identifier, register)
        self._steps.run(steps, self._onImported)

    def _onImported(self, nodes: Any) -> None:
        self.run.nodes = nodes
        self._end(RunState.done)

    def _guarded(self, action: Callable[[], None]) -> None:
        """Whatever goes wrong ends the run with a sentence; nothing is left half done without one."""
        if not self.isActive:
            return
        try:
            with anyError():
                action()
        except Failure as failure:
            self._end(RunState.failed, failure)

    def _end(self, state: RunState, failure: Failure | None = None) -> None:
        run = self.run
        self._steps.stop()
        if run.inputFolder is not None:
            self._folders.remove(run.inputFolder)
        run.state, run.failure = state, failure
        run.image = None
        if failure is not None and failure.details:
            self.logged.emit(failure.details)
        logging.info("GBMResponse prediction %s: %s", run.identifier, state.value)
        self._setProgress(ProgressState("", 1.0 if state is RunState.done else None))
        self.finished.emit(run)

    def _setProgress(self, progress: ProgressState) -> None:
        self.progress = progress
        self.progressChanged.emit(progress)
