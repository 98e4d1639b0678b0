"""Turns the worker's events into what stands in and beside the progress bar."""

from dataclasses import dataclass
from typing import Any

from GBMResponseCore.request import AUTO_CLASS, PREDICTED_CLASS

from ..common.Translation import tr as _


@dataclass(frozen=True)
class ProgressState:
    """What to show.

    :param fraction: 0 to 1 of the whole request, None while it is unknown.
    :param details: slice, step and time left; may be empty.
    """

    stage: str
    fraction: float | None = None
    details: str = ""


def stageText(stage: str, className: str | None = None) -> str:
    """Return the name of a stage."""
    texts = {
        "export": _("Reading the scene"),
        "start": _("Starting the prediction process"),
        "load": _("Loading the model"),
        "prepare": _("Preparing the slices"),
        "encode": _("Encoding the slices"),
        "classify": _("Estimating the survival class"),
        "expected": _("Computing the expected image"),
        "sample": _("Generating slices"),
        "assemble": _("Assembling the volume"),
        "measure": _("Measuring"),
        "write": _("Writing the results"),
        "register": _("Registering the follow-up"),
        "import": _("Loading the results"),
    }
    text = texts.get(stage, stage)
    if stage == "sample" and className and className not in (AUTO_CLASS, PREDICTED_CLASS):
        return _("Generating slices, class {name}").format(name=className)
    return text


def progressState(event: dict[str, Any], previous: ProgressState) -> ProgressState:
    """Return the state after a `stage` or `progress` event; other events change nothing."""
    if event["type"] == "stage":
        return ProgressState(stageText(str(event.get("stage", "")), event.get("class")), previous.fraction)
    if event["type"] != "progress":
        return previous
    parts = []
    if event.get("slices"):
        done = int(event.get("slice", 0))
        parts.append(_("{done} of {total} slices done").format(done=done, total=int(event["slices"])))
    sample = event.get("sample")
    if sample is not None and event.get("samples", 1) > 1:
        parts.append(_("sample {number} of {total}").format(number=sample + 1, total=event["samples"]))
    if event.get("step") and event.get("steps"):
        parts.append(_("step {step} of {total}").format(step=event["step"], total=event["steps"]))
    if event.get("eta_s") is not None:
        parts.append(timeLeft(float(event["eta_s"])))
    fraction = max(float(event.get("fraction", 0.0)), previous.fraction or 0.0)
    stage = "expected" if sample is None else "sample"
    return ProgressState(stageText(stage, event.get("class")), min(1.0, fraction), ", ".join(parts))


def timeLeft(seconds: float) -> str:
    """Return a remaining time in words."""
    if seconds < 1.5:
        return _("about a second left")
    if seconds < 90:
        return _("about {seconds} s left").format(seconds=round(seconds))
    return _("about {minutes} min left").format(minutes=round(seconds / 60))
