"""Run one training stage with Lightning so that a killed run continues exactly where it stopped.

Batches depend on the seed and the step alone, neither on interruptions nor on how many devices share the work: item `i`
of a training stream is made from a random generator seeded with `i`, a resumed stream starts at the first unused item,
and device r of w takes every w-th batch. All randomness of a loss is part of its items.
"""

import json
import logging
import multiprocessing
import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from GBMResponseCore.errors import DeviceError, GBMResponseError, OutputFolderError
from GBMResponseCore.files import write_json
from lightning.pytorch.callbacks import Callback, Checkpoint, EarlyStopping, ModelCheckpoint, Timer, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.plugins import TorchCheckpointIO
from torch.utils.data import DataLoader, Dataset, Sampler

from ..settings.configuration import ConfigurationError, Training

log = logging.getLogger(__name__)
# Lightning announces the machine and itself before every stage.
logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)

LAST, BEST, FINISHED = "last.ckpt", "best.ckpt", "finished.json"
VALIDATION_LOSS = "val_loss"


class DivergedError(GBMResponseError):
    """A training ended without usable weights."""

    code = "diverged"
    exit_code = 52
    remedy = "Start a new run with a lower learning rate, or with gradient_clip."


Item = Callable[[np.random.Generator, int], Any]
"""Make item `index` of a training stream, drawing from its own random generator."""


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


class ItemStream(Dataset):
    """A training stream of a fixed length: item `i` is `make_item(rng seeded by (seed, i), i)`."""

    def __init__(self, make_item: Item, length: int, seed: int) -> None:
        self._make_item = make_item
        self._length = length
        self._seed = seed

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        return self._make_item(np.random.default_rng([self._seed, index]), index)


class StreamSampler(Sampler):
    """The items of one process, from the first unused batch on.

    The length is that of the whole stream: Lightning compares it with its own batch counter, which a checkpoint
    restores.
    """

    def __init__(self, first_batch: int, batches: int, batch_size: int, rank: int = 0, processes: int = 1) -> None:
        self._first_batch = first_batch
        self._batches = batches
        self._batch_size = batch_size
        self._rank = rank
        self._processes = processes

    def __iter__(self) -> Iterator[int]:
        for batch in range(self._first_batch, self._batches):
            start = (batch * self._processes + self._rank) * self._batch_size
            yield from range(start, start + self._batch_size)

    def __len__(self) -> int:
        return self._batches * self._batch_size


class _Data(lightning.LightningDataModule):
    def __init__(
        self, stream: ItemStream, validation: Dataset, training: Training, machine: Machine, steps: int, done: int
    ) -> None:
        super().__init__()
        self._stream = stream
        self._validation = validation
        self._training = training
        # Items are closures over memory-mapped arrays, which only a forked process can take over.
        workers = machine.workers if "fork" in multiprocessing.get_all_start_methods() else 0
        self._workers: dict[str, Any] = {"num_workers": workers, "persistent_workers": workers > 0}
        if workers:
            self._workers["multiprocessing_context"] = "fork"
        self._batches = steps * training.accumulate
        self._first_batch = done * training.accumulate

    def train_dataloader(self) -> DataLoader:
        size = self._training.batch_size
        trainer = self.trainer
        sampler = StreamSampler(self._first_batch, self._batches, size, trainer.global_rank, trainer.world_size)
        return DataLoader(self._stream, batch_size=size, sampler=sampler, pin_memory=_on_gpu(trainer), **self._workers)

    def val_dataloader(self) -> DataLoader:
        # Every process sees all of it, so that all agree on the best checkpoint without talking to each other.
        return DataLoader(self._validation, batch_size=self._training.batch_size, num_workers=0)


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


class _LastCheckpoint(Checkpoint):
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


class _CheckpointFiles(TorchCheckpointIO):
    """Checkpoints that are complete as soon as they have their name; Lightning goes through the system's /tmp."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """:raises OutputFolderError: it cannot be written; an older one of that name stays."""
        path = Path(path)
        partial = path.with_suffix(".partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(checkpoint, partial)
            os.replace(partial, path)
        except (OSError, RuntimeError) as error:
            raise OutputFolderError(f"Cannot write the checkpoint {path.name} to the folder {path.parent}.") from error
        finally:
            partial.unlink(missing_ok=True)


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
) -> dict[str, Any]:
    """Train `module`, or continue the run that `folder` holds, and leave the selected weights in it.

    :param validation: items for the module's `validation_step`, which logs `val_loss`; empty: no validation.
    :param folder: receives `last.ckpt`, `best.ckpt`, `finished.json`, and logs for TensorBoard and as CSV.
    :param epoch_items: training items per epoch.
    :returns: content of `finished.json`: steps, seconds, parameters, the step of the selected weights.
    :raises DivergedError: the weights are not finite.
    :raises OutputFolderError: a checkpoint cannot be written; the one before stays.
    """
    machine = machine or Machine()
    folder.mkdir(parents=True, exist_ok=True)
    steps = training.optimizer_steps(epoch_items, machine.processes)
    finished = folder / FINISHED
    if not finished.is_file():
        _train(module, make_item, validation, folder, training, steps, seed, machine, callbacks)
    module.load_state_dict(selected_weights(folder))
    module.cpu().eval()
    return json.loads(finished.read_text(encoding="utf-8"))


def has_begun(folder: Path) -> bool:
    """True if `folder` holds a checkpoint from which its stage continues."""
    return (folder / LAST).is_file()


def is_finished(folder: Path) -> bool:
    """True if the stage in `folder` has ended."""
    return (folder / FINISHED).is_file()


def selected_weights(folder: Path) -> dict[str, torch.Tensor]:
    """State of the module that the finished stage in `folder` left."""
    report = json.loads((folder / FINISHED).read_text(encoding="utf-8"))
    return _load(folder / report["selected"])["state_dict"]


def check_start(start: str | None, folder: Path, part: str) -> None:
    """:raises ConfigurationError: `folder` has not begun, and the stage that `part` should start from is not there."""
    if start is not None and not has_begun(folder) and not is_finished(Path(start)):
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
) -> None:
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
        chosen.append(_best_checkpoint(folder))
        if training.patience:
            chosen.append(_EarlyStoppingFrom(getattr(module, "selectable_from", 0), training.patience))
    chosen.append(_LastCheckpoint(last, training.checkpoint_every, training.validate_every if validates else None))
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
        plugins=[_CheckpointFiles()],
        log_every_n_steps=10,
        enable_model_summary=False,
    )
    data = _Data(stream, validation, training, machine, steps, done)
    trainer.fit(module, datamodule=data, ckpt_path=str(last) if done else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    trainer.save_checkpoint(last)
    selected = BEST if training.select == "best" and (folder / BEST).is_file() else LAST
    if not _is_finite(folder / selected):
        raise DivergedError(f"The training in {folder} diverged: the weights are no numbers any more.")
    if trainer.is_global_zero:
        write_json(
            {
                "steps": int(trainer.global_step),
                "planned_steps": steps,
                "stopped_early": bool(trainer.global_step < steps),
                "selected": selected,
                "selected_step": completed_steps(folder / selected),
                "items_per_step": per_step,
                "parameters": sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad),
                "seconds": round(timer.time_elapsed("train") + timer.time_elapsed("validate"), 1),
                "device": _device_name(trainer),
                "processes": machine.processes,
                "precision": machine.lightning_precision(),
                "torch": torch.__version__,
            },
            folder / FINISHED,
        )
    # The group of processes stays: under torchrun a second one would find the addresses of the first.
    trainer.strategy.barrier()


def completed_steps(checkpoint: Path) -> int:
    """Return the optimizer steps that `checkpoint` has behind it; 0 when there is none."""
    return int(_load(checkpoint)["global_step"]) if checkpoint.is_file() else 0


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


def _best_checkpoint(folder: Path) -> ModelCheckpoint:
    return ModelCheckpoint(
        dirpath=folder, filename=Path(BEST).stem, monitor=VALIDATION_LOSS, mode="min", enable_version_counter=False,
        auto_insert_metric_name=False,
    )  # fmt: skip


def _is_finite(checkpoint: Path) -> bool:
    tensors = _load(checkpoint)["state_dict"].values()
    return all(bool(tensor.isfinite().all()) for tensor in tensors if tensor.is_floating_point())


def _load(checkpoint: Path) -> dict[str, Any]:
    return torch.load(checkpoint, map_location="cpu", weights_only=True)


def _on_gpu(trainer: lightning.Trainer) -> bool:
    return trainer.strategy.root_device.type == "cuda"


def _device_name(trainer: lightning.Trainer) -> str:
    if _on_gpu(trainer):
        return torch.cuda.get_device_name(trainer.strategy.root_device)
    return f"CPU, {torch.get_num_threads()} threads of {os.cpu_count()} cores"
