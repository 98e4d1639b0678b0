"""Random simulated slices beside random real ones, in one gray scale."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from GBMResponseCore import SYNTHETIC_NOTICE

from ...store.slice_store import open_store
from ..layout.montage import TILES, Tile, write_panels
from .patches import PatchSet

SIMULATED, REAL = "simulated (synthetic)", "real"

_BLACK, _WHITE = -1.0, 1.0
"""Normalized intensities; 1 is the percentile that the import scales by, so that hardly anything saturates."""


def write_comparison(
    simulated_store: Path,
    simulated: PatchSet,
    real_store: Path,
    real: PatchSet,
    path: Path,
    images: Sequence[str],
    seed: int = 0,
    outline: bool = False,
) -> None:
    """Write a PNG of `TILES` slices with GTV of either store. Patients are numbered, not named.

    :param images: what to draw from, `pre`, `post` or both.
    :param outline: draw the GTV.
    :raises OutputFolderError: if it cannot be written.
    """
    panels = {}
    for title, folder, patches in ((SIMULATED, simulated_store, simulated), (REAL, real_store, real)):
        rng = np.random.default_rng(seed)
        store, tiles = open_store(folder), []
        for number in evenly_drawn(patches.person, TILES, rng):
            row, image = patches.rows[number], str(rng.choice(images))
            gtv = np.asarray(store.gtv[row]) if outline else None
            tiles.append(
                Tile(
                    getattr(store, image)[row].astype(np.float32),
                    f"{title.split()[0]} {patches.person[number] + 1}, {image}",
                    gtv,
                )
            )
        panels[title] = tiles
    write_panels(panels, f"Left: {SYNTHETIC_NOTICE}  Right: real patients.", (_BLACK, _WHITE), path)


def evenly_drawn(person: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Random patches without repetition, of as many persons as possible, each as often as another or once more.

    :param person: (n,) of every patch.
    :return: indices, `count` or all there are; a person with too few patches gives what it has. In order of persons.
    """
    shuffled = rng.permutation(len(person))
    order = rng.permutation(int(person.max()) + 1)[person[shuffled]]
    turn = np.empty(len(person), dtype=int)
    for one in np.unique(order):
        own = np.flatnonzero(order == one)
        turn[own] = np.arange(len(own))
    return np.sort(shuffled[np.lexsort((order, turn))[:count]])
