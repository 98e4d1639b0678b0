"""A DICOM series -> a volume, complete and regular or refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import SimpleITK as sitk

from ..errors import DicomSeriesError
from .tree import Series, Slice, pydicom_module

_DIRECTION_TOLERANCE = 1e-3
_SPACING_TOLERANCE = 0.05
"""Largest difference of a slice distance from the usual one, as a share of it."""
_TILT_TOLERANCE = np.sin(np.radians(0.5))
_DUPLICATE_MM = 0.01
_INVERTED = "MONOCHROME1"


@dataclass(frozen=True)
class _Stack:
    """Slices in the order of their positions."""

    slices: Sequence[Slice]
    spacing: tuple[float, float, float]
    direction: np.ndarray

    @cached_property
    def files(self) -> list[str]:
        return [str(item.path) for item in self.slices]


def is_inverted(series: Series) -> bool:
    """True if the values of a series are stored with air bright (MONOCHROME1)."""
    return any(item.photometric == _INVERTED for item in series.slices)


def read_series(series: Series) -> sitk.Image:
    """Read a series of single-frame MR slices with GDCM; grid and order come from the headers.

    Values that are stored inverted (:func:`is_inverted`) are turned around, the lowest one to 0: air is dark.

    :return: 3-D; its third axis follows the normal of the slices.
    :raises DicomSeriesError: if it is no MR, or if slices are missing, doubled, tilted, of different shapes or
        unreadable.
    """
    stack = _stack(series)
    for item in stack.slices:
        if _is_cut_off(item):
            raise DicomSeriesError(f"The series {series} cannot be read: a file is cut off.", "Export it again.")
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(stack.files)
    try:
        image = reader.Execute()
    except RuntimeError:
        raise DicomSeriesError(f"The series {series} cannot be read.", "Export it again, uncompressed.") from None
    if image.GetSize()[2] != len(stack.slices):
        raise DicomSeriesError(f"The series {series} was read as {image.GetSize()[2]} slices.")
    if is_inverted(series):
        # GDCM turns the values around at the largest one that their type holds, which leaves air far above 0.
        image = sitk.Cast(image, sitk.sitkFloat64)
        image = sitk.Cast(image - float(sitk.GetArrayViewFromImage(image).min()), sitk.sitkFloat32)
    image.SetOrigin(stack.slices[0].position)
    image.SetSpacing(stack.spacing)
    image.SetDirection(stack.direction.ravel().tolist())
    return image


def _is_cut_off(item: Slice) -> bool:
    """Whether uncompressed pixels are missing at the end: SimpleITK before 2.5.5 fills them in silence."""
    names = ["Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PixelData"]
    pydicom = pydicom_module()
    header = pydicom.dcmread(item.path, specific_tags=names, force=True)
    syntax = header.file_meta.get("TransferSyntaxUID")
    if "PixelData" not in header or (syntax is not None and syntax.is_compressed):
        return False
    bits = header.Rows * header.Columns * header.get("SamplesPerPixel", 1) * header.get("BitsAllocated", 0)
    return len(header.PixelData) * 8 < bits


def _stack(series: Series) -> _Stack:
    """:raises DicomSeriesError: if the slices make no regular volume."""
    slices, name = series.slices, f"The series {series}"
    if series.modality != "MR":
        raise DicomSeriesError(f"{name} is no MR.", "Name the T1-Gd series.")
    if series.unreadable:
        raise DicomSeriesError(
            f"{name} lies beside {len(series.unreadable)} DICOM files that cannot be read, such as "
            f"{series.unreadable[0].name}: slices may be missing.",
            "Export the series again; remove the files if they do not belong to it.",
        )
    if any(item.frames > 1 for item in slices):
        raise DicomSeriesError(
            f"{name} holds several slices in one file.", "Convert it to NIfTI and use the importer `folder`."
        )
    if any(None in (item.position, item.directions, item.pixel_mm) for item in slices):
        raise DicomSeriesError(f"{name} lacks the position, direction or pixel size of slices.")
    if len(slices) < 2:
        raise DicomSeriesError(f"{name} is a single slice.")
    first = slices[0]
    turned = np.abs(np.subtract([item.directions for item in slices], first.directions)).max()
    if turned > _DIRECTION_TOLERANCE:
        raise DicomSeriesError(f"{name} mixes slices of different directions, as a localizer does.")
    if len({(item.matrix, tuple(np.round(item.pixel_mm, 4))) for item in slices}) > 1:
        raise DicomSeriesError(f"{name} mixes slices of different matrices or pixel sizes.")
    if len({item.photometric for item in slices}) > 1:
        raise DicomSeriesError(f"{name} mixes slices with bright and with dark air.")
    if is_inverted(series) and len({item.rescale for item in slices}) > 1:
        raise DicomSeriesError(
            f"{name} is stored inverted (MONOCHROME1), and each slice with a scale of its own.",
            "Export it as MONOCHROME2.",
        )

    row, column = np.array(first.directions[:3]), np.array(first.directions[3:])
    normal = np.cross(row, column)
    ordered = sorted(slices, key=lambda item: float(normal @ item.position))
    positions = np.array([item.position for item in ordered])
    steps = np.diff(positions @ normal)
    usual = float(np.median(steps))
    if steps.min() < _DUPLICATE_MM:
        count = int(np.sum(steps < _DUPLICATE_MM)) + 1
        raise DicomSeriesError(f"{name} has {count} slices at the place of another one: it holds several volumes.")
    if np.abs(steps - usual).max() > _SPACING_TOLERANCE * usual:
        place = int(np.abs(steps - usual).argmax())
        raise DicomSeriesError(
            f"{name} has slices {usual:.2f} mm apart, but {steps[place]:.2f} mm between slice {place + 1} and "
            f"{place + 2}: slices are missing or unevenly spaced."
        )
    shift = positions[-1] - positions[0]
    if np.linalg.norm(shift - (shift @ normal) * normal) > _TILT_TOLERANCE * np.linalg.norm(shift):
        raise DicomSeriesError(f"{name} is tilted: its slices are not stacked at a right angle.")
    spacing = (first.pixel_mm[1], first.pixel_mm[0], float(steps.mean()))
    return _Stack(ordered, spacing, np.stack([row, column, normal], axis=1))
