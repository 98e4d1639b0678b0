"""Pictures of random slices, to be looked at."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.files import write_bytes
from GBMResponseCore.inputs.reading import read_image

from .cfb_gbm_layout import STATEMENT, patient_folder

TILES, COLUMNS = 24, 6

_GAP = 0.3
"""Between panels, in inches."""


@dataclass(frozen=True)
class Tile:
    """One slice (H, W), its title, and a mask (H, W) to outline."""

    image: np.ndarray
    title: str
    outline: np.ndarray | None = None


def write_montage(cohort: Path, numbers: Sequence[int], path: Path, seed: int = 0) -> None:
    """Write a PNG of `TILES` random slices with GTV, of either visit, of random patients of a simulated cohort.

    :raises OutputFolderError: if it cannot be written.
    """
    generator = np.random.default_rng(seed)
    patients = generator.choice(numbers, TILES, replace=len(numbers) < TILES)
    tiles = []
    for number in patients:
        time = str(generator.choice(("t0", "t1")))
        tiles.append(Tile(_slice(generator, cohort, int(number), time), f"{number} {time}"))
    write_panels({"": tiles}, STATEMENT, (0.0, 1.0), path)


def write_panels(panels: Mapping[str, Sequence[Tile]], statement: str, limits: tuple[float, float], path: Path) -> None:
    """Write a PNG of panels side by side, each with up to `TILES` slices. Needs matplotlib.

    :param panels: title -> slices.
    :param limits: values shown black and white, the same in all panels.
    :raises OutputFolderError: if it cannot be written.
    """
    from matplotlib.figure import Figure

    width, height = COLUMNS * 2.2 + _GAP, TILES / COLUMNS * 2.3 + _GAP
    figure = Figure(figsize=(len(panels) * width, height), layout="constrained", facecolor="black")
    figure.suptitle(statement, color="white", fontsize=9)
    parts = figure.subfigures(1, len(panels), squeeze=False, wspace=_GAP / width)[0]
    for part, (title, tiles) in zip(parts, panels.items(), strict=True):
        part.set_facecolor("black")
        if title:
            part.suptitle(title, color="white", fontsize=14)
        every_axes = part.subplots(TILES // COLUMNS, COLUMNS).ravel()
        for axes in every_axes:
            axes.axis("off")
        for axes, tile in zip(every_axes, tiles, strict=False):
            axes.imshow(tile.image, cmap="gray", vmin=limits[0], vmax=limits[1])
            axes.set_title(tile.title, color="0.7", fontsize=7, pad=2)
            if tile.outline is not None and tile.outline.any():
                axes.contour(tile.outline, [0.5], colors="red", linewidths=0.6)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=110, facecolor="black")
    write_bytes(buffer.getvalue(), path)


def _slice(generator: np.random.Generator, cohort: Path, number: int, time: str) -> np.ndarray:
    """A random slice with GTV, scaled to about 0-1 by the 99.5th percentile of the volume's head."""
    folder = patient_folder(cohort, number)
    gtv = sitk.GetArrayFromImage(read_image(folder / "t0" / f"{number}_t0_gtv.nii.gz"))
    image = sitk.GetArrayFromImage(read_image(folder / time / f"{number}_{time}_t1gd.nii.gz")).astype(np.float32)
    plane = generator.choice(np.flatnonzero(gtv.any(axis=(1, 2))))
    return image[plane] / np.quantile(image[image > image.mean()], 0.995)
