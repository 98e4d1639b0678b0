"""Paths that somebody gives: a file to read, a folder to write to."""

import hashlib
import sys
from pathlib import Path

from ..errors import EmptyFileError, MissingFileError, OutputFolderError, UnreadableFileError
from .kept import make_folder
from .writing import discard, temporary_name

_SPELL_OTHERWISE = "Rename it in plain letters, or set the environment variable PYTHONUTF8 to 1."


def check_file(path: Path | str, name: str = "image") -> Path:
    """Check that there is a file to be read.

    :raises MissingFileError, EmptyFileError: there is no such file, or nothing in it.
    :raises UnreadableFileError: its path cannot be used here.
    """
    path = Path(path)
    problem = _problem_of(path)
    if problem is not None:
        raise UnreadableFileError(f"The {name} file has a path that cannot be used: {problem}.", _SPELL_OTHERWISE)
    try:
        found, folder = path.is_file(), path.is_dir()
        empty = found and path.stat().st_size == 0
    except OSError as error:  # a name beyond what the system allows, or a folder closed to us
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


def ensure_output_folder(path: Path | str) -> Path:
    """Create a folder if needed and make sure files can be written there.

    :raises OutputFolderError: if either is not possible.
    """
    folder = Path(path)
    problem = _problem_of(folder)
    if problem is not None:
        raise OutputFolderError(f"The output folder has a path that cannot be used: {problem}.", _SPELL_OTHERWISE)
    probe = folder / temporary_name("")
    try:
        make_folder(folder)
        probe.write_bytes(b"GBMResponse")
    except OSError as error:
        reason = "it is a file" if isinstance(error, FileExistsError) else error.strerror or error
        raise OutputFolderError(f"Cannot write to the folder {folder} ({reason}).") from error
    finally:
        discard(probe)
    return folder


def sha256_of_file(path: Path | str) -> str:
    """SHA-256 of a file's content, 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _problem_of(path: Path) -> str | None:
    """What keeps this system, or ITK, from using a path; None if nothing does."""
    text = str(path)
    if "\0" in text:
        return "it holds a character that no file name can have"
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return "it holds a character that is not UTF-8"
    encoding = sys.getfilesystemencoding()
    if not text.isascii() and encoding.replace("-", "").casefold() != "utf8":
        return f"it holds letters beyond ASCII, and this system's file names are in {encoding}"
    return None
