"""Windows around the tumor, cut from the slices of a store; where the tumor is drawn is not in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...evaluation.figures import window_around
from ...store.person import person_of
from ...store.slice_store import open_store, read_patients
from ..errors import RealismError

SIDE = 64
"""Pixels per row of a patch."""
FEWEST_PATIENTS = 2


@dataclass(frozen=True)
class PatchSet:
    """Patches of one store, at its resolution, all slices of a patient together.

    :param images: `pre` and `post` -> float32 (n, side, side), normalized; both from one place.
    :param person: int (n,), 0 to persons - 1, in the order of the store; visits of a patient are one person.
    :param rows: int (n,), slice of the store.
    :param slice_shape: rows and columns of the slices they were cut from.
    :param persons_in_store: also those without GTV, and those left out.
    :param pixel_mm: (persons,) size of a pixel; NaN where the store does not say.
    """

    images: dict[str, np.ndarray]
    person: np.ndarray
    rows: np.ndarray
    slice_shape: tuple[int, int]
    persons_in_store: int
    pixel_mm: np.ndarray

    def __len__(self) -> int:
        return len(self.person)

    @property
    def persons(self) -> int:
        """Number of persons that have a patch."""
        return len(self.pixel_mm)


def read_patches(folder: Path, kind: str, most_persons: int | None = None, seed: int = 0) -> PatchSet:
    """Cut a patch from every slice with GTV.

    :param kind: what the store holds, for messages.
    :param most_persons: take that many at random; None takes all.
    :raises MissingFileError, EmptyFileError: the folder is no slice store.
    :raises RealismError: no slice has a GTV, or fewer than `FEWEST_PATIENTS` patients have one.
    """
    read_patients(folder)
    store = open_store(folder)
    keys = [person_of(record) for record in store.patients]
    everyone = list(dict.fromkeys(keys))
    chosen = set(everyone)
    if most_persons is not None and len(everyone) > most_persons:
        chosen = {everyone[k] for k in np.random.default_rng(seed).permutation(len(everyone))[:most_persons]}
    side = min(SIDE, *store.gtv.shape[1:])
    images: dict[str, list[np.ndarray]] = {"pre": [], "post": []}
    pixel_mm: dict[int, float] = {}
    rows, person = [], []
    for row, patient in enumerate(store.patient):
        if keys[patient] not in chosen or not store.gtv[row].any():
            continue
        window = window_around(store.gtv[row], side)
        for name, patches in images.items():
            patches.append(getattr(store, name)[row][window].astype(np.float32))
        rows.append(row)
        pixel_mm.setdefault(keys[patient], store.patients[patient].get("spacing_mm") or np.nan)
        person.append(list(pixel_mm).index(keys[patient]))
    if not rows:
        raise RealismError(f"No slice of the {kind} store {folder.name} has a GTV.")
    if len(pixel_mm) < FEWEST_PATIENTS:
        raise RealismError(
            f"The {kind} store {folder.name} has {len(pixel_mm)} patient with a GTV; to test on patients who were not "
            f"trained with takes at least {FEWEST_PATIENTS}."
        )
    return PatchSet(
        {name: np.stack(patches) for name, patches in images.items()},
        np.array(person),
        np.array(rows),
        store.gtv.shape[1:],
        len(everyone),
        np.array(list(pixel_mm.values()), dtype=np.float64),
    )
