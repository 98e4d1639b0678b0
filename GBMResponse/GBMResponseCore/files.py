"""Files: writing that never leaves half a file, and tables.

Every file is written under a temporary name beside its own, read again and compared with what was meant, brought to the
disk, and only then renamed. A failure leaves the older file of that name as it was.
"""

import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from .errors import (
    CaseTableError,
    EmptyFileError,
    MissingFileError,
    OptionError,
    OutputFolderError,
    UnreadableFileError,
)
from .kept import note_removed, note_written

if TYPE_CHECKING:
    import SimpleITK as sitk

_IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
_PARTIAL = re.compile(r"\.[0-9a-f]{32}\.partial.*")
_NUMBER = re.compile(r"[+-]?\d+\.?\d*([eE][+-]?\d+)?")
_COMPRESSION = 3
"""Level of gzip: MR voxels hardly become smaller beyond it, only slower."""
_CHUNK = 1 << 20
_NIFTI_HEADER = 352
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
    probe = folder / _temporary_name("")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"GBMResponse")
    except OSError as error:
        raise OutputFolderError(f"Cannot write to the folder {folder} ({error.strerror or error}).") from error
    finally:
        discard(probe)
    return folder


def write_image(image: "sitk.Image", path: Path | str, finish: Callable[[Path], Any] | None = None) -> Path:
    """Write a volume, compressed where the format can.

    :param finish: changes the header of the written file, whose voxels were compared already; NIfTI is not compressed
        yet. Raises OSError if it cannot.
    :raises OptionError: if the suffix is not one of .nii.gz, .nii, .nrrd and .mha.
    :raises OutputFolderError: if the file cannot be written, or its format cannot hold the volume.
    """
    path = Path(path)
    suffix = next((s for s in _IMAGE_SUFFIXES if path.name.lower().endswith(s)), None)
    if suffix is None:
        raise OptionError(f"Cannot write {path.name}.", f"Use one of {', '.join(_IMAGE_SUFFIXES)}.")
    import SimpleITK as sitk

    packed = suffix == ".nii.gz"  # ITK ignores what its compression of NIfTI cannot write

    def write(temporary: Path) -> None:
        plain = temporary.with_suffix("") if packed else temporary
        try:
            sitk.WriteImage(image, str(plain), useCompression=not packed)
            _compare_image(image, plain)
            if finish:
                finish(plain)
            if packed:
                _compress(plain, temporary)
            elif suffix == ".nrrd":  # ITK may overlook that its compressed voxels end early
                check_nrrd(temporary, sitk.GetArrayViewFromImage(image).tobytes())
        except RuntimeError as error:  # ITK's
            raise OSError(str(error).strip().splitlines()[-1]) from error
        finally:
            if packed:
                discard(plain)

    return write_file(path, write, suffix)


def check_nrrd(path: Path, voxels: bytes) -> None:
    """Check that a NRRD file, header and data in one, raw or gzip, holds these voxels to its end.

    :raises OSError, EOFError, zlib.error: it does not.
    """
    with open(path, "rb") as file:
        header = list(iter(lambda: file.readline().strip(), b""))
        written = gzip.GzipFile(fileobj=file) if b"encoding: gzip" in header else file
        _require_same(written, io.BytesIO(voxels))


def write_bytes(content: bytes, path: Path | str, durable: bool = True) -> Path:
    """Write a file of any kind.

    :param durable: see :func:`write_file`.
    :raises OutputFolderError: if the file cannot be written.
    """

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)
        with open(temporary, "rb") as file:
            _require_same(file, io.BytesIO(content))

    return write_file(path, write, durable=durable)


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


def write_csv(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any] | Sequence[Any]],
    path: Path | str,
    delimiter: str = ",",
    line_end: str = "\n",
) -> Path:
    """Write a UTF-8 table; None is an empty cell, and no cell is a formula to a spreadsheet, see :func:`plain_cell`.

    :param rows: cells in the order of the columns, or by column: then others are left out, and absent ones empty.
    :raises OutputFolderError: if the file cannot be written.
    """
    lines: list[str] = []
    # Before Python 3.13 a carriage return in a cell is quoted only if lines end in one.
    writer = csv.writer(SimpleNamespace(write=lines.append), delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(name) for name in columns] if isinstance(row, Mapping) else row
        writer.writerow([f"'{x}" if isinstance(x, str) and _is_formula(x.lstrip("'")) else x for x in cells])
    return write_text("".join(f"{line[:-2]}{line_end}" for line in lines), path)


def read_table(path: Path | str, name: str = "table") -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read a table as spreadsheets write it: UTF-8 or UTF-16; commas, semicolons or tabs; perhaps a first line `sep=;`.

    :returns: the names of the columns, in lower case with single blanks, and of each row that is not blank its line
        number and its cells, stripped; as many as there are columns, or more if the row has more.
    :raises MissingFileError, EmptyFileError, UnreadableFileError: by the file.
    :raises CaseTableError: it is no such table.
    """
    path = check_file(path, name)
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except OSError as error:
        raise UnreadableFileError(f"The {name} file {path.name} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise CaseTableError(f"The table {path.name} is not UTF-8 text.", "Save it as CSV UTF-8.") from error
    if "\0" in text:
        raise CaseTableError(f"The table {path.name} is no text.", "Save it as CSV UTF-8.")
    named = re.match(r"\s*\"?sep=(.)\"?[^\S\n]*\r?\n", text, re.IGNORECASE)
    skipped = text[: named.end()].count("\n") if named else 0
    text = text[named.end() :] if named else text
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = named[1] if named else max(",;\t", key=header.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num + skipped, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise CaseTableError(f"The table {path.name} is no valid CSV: {error}.") from error
    lines = [(number, cells) for number, cells in lines if any(cells)]
    columns = [re.sub(r"\s+", " ", cell).casefold() for cell in lines[0][1]] if lines else []
    while columns and not columns[-1]:
        columns.pop()
    rows = []
    for number, cells in lines[1:]:
        while len(cells) > len(columns) and not cells[-1]:
            cells.pop()
        rows.append((number, cells + [""] * (len(columns) - len(cells))))
    return columns, rows


def plain_cell(text: str) -> str:
    """Text of a cell that :func:`write_csv` wrote: without the apostrophe before what could be taken for a formula."""
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text


def write_file(path: Path | str, write: Callable[[Path], Any], suffix: str = "", durable: bool = True) -> Path:
    """Let a function write a file, and give it its name when it is complete.

    :param write: takes the temporary path; raises OSError if the file is not what it should be.
    :param suffix: of the temporary path.
    :param durable: wait until the disk has it; not needed for what is soon removed or can be made again.
    :raises OutputFolderError: if the file cannot be written; an older one of that name stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(_temporary_name(suffix))
    try:
        write(temporary)
        if durable:
            with open(temporary, "r+b") as file:
                os.fsync(file.fileno())
        os.replace(temporary, path)
        note_written(path)
        if durable:
            folder_to_disk(path.parent)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise OutputFolderError(
            f"Cannot write {path.name} to the folder {path.parent} ({reason.rstrip('.')})."
        ) from error
    finally:
        discard(temporary)
    return path


def copy_file(source: Path | str, path: Path | str) -> Path:
    """Copy a file.

    :raises OutputFolderError: if it cannot be copied; an older one of that name stays as it was.
    """

    def write(temporary: Path) -> None:
        shutil.copyfile(source, temporary)
        with open(source, "rb") as meant, open(temporary, "rb") as written:
            _require_same(written, meant)

    return write_file(path, write)


def discard(path: Path) -> None:
    """Remove a file of our own if it can be removed, also if an interrupt comes just then."""
    note_removed(path)
    try:
        with suppress(OSError):  # the folder itself may be gone meanwhile, or be a file
            path.unlink()
    except BaseException:
        with suppress(OSError):
            path.unlink()
        raise


def sweep_partial_files(folder: Path | str, age_s: float = 0.0) -> None:
    """Remove what a process that was killed while it wrote left in a folder.

    :param age_s: only older files; 0 where no other process may write to the folder.
    """
    with suppress(OSError):  # the folder is gone meanwhile
        for path in list(Path(folder).glob(".*.partial*")):
            with suppress(OSError):  # the next run tries again
                if _PARTIAL.fullmatch(path.name) and (not age_s or time.time() - path.stat().st_mtime > age_s):
                    path.unlink()


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


def _compare_image(image: "sitk.Image", path: Path) -> None:
    """:raises OSError: the file holds other voxels or another geometry than the image."""
    import numpy as np
    import SimpleITK as sitk

    def layout(entry: "sitk.Image") -> tuple[Any, ...]:
        return entry.GetSize(), entry.GetPixelIDValue(), entry.GetNumberOfComponentsPerPixel()

    written = sitk.ReadImage(str(path))
    if layout(written) != layout(image):
        raise OSError("the format cannot hold the size or the type of the volume")
    if not (  # NIfTI keeps single precision only
        np.allclose(written.GetSpacing(), image.GetSpacing(), rtol=1e-4, atol=0)
        and np.allclose(written.GetOrigin(), image.GetOrigin(), rtol=1e-5, atol=1e-3)
        and np.allclose(written.GetDirection(), image.GetDirection(), rtol=0, atol=1e-3)
    ):
        raise OSError("the format cannot hold the geometry of the volume")
    voxels, meant = (sitk.GetArrayViewFromImage(entry).reshape(-1).view(np.uint8) for entry in (written, image))
    cut_off = path.suffix == ".nii" and path.stat().st_size < _NIFTI_HEADER + meant.size  # ITK reads 0 beyond the end
    if cut_off or not np.array_equal(voxels, meant):
        raise OSError("the file does not hold what was written")


def _compress(source: Path, target: Path) -> None:
    """Write the gzip file of a file and read it again.

    :raises OSError: it does not hold the same bytes.
    """
    with open(source, "rb") as plain, open(target, "wb") as raw:
        with gzip.GzipFile("", "wb", _COMPRESSION, raw, mtime=0) as packed:
            shutil.copyfileobj(plain, packed, _CHUNK)
    with open(source, "rb") as plain, gzip.open(target, "rb") as packed:
        _require_same(packed, plain)


def _require_same(written: BinaryIO | gzip.GzipFile, meant: BinaryIO) -> None:
    """:raises OSError, EOFError, zlib.error: a stream differs from what it should hold, or ends early."""
    while True:
        chunk = meant.read(_CHUNK)
        if written.read(_CHUNK) != chunk:
            raise OSError("the file does not hold what was written")
        if not chunk:  # the end of the stream, where a gzip file has its length and check sum
            return


def folder_to_disk(folder: Path) -> None:
    """Bring a renaming to the disk, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return  # Windows opens no folders
    try:
        with suppress(OSError):  # nor do all network drives wait for them; the file itself is complete
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_formula(text: str) -> bool:
    # A table read from one file and written to another has its numbers as text.
    return text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text)


def _temporary_name(suffix: str) -> str:
    # Random, because a name made from the target's could carry a patient's name.
    return f".{uuid4().hex}.partial{suffix}"
