"""The grid and the file of a prepared anatomy, and bringing maps of any head to it."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.files import write_bytes

from .anatomy import DOCUMENTED_ORIGIN

SHAPE = (197, 233, 189)
TISSUES = ("csf", "gm", "wm")
HIGHEST_T1 = 2.5

BRAIN_LOW, BRAIN_HIGH = np.array([-73.0, -108.0, -60.0]), np.array([73.0, 74.0, 83.0])
"""RAS mm of the corners of the brain in ICBM152 space, without the brain stem."""


def anatomy_grid() -> sitk.Image:
    """Empty image on the grid of anatomies: 1 mm, ITK's axes run to left, posterior, superior (LPS)."""
    grid = sitk.Image(*SHAPE, sitk.sitkUInt8)
    right, anterior, superior = DOCUMENTED_ORIGIN
    grid.SetOrigin((-right - (SHAPE[0] - 1), -anterior - (SHAPE[1] - 1), superior))
    return grid


def on_grid(image: sitk.Image, transform: sitk.Transform) -> np.ndarray:
    """Linearly interpolated float32 array of `SHAPE`, order right, anterior, superior.

    :param transform: maps points of the anatomy grid to points of the image.
    """
    moved = sitk.Resample(image, anatomy_grid(), transform, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    return to_ras(moved)


def to_ras(image: sitk.Image) -> np.ndarray:
    """Array [right, anterior, superior] of an image on the anatomy grid."""
    return np.ascontiguousarray(sitk.GetArrayFromImage(image).transpose(2, 1, 0)[::-1, ::-1])


def from_ras(array: np.ndarray) -> sitk.Image:
    """Image on the anatomy grid of an array [right, anterior, superior]."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(array[::-1, ::-1].transpose(2, 1, 0)).astype(np.float32))
    image.CopyInformation(anatomy_grid())
    return image


def write_anatomy(path: Path, t1: np.ndarray, brain: np.ndarray, tissues: Mapping[str, np.ndarray]) -> None:
    """Write `<name>.npz`: `t1` (white matter 1), `brain` bool and `tissues` (probabilities), all of `SHAPE`.

    :raises OutputFolderError: if it cannot be written.
    """
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer,
        t1=np.clip(t1, 0, HIGHEST_T1).astype(np.float16),
        mask=brain,
        **{name: np.round(255 * np.clip(tissues[name], 0, 1)).astype(np.uint8) for name in TISSUES},
    )
    write_bytes(buffer.getvalue(), path)
