"""The parts that predict, put together."""

from pathlib import Path
from typing import Any

import slicer

from ..common.Failure import Failure
from ..common.QtTimers import startTimer
from ..common.Translation import tr as _
from ..inputs.InputFacts import PredictionInputs
from ..inputs.SceneExporter import SceneExporter
from ..model.ModelCatalog import ModelCatalog
from ..results.ResultImporter import ResultImporter
from ..settings.PredictionSettings import PredictionSettings
from ..worker.DependencyInstaller import DependencyInstaller, Guide
from ..worker.WorkerClient import WorkerClient
from ..worker.WorkerProcess import WorkerProcess
from .BatchRun import BatchRun
from .PredictionController import PredictionController
from .PredictionRun import PredictionRun, RunState
from .RunFolders import RunFolders
from .Scoring import Scoring
from .WhatIf import WhatIf

_WAIT_MS = 20


class Engine:
    """What the logic class of the module uses; also without a panel.

    :param workerCommand: program and arguments of the worker.
    :param guide: asks the user before packages are installed, and shows how it goes.
    """

    def __init__(self, moduleFolder: Path, workerCommand: list[str], guide: Guide) -> None:
        from slicer import packaging

        resources = moduleFolder / "Resources"
        self.catalog = ModelCatalog(resources / "Models")
        self.process = WorkerProcess(workerCommand, moduleFolder)
        self.client = WorkerClient(self.process, startTimer)
        self.dependencies = DependencyInstaller(
            resources / "requirements.txt", packaging, guide, installExtension=installExtension
        )
        self.folders = RunFolders(Path(slicer.app.temporaryPath))
        self.controller = PredictionController(
            self.client, self.catalog, SceneExporter(), ResultImporter(), self.dependencies, self.folders, startTimer
        )
        self.whatIf = WhatIf(self.client, self.folders, startTimer)
        python = workerCommand[:-1]  # what comes before the name of a Python module

        def makeProcess(arguments: list[str]) -> WorkerProcess:
            return WorkerProcess([*python, "GBMResponseCore", *arguments], moduleFolder)

        self.batch = BatchRun(makeProcess, self.catalog, self.dependencies)
        self.caseReader = BatchRun(makeProcess, self.catalog, self.dependencies)  # also while a batch is running
        self.scoring = Scoring(self.client, self.catalog, SceneExporter(), self.controller, self.folders, startTimer)

    def start(self, inputs: PredictionInputs, settings: dict[str, Any]) -> PredictionRun:
        """Begin a prediction with these settings (`PredictionSettings.fromKeywords`).

        :raises Failure: it cannot begin.
        """
        return self.controller.start(inputs, PredictionSettings.fromKeywords(settings))

    def wait(self, run: PredictionRun) -> None:
        """Run the event loop until a prediction has ended.

        :raises Failure: it failed or was cancelled.
        """
        while run.isActive:
            slicer.app.processEvents()
            self.process.waitForEvents(_WAIT_MS)
        if run.failure is not None:
            raise run.failure
        if run.state is RunState.cancelled:
            raise Failure("cancelled", _("The prediction was cancelled."))

    def close(self) -> None:
        """End the worker and the cases of a batch, and remove temporary files."""
        self.batch.close()
        self.caseReader.close()
        self.scoring.abandon()
        self.controller.close()
        self.process.close()
        self.folders.removeAll()  # a file that the worker has open could not be removed everywhere


def installExtension(name: str) -> bool:
    """Install an extension of Slicer from its server; asks nothing, and leaves the restart to the user.

    :returns: whether it is installed now.
    """
    model = slicer.app.extensionsManagerModel()
    wasInteractive = model.interactive
    model.setInteractive(False)
    try:
        return bool(model.installExtensionFromServer(name, False))
    finally:
        model.setInteractive(wasInteractive)
