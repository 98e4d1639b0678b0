"""Where the networks run."""

import enum

from ..common.Translation import tr as _


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
