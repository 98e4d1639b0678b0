"""A training set on disk: memory-mapped arrays of slices and one JSON line per patient.

Layout of a store folder::

    pre.npy, post.npy   float16 (slices, 256, 256), normalised to about [-1, 1]
    gtv.npy             uint8   (slices, 256, 256), 0 or 1
    patient.npy         int32   (slices,), row of the slice's patient in patients.json
    patients.json       list of records: at least `id` and `survival_days`

Arrays are [slice, row, column] with row 0 anterior and column 0 patient right.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from GBMResponseCore.files import write_json

ARRAYS = ("pre", "post", "gtv", "patient")


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

    @property
    def survival_days(self) -> np.ndarray:
        """Survival of every slice's patient in days, float (slices,)."""
        days = np.array([record["survival_days"] for record in self.patients], dtype=np.float64)
        return days[self.patient]


def write_store(
    folder: Path, pre: np.ndarray, post: np.ndarray, gtv: np.ndarray, patient: np.ndarray, patients: list[dict]
) -> None:
    """Write a store; `patients.json` comes last, so that its presence marks a complete store."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {
        "pre": pre.astype(np.float16),
        "post": post.astype(np.float16),
        "gtv": gtv.astype(np.uint8),
        "patient": patient.astype(np.int32),
    }
    lengths = {name: len(array) for name, array in columns.items()}
    if len(set(lengths.values())) != 1:
        raise ValueError(f"Arrays of a slice store must have one length, got {lengths}.")
    for name, array in columns.items():
        np.save(folder / f"{name}.npy", array)
    write_json(patients, folder / "patients.json")


def open_store(folder: Path) -> SliceStore:
    """Open a store read-only without loading its arrays.

    :raises FileNotFoundError: the folder is not a complete store.
    """
    patients = json.loads((folder / "patients.json").read_text(encoding="utf-8"))
    arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in ARRAYS}
    return SliceStore(**arrays, patients=patients)
