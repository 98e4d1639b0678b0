"""Run one training stage with Lightning so that a killed run continues exactly where it stopped.

Batches depend only on the seed and the step, never on how often the run was interrupted: item `i` of a training
stream is made from a random generator seeded with `i`, and a resumed stream starts at the first unused item.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader, Dataset, Sampler

LAST_CHECKPOINT = "last.ckpt"


class ItemStream(Dataset):
    """An endless training stream of a fixed length: item `i` is `make_item(rng seeded by (seed, i))`."""

    def __init__(self, make_item: Callable[[np.random.Generator], Any], length: int, seed: int) -> None:
        self._make_item = make_item
        self._length = length
        self._seed = seed

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        return self._make_item(np.random.default_rng([self._seed, index]))


class _ContinuingSampler(Sampler):
    """Yield start, start + 1, … but keep the full length, which Lightning compares with its own batch counter."""

    def __init__(self, start: int, length: int) -> None:
        self._start = start
        self._length = length

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._start, self._length))

    def __len__(self) -> int:
        return self._length


def fit(
    module: lightning.LightningModule,
    make_item: Callable[[np.random.Generator], Any],
    folder: Path,
    *,
    steps: int,
    batch_size: int,
    seed: int,
    checkpoint_every: int = 50,
    callbacks: list[Callback] | None = None,
) -> lightning.LightningModule:
    """Train `module` for `steps` optimiser steps, or continue the run that `folder` holds.

    :param folder: receives `last.ckpt` every `checkpoint_every` steps and the log `metrics.csv`.
    :returns: the trained module.
    """
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / LAST_CHECKPOINT
    done = completed_steps(checkpoint)
    if done >= steps:
        module.load_state_dict(_load(checkpoint)["state_dict"])
        return module
    stream = ItemStream(make_item, steps * batch_size, seed)
    loader = DataLoader(
        stream, batch_size=batch_size, sampler=_ContinuingSampler(done * batch_size, len(stream)), num_workers=0
    )
    saver = ModelCheckpoint(
        dirpath=folder, filename="last", every_n_train_steps=checkpoint_every, enable_version_counter=False
    )
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator="auto",
        devices=1,
        default_root_dir=folder,
        logger=CSVLogger(folder, name="", version=f"from_step_{done:06d}"),
        callbacks=[saver, TQDMProgressBar(refresh_rate=10), *(callbacks or [])],
        log_every_n_steps=10,
        enable_model_summary=False,
        gradient_clip_val=1.0,
    )
    trainer.fit(module, loader, ckpt_path=str(checkpoint) if done else None, weights_only=True)
    trainer.save_checkpoint(checkpoint)
    return module


def completed_steps(checkpoint: Path) -> int:
    """Return the optimiser steps that `checkpoint` has behind it; 0 when there is none."""
    return int(_load(checkpoint)["global_step"]) if checkpoint.is_file() else 0


def _load(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint, map_location="cpu", weights_only=True)


def warmup_cosine(optimizer: torch.optim.Optimizer, steps: int, warmup: int) -> dict[str, Any]:
    """Return Lightning's scheduler entry: linear warm-up, then cosine decay to 5 % of the learning rate."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min((step - warmup) / max(steps - warmup, 1), 1.0)
        return 0.05 + 0.95 * 0.5 * (1.0 + float(np.cos(np.pi * progress)))

    return {"scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor), "interval": "step"}
