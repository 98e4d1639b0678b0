"""Files: writing that never leaves half a file (temporary name, then rename)."""

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from .errors import EmptyFileError, MissingFileError, OptionError, OutputFolderError, UnreadableFileError

if TYPE_CHECKING:
    import SimpleITK as sitk

_IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")


def check_file(path: Path | str, name: str = "image") -> Path:
    """:raises MissingFileError, EmptyFileError, UnreadableFileError: if there is no such file, or nothing in it."""
    path = Path(path)
    try:
        os.fsencode(path)
        found, folder = path.is_file(), path.is_dir()
        empty = found and path.stat().st_size == 0
    except UnicodeEncodeError:
        message = f"The path of the {name} file {path.name!a} cannot be expressed in this system's encoding."
        raise UnreadableFileError(message, "Use a path of plain letters, or set PYTHONUTF8=1.") from None
    except OSError as error:
        message = f"The {name} file {path.name[:80]} cannot be read ({error.strerror or type(error).__name__})."
        raise UnreadableFileError(message, "Check the path and the permissions.") from None
    if folder:
        message = f"The {name} {path.name} is a folder, not a file."
        raise MissingFileError(message, "Give one volume; save a DICOM series as NRRD with 3D Slicer.")
    if not found:
        raise MissingFileError(f"The {name} file {path.name} does not exist.")
    if empty:
        raise EmptyFileError(f"The {name} file {path.name} is empty.")
    return path


def is_utf8(text: str) -> bool:
    """Whether a text can be given to libraries that expect UTF-8; undecodable bytes of a file name cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


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
