"""One prediction from the click to the nodes."""

import enum
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..common.Failure import Failure
from ..inputs.InputFacts import PredictionInputs
from ..model.ModelDescription import ModelDescription
from ..results.ResultManifest import ResultManifest
from ..results.ResultNodes import ResultNodes
from ..settings.PredictionSettings import PredictionSettings


class RunState(enum.Enum):
    """Where a run is; it ends in one of the last three."""

    preparing = "preparing"
    predicting = "predicting"
    importing = "importing"
    done = "done"
    failed = "failed"
    cancelled = "cancelled"


@dataclass
class PredictionRun:
    """State of a run; `PredictionController` changes it.

    :param image: copy of the input volume that the result's geometry is taken from; None before and after that.
    :param hasExpected: the expected image is there.
    :param isStopped: the user asked for no further samples.
    :param isFinishing: all pictures are made.
    :param slices: where the generated slices are: `index` in the engine's stack, `center` in RAS.
    :param keptSlices: finished slices that a cancelled run left for the next one.
    """

    inputs: PredictionInputs
    settings: PredictionSettings
    model: ModelDescription
    identifier: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    state: RunState = RunState.preparing
    image: Any = None
    inputFolder: Path | None = None
    manifest: ResultManifest | None = None
    nodes: ResultNodes | None = None
    probabilities: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    failure: Failure | None = None
    keptSlices: int = 0
    hasExpected: bool = False
    isStopped: bool = False
    isFinishing: bool = False
    slices: list[dict[str, Any]] = field(default_factory=list)

    @property
    def isActive(self) -> bool:
        """Whether the run has not ended yet."""
        return self.state in (RunState.preparing, RunState.predicting, RunState.importing)
