"""The slices a model is evaluated on."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore.errors import GBMResponseError

from ..store.person import person_numbers
from ..store.slice_store import SINGLE_IMAGES, open_store, read_patients, stack_indices
from ..store.splits import SPLIT_FILE, SplitError, split_store

_CHUNK = 64


class EvaluationError(GBMResponseError):
    """What was asked cannot be evaluated."""

    code = "evaluation"
    exit_code = 81
    remedy = "See docs/evaluation.md."


@dataclass(frozen=True)
class HeldOut:
    """Slices of the patients of one split, those of a patient together and from inferior to superior.

    :param pre, post: float32 (n, H, W), normalized.
    :param gtv: bool (n, H, W), of the pre-treatment image.
    :param patient: int (n,), row of the slice's patient in `records`.
    :param positions_mm: float (n,).
    :param stack_indices: int (n,), place of each slice in its patient's stack.
    :param records: the store's records of these patients.
    """

    pre: np.ndarray
    post: np.ndarray
    gtv: np.ndarray
    patient: np.ndarray
    positions_mm: np.ndarray
    stack_indices: np.ndarray
    records: list[dict[str, Any]]

    def __len__(self) -> int:
        return len(self.patient)

    @cached_property
    def persons(self) -> np.ndarray:
        """Number of each record's person, int (records,): what intervals and tests count."""
        return person_numbers(self.records)

    @cached_property
    def person(self) -> np.ndarray:
        """Number of each slice's person, int (n,)."""
        return self.persons[self.patient]

    def rows_of(self, patient: int) -> np.ndarray:
        """Rows of the slices of `records[patient]`."""
        return np.flatnonzero(self.patient == patient)


def read_held_out(
    folder: Path, split: str, max_slices_per_patient: int | None = None, max_patients: int | None = None
) -> HeldOut:
    """Read the slices of one split of a slice store.

    :param max_slices_per_patient: take that many, evenly spaced over the patient's slices; None takes all.
    :param max_patients: take that many, evenly spaced over the store; None takes all.
    :raises MissingFileError, EmptyFileError: the folder is no slice store.
    :raises SplitError: it has no split, or one that lacks patients.
    :raises EvaluationError: no slice is left, or none with GTV.
    """
    assigned = stored_split(folder)
    store = open_store(folder)
    if any(record.get(SINGLE_IMAGES) for record in store.patients):
        raise EvaluationError(
            f"The slice store {folder.name} holds images without a follow-up.",
            "Only an image autoencoder can be measured on it: `gbmresponse-train reconstruction`.",
        )
    chosen = [row for row, record in enumerate(store.patients) if assigned[record["id"]] == split]
    chosen = [chosen[k] for k in _evenly(len(chosen), max_patients)]
    rows, patient, positions, indices = [], [], [], []
    for number, row in enumerate(chosen):
        own = np.flatnonzero(store.patient == row)
        kept = _evenly(len(own), max_slices_per_patient)
        rows.append(own[kept])
        patient.append(np.full(len(kept), number))
        indices.append(stack_indices(store.patients[row])[kept])
        positions.append(np.asarray(store.patients[row]["slice_positions_mm"], dtype=np.float64)[kept])
    if not sum(map(len, rows)):
        raise EvaluationError(
            f"The split '{split}' of the slice store {folder.name} has no slice.",
            "Choose another split, or make one that has patients in it with `gbmresponse-train split`.",
        )
    index = np.concatenate(rows)
    gtv = np.asarray(store.gtv[index], dtype=bool)
    if not gtv.any():
        raise EvaluationError(f"No slice of the split '{split}' has a GTV.", "Import patients with a GTV.")
    return HeldOut(
        np.asarray(store.pre[index], dtype=np.float32),
        np.asarray(store.post[index], dtype=np.float32),
        gtv,
        np.concatenate(patient),
        np.concatenate(positions),
        np.concatenate(indices),
        [store.patients[row] for row in chosen],
    )


def stored_split(folder: Path) -> dict[str, str]:
    """The split (id -> name) that is saved with a store; unlike :func:`split_store` this makes none.

    :raises SplitError: there is none, or it lacks a patient.
    """
    patients = read_patients(folder)
    if not (folder / SPLIT_FILE).is_file():
        raise SplitError(
            f"The slice store {folder.name} has no {SPLIT_FILE}.",
            "Use the store, with its split, that the models were trained with.",
        )
    return split_store(folder, patients)


def training_mean(folder: Path) -> np.ndarray | None:
    """Pixelwise mean (H, W) of all follow-up slices of the training patients; None if there are none."""
    split = stored_split(folder)
    store = open_store(folder)
    trained = np.array([split[record["id"]] == "train" for record in store.patients], dtype=bool)
    rows = np.flatnonzero(trained[np.asarray(store.patient)])
    if not len(rows):
        return None
    total = np.zeros(store.post.shape[1:])
    for start in range(0, len(rows), _CHUNK):
        total += store.post[rows[start : start + _CHUNK]].astype(np.float64).sum(axis=0)
    return (total / len(rows)).astype(np.float32)


def patient_ids(slices: HeldOut) -> Sequence[str]:
    """Id of every slice's patient (n,)."""
    return [slices.records[row]["id"] for row in slices.patient]


def _evenly(count: int, most: int | None) -> np.ndarray:
    if most is None or count <= most:
        return np.arange(count)
    return ((np.arange(most) + 0.5) * count / most).astype(int)
