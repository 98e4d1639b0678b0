"""Text for a bug report: versions, settings and log, no patient data."""

import dataclasses
import json
import platform

import slicer

from ..common.Failure import Failure
from ..model.ModelDescription import ModelDescription
from ..settings.PredictionSettings import PredictionSettings
from ..worker.SystemFacts import freeGB, systemLines

_LOG_CHARACTERS = 20_000


def slicerLine() -> str:
    """Return which Slicer this is."""
    application = slicer.app
    return f"Slicer {application.majorVersion}.{application.minorVersion} revision {application.revision}"


def diagnosticsText(
    model: ModelDescription | None, settings: PredictionSettings | None, failure: Failure | None, log: str
) -> str:
    """Return what a maintainer asks for first. Folders are left out: they may carry names."""
    free = freeGB(slicer.app.temporaryPath)
    chosen = dataclasses.asdict(settings) if settings is not None else {}
    chosen.pop("bundleFolder", None)
    lines = [
        slicerLine(),
        f"System {platform.platform()}, Python {platform.python_version()}",
        *systemLines(),
        f"Free in the temporary folder: {'unknown' if free is None else f'{free:.1f} GB'}",
        f"Model {model.name} {model.version}" if model is not None else "No model",
        f"Settings {json.dumps(chosen, default=str)}",
        f"Last failure {failure.code}: {failure}" if failure is not None else "No failure",
        "Log:",
        log[-_LOG_CHARACTERS:],
    ]
    return "\n".join(lines)
