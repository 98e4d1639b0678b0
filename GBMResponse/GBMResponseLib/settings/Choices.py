"""The choices a user has, by name, so that nobody has to know what a solver is."""

import enum
from typing import Any

from ..common.Translation import tr as _


class ClassMode(enum.Enum):
    """Which survival class to predict for."""

    predicted = "predicted"
    chosen = "chosen"
    compareAll = "compareAll"

    def label(self) -> str:
        """Return what the panel shows."""
        return {
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

    fast = "fast"
    balanced = "balanced"
    paper = "paper"

    def label(self) -> str:
        """Return what the panel shows."""
        return {
            SamplerPreset.fast: _("Fast (UniPC)"),
            SamplerPreset.balanced: _("Balanced (UniPC)"),
            SamplerPreset.paper: _("As in the paper (DDIM)"),
        }[self]

    @property
    def steps(self) -> int:
        """Steps that come with the preset."""
        return {SamplerPreset.fast: 5, SamplerPreset.balanced: 10, SamplerPreset.paper: 200}[self]

    @property
    def sampler(self) -> str:
        """The engine's name of the solver."""
        return "ddim" if self is SamplerPreset.paper else "unipc"

    def allows(self, steps: int) -> bool:
        """Whether the solver can take this number of steps; DDIM needs a divisor of its 1000 training steps."""
        return 1 <= steps <= 1000 and (self.sampler != "ddim" or 1000 % steps == 0)

    def nearestSteps(self, steps: int) -> int:
        """Return the allowed number of steps closest to this one."""
        return min((count for count in range(1, 1001) if self.allows(count)), key=lambda count: abs(count - steps))

    def sampling(self, steps: int, guidanceScale: float) -> dict[str, Any]:
        """Return the `sampling` object of a request."""
        return {
            "sampler": self.sampler,
            "steps": steps,
            "guidance_scale": guidanceScale,
            "guidance_form": "standard",
            "eta": 0.0,
        }
