"""Where a stage runs."""

import os
from dataclasses import dataclass

import lightning
import torch
from GBMResponseCore.errors import DeviceError


@dataclass(frozen=True)
class Machine:
    """Where a stage runs.

    :param devices, nodes: processes per node, and nodes; more than one in all trains with DDP.
    :param precision: `auto` takes bfloat16 autocast on GPUs that have it; else `32-true` or `bf16-mixed`.
    :param workers: data loading processes per device.
    """

    accelerator: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "auto"
    workers: int = 0

    @property
    def processes(self) -> int:
        return self.devices * self.nodes

    @property
    def on_gpu(self) -> bool:
        """True if networks train on NVIDIA or AMD GPUs."""
        return self.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()

    def check(self) -> None:
        """:raises DeviceError: this computer lacks the accelerator, or so many of it."""
        mps = torch.backends.mps.is_available()
        if (self.accelerator == "mps" and not mps) or (self.accelerator == "gpu" and not (self.on_gpu or mps)):
            raise DeviceError(f"There is no accelerator '{self.accelerator}' here.", "Use --accelerator auto or cpu.")
        if self.on_gpu and self.devices > torch.cuda.device_count():
            raise DeviceError(
                f"{self.devices} GPUs are asked for, {torch.cuda.device_count()} are here.", "Lower --devices."
            )

    def lightning_precision(self) -> str:
        if self.precision != "auto":
            return self.precision
        return "bf16-mixed" if self.on_gpu and torch.cuda.is_bf16_supported() else "32-true"


def trains_on_gpu(trainer: lightning.Trainer) -> bool:
    """True if the trainer's own process has a GPU."""
    return trainer.strategy.root_device.type == "cuda"


def device_name(trainer: lightning.Trainer) -> str:
    """Return what the trainer runs on, for its report."""
    if trains_on_gpu(trainer):
        return torch.cuda.get_device_name(trainer.strategy.root_device)
    return f"CPU, {torch.get_num_threads()} threads of {os.cpu_count()} cores"
