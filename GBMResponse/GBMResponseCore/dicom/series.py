"""A DICOM series -> a volume, complete and regular or refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import DicomSeriesError
from ..setting import decided
from .tree import Series, Slice, damage_is_typed, pydicom_module

_DIRECTION_TOLERANCE = 1e-3
_SPACING_TOLERANCE = 0.05
"""Largest difference of a slice distance from the usual one, as a share of it."""
_TILT_TOLERANCE = np.sin(np.radians(0.5))
_DUPLICATE_MM = 0.01
_INVERTED = "MONOCHROME1"
DECODERS = "python-gdcm"
"""Package with which pydicom reads compressed frames."""


@dataclass(frozen=True)
class _Stack:
    """Slices in the order of their positions."""

    slices: Sequence[Slice]
    spacing: tuple[float, float, float]
    direction: np.ndarray

    def place(self, image: sitk.Image) -> sitk.Image:
        """Put an image of these slices where they lie."""
        image.SetOrigin(self.slices[0].position)
        image.SetSpacing(self.spacing)
        image.SetDirection(self.direction.ravel().tolist())
        return image


def is_inverted(series: Series) -> bool:
    """True if the values of a series are stored with air bright (MONOCHROME1)."""
    return any(item.photometric == _INVERTED for item in series.slices)


def read_series(series: Series) -> sitk.Image:
    """Read a series of MR slices; grid and order come from the headers.

    Files of one slice are read with GDCM, files of many frames with pydicom. Slices that have each a scale of their own
    become float32.

    Values that are stored inverted (:func:`is_inverted`) are turned around, the lowest one to 0: air is dark.

    :return: 3-D; its third axis follows the normal of the slices.
    :raises DicomSeriesError: if it is no MR, or if slices are missing, doubled, tilted, of different shapes or
        unreadable.
    """
    stack = _stack(series)
    with damage_is_typed(f"The series {series}"):
        if any(_is_cut_off(path) for path in dict.fromkeys(item.path for item in stack.slices)):
            raise DicomSeriesError(f"The series {series} cannot be read: a file is cut off.", "Export it again.")
    if all(item.frame is None for item in stack.slices):
        image = _read_files(series, stack)
    else:
        values = _read_frames(series, stack)
        image = sitk.GetImageFromArray(-values.astype(np.float32) if is_inverted(series) else values)
    if is_inverted(series):
        # GDCM turns the values around at the largest one that their type holds, which leaves air far above 0.
        image = sitk.Cast(image, sitk.sitkFloat64)
        image = sitk.Cast(image - float(sitk.GetArrayViewFromImage(image).min()), sitk.sitkFloat32)
    return stack.place(image)


def ordered_slices(series: Series) -> Sequence[Slice]:
    """The slices in the order of the volume that :func:`read_series` makes of them.

    :raises DicomSeriesError: as there.
    """
    return _stack(series).slices


def grid_of(series: Series) -> sitk.Image:
    """An empty volume (uint8) on the grid of a series of any modality, such as the CT that a structure was drawn on.

    :raises DicomSeriesError: if its slices make no regular volume.
    """
    stack = _stack(series, modality=None)
    rows, columns = stack.slices[0].matrix
    return stack.place(sitk.Image(columns, rows, len(stack.slices), sitk.sitkUInt8))


def _read_files(series: Series, stack: _Stack) -> sitk.Image:
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(item.path) for item in stack.slices])
    if len({item.rescale for item in stack.slices}) > 1:
        reader.SetOutputPixelType(sitk.sitkFloat32)  # else all take the type of the first slice, which may be whole
    try:
        image = reader.Execute()
    except RuntimeError:
        raise DicomSeriesError(f"The series {series} cannot be read.", "Export it again, uncompressed.") from None
    if image.GetSize()[2] != len(stack.slices):
        raise DicomSeriesError(f"The series {series} was read as {image.GetSize()[2]} slices.")
    return image


def _read_frames(series: Series, stack: _Stack) -> np.ndarray:
    """Values of the frames (n, rows, columns), whole ones if they have no scale."""
    pydicom = pydicom_module()
    frames: dict[Path, np.ndarray] = {}
    for path in {item.path for item in stack.slices}:
        dataset = pydicom.dcmread(path, force=True)
        try:
            pixels = dataset.pixel_array
        # Damaged pixels and missing plugins make pydicom fail in many ways.
        except Exception as error:
            syntax = dataset.file_meta.get("TransferSyntaxUID")
            if syntax is not None and syntax.is_transfer_syntax and syntax.is_compressed:
                message = f"The series {series} is compressed ({syntax.name}), and nothing here reads that."
                raise DicomSeriesError(message, f"Run: pip install {DECODERS}. Or export it uncompressed.") from error
            raise DicomSeriesError(f"The series {series} cannot be read.", "Export it again.") from error
        frames[path] = pixels.reshape(-1, *pixels.shape[-2:])
    values = np.stack([frames[item.path][item.frame or 0] for item in stack.slices])
    scales = np.array([item.rescale for item in stack.slices])
    if (scales == (1.0, 0.0)).all():
        return values
    slopes, intercepts = scales.T[:, :, None, None]
    return (values * slopes + intercepts).astype(np.float32)


def _is_cut_off(path: Path) -> bool:
    """Whether uncompressed pixels are missing at the end: SimpleITK before 2.5.5 fills them in silence."""
    names = ["Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "NumberOfFrames", "PixelData"]
    pydicom = pydicom_module()
    header = pydicom.dcmread(path, specific_tags=names, force=True)
    syntax = header.file_meta.get("TransferSyntaxUID")
    if "PixelData" not in header or (syntax is not None and syntax.is_compressed):
        return False
    pixels = header.Rows * header.Columns * int(header.get("NumberOfFrames") or 1)
    bits = pixels * header.get("SamplesPerPixel", 1) * header.get("BitsAllocated", 0)
    return len(header.PixelData) * 8 < bits


def _stack(series: Series, modality: str | None = "MR") -> _Stack:
    """:raises DicomSeriesError: if the slices make no regular volume, or are of another modality."""
    slices, name = series.slices, f"The series {series}"
    if modality is not None and series.modality != modality:
        raise DicomSeriesError(f"{name} is no MR.", "Name the T1-Gd series.")
    if series.unreadable:
        raise DicomSeriesError(
            f"{name} lies beside {len(series.unreadable)} DICOM files that cannot be read, such as "
            f"{series.unreadable[0].name}: slices may be missing.",
            "Export the series again; remove the files if they do not belong to it.",
        )
    if any(item.frames > 1 for item in slices):
        raise DicomSeriesError(
            f"{name} holds several slices in one file without their places.", "Export it as single slices."
        )
    if any(None in (item.position, item.directions, item.pixel_mm) for item in slices):
        raise DicomSeriesError(f"{name} lacks the position, direction or pixel size of slices.")
    if len(slices) < 2:
        raise DicomSeriesError(f"{name} is a single slice.")
    first = slices[0]
    turned = np.abs(np.subtract([decided(item.directions) for item in slices], decided(first.directions))).max()
    if turned > _DIRECTION_TOLERANCE:
        raise DicomSeriesError(f"{name} mixes slices of different directions, as a localizer does.")
    if len({(item.matrix, tuple(np.round(decided(item.pixel_mm), 4))) for item in slices}) > 1:
        raise DicomSeriesError(f"{name} mixes slices of different matrices or pixel sizes.")
    if len({item.photometric for item in slices}) > 1:
        raise DicomSeriesError(f"{name} mixes slices with bright and with dark air.")
    if is_inverted(series) and len({item.rescale for item in slices}) > 1:
        raise DicomSeriesError(
            f"{name} is stored inverted (MONOCHROME1), and each slice with a scale of its own.",
            "Export it as MONOCHROME2.",
        )

    row, column = np.reshape(decided(first.directions), (2, 3))
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
    down, across = decided(first.pixel_mm)
    spacing = (across, down, float(steps.mean()))
    return _Stack(ordered, spacing, np.stack([row, column, normal], axis=1))
