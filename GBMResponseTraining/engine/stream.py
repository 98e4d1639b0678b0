"""The stream of items that a training sees, the same however often it is interrupted and however many devices share it.

Item `i` is made from a random generator seeded with `i`, a resumed stream starts at the first unused item, and device r
of w takes every w-th batch.
"""

import multiprocessing
from collections.abc import Iterator
from typing import Any

import lightning
import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from ..items.slices import Item
from ..settings.networks import Training
from .machine import Machine, trains_on_gpu


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


class StreamData(lightning.LightningDataModule):
    """A stream for training and fixed items for validation.

    :param steps: planned optimizer steps; the first `done` of them are behind.
    """

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
        pinned = trains_on_gpu(trainer)
        return DataLoader(self._stream, batch_size=size, sampler=sampler, pin_memory=pinned, **self._workers)

    def val_dataloader(self) -> DataLoader:
        # Every process sees all of it, so that all agree on the best checkpoint without talking to each other.
        return DataLoader(self._validation, batch_size=self._training.batch_size, num_workers=0)
