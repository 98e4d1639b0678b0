"""One patient's inputs: T1-Gd volume, GTV and perhaps a follow-up, read and checked before any heavy work."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import (
    ColorImageError,
    ConstantImageError,
    EmptyGTVError,
    ImageDimensionError,
    NonFiniteImageError,
    NoOverlapError,
    NotAMaskError,
    NotMRError,
    SmallImageError,
)
from ..files import check_file, sha256_of_image
from .limits import LARGE_SLICE_SPACING_MM, SMALL_GTV_ML, SMALLEST_MATRIX
from .reading import read_image
from .resampling import image_like, resample_mask, same_grid, voxel_centers, voxel_indices

_IMAGE, _GTV, _FOLLOW_UP = "image", "GTV", "follow-up"

_MOST_LABELS = 50
_HIGHEST_FRACTION = 255
"""Largest value of a soft mask: fractions come as 0...1, 0...100 or 0...255."""
_FEWEST_GRAY_LEVELS = 16
_CT_SIGNS = ((-200, 0.05), (-900, 0.01))
"""A volume with at least this fraction of voxels below this value is no MR."""
_COMPLEX = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)


@dataclass(frozen=True)
class Note:
    """Something the user should know that does not stop a prediction.

    :param code: short constant for programs.
    :param sentence: for people.
    """

    code: str
    sentence: str


@dataclass(frozen=True, eq=False)
class Case:
    """Checked inputs of one patient.

    :param image: pre-treatment T1-Gd, 3-D, pixel type as given.
    :param gtv: uint8 0/1 on the image's grid.
    :param gtv_volume_ml: volume of ``gtv``.
    :param follow_up: 3-D, on its own grid, pixel type as given, or None.
    :param notes: what was adapted or is unusual.
    :param sources: ``image``, ``GTV`` and ``follow-up`` -> ``file`` (its name without folder) and ``sha256`` of its
        voxels and geometry; empty if the case did not come from files.
    """

    image: sitk.Image
    gtv: sitk.Image
    gtv_volume_ml: float
    follow_up: sitk.Image | None = None
    notes: list[Note] = field(default_factory=list)
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def load_case(image_path: Path | str, gtv_path: Path | str, follow_up_path: Path | str | None = None) -> Case:
    """Read and check a case from NIfTI, NRRD or MetaImage files.

    :raises MissingFileError, EmptyFileError, UnreadableFileError: by a file.
    :raises GBMResponseError: one of the errors of :func:`make_case`.
    """
    paths = {_IMAGE: image_path, _GTV: gtv_path, _FOLLOW_UP: follow_up_path}
    paths = {name: check_file(path, name) for name, path in paths.items() if path is not None}
    images = {name: read_image(path, name) for name, path in paths.items()}
    # Of what was read: the header of a detached format says nothing about its voxels.
    sources = {name: {"file": paths[name].name, "sha256": sha256_of_image(image)} for name, image in images.items()}
    return replace(make_case(*images.values()), sources=sources)


def make_case(image: sitk.Image, gtv: sitk.Image, follow_up: sitk.Image | None = None) -> Case:
    """Check a case that is in memory. The inputs are not modified.

    :raises ImageDimensionError, ColorImageError, NonFiniteImageError, SmallImageError, ConstantImageError, NotMRError:
        by the image or the follow-up (the first three also by the GTV).
    :raises NotAMaskError, EmptyGTVError, NoOverlapError: by the GTV.
    """
    notes: list[Note] = []
    image, gtv = _as_3d(_IMAGE, image, notes), _as_3d(_GTV, gtv, notes)
    follow_up = None if follow_up is None else _as_3d(_FOLLOW_UP, follow_up, notes)
    _check_mr(_IMAGE, image)
    if follow_up is not None:
        _check_mr(_FOLLOW_UP, follow_up)

    gtv = _on_grid(_binary(gtv, notes), image, notes)
    voxels = int(np.count_nonzero(sitk.GetArrayViewFromImage(gtv)))
    volume_ml = voxels * float(np.prod(image.GetSpacing())) / 1000
    notes += _unusual(image, volume_ml)
    return Case(image, gtv, volume_ml, follow_up, notes)


def _check_layout(name: str, size: tuple[int, ...], components: int, pixel_type: int) -> None:
    if components != 1 or pixel_type in _COMPLEX:
        remedy = "Export the GTV as one binary labelmap." if name == _GTV else None
        raise ColorImageError(f"The {name} has several values in each voxel.", remedy)
    if len(size) > 3 and max(size[3:]) > 1:
        raise ImageDimensionError(f"The {name} is a series of {np.prod(size[3:])} volumes.")
    if len(size) < 3 or min(size[:3]) < 2:
        raise ImageDimensionError(f"The {name} is a single slice.", "Give a 3-D volume with all its slices.")


def _as_3d(name: str, image: sitk.Image, notes: list[Note]) -> sitk.Image:
    """The image without extra dimensions of length 1, its layout and values checked."""
    size = image.GetSize()
    _check_layout(name, size, image.GetNumberOfComponentsPerPixel(), image.GetPixelID())
    if len(size) > 3:
        image = sitk.Extract(image, [*size[:3], *[0] * (len(size) - 3)])
        notes.append(Note("single-frame", f"The {name} is a series of one volume; that volume is used."))
    if not np.isfinite(sitk.GetArrayViewFromImage(image)).all():
        raise NonFiniteImageError(f"The {name} contains voxels that are not numbers.")
    return image


def _check_mr(name: str, image: sitk.Image) -> None:
    _, small, medium = sorted(image.GetSize())
    if small < SMALLEST_MATRIX:
        raise SmallImageError(f"The slices of the {name} have only {medium} x {small} voxels.")
    voxels = sitk.GetArrayViewFromImage(image)
    lowest = voxels.min()
    if lowest == voxels.max():
        raise ConstantImageError(f"All voxels of the {name} have the value {lowest:g}.")
    if np.unique(voxels).size < _FEWEST_GRAY_LEVELS:
        raise NotMRError(f"The {name} has hardly any gray levels, as a labelmap.", "Choose the T1-Gd MRI.")
    if any(lowest < limit and np.mean(voxels < limit) >= fraction for limit, fraction in _CT_SIGNS):
        raise NotMRError(f"The {name} has values like a CT, where air is -1000: its lowest is {lowest:g}.")


def _binary(gtv: sitk.Image, notes: list[Note]) -> sitk.Image:
    """The GTV as uint8 0/1, whatever its labels or fractions."""
    voxels = sitk.GetArrayViewFromImage(gtv)
    levels = np.unique(voxels[voxels > 0])
    if not levels.size:
        raise EmptyGTVError("The GTV has no voxels.")
    threshold = levels[0]
    if levels.size > _MOST_LABELS and levels[-1] > _HIGHEST_FRACTION:
        raise NotAMaskError(f"The GTV has {levels.size} different values up to {levels[-1]:g}.")
    if levels.size > _MOST_LABELS or np.any(levels != np.round(levels)):
        threshold = levels[-1] / 2
        if levels.size > 1:
            notes.append(Note("gtv-fractional", f"The GTV is not binary; values from {threshold:g} up are inside."))
    elif levels.size > 1:
        labels = ", ".join(f"{level:g}" for level in levels)
        notes.append(Note("gtv-labels", f"The GTV has the labels {labels}; all of them are used as one GTV."))
    return image_like(gtv, (voxels >= threshold).astype(np.uint8))


def _on_grid(gtv: sitk.Image, image: sitk.Image, notes: list[Note]) -> sitk.Image:
    """The binary GTV on the image's grid."""
    voxels = sitk.GetArrayViewFromImage(gtv)
    if same_grid(gtv, image):
        return image_like(image, voxels)
    _, within = voxel_indices(image, voxel_centers(gtv, voxels > 0))
    if not within.any():
        raise NoOverlapError("The GTV lies outside the image.")
    notes.append(Note("gtv-grid", "The GTV has another grid than the image; it was resampled to the image's grid."))
    if not within.all():
        outside = f"{100 * (1 - within.mean()):.3g} %"
        notes.append(Note("gtv-partly-outside", f"{outside} of the GTV lie outside the image and are not used."))
    return image_like(image, resample_mask(gtv, image).astype(np.uint8))


def _unusual(image: sitk.Image, gtv_volume_ml: float) -> list[Note]:
    notes = []
    spacing = max(image.GetSpacing())
    if spacing > LARGE_SLICE_SPACING_MM:
        sentence = f"Slices are {spacing:.1f} mm apart; measurements between them are uncertain."
        notes.append(Note("thick-slices", sentence))
    if gtv_volume_ml < SMALL_GTV_ML:
        sentence = f"The GTV is small ({gtv_volume_ml:.2f} ml); the prediction has little to go by."
        notes.append(Note("small-gtv", sentence))
    return notes
