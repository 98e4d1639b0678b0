"""Random access to a slice store: slices/s as float32 batches of pre, post and GTV, on a store made for the purpose.

python Testing/benchmarks/bench_loading.py [--slices 6000] [--batch 30] [--folder DIR]

Paths: `store.batch`, the store alone; `DataLoader`, PyTorch's loader over it with 0 and 2 workers; `item by item`, one
slice per call and PyTorch's collation, as map-style data sets do it; `ItemStream`, the training package's stream of
random items over the store. The store (2.0 GB for 6,000 slices) is removed at the end. Files are in the page cache
when the clock starts; `--cold` drops them from it before each path where the system allows that.
"""

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from GBMResponseTraining.engine.stream import ItemStream
from GBMResponseTraining.store.slice_store import ARRAYS, SliceStore, as_float32, open_store, write_store

TARGET = 2000


class Slices(Dataset):
    """One slice per item."""

    def __init__(self, store: SliceStore) -> None:
        self._store = store

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        arrays = {name: getattr(self._store, name)[index] for name in ("pre", "post", "gtv")}
        return {name: torch.from_numpy(as_float32(array)) for name, array in arrays.items()}


class Batches(Dataset):
    """One batch per item, in a random order of slices."""

    def __init__(self, store: SliceStore, order: np.ndarray, batch: int) -> None:
        self._store = store
        self._batches = [order[start : start + batch] for start in range(0, len(order), batch)]

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {name: torch.from_numpy(array) for name, array in self._store.batch(self._batches[index]).items()}


def make_store(folder: Path, slices: int, size: int = 256, per_patient: int = 40) -> SliceStore:
    """Write a store of random heads, as large as a real one."""
    rng = np.random.default_rng(0)
    images = rng.normal(size=(64, size, size)).astype(np.float16)
    repeated = images[rng.integers(64, size=slices)]
    patient = np.arange(slices) // per_patient
    records = [{"id": str(number), "survival_days": 100.0} for number in range(int(patient[-1]) + 1)]
    write_store(folder, repeated, repeated[::-1], repeated > 1.5, patient, records)
    return open_store(folder)


def measure(name: str, make: Callable[[], Iterable[dict[str, torch.Tensor]]], slices: int) -> float:
    """Print and return slices/s; the data are touched, so that lazily mapped pages are read."""
    start, seen, total = time.perf_counter(), 0, 0.0
    for batch in make():
        seen += len(batch["pre"])
        total += float(batch["pre"][0, 0, 0])
    rate = seen / (time.perf_counter() - start)
    assert seen == slices and np.isfinite(total)
    print(f"{name:<28}{rate:>10.0f} slices/s{rate * 5 * 65536 / 1e6:>8.0f} MB/s read", flush=True)
    return rate


def forget(folder: Path) -> None:
    """Drop the files of a folder from the page cache."""
    os.sync()
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=6000)
    parser.add_argument("--batch", type=int, default=30)
    parser.add_argument("--folder", type=Path, help="where the temporary store is made")
    parser.add_argument("--cold", action="store_true")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-store-", dir=arguments.folder))
    try:
        store = make_store(folder, arguments.slices)
        for array in ARRAYS:
            getattr(store, array).sum(dtype=np.float64)
        order = np.random.default_rng(1).permutation(len(store))
        batches = Batches(store, order, arguments.batch)
        print(f"{len(store)} slices of 256 x 256, batches of {arguments.batch}, {os.cpu_count()} cores, "
              f"{torch.get_num_threads()} threads, {'cold' if arguments.cold else 'warm'} files; "
              f"target {TARGET} slices/s")  # fmt: skip

        def stream() -> Iterable[dict[str, torch.Tensor]]:
            items = Slices(store)
            made = ItemStream(lambda rng, index: items[int(rng.integers(len(items)))], len(store), seed=0)
            return DataLoader(made, batch_size=arguments.batch)

        paths = {
            "store.batch": lambda: (batches[index] for index in range(len(batches))),
            "DataLoader, 0 workers": lambda: DataLoader(batches, batch_size=None),
            "DataLoader, 2 workers": lambda: DataLoader(batches, batch_size=None, num_workers=2),
            "item by item, 0 workers": lambda: DataLoader(Slices(store), batch_size=arguments.batch, shuffle=True),
            "item by item, 2 workers": lambda: DataLoader(
                Slices(store), batch_size=arguments.batch, shuffle=True, num_workers=2
            ),
            "ItemStream": stream,
        }
        for name, make in paths.items():
            if arguments.cold:
                forget(folder)
            measure(name, make, len(store))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
