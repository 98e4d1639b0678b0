"""Run one training stage with Lightning so that a killed run continues exactly where it stopped.

Batches depend on the seed and the step alone, neither on interruptions nor on how many devices share the work, see
:mod:`.stream`; all randomness of a loss is part of its items.
"""

import json
import logging
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning
import torch
from GBMResponseCore.files import make_folder, write_json
from lightning.pytorch.callbacks import Callback, EarlyStopping, Timer, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from torch.utils.data import Dataset

from ..items.slices import Item
from ..models.optimization import VALIDATION_LOSS, DivergedError
from ..settings.networks import Training
from .checkpoints import (
    BEST,
    FINISHED,
    LAST,
    CheckpointFiles,
    LastCheckpoint,
    best_checkpoint,
    completed_steps,
    is_finite,
    load_checkpoint,
    selected_weights,
)
from .machine import Machine, device_name
from .made_from import begin_stage
from .stream import ItemStream, StreamData

log = logging.getLogger(__name__)
_THREAD_ENDS_S = 5.0
# Lightning announces the machine and itself before every stage.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)


class _ProgressBar(TQDMProgressBar):
    """Without the logger's version, which says nothing here."""

    def get_metrics(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> dict[str, Any]:
        metrics = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class _EarlyStoppingFrom(EarlyStopping):
    """Count validations without improvement from a step on."""

    def __init__(self, first_step: int, patience: int) -> None:
        super().__init__(VALIDATION_LOSS, patience=patience, mode="min")
        self._first_step = first_step

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        # A run that was killed after its last validation has nothing left to do.
        trainer.should_stop = trainer.should_stop or self.wait_count >= self.patience

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if trainer.global_step >= self._first_step:
            super().on_validation_end(trainer, pl_module)


def fit(
    module: lightning.LightningModule,
    make_item: Item,
    validation: Dataset,
    folder: Path,
    training: Training,
    *,
    epoch_items: int,
    seed: int,
    machine: Machine | None = None,
    callbacks: Sequence[Callback] = (),
    made_from: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Train `module`, or continue the run that `folder` holds, and leave the selected weights in it.

    :param validation: items for the module's `validation_step`, which logs `val_loss`; empty: no validation.
    :param folder: receives `last.ckpt`, `best.ckpt`, `finished.json`, and logs for TensorBoard and as CSV.
    :param epoch_items: training items per epoch.
    :param made_from: what the stage is made from -> SHA-256; kept in `finished.json`.
    :returns: content of `finished.json`: steps, seconds, parameters, the step of the selected weights.
    :raises StaleStageError: the stage in `folder` was made from something else.
    :raises DivergedError: the weights are not finite.
    :raises OutputFolderError: a checkpoint cannot be written; the one before stays.
    """
    machine = machine or Machine()
    make_folder(folder)
    steps = training.optimizer_steps(epoch_items, machine.processes)
    finished = folder / FINISHED
    made_from = made_from or {}
    begin_stage(folder, made_from)
    if finished.is_file():
        weights = selected_weights(folder)
    else:
        weights = _train(module, make_item, validation, folder, training, steps, seed, machine, callbacks, made_from)
    module.load_state_dict(weights)
    module.cpu().eval()
    return json.loads(finished.read_text(encoding="utf-8"))


@contextmanager
def _told_once() -> Iterator[None]:
    """TensorBoard's thread ends of a full disk and its traceback is printed; the trainer raises the same error."""
    usual = threading.excepthook

    def told(failed: threading.ExceptHookArgs) -> None:
        if not (isinstance(failed.exc_value, OSError) and _is_tensorboard(failed.thread)):
            usual(failed)

    threading.excepthook = told
    try:
        yield
    finally:
        for thread in filter(_is_tensorboard, threading.enumerate()):
            thread.join(_THREAD_ENDS_S)
        threading.excepthook = usual


def _is_tensorboard(thread: threading.Thread | None) -> bool:
    return type(thread).__module__.startswith("tensorboard.")


def _train(
    module: lightning.LightningModule,
    make_item: Item,
    validation: Dataset,
    folder: Path,
    training: Training,
    steps: int,
    seed: int,
    machine: Machine,
    callbacks: Sequence[Callback],
    made_from: Mapping[str, str],
) -> dict[str, torch.Tensor]:
    """Do what is left to do; return the selected weights."""
    last = folder / LAST
    done = completed_steps(last)
    log.info("Training %s: %d of %d steps to do", folder, steps - done, steps)
    # A continued run finds its checkpoints in the folder, and the averaged weights are never in training mode.
    warnings.filterwarnings("ignore", ".*exists and is not empty.*")
    warnings.filterwarnings("ignore", ".*in eval mode at the start of training.*")
    warnings.filterwarnings("ignore", ".*is smaller than the logging interval.*")
    warnings.filterwarnings("ignore", ".*does not have many workers.*")
    warnings.filterwarnings("ignore", ".*LeafSpec.*is deprecated.*")
    per_step = training.accumulate * training.batch_size * machine.processes
    stream = ItemStream(make_item, steps * per_step, seed)
    timer = Timer()
    chosen: list[Callback] = [timer, _ProgressBar(refresh_rate=10), *callbacks]
    validates = len(validation) > 0
    if validates:
        chosen.append(best_checkpoint(folder))
        if training.patience:
            chosen.append(_EarlyStoppingFrom(getattr(module, "selectable_from", 0), training.patience))
    chosen.append(LastCheckpoint(last, training.checkpoint_every, training.validate_every if validates else None))
    manual = not module.automatic_optimization
    trainer = lightning.Trainer(
        max_steps=steps,
        accelerator=machine.accelerator,
        devices=machine.devices,
        num_nodes=machine.nodes,
        # Parts of a network may rest: the discriminator before its start, the codebook before quantization.
        strategy="ddp_find_unused_parameters_true" if machine.processes > 1 else "auto",
        use_distributed_sampler=False,
        precision=machine.lightning_precision(),
        accumulate_grad_batches=1 if manual else training.accumulate,
        gradient_clip_val=None if manual else training.gradient_clip,
        val_check_interval=training.validate_every * training.accumulate if validates else None,
        check_val_every_n_epoch=None if validates else 1,
        limit_val_batches=1.0 if validates else 0,
        num_sanity_val_steps=0,
        default_root_dir=folder,
        logger=[
            CSVLogger(folder, name="", version=f"from_step_{done:06d}"),
            TensorBoardLogger(folder, name="", version="tensorboard"),
        ],
        callbacks=chosen,
        plugins=[CheckpointFiles()],
        log_every_n_steps=10,
        enable_model_summary=False,
    )
    data = StreamData(stream, validation, training, machine, steps, done)
    with _told_once():
        trainer.fit(module, datamodule=data, ckpt_path=str(last) if done else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    trainer.save_checkpoint(last)
    selected = BEST if training.select == "best" and (folder / BEST).is_file() else LAST
    checkpoint = load_checkpoint(folder / selected)
    if not is_finite(checkpoint["state_dict"]):
        raise DivergedError(f"The training in {folder} diverged: the weights are no numbers any more.")
    if trainer.is_global_zero:
        write_json(
            {
                "steps": int(trainer.global_step),
                "planned_steps": steps,
                "stopped_early": bool(trainer.global_step < steps),
                "selected": selected,
                "selected_step": int(checkpoint["global_step"]),
                "items_per_step": per_step,
                "parameters": sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad),
                "seconds": round(timer.time_elapsed("train") + timer.time_elapsed("validate"), 1),
                "device": device_name(trainer),
                "processes": machine.processes,
                "precision": machine.lightning_precision(),
                "torch": torch.__version__,
                "made_from": dict(made_from),
            },
            folder / FINISHED,
        )
    # The group of processes stays: under torchrun a second one would find the addresses of the first.
    trainer.strategy.barrier()
    return checkpoint["state_dict"]
