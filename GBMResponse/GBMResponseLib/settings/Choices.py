"""The choices a user has, by name, so that nobody has to know what a solver is."""

import enum
from typing import Any

from GBMResponseCore.errors import OptionError
from GBMResponseCore.request import TRAINING_STEPS, PredictionOptions, SamplingOptions

from ..common.Translation import tr as _


class ClassMode(enum.Enum):
    """Which survival class to predict for."""

    auto = "auto"
    predicted = "predicted"
    chosen = "chosen"
    compareAll = "compareAll"

    def label(self) -> str:
        """Return what the panel shows."""
        return {
            ClassMode.auto: _("Automatic: predicted if the classifier has shown skill"),
            ClassMode.predicted: _("Predicted by the classifier"),
            ClassMode.chosen: _("Chosen by me"),
            ClassMode.compareAll: _("Compare all classes"),
        }[self]


class ComputeDevice(enum.Enum):
    """A device the user may ask for; `auto` takes the best one."""

    auto = "auto"
    cuda = "cuda"
    mps = "mps"
    cpu = "cpu"

    def label(self) -> str:
        """Return what the panel shows."""
        return {
            ComputeDevice.auto: _("Automatic"),
            ComputeDevice.cuda: _("NVIDIA GPU (CUDA)"),
            ComputeDevice.mps: _("Apple GPU (MPS)"),
            ComputeDevice.cpu: _("Processor (CPU)"),
        }[self]


class SamplerPreset(enum.Enum):
    """What a prediction makes, and how: the one choice most users need. The members after `paper` are other names."""

    instant = "instant"
    balanced = "balanced"
    paper = "paper"
    model = "balanced"  # in scenes of earlier versions
    fast = "balanced"

    def label(self) -> str:
        """Return what the panel shows."""
        return {
            SamplerPreset.instant: _("Instant: the expected image alone"),
            SamplerPreset.balanced: _("Balanced: expected image and {count} samples"),
            SamplerPreset.paper: _("Paper: DDIM with 200 steps, {count} sample, whole slices"),
        }[self].format(count=self.samples)

    @property
    def samples(self) -> int:
        """Samples beside the expected image."""
        return {SamplerPreset.instant: 0, SamplerPreset.paper: 1}.get(self, PredictionOptions().sample_count)

    def sampling(self) -> dict[str, Any]:
        """Return the fields of a request's `sampling` that the preset stands for; the model's own are the others."""
        paper = {"sampler": "ddim", "steps": 200, "eta": 0.0, "noise_length": 0.0}
        return paper if self is SamplerPreset.paper else {}

    def further(self) -> dict[str, Any]:
        """Return the other options of the engine that the preset stands for, by their names in `PredictionOptions`."""
        return {"compose": False} if self is SamplerPreset.paper else {}


RETIRED = {"fast": "balanced"}
"""Presets whose name in a script would now mean something else, and what to take with which fewer steps."""


def allowsSteps(sampler: str, steps: int) -> bool:
    """Return whether the engine's solver of this name can take this number of steps."""
    try:
        SamplingOptions(sampler=sampler, steps=steps)
    except OptionError:
        return False
    return True


def nearestSteps(sampler: str, steps: int) -> int:
    """Return the possible number of steps closest to this one."""
    possible = (count for count in range(1, TRAINING_STEPS + 1) if allowsSteps(sampler, count))
    return min(possible, key=lambda count: abs(count - steps))
