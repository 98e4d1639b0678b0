"""Writing that never leaves half a file.

Every file is written under a temporary name beside its own, read again and compared with what was meant, brought to the
disk, and only then renamed. A failure leaves the older file of that name as it was.
"""

import gzip
import io
import json
import os
import re
import shutil
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from ..errors import OptionError, OutputFolderError
from .kept import note_removed, note_written

if TYPE_CHECKING:
    import SimpleITK as sitk

_IMAGE_SUFFIXES = (".nii.gz", ".nii", ".nrrd", ".mha")
_PARTIAL = re.compile(r"\.[0-9a-f]{32}\.partial.*")
_COMPRESSION = 3
"""Level of gzip: MR voxels hardly become smaller beyond it, only slower."""
_CHUNK = 1 << 20
_NIFTI_HEADER = 352


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


def write_file(path: Path | str, write: Callable[[Path], Any], suffix: str = "", durable: bool = True) -> Path:
    """Let a function write a file, and give it its name when it is complete.

    :param write: takes the temporary path; raises OSError if the file is not what it should be.
    :param suffix: of the temporary path.
    :param durable: wait until the disk has it; not needed for what is soon removed or can be made again.
    :raises OutputFolderError: if the file cannot be written; an older one of that name stays as it was.
    """
    path = Path(path)
    temporary = path.with_name(temporary_name(suffix))
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


def is_partial(path: Path) -> bool:
    """Whether a file has the name of one that is being written, or was when its process was killed."""
    return _PARTIAL.fullmatch(path.name) is not None


def sweep_partial_files(folder: Path | str, age_s: float = 0.0) -> None:
    """Remove what a process that was killed while it wrote left in a folder.

    :param age_s: only older files; 0 where no other process may write to the folder.
    """
    with suppress(OSError):  # the folder is gone meanwhile
        for path in list(Path(folder).glob(".*.partial*")):
            with suppress(OSError):  # the next run tries again
                if is_partial(path) and (not age_s or time.time() - path.stat().st_mtime > age_s):
                    path.unlink()


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


def temporary_name(suffix: str) -> str:
    """Of a file that is being written: random, as a name made from the target's could carry a patient's name."""
    return f".{uuid4().hex}.partial{suffix}"
