"""A training set on disk: memory-mapped arrays of slices and one JSON line per patient.

Layout of a store folder::

    pre.npy, post.npy   float16 (slices, 256, 256), normalized to about [-1, 1]
    gtv.npy             uint8   (slices, 256, 256), 0 or 1
    patient.npy         int32   (slices,), row of the slice's patient in patients.json
    patients.json       list of records: at least `id` and `survival_days`

Arrays are [slice, row, column] with row 0 anterior and column 0 patient right. Slices of a patient are consecutive,
inferior first. A slice takes 0.33 MB; random access to a store that is in memory gives several thousand slices a second
on one core (Testing/benchmarks/bench_loading.py), a store on a disk what the disk gives.

A store is made in two steps, so that an interrupted run continues: :func:`write_part` keeps one finished patient,
:func:`collect_parts` joins all of them.
"""

import io
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.files import check_file, discard, make_folder, move, write_bytes, write_file, write_json

_TYPES = {"pre": np.float16, "post": np.float16, "gtv": np.uint8, "patient": np.int32}
ARRAYS = tuple(_TYPES)

SINGLE_IMAGES = "single_images"
"""True in the records of images without a follow-up: `post` repeats `pre`. Only an image autoencoder learns them."""

_RECORDS = "patients.json"


@dataclass(frozen=True)
class SliceStore:
    """Slices of many patients, memory-mapped."""

    pre: np.ndarray
    post: np.ndarray
    gtv: np.ndarray
    patient: np.ndarray
    patients: list[dict]

    def __len__(self) -> int:
        return len(self.patient)

    def batch(self, indices: Sequence[int] | np.ndarray) -> dict[str, np.ndarray]:
        """Read slices in any order, as float32 (n, H, W) arrays `pre`, `post` and `gtv`.

        This is the fast way: `store.pre[index].astype(np.float32)` takes several times as long.
        """
        indices = np.asarray(indices, dtype=np.int64)
        return {name: as_float32(getattr(self, name)[indices]) for name in ("pre", "post", "gtv")}

    @property
    def survival_days(self) -> np.ndarray:
        """Survival of every slice's patient in days, float (slices,)."""
        days = np.array([record["survival_days"] for record in self.patients], dtype=np.float64)
        return days[self.patient]


def as_float32(array: np.ndarray) -> np.ndarray:
    """Convert slices of a store; float16 goes through torch, which is several times as fast as numpy."""
    import torch

    if array.dtype != np.float16:
        return array.astype(np.float32)
    # torch wants memory that may be written to, which a mapped file's is not.
    writable = array if array.flags.writeable else array.copy()
    return torch.from_numpy(writable).to(torch.float32).numpy()


def write_store(
    folder: Path, pre: np.ndarray, post: np.ndarray, gtv: np.ndarray, patient: np.ndarray, patients: list[dict]
) -> None:
    """Write a store; `patients.json` comes last, so that its presence marks a complete store.

    :raises OutputFolderError: if it cannot be written; no incomplete array is left.
    """
    arrays = {"pre": pre, "post": post, "gtv": gtv, "patient": patient}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"Arrays of a slice store must have one length, got {lengths}.")
    _write(folder, {name: (array.shape, [array]) for name, array in arrays.items()}, patients)


def open_store(folder: Path) -> SliceStore:
    """Open a store read-only without loading its arrays.

    :raises FileNotFoundError: the folder is not a complete store.
    """
    patients = json.loads((folder / _RECORDS).read_text(encoding="utf-8"))
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    return SliceStore(**arrays, patients=patients)


def read_patients(folder: Path) -> list[dict[str, Any]]:
    """Read the records of a store alone.

    :raises MissingFileError, EmptyFileError: the folder is not a complete store.
    """
    return json.loads(check_file(folder / _RECORDS, "slice store's").read_text(encoding="utf-8"))


def stack_indices(record: Mapping[str, Any]) -> np.ndarray:
    """Index of each slice of a patient in the stack it was cut from, int (n,), 0 for the first: gaps are seen."""
    positions = np.asarray(record["slice_positions_mm"], dtype=np.float64)
    steps = np.diff(positions)
    stated = record.get("stack_spacing_mm")
    spacing = stated[-1] if stated else (steps.min() if len(steps) else 1.0)
    return np.round((positions - positions[:1]) / spacing).astype(int)


def write_part(path: Path, pre: np.ndarray, post: np.ndarray, gtv: np.ndarray, record: dict[str, Any]) -> None:
    """Keep one patient's slices (n, H, W) and record in one `.npz` file, which is complete as soon as it exists.

    :raises OutputFolderError: if it cannot be written.
    """
    slices = {"pre": pre, "post": post, "gtv": gtv}
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {name: array.astype(_TYPES[name]) for name, array in slices.items()}
    np.savez(
        buffer,
        **arrays,
        record=json.dumps(record),
    )
    write_bytes(buffer.getvalue(), path)


def read_record(part: Path) -> dict[str, Any]:
    """Return the record of a file of :func:`write_part`."""
    with np.load(part) as data:
        return json.loads(str(data["record"]))


def collect_parts(folder: Path, parts: Sequence[Path]) -> None:
    """Join files of :func:`write_part`, in this order, in a store; one part at a time is in memory.

    :raises OutputFolderError: if the store cannot be written; the parts stay.
    """
    patient = np.repeat(np.arange(len(parts)), [len(_array(part, "gtv")) for part in parts])
    shape = (len(patient), *_array(parts[0], "gtv").shape[1:])
    columns = {name: (shape, map(partial(_array, name=name), parts)) for name in ("pre", "post", "gtv")}
    _write(folder, {**columns, "patient": (patient.shape, [patient])}, [read_record(part) for part in parts])


def _array(part: Path, name: str) -> np.ndarray:
    with np.load(part) as data:
        return data[name]


def _write(
    folder: Path, columns: dict[str, tuple[tuple[int, ...], Iterable[np.ndarray]]], patients: list[dict]
) -> None:
    """Write arrays given as a shape and the chunks that make it up, then the records."""
    new = {name: folder / f".{name}.new.npy" for name in columns}
    try:
        make_folder(folder)
        for name, (shape, chunks) in columns.items():
            write_array(new[name], shape, chunks, np.dtype(_TYPES[name]))
        # From here on an older store in the folder is no longer complete.
        (folder / _RECORDS).unlink(missing_ok=True)
        for name, path in new.items():
            move(path, folder / f"{name}.npy")
    except OSError as error:
        raise OutputFolderError(f"Cannot write the slice store to the folder {folder} ({error.strerror}).") from error
    finally:
        for path in new.values():
            discard(path)
    write_json(patients, folder / _RECORDS)


def write_array(path: Path, shape: tuple[int, ...], chunks: Iterable[np.ndarray], dtype: np.dtype) -> None:
    """Write a `.npy` file chunk by chunk: unlike a memory map, it notices a full disk.

    :raises OutputFolderError: if it cannot be written; an older one of that name stays.
    """
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}

    def write(temporary: Path) -> None:
        check_sum = 0
        with temporary.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, header)
            start = file.tell()
            for chunk in chunks:
                values = np.ascontiguousarray(chunk, dtype=dtype).data
                check_sum = zlib.crc32(values, check_sum)
                file.write(values)
        written = 0
        with temporary.open("rb") as file:
            file.seek(start)
            while data := file.read(1 << 20):
                written = zlib.crc32(data, written)
        if written != check_sum:
            raise OSError("the file does not hold what was written")

    write_file(path, write)
