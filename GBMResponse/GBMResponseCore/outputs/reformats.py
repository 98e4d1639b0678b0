"""Coronal and sagittal pictures through the middle of the GTV: what the axial slices do not show."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from .columns import LIKELY, CaseColumns
from .picture import CYAN, gray_levels, head_window, marked, stamped, white_level, with_contour

if TYPE_CHECKING:
    from ..prediction import Prediction

_FACTOR = 2
"""Pixels of a picture along a row of the stack."""


_Cut = tuple[int | slice, ...]


@dataclass(frozen=True, eq=False)
class Reformat:
    """A picture of one plane, colors uint8 (h, w, 3), superior at the top."""

    title: str
    picture: np.ndarray


@dataclass(frozen=True, eq=False)
class _Volume:
    """A stack that is shown, what enhances in it, and its white level."""

    title: str
    stack: np.ndarray
    enhancing: np.ndarray | None
    white: float
    synthetic: bool = False


def reformats(columns: CaseColumns, prediction: "Prediction") -> list[Reformat]:
    """The input, the expected image and the true follow-up, if there is one: each coronal, then sagittal."""
    row, column = (round(float(np.mean(axis))) for axis in np.nonzero(columns.slices.gtv)[1:])
    rows, cols = head_window(columns.slices.pre)
    pictures = []
    for volume in _volumes(columns, prediction):
        pictures += [
            _picture(columns, volume, "coronal", (slice(None), row, cols), (row, column)),
            _picture(columns, volume, "sagittal", (slice(None), rows, column), (row, column)),
        ]
    return pictures


def _volumes(columns: CaseColumns, prediction: "Prediction") -> list[_Volume]:
    slices, masks = columns.slices, columns.masks
    pre = slices.scale.normalize(slices.stack)
    expected = pre.copy()
    expected[slices.indices] = prediction.expected_pixels
    chance, likely = columns.chance(prediction), None
    if chance is not None:
        likely = np.zeros(slices.gtv.shape, bool)
        likely[slices.indices] = chance >= LIKELY
    volumes = [
        _Volume("T1-Gd before", pre, None if masks is None else masks.before, columns.white),
        _Volume("SYNTHETIC expected image", expected, likely, columns.white, True),
    ]
    if slices.follow_up is not None:
        enhancing = None if masks is None else masks.truth
        volumes.append(_Volume("true follow-up", slices.truth_stack, enhancing, white_level(slices.truth)))
    return volumes


def _picture(columns: CaseColumns, volume: _Volume, plane: str, cut: _Cut, center: tuple[int, int]) -> Reformat:
    """One plane of a volume; `cut` takes it from a stack, `center` is the row and column of the planes."""
    grid, gtv = columns.slices.grid, columns.slices.gtv
    along = grid.spacing[0 if plane == "coronal" else 1]
    gray = gray_levels(volume.stack[cut][::-1], volume.white)
    height, width = gray.shape
    size = (width * _FACTOR, max(1, round(height * grid.spacing[2] / along * _FACTOR)))
    picture = np.asarray(Image.fromarray(gray).resize(size, Image.Resampling.BILINEAR))
    picture = with_contour(picture, _resized(gtv[cut][::-1], size))
    if volume.enhancing is not None:
        picture = with_contour(picture, _resized(volume.enhancing[cut][::-1], size), CYAN)
    picture = stamped(picture) if volume.synthetic else picture
    index = (center[1], center[0], len(gtv) // 2)
    left, posterior, _ = grid.reference.TransformIndexToPhysicalPoint(index)
    if plane == "coronal":
        sides, place = ("R", "L"), f"{'P' if posterior > 0 else 'A'} {abs(posterior):.1f} mm"
    else:
        sides, place = ("A", "P"), f"{'L' if left > 0 else 'R'} {abs(left):.1f} mm"
    return Reformat(f"{volume.title}, {plane}", marked(picture, along / _FACTOR, sides, place))


def _resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    smooth = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(smooth) >= 128
