"""A picture of random simulated slices, to be looked at beside real ones."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.files import read_image, write_bytes

from .cfb_gbm_layout import STATEMENT, patient_folder

TILES, COLUMNS = 24, 6


def write_montage(cohort: Path, numbers: Sequence[int], path: Path, seed: int = 0) -> None:
    """Write a PNG of `TILES` random slices with GTV, of either visit, of random patients of a simulated cohort.

    :raises OutputFolderError: if it cannot be written.
    """
    from matplotlib.figure import Figure

    generator = np.random.default_rng(seed)
    figure = Figure(figsize=(COLUMNS * 2.2, TILES / COLUMNS * 2.3), layout="constrained", facecolor="black")
    figure.suptitle(STATEMENT, color="white", fontsize=9)
    patients = generator.choice(numbers, TILES, replace=len(numbers) < TILES)
    for axes, number in zip(figure.subplots(TILES // COLUMNS, COLUMNS).flat, patients, strict=True):
        time = str(generator.choice(("t0", "t1")))
        axes.imshow(_slice(generator, cohort, int(number), time), cmap="gray", vmin=0, vmax=1)
        axes.set_title(f"{number} {time}", color="0.7", fontsize=7, pad=2)
        axes.axis("off")
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
