"""Scores finished runs against a real follow-up, in the prediction process and as `gbmresponse score` does."""

import json
import logging
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from GBMResponseCore.files import sha256_of_file
from GBMResponseCore.model.manifest import BUNDLE_FILE

from ..common import NodeRoles
from ..common.Failure import Failure, anyError
from ..common.Signal import Signal
from ..common.Steps import Later, Steps
from ..common.Translation import tr as _
from ..inputs.InputFacts import PredictionInputs
from ..model.ModelCatalog import ModelCatalog
from ..model.ModelDescription import ModelDescription
from ..results.ResultNodes import ResultNodes
from ..worker.WorkerClient import RESULT, SCORE, RequestOutcome, WorkerClient
from .RunFolders import RunFolders

if TYPE_CHECKING:
    from ..common.QtTimers import QtTimer
    from ..inputs.SceneExporter import SceneExporter
    from .PredictionController import PredictionController


@dataclass
class Score:
    """One scoring from the click to the record.

    :param run: identifier of the run.
    :param followUp: the volume that it is scored against.
    :param folder: holds the files of the run, and gets the score.
    :param log: file of the log that the score is added to; None: to none.
    :param caseId: what the log calls the case; empty for a pseudonym.
    :param record: the engine's `score.json`; None before the end, and if it failed or was cancelled.
    :param failure: why there is no record; None if it was cancelled.
    """

    run: str
    followUp: Any
    folder: Path
    model: ModelDescription
    log: Path | None
    caseId: str
    inputFolder: Path
    identifier: str = field(default_factory=lambda: f"score-{uuid.uuid4().hex[:8]}")
    isSent: bool = False
    warnings: list[str] = field(default_factory=list)
    record: dict[str, Any] | None = None
    failure: Failure | None = None


class Scoring:
    """At most one score at a time, and none during a prediction. Nothing of the scene is changed.

    Signal: `finished(Score)`.

    :param controller: whose predictions a score waits for.
    :param startTimer: calls a function once after some milliseconds; returns the timer.
    """

    def __init__(
        self,
        client: WorkerClient,
        catalog: ModelCatalog,
        exporter: "SceneExporter",
        controller: "PredictionController",
        folders: RunFolders,
        startTimer: "Callable[[int, Callable[[], None]], QtTimer]",
    ) -> None:
        self.finished = Signal()
        self._client = client
        self._catalog = catalog
        self._exporter = exporter
        self._controller = controller
        self._folders = folders
        self._steps = Steps(Later(startTimer), self._guarded)
        self._score: Score | None = None
        controller.isScoring = lambda: self.isActive
        client.eventReceived.connect(self._onEvent)
        client.finished.connect(self._onFinished)

    @property
    def isActive(self) -> bool:
        """Whether a score has not ended yet."""
        return self._score is not None

    def check(self, run: ResultNodes, followUp: Any) -> None:
        """Check that a run can be scored against a volume, by what the nodes say.

        :raises Failure: it cannot.
        """
        if followUp is None:
            raise Failure("no-follow-up", _("No real follow-up is chosen."), _remedy())
        name = followUp.GetName()
        if NodeRoles.isSynthetic(followUp):
            message = _("{name} is a synthetic image: a run is scored against a real one.").format(name=name)
            raise Failure("no-follow-up", message, _remedy())
        if followUp.GetAttribute(NodeRoles.ROLE) == NodeRoles.REGISTERED:
            message = _("{name} is a copy that a run has aligned.").format(name=name)
            raise Failure("no-follow-up", message, _("Choose the follow-up that it was made of."))
        if followUp is run.inputVolume:
            raise _ownImage(name)
        if followUp.GetImageData() is None:
            message = _("The volume {name} has no voxels.").format(name=name)
            raise Failure("no-volume", message, _("Choose another volume."))
        inputs = _inputs(run, followUp)
        if inputs.volume is None or inputs.segmentation is None or not self._exporter.arePresent(inputs):
            message = _("The volume or the tumor segment that this run was predicted from is not in the scene.")
            raise Failure("no-volume", message, _("Load them again, or predict again."))

    def start(self, run: ResultNodes, folder: Path, followUp: Any, log: Path | None, caseId: str = "") -> None:
        """Begin; it goes on while the event loop runs, and ends with `finished`.

        :param folder: holds the files of the run.
        :raises Failure: the run cannot be scored against this volume, its model is not here, or something else is
            under way.
        """
        controller = self._controller
        if self.isActive or controller.isActive or controller.isInstalling or self._client.isBusy:
            raise Failure("busy", _("A prediction or a score is being made."), _("Wait for its end, or cancel it."))
        self.check(run, followUp)
        if self._exporter.haveEqualVoxels(followUp, run.inputVolume):
            raise _ownImage(followUp.GetName())
        model = self._model(run)
        self._score = Score(run.run, followUp, folder, model, log, caseId.strip(), self._folders.inputs())
        logging.info("GBMResponse score of %s started", run.run)
        self._steps.run(self._exporter.steps(_inputs(run, followUp), self._score.inputFolder, run.geometry), self._send)

    def cancel(self) -> None:
        """End it without a score, unless it is being written already."""
        if self.isActive and self._score.isSent:
            self._client.cancel()
        elif self.isActive:
            self._end()

    def abandon(self) -> None:
        """End it at once, because its scene is going; nobody is told."""
        score, self._score = self._score, None
        self._steps.stop()
        if score is not None:
            self._folders.remove(score.inputFolder)
            if score.isSent:
                self._client.abandon()

    def _model(self, run: ResultNodes) -> ModelDescription:
        record = run.record()
        bundle = next(iter(record.get("classes", {"": record}).values())).get("bundle", {})
        for model in self._catalog.models():
            if sha256_of_file(model.folder / BUNDLE_FILE) == bundle.get("bundle_json_sha256"):
                return model
        name = f"{bundle.get('name', '')} {bundle.get('version', '')}".strip()
        message = _("The model that this run was predicted with is not in the list: {name}.").format(name=name or "?")
        raise Failure("bundle", message, _("Add its folder in the section Model."))

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            with anyError():
                action()
        except Failure as failure:
            self._end(failure=failure)

    def _send(self, files: dict[str, str | None]) -> None:
        score = self._score
        request = {
            "type": SCORE,
            "id": score.identifier,
            **files,
            "out": str(score.folder),
            "bundle": str(score.model.folder),
            "log": str(score.log) if score.log is not None else None,
            "case_id": score.caseId or None,
        }
        self._client.submit(request)
        score.isSent = True

    def _onEvent(self, event: dict[str, Any]) -> None:
        if self.isActive and self._score.isSent and event["type"] == "warning":
            self._score.warnings.append(str(event.get("message", "")))

    def _onFinished(self, outcome: RequestOutcome) -> None:
        score = self._score
        if score is None or not score.isSent or outcome.message.get("id") not in (None, score.identifier):
            return
        record, failure = None, outcome.failure
        if outcome.kind == RESULT:
            try:
                with anyError():
                    record = json.loads(Path(outcome.message["score"]).read_text(encoding="utf-8"))
            except Failure as unreadable:
                failure = unreadable
        self._end(record, failure)

    def _end(self, record: dict[str, Any] | None = None, failure: Failure | None = None) -> None:
        score, self._score = self._score, None
        if score is None:
            return
        self._steps.stop()
        self._folders.remove(score.inputFolder)
        score.record, score.failure = record, failure
        self.finished.emit(score)


def _inputs(run: ResultNodes, followUp: Any) -> PredictionInputs:
    return PredictionInputs(run.inputVolume, run.segmentation, run.segmentID, followUp)


def _ownImage(name: str) -> Failure:
    message = _("{name} is the image that the run was predicted from, no follow-up.").format(name=name)
    return Failure("no-follow-up", message, _remedy())


def _remedy() -> str:
    return _("Choose the T1-Gd volume after treatment as it was acquired.")
