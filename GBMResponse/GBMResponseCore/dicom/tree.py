"""A tree of files -> DICOM series and structure sets, by their headers."""

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import DicomSeriesError, GBMResponseError, MissingPackageError

log = logging.getLogger(__name__)

_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "Modality", "PatientID", "StudyDate", "SeriesInstanceUID", "SeriesDescription",
    "SeriesNumber", "FrameOfReferenceUID", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "Rows",
    "Columns", "NumberOfFrames", "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "StudyInstanceUID",
    "ContrastBolusAgent", "ImageType", "RepetitionTime", "EchoTime", "SyntheticData", "Manufacturer",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
)  # fmt: skip
_PREAMBLE, _MAGIC = 128, b"DICM"
_FIRST_GROUPS = (b"\x02\x00", b"\x08\x00", b"\x00\x08")
"""Groups 2 and 8 in little endian, 8 in big endian: how a DICOM file begins that was written without a preamble."""
_MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
_STRUCTURES = ("RTSTRUCT", "SEG")
_DICOMDIR = "1.2.840.10008.1.3.10"
_SUFFIXES = (".dcm", ".ima", ".dicom")
MAKER = "GBMResponse"
"""Manufacturer of the objects that this software makes."""


@dataclass(frozen=True)
class Slice:
    """One slice of a series: a file, or a frame of one.

    :param position: center of the first pixel, LPS mm (3,), or None.
    :param directions: of rows and of columns (6,), or None.
    :param pixel_mm: distance of rows and of columns, or None.
    :param photometric: `MONOCHROME2`: high values are bright; `MONOCHROME1`: dark.
    :param rescale: slope and intercept of the values.
    :param frame: its number in a file of several, from 0; None: the file is one slice.
    """

    path: Path
    uid: str
    position: tuple[float, ...] | None
    directions: tuple[float, ...] | None
    pixel_mm: tuple[float, ...] | None
    matrix: tuple[int, int]
    frames: int
    photometric: str = "MONOCHROME2"
    rescale: tuple[float, float] = (1.0, 0.0)
    frame: int | None = None


@dataclass(frozen=True)
class Series:
    """What the headers of a series say; `slices` in no order, files of the same object once.

    :param folder: first folder below the root of the tree, empty if the files lie in the root itself.
    :param study_date: YYYYMMDD, empty if not stated.
    :param unreadable: files beside the slices that are DICOM, or are named so, and cannot be read: perhaps slices.
    :param contrast: agent, as the header names it.
    :param image_type: its values, such as ORIGINAL and PRIMARY.
    :param times_ms: repetition and echo time, or None.
    :param synthetic: whether it was generated and is no scan.
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
    unreadable: tuple[Path, ...] = ()
    study: str = ""
    contrast: str = ""
    image_type: tuple[str, ...] = ()
    times_ms: tuple[float | None, float | None] = (None, None)
    synthetic: bool = False

    def __str__(self) -> str:
        kind = "files" if all(item.frame is None for item in self.slices) else "frames"
        return f"{self.number or '?'} '{self.description}' ({self.modality}, {len(self.slices)} {kind})"


@dataclass(frozen=True)
class Tree:
    """All image series below a folder, and the files of its structure sets.

    :param structure_sets: RTSTRUCT and SEG: (first folder below the root, patient id, file), none that is synthetic.
    :param unreadable: files that are DICOM, or are named so, and cannot be read.
    """

    series: tuple[Series, ...]
    structure_sets: tuple[tuple[str, str, Path], ...]
    unreadable: tuple[Path, ...] = ()


def pydicom_module() -> ModuleType:
    """:raises MissingPackageError: without pydicom."""
    try:
        import pydicom
    except ImportError:
        raise MissingPackageError("pydicom", "read DICOM") from None
    # It would print odd values, which may be names.
    pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
    return pydicom


@contextmanager
def damage_is_typed(what: str, kind: type[GBMResponseError] = DicomSeriesError) -> Iterator[None]:
    """Turn what pydicom, and libraries that read with it, make of damaged files into one kind of error.

    :param what: is read, for the message.
    :raises GBMResponseError: of this kind.
    """
    try:
        yield
    except (GBMResponseError, MemoryError):
        raise
    except AttributeError as error:
        tag = re.search(r"attribute '(\w+)'", str(error))
        raise kind(f"{what} lacks {tag[1] if tag else 'a tag'}.", "Export it again.") from error
    # Damaged bytes make it fail in many ways.
    except Exception as error:
        raise kind(f"{what} holds an impossible value ({type(error).__name__}).", "Export it again.") from error


def scan_tree(root: Path, files: Iterable[Path] | None = None) -> Tree:
    """Read the headers of all DICOM files below a folder, those without a preamble too; other files are passed over.

    :param files: those to read; all below the folder if None.
    :raises MissingPackageError: without pydicom.
    """
    pydicom_module()
    found: dict[str, Series] = {}
    slices: dict[str, dict[tuple[Any, ...], Slice]] = defaultdict(dict)
    structure_sets, unreadable = [], []
    for path in sorted(root.rglob("*")) if files is None else files:
        if not path.is_file():
            continue
        try:
            header = _read_header(path)
            if header is None:
                continue
            parts = path.relative_to(root).parts
            folder = parts[0] if len(parts) > 1 else ""
            modality, patient = str(header.get("Modality", "")), str(header.get("PatientID", "")).strip()
            if modality in _STRUCTURES:
                if not is_synthetic(header):
                    structure_sets.append((folder, patient, path))
            elif "Rows" in header or header.get("SOPClassUID") == _MR_IMAGE:
                items = _slices(header, path)
                key = f"{folder} {header.SeriesInstanceUID}"
                if key not in found:
                    found[key] = _series(header, folder, patient)
                for item in items:
                    # Some tools give all slices one UID: only at one place they are copies.
                    slices[key].setdefault((item.uid, item.frame, item.position), item)
        # Damaged bytes make pydicom fail in many ways, and none of them may end the scan of a hospital's export.
        except Exception as error:
            log.warning("A DICOM file cannot be read (%s).", type(error).__name__)
            unreadable.append(path)
    series = []
    for key, one in found.items():
        folders = {entry.path.parent for entry in slices[key].values()}
        beside = tuple(path for path in unreadable if path.parent in folders)
        series.append(replace(one, slices=tuple(slices[key].values()), unreadable=beside))
    return Tree(tuple(series), tuple(structure_sets), tuple(unreadable))


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM does, with or without a preamble, or is named so.

    :raises OSError: it cannot be read.
    """
    start, whole = _start(path)
    return whole or path.suffix.lower() in _SUFFIXES or start[:2] in _FIRST_GROUPS


def _start(path: Path) -> tuple[bytes, bool]:
    """The first bytes of a file, and whether they are a preamble with DICOM's mark."""
    with path.open("rb") as file:
        start = file.read(_PREAMBLE + len(_MAGIC))
    return start, start.endswith(_MAGIC) and len(start) == _PREAMBLE + len(_MAGIC)


def _read_header(path: Path) -> Any | None:
    """Header of a DICOM file, None if the file is something else.

    :raises Exception: of pydicom, or OSError, if it is DICOM, or is named so, and cannot be read.
    """
    pydicom = pydicom_module()
    start, whole = _start(path)
    named = path.suffix.lower() in _SUFFIXES and not path.name.startswith("._")
    if not (whole or named or start[:2] in _FIRST_GROUPS):
        return None
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS), force=not whole)
        if "SOPClassUID" in header or header.file_meta.get("MediaStorageSOPClassUID") == _DICOMDIR:
            return header
        raise ValueError("no object")
    except Exception:
        if whole or named:
            raise
        return None


def is_synthetic(header: Any) -> bool:
    """Whether an object says of itself that it was generated; a scanner's "synthetic MR" does not."""
    said = str(header.get("SyntheticData") or "").strip().upper() == "YES"
    return said or str(header.get("Manufacturer") or "").strip() == MAKER


def _slices(header: Any, path: Path) -> list[Slice]:
    """The slice of a file, or those of its frames if it says where each one lies."""
    frames = int(header.get("NumberOfFrames") or 1)
    per_frame = header.get("PerFrameFunctionalGroupsSequence") or []
    if frames != len(per_frame):
        return [_slice([header], path, frames)]
    shared = header.get("SharedFunctionalGroupsSequence") or [{}]
    return [_slice([item, shared[0], header], path, 1, number) for number, item in enumerate(per_frame)]


_GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
"""Where the frames of a file have what other files have in their header."""


def _slice(sources: Sequence[Any], path: Path, frames: int, frame: int | None = None) -> Slice:
    """:param sources: the file's header, before it what holds for the frame alone, and for all frames."""
    header = sources[-1]

    def value(name: str) -> Any:
        for source in sources:
            group = (source.get(_GROUPS[name]) or [{}])[0]
            found = group.get(name) if name in group else source.get(name)
            if found is not None:
                return found
        return None

    def numbers(name: str) -> tuple[float, ...] | None:
        found = value(name)
        return tuple(float(number) for number in found) if found else None

    def number(name: str, default: float) -> float:
        found = value(name)
        return default if found is None else float(found)

    return Slice(
        path,
        str(header.SOPInstanceUID),
        numbers("ImagePositionPatient"),
        numbers("ImageOrientationPatient"),
        numbers("PixelSpacing"),
        (int(header.Rows), int(header.Columns)),
        frames,
        str(header.get("PhotometricInterpretation") or "MONOCHROME2").strip(),
        (number("RescaleSlope", 1.0), number("RescaleIntercept", 0.0)),
        frame,
    )


def _series(header: Any, folder: str, patient: str) -> Series:
    """What a header says of its series, without slices."""

    def text(name: str) -> str:
        return str(header.get(name) or "").strip()

    def time(name: str) -> float | None:
        return float(header.get(name)) if header.get(name) else None

    return Series(
        uid=text("SeriesInstanceUID"),
        modality=text("Modality"),
        patient_id=patient,
        folder=folder,
        # The form of ACR-NEMA, 2020.05.01, is still found.
        study_date=re.sub(r"^(\d{4})[.\-/](\d{2})[.\-/](\d{2})$", r"\1\2\3", text("StudyDate")),
        description=text("SeriesDescription"),
        number=text("SeriesNumber"),
        frame_of_reference=text("FrameOfReferenceUID"),
        slices=(),
        study=text("StudyInstanceUID"),
        contrast=text("ContrastBolusAgent"),
        image_type=tuple(str(part).upper() for part in header.get("ImageType") or ()),
        times_ms=(time("RepetitionTime"), time("EchoTime")),
        synthetic=is_synthetic(header),
    )
