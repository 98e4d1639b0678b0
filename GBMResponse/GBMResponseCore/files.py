"""Files: reading that notices damage, and writing that never leaves half a file (temporary name, then rename)."""

import csv
import gzip
import hashlib
import json
import math
import os
import re
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .errors import EmptyFileError, MissingFileError, OptionError, OutputFolderError, UnreadableFileError

if TYPE_CHECKING:
    import SimpleITK as sitk

_NUMBER = re.compile(r"[+-]?\d+\.?\d*([eE][+-]?\d+)?")
_IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


def read_image(path: Path | str, name: str = "image") -> "sitk.Image":
    """Read a NIfTI, NRRD or MetaImage volume.

    :param name: what the file is, for messages. They name the file without its folder, which may identify a patient.
    :raises MissingFileError, EmptyFileError, UnreadableFileError: by the file.
    """
    import SimpleITK as sitk  # training runs on stores alone, also where SimpleITK is not installed

    path = check_file(path, name)
    if path.name.lower().endswith((".nii", ".nii.gz")) and not _nifti_is_complete(path):
        raise UnreadableFileError(f"The {name} file {path.name} is cut off or damaged.", "Export or copy it again.")
    try:
        return sitk.ReadImage(os.fspath(path))
    except RuntimeError as error:
        if "orthonormal" in str(error):
            message = f"The {name} file {path.name} has sheared axes."
            raise UnreadableFileError(message, "Resample it to a regular grid, or convert the DICOM again.") from None
        raise UnreadableFileError(f"The {name} file {path.name} cannot be read.") from None


def check_file(path: Path | str, name: str = "image") -> Path:
    """:raises MissingFileError, EmptyFileError: if there is no such file, or nothing in it."""
    path = Path(path)
    if not path.is_file():
        raise MissingFileError(f"The {name} file {path.name} does not exist.")
    if path.stat().st_size == 0:
        raise EmptyFileError(f"The {name} file {path.name} is empty.")
    return path


def ensure_output_folder(path: Path | str) -> Path:
    """Create a folder if needed and make sure files can be written there.

    :raises OutputFolderError: if either is not possible.
    """
    folder = Path(path)
    probe = folder / _temporary_name("")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"GBMResponse")
        probe.unlink()
    except OSError as error:
        raise OutputFolderError(f"Cannot write to the folder {folder} ({error.strerror or error}).") from error
    return folder


def write_image(image: "sitk.Image", path: Path | str) -> Path:
    """Write a volume, compressed where the format can.

    :raises OptionError: if the suffix is not one of .nii.gz, .nii, .nrrd and .mha.
    :raises OutputFolderError: if the file cannot be written.
    """
    path = Path(path)
    suffix = next((s for s in _IMAGE_SUFFIXES if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise OptionError(f"Cannot write {path.name}.", f"Use one of {', '.join(_IMAGE_SUFFIXES)}.")
    import SimpleITK as sitk

    return _write(path, suffix, lambda temporary: sitk.WriteImage(image, str(temporary), useCompression=True))


def write_bytes(content: bytes, path: Path | str) -> Path:
    """:raises OutputFolderError: if the file cannot be written."""
    return _write(Path(path), "", lambda temporary: temporary.write_bytes(content))


def write_text(text: str, path: Path | str) -> Path:
    """Write UTF-8 with line feeds on every system.

    :raises OutputFolderError: if the file cannot be written.
    """
    return write_bytes(text.encode("utf-8"), path)


def write_json(content: Any, path: Path | str) -> Path:
    """Write indented UTF-8 JSON.

    :raises OutputFolderError: if the file cannot be written.
    """
    return write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", path)


def sha256_of_file(path: Path | str) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _nifti_is_complete(path: Path) -> bool:
    """False if a NIfTI-1 file has fewer bytes than its header promises; ITK reads the missing voxels as 0."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
            header = file.read(348)
            size = len(header)
            while chunk := file.read(1 << 22):
                size += len(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    if len(header) < 348:
        return False
    order = next((o for o in "<>" if struct.unpack_from(o + "i", header)[0] == 348), None)
    if order is None:
        return True
    dimensions = struct.unpack_from(order + "8h", header, 40)
    bits = struct.unpack_from(order + "h", header, 72)[0]
    offset = struct.unpack_from(order + "f", header, 108)[0]
    return size >= offset + math.prod(dimensions[1 : 1 + dimensions[0]]) * bits / 8


def _write(path: Path, suffix: str, write: Callable[[Path], Any]) -> Path:
    temporary = path.with_name(_temporary_name(suffix))
    try:
        write(temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        raise OutputFolderError(f"Cannot write {path.name} to the folder {path.parent}.") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _temporary_name(suffix: str) -> str:
    # Random, because a name made from the target's could carry a patient's name.
    return f".{uuid4().hex}.partial{suffix}"


def write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], path: Path | str) -> Path:
    """Write a UTF-8 table; None is an empty cell, and no cell is a formula to a spreadsheet, see :func:`plain_cell`.

    :raises OutputFolderError: if the file cannot be written.
    """
    lines: list[str] = []
    # Before Python 3.13 a carriage return in a cell is quoted only if lines end in one.
    writer = csv.writer(SimpleNamespace(write=lines.append), lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows([_marked_cell(value) for value in row] for row in rows)
    return write_text("".join(f"{line[:-2]}\n" for line in lines), path)


def plain_cell(text: str) -> str:
    """Text of a cell that :func:`write_csv` wrote: without the apostrophe before what could be taken for a formula."""
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text


def _marked_cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and _is_formula(value.lstrip("'")) else value


def _is_formula(text: str) -> bool:
    # A table read from one file and written to another has its numbers as text.
    return text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text)
