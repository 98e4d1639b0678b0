"""The files that a training leaves in its folder, and starting from those of another one."""

import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from GBMResponseCore.files import ensure_output_folder, write_file, write_json
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.plugins import TorchCheckpointIO

from ..models.optimization import VALIDATION_LOSS
from ..settings.networks import ConfigurationError

LAST, BEST, FINISHED = "last.ckpt", "best.ckpt", "finished.json"
SNAPSHOT, PHASES = "configuration.yaml", "phases"
"""Of a run: its settings, and the folder of the phases that come before a network's own training."""


def has_begun(folder: Path) -> bool:
    """True if `folder` holds a checkpoint from which its stage continues."""
    return (folder / LAST).is_file()


def is_finished(folder: Path) -> bool:
    """True if the stage in `folder` has ended."""
    return (folder / FINISHED).is_file()


def selected_weights(folder: Path) -> dict[str, torch.Tensor]:
    """State of the module that the finished stage in `folder` left."""
    report = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
    return load_checkpoint(folder / report["selected"])["state_dict"]


def last_weights(folder: Path) -> dict[str, torch.Tensor]:
    """State of the module at the last checkpoint of a stage that has begun."""
    return load_checkpoint(folder / LAST)["state_dict"]


def leave_weights(module: torch.nn.Module, folder: Path, made_from: dict[str, str]) -> None:
    """Leave the weights of a module as a finished stage does that took no step.

    :param made_from: what the stage is made from -> SHA-256.
    :raises OutputFolderError: they cannot be written.
    """
    ensure_output_folder(folder)
    write_file(folder / LAST, partial(_save, {"state_dict": module.state_dict(), "global_step": 0}))
    write_json({"steps": 0, "selected": LAST, "selected_step": 0, "made_from": made_from}, folder / FINISHED)


def check_start(start: Path | None, folder: Path, part: str) -> None:
    """:raises ConfigurationError: `folder` has not begun, and the stage that `part` should start from is not there."""
    if start is not None and not has_begun(folder) and not is_finished(start):
        raise ConfigurationError(
            f"There is no finished stage in {start} for {part} to start from.",
            f"Name a folder such as OTHER_RUN/{part}.",
        )


def start_from(network: torch.nn.Module, start: Path, prefix: str) -> None:
    """Give `network` the weights that a finished stage has under `prefix`.

    :raises ConfigurationError: it has another network.
    """
    state = selected_weights(start)
    weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigurationError(
            f"The stage in {start} has another network than this run.", "Give both the same architecture and classes."
        ) from error


def completed_steps(checkpoint: Path) -> int:
    """Return the optimizer steps that `checkpoint` has behind it; 0 when there is none."""
    return int(load_checkpoint(checkpoint)["global_step"]) if checkpoint.is_file() else 0


def is_finite(weights: dict[str, torch.Tensor]) -> bool:
    """True if every weight is a number."""
    return all(bool(tensor.isfinite().all()) for tensor in weights.values() if tensor.is_floating_point())


class LastCheckpoint(Checkpoint):
    """Keep every so many steps; where a validation is due after it, or a continued run would not know its outcome."""

    def __init__(self, path: Path, every: int, validate_every: int | None) -> None:
        self._path = path
        self._every = every
        self._validate_every = validate_every
        self._kept = 0

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._kept = trainer.global_step

    def on_train_batch_end(self, trainer: lightning.Trainer, *arguments: Any, **options: Any) -> None:
        if self._validate_every is None or trainer.global_step % self._validate_every:
            self._keep(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self._keep(trainer)

    def _keep(self, trainer: lightning.Trainer) -> None:
        # Batches of an accumulated step come with the number of the step before, which is kept already.
        if trainer.global_step != self._kept and trainer.global_step % self._every == 0:
            self._kept = trainer.global_step
            trainer.save_checkpoint(self._path)


class CheckpointFiles(TorchCheckpointIO):
    """Checkpoints that are complete as soon as they have their name; Lightning goes through the system's /tmp."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """:raises OutputFolderError: it cannot be written; an older one of that name stays."""
        ensure_output_folder(Path(path).parent)
        write_file(path, partial(_save, checkpoint))


def best_checkpoint(folder: Path) -> ModelCheckpoint:
    """Return the callback that keeps the weights of the best validation."""
    return ModelCheckpoint(
        dirpath=folder, filename=Path(BEST).stem, monitor=VALIDATION_LOSS, mode="min", enable_version_counter=False,
        auto_insert_metric_name=False,
    )  # fmt: skip


def _save(checkpoint: dict[str, Any], path: Path) -> None:
    try:
        torch.save(checkpoint, path)
        with zipfile.ZipFile(path) as written:
            damaged = written.testzip()
    except (RuntimeError, zipfile.BadZipFile) as error:  # torch's words are about its own stream
        raise OSError("it could not be written whole; the disk may be full") from error
    if damaged is not None:
        raise OSError("the file does not hold what was written")


def load_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """All that a checkpoint holds, which takes a while: its optimizer knows hundreds of tensors."""
    return torch.load(checkpoint, map_location="cpu", weights_only=True)
