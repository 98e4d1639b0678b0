"""An output folder: one run at a time, nothing left by killed ones, and no input replaced."""

import json
import os
import platform
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..errors import OutputFolderError
from ..files import discard, ensure_output_folder, sweep_partial_files

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK = ".lock"
_PREVIEW = ".preview-"
_RESULT = re.compile(
    r"(expected|predicted|mean|spread|sample_\d+|generated_mask|blend_weight|enhancement_probability"
    r"|registered_follow_up)\.(nii|nii\.gz|nrrd|mha)"
    r"|measurements\.(json|csv)|summary\.csv|report\.(html|json)|score\.json|enhancement_(before|after)\.seg\.nrrd|diameters\.mrk\.json|montage\.png|provenance\.json|status\.json",
    re.IGNORECASE,
)
"""Names that runs and cohorts give to what they write."""
_LOCKED_BYTE = 1 << 30
"""Windows forbids others to read what is locked, so that is no part of the content."""
_IN_USE = "Wait until it has ended, or choose another folder."


@contextmanager
def folder_in_use(folder: Path) -> Iterator[None]:
    """Keep other runs out of an output folder, which is created, and sweep what killed ones left in it.

    The system frees the lock when its process ends, however that happens.

    :raises OutputFolderError: the folder cannot be written to, another run is using it, or somebody removes it or
        changes its rights meanwhile, wherever that shows.
    """
    ensure_output_folder(folder)
    with locked(folder / LOCK):
        try:
            _sweep(folder)
            with suppress(OSError):  # the folder is gone meanwhile
                for left in folder.glob(".preview*"):
                    shutil.rmtree(left, ignore_errors=True)
            yield
        except OSError as error:
            if str(error.filename).startswith(str(folder)):
                raise OutputFolderError(f"Cannot use the folder {folder} any more ({error.strerror}).") from error
            raise
        finally:
            _sweep(folder)  # an interrupt may have come while a file was being taken away


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock file, which is made and removed; the system frees it when this process ends.

    :raises OutputFolderError: another process holds it, or it cannot be made.
    """
    lock = _lock(path)
    try:
        yield
    finally:
        _release(lock, path)


def _sweep(folder: Path) -> None:
    """Remove half-written files from a folder and those in it, for example of classes, that nobody else is using."""
    sweep_partial_files(folder)
    with suppress(OSError):  # the folder is gone meanwhile
        for entry in folder.iterdir():
            if entry.is_dir() and not entry.is_symlink() and not (entry / LOCK).exists():
                sweep_partial_files(entry)


def preview_folder(folder: Path) -> Path:
    """A path for the pictures of one run, which :func:`folder_in_use` sweeps if the run does not."""
    return folder / f"{_PREVIEW}{uuid4().hex[:12]}"


def result_files(folders: Iterable[Path]) -> list[Path]:
    """Files in these folders that a run would replace or remove, by their names."""
    found = []
    for folder in folders:
        with suppress(OSError):
            found += [path for path in folder.iterdir() if _RESULT.fullmatch(path.name)]
    return found


def refuse_to_replace(inputs: Mapping[str, Path | None], replaced: Iterable[Path]) -> None:
    """Check that no result takes the place of an input, under whatever name: links and letter case do not hide it.

    :param inputs: what each file is, for the message -> path.
    :raises OutputFolderError: one does.
    """
    known = {_identity(path): what for what, path in inputs.items() if path is not None}
    known.pop(None, None)
    for path in replaced:
        what = known.get(_identity(path))
        if what is not None:
            message = f"The {what} is the file {path.name} of the output folder, which would be replaced."
            raise OutputFolderError(message, "Choose another output folder.")


def _identity(path: Path) -> tuple[int, int] | None:
    """Of the file, not of its name; None if there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _lock(path: Path) -> FileIO:
    """Open and lock a file that says who has it.

    :raises OutputFolderError: another process has it.
    """
    while True:
        try:
            flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
            file = FileIO(os.open(path, flags, 0o666), "r+")
        except OSError as error:
            raise OutputFolderError(f"Cannot write to the folder {path.parent} ({error.strerror}).") from error
        try:
            _claim(file, path)
        except BaseException:
            file.close()
            raise
        status = os.fstat(file.fileno())
        if _identity(path) == (status.st_dev, status.st_ino):
            with suppress(OSError):  # what it says is for people
                file.truncate(0)
                file.write(json.dumps(process_mark(os.getpid())).encode())
            return file
        file.close()  # its last holder has removed it just now


def _release(file: FileIO, path: Path) -> None:
    # Removed while it is locked: who has opened it in between finds that it is not the file of this name any more.
    try:
        discard(path)
    finally:
        file.close()
        if os.name == "nt":  # which removes no open file, neither ours nor that of the next
            discard(path)


def _claim(file: FileIO, path: Path) -> None:
    """:raises OutputFolderError: another process has the lock."""
    try:
        _claim_from_system(file)
        return
    except (BlockingIOError, PermissionError) as error:
        raise OutputFolderError(_sentence(path, _read(file)), _IN_USE) from error
    except OSError:
        holder = _read(file)  # some network drives have no locks
    if not holder or (holder.get("host") == platform.node() and not may_be_running(holder)):
        return
    remedy = f"{_IN_USE} If that process is gone, remove the file {path.name} in the folder."
    raise OutputFolderError(_sentence(path, holder), remedy)


def _claim_from_system(file: FileIO) -> None:
    """:raises OSError: another process has the lock, or the file system has none."""
    if sys.platform == "win32":
        file.seek(_LOCKED_BYTE)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        finally:
            file.seek(0)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def process_mark(pid: int) -> dict[str, Any]:
    """A process of this machine, told on Linux from others that have had or will have its number."""
    holder = {"pid": pid, "host": platform.node(), "since": datetime.now(UTC).isoformat(timespec="seconds")}
    with suppress(OSError, IndexError):
        holder["boot"] = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        holder["start"] = status.rpartition(")")[2].split()[19]
    return holder


def may_be_running(holder: Mapping[str, Any]) -> bool:
    """Whether a process of this machine, by its :func:`process_mark`, may still be there."""
    pid = holder.get("pid")
    if not isinstance(pid, int) or os.name == "nt":  # where signal 0 is no question
        return True
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # that of another user
    except (OSError, OverflowError):
        return False
    now = process_mark(pid)
    return all(holder.get(name) == now.get(name) for name in ("boot", "start"))


def _read(file: FileIO) -> dict[str, Any]:
    try:
        file.seek(0)
        holder = json.loads(file.read(4096))
    except (OSError, ValueError, RecursionError):
        return {}
    return holder if isinstance(holder, dict) else {}


def _sentence(path: Path, holder: Mapping[str, Any]) -> str:
    who = f" (process {holder.get('pid')} on {holder.get('host')}, since {holder.get('since')})" if holder else ""
    return f"Another run is writing to the folder {path.parent.name}{who}."
