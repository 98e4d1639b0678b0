"""What every network trains with: its optimizer, the schedule of its learning rate, and when a training has failed."""

from typing import Any

import numpy as np
import torch
from GBMResponseCore.errors import GBMResponseError

from ..settings.networks import Training

VALIDATION_LOSS = "val_loss"
"""Name under which every module logs the figure that selects its weights."""


class DivergedError(GBMResponseError):
    """A training ended without usable weights."""

    code = "diverged"
    exit_code = 52
    remedy = "Start a new run with a lower learning rate, or with gradient_clip."


def warmup_and_decay(optimizer: torch.optim.Optimizer, training: Training, steps: int) -> Any:
    """Return the learning rate schedule: linear growth, then constant, or cosine decay to 5 %."""

    def factor(step: int) -> float:
        if step < training.warmup:
            return (step + 1) / training.warmup
        if training.schedule == "constant":
            return 1.0
        progress = min((step - training.warmup) / max(steps - training.warmup, 1), 1.0)
        return 0.05 + 0.95 * 0.5 * (1.0 + float(np.cos(np.pi * progress)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def adamw(parameters: Any, training: Training) -> torch.optim.AdamW:
    """Return the optimizer that every network trains with."""
    return torch.optim.AdamW(
        parameters, lr=training.learning_rate, betas=training.betas, weight_decay=training.weight_decay
    )
