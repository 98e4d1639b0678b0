"""The choices a user has, by name, so that nobody has to know what a solver is."""

import enum
from typing import Any

from GBMResponseCore.errors import OptionError
from GBMResponseCore.request import TRAINING_STEPS, SamplingOptions

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
    """How much computing a sample is worth."""

    model = "model"
    fast = "fast"
    balanced = "balanced"
    paper = "paper"

    def label(self) -> str:
        """Return what the panel shows."""
        return {
            SamplerPreset.model: _("As the model recommends"),
            SamplerPreset.fast: _("Fast (UniPC)"),
            SamplerPreset.balanced: _("Balanced (UniPC)"),
            SamplerPreset.paper: _("As in the paper (DDIM)"),
        }[self]

    def sampling(self) -> dict[str, Any]:
        """Return the fields of a request's `sampling` that the preset stands for."""
        return {
            SamplerPreset.model: {},
            SamplerPreset.fast: {"sampler": "unipc", "steps": 5, "eta": 0.0},
            SamplerPreset.balanced: {"sampler": "unipc", "steps": 10, "eta": 0.0},
            SamplerPreset.paper: {"sampler": "ddim", "steps": 200, "eta": 0.0},
        }[self]


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
