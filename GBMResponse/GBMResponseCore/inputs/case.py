"""One patient's inputs: T1-Gd volume, GTV and perhaps a follow-up, read and checked before any heavy work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import (
    ColorImageError,
    ConstantImageError,
    GeometryError,
    ImageDimensionError,
    NonFiniteImageError,
    NotMRError,
    SmallImageError,
)
from ..files import check_file
from .geometry import is_head_size
from .gtv import binary, check_place, distinct, on_grid, segment_names, select_labels
from .headers import forget_orientation
from .limits import LARGE_SLICE_SPACING_MM, SMALL_GTV_ML, SMALLEST_MATRIX
from .nifti import NiftiHeader, restore_nifti_orientation
from .preprocessing import is_ct
from .reading import Note, Volume, read_volume, scalar, sha256_of_image
from .resampling import same_grid

_IMAGE, _GTV, _FOLLOW_UP = "image", "GTV", "follow-up"

_FEWEST_GRAY_LEVELS = 16
_FARTHEST_MM = 10_000.0
"""Largest coordinate of an origin: beyond it single precision, as headers have it, gets coarse."""
_COMPLEX = (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64)


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
    :param nifti: header of the image if it is a NIfTI file, whose orientation outputs keep.
    :param oriented: whether the image's header says which way its axes point in the patient.
    :param origin: what else is known of where the image comes from, such as a DICOM series; None: nothing.
    """

    image: sitk.Image
    gtv: sitk.Image
    gtv_volume_ml: float
    follow_up: sitk.Image | None = None
    notes: list[Note] = field(default_factory=list)
    sources: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    nifti: NiftiHeader | None = None
    oriented: bool = True
    origin: Any = None

    def keep_orientation(self, path: Path) -> None:
        """Give a written volume on the image's grid the orientation that the image's header has, or does not have.

        :param path: `.nii`, `.nrrd` or `.mha`; the argument `finish` of :func:`..files.write_image`.
        :raises OSError: the file cannot be changed.
        """
        if path.suffix == ".nii":
            if self.nifti is not None or not self.oriented:
                restore_nifti_orientation(path, self.nifti)
        elif not self.oriented:
            forget_orientation(path)


def load_case(
    image_path: Path | str,
    gtv_path: Path | str,
    follow_up_path: Path | str | None = None,
    gtv_labels: Sequence[int | str] | None = None,
) -> Case:
    """Read and check a case from NIfTI, NRRD or MetaImage files.

    :param gtv_labels: label values of the GTV file, or names of its segments; None takes every positive value.
    :raises MissingFileError, EmptyFileError, UnreadableFileError: by a file.
    :raises GeometryError: headers contradict themselves or each other.
    :raises OptionError: the GTV file has no segment of that name.
    :raises GBMResponseError: one of the errors of :func:`make_case`.
    """
    given = {_IMAGE: image_path, _GTV: gtv_path, _FOLLOW_UP: follow_up_path}
    paths = {name: check_file(path, name) for name, path in given.items() if path is not None}
    volumes = {name: read_volume(path, name) for name, path in paths.items()}
    image, gtv = _same_form(volumes[_IMAGE], volumes[_GTV])
    notes = [note for volume in (image, gtv, volumes.get(_FOLLOW_UP)) if volume for note in volume.notes]
    mask = gtv.image
    if gtv_labels is not None:
        mask = select_labels(mask, gtv_labels, gtv.values, notes)
    elif mask.GetNumberOfComponentsPerPixel() > 1 and segment_names(gtv.values):
        message = f"The GTV file has segments in several layers: {', '.join(segment_names(gtv.values))}."
        raise ColorImageError(message, "Name the GTV's segment with --gtv-label, or export it as one binary labelmap.")
    follow_up = volumes[_FOLLOW_UP].image if _FOLLOW_UP in volumes else None
    case = _checked(image.image, mask, follow_up, image.oriented and gtv.oriented, notes)
    # Of what was read: the header of a detached format says nothing about its voxels.
    sources = {
        name: {"file": paths[name].name, "sha256": sha256_of_image(volume.image)} for name, volume in volumes.items()
    }
    return replace(case, sources=sources, nifti=image.nifti, oriented=image.oriented)


def make_case(image: sitk.Image, gtv: sitk.Image, follow_up: sitk.Image | None = None) -> Case:
    """Check a case that is in memory. The inputs are not modified.

    :raises ImageDimensionError, ColorImageError, NonFiniteImageError, SmallImageError, ConstantImageError, NotMRError:
        by the image or the follow-up (the first three also by the GTV).
    :raises NotAMaskError, EmptyGTVError, NoOverlapError: by the GTV.
    :raises GeometryError: by a grid.
    """
    return _checked(image, gtv, follow_up, True, [])


def _checked(
    image: sitk.Image, gtv: sitk.Image, follow_up: sitk.Image | None, oriented: bool, notes: list[Note]
) -> Case:
    image, gtv = _as_3d(_IMAGE, image, notes), _as_3d(_GTV, gtv, notes)
    follow_up = None if follow_up is None else _as_3d(_FOLLOW_UP, follow_up, notes)
    _check_mr(_IMAGE, image)
    if follow_up is not None:
        _check_mr(_FOLLOW_UP, follow_up)

    gtv = on_grid(binary(gtv, notes), image, oriented, notes)
    check_place(gtv, image, notes)
    voxels = int(np.count_nonzero(sitk.GetArrayViewFromImage(gtv)))
    volume_ml = voxels * float(np.prod(image.GetSpacing())) / 1000
    notes += _unusual(image, volume_ml)
    return Case(image, gtv, volume_ml, follow_up, notes)


def _same_form(image: Volume, gtv: Volume) -> tuple[Volume, Volume]:
    """Image and GTV, placed by the forms of their headers that put them on one grid.

    :raises GeometryError: qform and sform of one disagree, and no choice puts them on one grid.
    """
    several = max(image.image.GetDimension(), gtv.image.GetDimension()) > 3  # which is refused later, or one frame
    if several or (image.qform is None and gtv.qform is None) or same_grid(image.image, gtv.image):
        return image, gtv
    for first in (image, image.by_qform()):
        for second in (gtv, gtv.by_qform()):
            if first and second and same_grid(first.image, second.image):
                return first, second
    name = _IMAGE if image.qform else _GTV
    message = f"qform and sform of the {name} disagree, and by neither do image and GTV lie on one grid."
    raise GeometryError(message, "Look at both in 3D Slicer, where they match, and save both again from there.")


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
    image = scalar(image)
    size = image.GetSize()
    _check_layout(name, size, image.GetNumberOfComponentsPerPixel(), image.GetPixelID())
    if len(size) > 3:
        image = sitk.Extract(image, [*size[:3], *[0] * (len(size) - 3)])
        notes.append(Note("single-frame", f"The {name} is a series of one volume; that volume is used."))
    voxels = sitk.GetArrayViewFromImage(image)
    if voxels.dtype.kind == "f" and not np.isfinite(voxels).all():
        raise NonFiniteImageError(f"The {name} contains voxels that are not numbers.")
    if not np.isfinite([*image.GetOrigin(), *image.GetSpacing(), *image.GetDirection()]).all():
        raise GeometryError(f"The place of the {name} is not made of numbers.")
    if max(map(abs, image.GetOrigin())) > _FARTHEST_MM:
        raise GeometryError(f"The {name} lies {max(map(abs, image.GetOrigin())) / 1000:.3g} m from the origin.")
    return image


def _check_mr(name: str, image: sitk.Image) -> None:
    _, small, medium = sorted(image.GetSize())
    if small < SMALLEST_MATRIX:
        raise SmallImageError(f"The slices of the {name} have only {medium} x {small} voxels.")
    extent = np.array(image.GetSize()) * image.GetSpacing()
    if not is_head_size(extent, cropped=True):
        lengths = " x ".join(f"{length:.3g}" for length in extent)
        raise GeometryError(f"The {name} measures {lengths} mm: that is no head.")
    voxels = sitk.GetArrayViewFromImage(image)
    lowest = voxels.min()
    if lowest == voxels.max():
        raise ConstantImageError(f"All voxels of the {name} have the value {lowest:g}.")
    if distinct(voxels, _FEWEST_GRAY_LEVELS).size < _FEWEST_GRAY_LEVELS:
        raise NotMRError(f"The {name} has hardly any gray levels, as a labelmap.", "Choose the T1-Gd MRI.")
    if is_ct(voxels):
        raise NotMRError(f"The {name} has values like a CT, where air is -1000: its lowest is {lowest:g}.")


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
