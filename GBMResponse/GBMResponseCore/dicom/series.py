"""A tree of DICOM files -> series, and a series -> a volume, complete and regular or refused."""

import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType

import numpy as np
import SimpleITK as sitk

from ..errors import DicomSeriesError, MissingPackageError

log = logging.getLogger(__name__)

_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "StudyDate", "SeriesInstanceUID", "SeriesDescription",
    "SeriesNumber", "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows",
    "Columns", "NumberOfFrames",
)  # fmt: skip
_DIRECTION_TOLERANCE = 1e-3
_SPACING_TOLERANCE = 0.05
"""Largest difference of a slice distance from the usual one, as a share of it."""
_TILT_TOLERANCE = np.sin(np.radians(0.5))
_DUPLICATE_MM = 0.01


@dataclass(frozen=True)
class Slice:
    """One file of a series.

    :param position: center of the first pixel, LPS mm (3,), or None.
    :param directions: of rows and of columns (6,), or None.
    :param pixel_mm: distance of rows and of columns, or None.
    """

    path: Path
    uid: str
    position: tuple[float, ...] | None
    directions: tuple[float, ...] | None
    pixel_mm: tuple[float, ...] | None
    matrix: tuple[int, int]
    frames: int


@dataclass(frozen=True)
class Series:
    """What the headers of a series say; `slices` in no order, files of the same object once.

    :param folder: first folder below the root of the tree, empty if the files lie in the root itself.
    :param study_date: YYYYMMDD, empty if not stated.
    """

    uid: str
    modality: str
    patient_id: str
    folder: str
    study_date: str
    description: str
    number: str
    frame_of_reference: str
    slices: tuple[Slice, ...]

    def __str__(self) -> str:
        return f"{self.number or '?'} '{self.description}' ({self.modality}, {len(self.slices)} files)"


@dataclass(frozen=True)
class Tree:
    """All image series below a folder, and the files of its structure sets.

    :param structure_sets: (first folder below the root, patient id, file).
    """

    series: tuple[Series, ...]
    structure_sets: tuple[tuple[str, str, Path], ...]


@dataclass(frozen=True)
class _Stack:
    """Slices in the order of their positions."""

    slices: Sequence[Slice]
    spacing: tuple[float, float, float]
    direction: np.ndarray

    @cached_property
    def files(self) -> list[str]:
        return [str(item.path) for item in self.slices]


def pydicom_module() -> ModuleType:
    """:raises MissingPackageError: without pydicom."""
    try:
        import pydicom
    except ImportError:
        raise MissingPackageError("pydicom", "read DICOM") from None
    return pydicom


def scan_tree(root: Path, files: Iterable[Path] | None = None) -> Tree:
    """Read the headers of all DICOM files below a folder; other files are passed over.

    :param files: those to read; all below the folder if None.
    :raises MissingPackageError: without pydicom.
    """
    pydicom = pydicom_module()
    headers: dict[str, tuple] = {}
    slices: dict[str, dict[str, Slice]] = defaultdict(dict)
    structure_sets = []
    for path in sorted(root.rglob("*")) if files is None else files:
        if not path.is_file():
            continue
        try:
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
            parts = path.relative_to(root).parts
            folder = parts[0] if len(parts) > 1 else ""
            modality, patient = str(header.get("Modality", "")), str(header.get("PatientID", "")).strip()
            if modality == "RTSTRUCT":
                structure_sets.append((folder, patient, path))
            elif "Rows" in header and "SeriesInstanceUID" in header:
                key = f"{folder} {header.SeriesInstanceUID}"
                headers.setdefault(key, (header, folder, patient))
                slices[key].setdefault(str(header.SOPInstanceUID), _slice(header, path))
        except (pydicom.errors.InvalidDicomError, AttributeError, ValueError, TypeError, OSError, EOFError) as error:
            log.debug("%s is passed over: %s", path.name, error)
    series = [_series(*headers[key], tuple(slices[key].values())) for key in headers]
    return Tree(tuple(series), tuple(structure_sets))


def read_series(series: Series) -> sitk.Image:
    """Read a series of single-frame MR slices with GDCM; grid and order come from the headers.

    :return: 3-D; its third axis follows the normal of the slices.
    :raises DicomSeriesError: if it is no MR, or if slices are missing, doubled, tilted, of different shapes or
        unreadable.
    """
    stack = _stack(series)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(stack.files)
    try:
        image = reader.Execute()
    except RuntimeError:
        raise DicomSeriesError(f"The series {series} cannot be read.", "Export it again, uncompressed.") from None
    if image.GetSize()[2] != len(stack.slices):
        raise DicomSeriesError(f"The series {series} was read as {image.GetSize()[2]} slices.")
    image.SetOrigin(stack.slices[0].position)
    image.SetSpacing(stack.spacing)
    image.SetDirection(stack.direction.ravel().tolist())
    return image


def _slice(header, path: Path) -> Slice:
    def numbers(name: str) -> tuple[float, ...] | None:
        value = header.get(name)
        return tuple(float(number) for number in value) if value else None

    return Slice(
        path,
        str(header.SOPInstanceUID),
        numbers("ImagePositionPatient"),
        numbers("ImageOrientationPatient"),
        numbers("PixelSpacing"),
        (int(header.Rows), int(header.Columns)),
        int(header.get("NumberOfFrames") or 1),
    )


def _series(header, folder: str, patient: str, slices: tuple[Slice, ...]) -> Series:
    def text(name: str) -> str:
        return str(header.get(name) or "").strip()

    return Series(
        uid=text("SeriesInstanceUID"),
        modality=text("Modality"),
        patient_id=patient,
        folder=folder,
        study_date=text("StudyDate"),
        description=text("SeriesDescription"),
        number=text("SeriesNumber"),
        frame_of_reference=text("FrameOfReferenceUID"),
        slices=slices,
    )


def _stack(series: Series) -> _Stack:
    """:raises DicomSeriesError: if the slices make no regular volume."""
    slices, name = series.slices, f"The series {series}"
    if series.modality != "MR":
        raise DicomSeriesError(f"{name} is no MR.", "Name the T1-Gd series.")
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
