"""What a command leaves: all files that it has written if it ends well, no empty folder of its own if it fails."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from ..errors import OutputFolderError

_WRITTEN: ContextVar[set[str] | None] = ContextVar("written", default=None)
_MADE: ContextVar[list[Path] | None] = ContextVar("made", default=None)


@contextmanager
def files_kept() -> Iterator[None]:
    """Look, when a block ends well, for every file that :mod:`.writing` has written in it and nobody removed by intent.

    When it fails, folders that :func:`make_folder` has made in it go if they are empty. A block inside another is about
    its own files and folders alone, at its own end.

    :raises OutputFolderError: one is not there any more.
    """
    written: set[str] = set()
    made: list[Path] = []
    tokens = _WRITTEN.set(written), _MADE.set(made)
    try:
        yield
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):  # it holds something, or is gone
                folder.rmdir()
        raise
    finally:
        _WRITTEN.reset(tokens[0])
        _MADE.reset(tokens[1])
    require_files(map(Path, written))


def require_files(paths: Iterable[Path]) -> None:
    """Check that files that were written are there.

    :raises OutputFolderError: one is not.
    """
    missing = sorted(path for path in paths if not path.is_file())
    if missing:
        raise OutputFolderError(f"{missing[0]} was written and is not there any more.", "Repeat the same command.")


def make_folder(folder: Path) -> Path:
    """Make a folder, and those that it lies in, unless it is there.

    :raises OSError: it cannot be made.
    """
    try:
        folder.mkdir()
    except FileNotFoundError:
        if folder.parent == folder:
            raise
        make_folder(folder.parent)
        return make_folder(folder)
    except OSError:
        if not folder.is_dir():
            raise
    else:
        made = _MADE.get()
        if made is not None:
            made.append(folder.absolute())
    return folder


def note_written(path: Path) -> None:
    """A file has its name now."""
    written = _WRITTEN.get()
    if written is not None:
        written.add(os.path.abspath(path))


def note_removed(path: Path) -> None:
    """A file is removed by intent."""
    written = _WRITTEN.get()
    if written is not None:
        written.discard(os.path.abspath(path))


def move(source: Path, target: Path) -> None:
    """Give a file or a folder another name on the same disk.

    :raises OSError: it cannot have it.
    """
    os.replace(source, target)
    for name in _take(source):
        note_written(Path(f"{target}{name}"))


def remove_folder(folder: Path) -> None:
    """Remove a folder as far as that is possible."""
    _take(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _take(path: Path) -> list[str]:
    """Forget a file, or all of a folder; returns their names from the path on, which are empty for the path itself."""
    written, start = _WRITTEN.get(), os.path.abspath(path)
    if not written:
        return []
    if start in written:
        written.discard(start)
        return [""]
    found = [name for name in written if name.startswith(start + os.sep)]
    written.difference_update(found)
    return [name[len(start) :] for name in found]
