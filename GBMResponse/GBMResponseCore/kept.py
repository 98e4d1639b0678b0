"""Files that a command has written are looked for once more when it ends: somebody may have removed them meanwhile."""

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from .errors import OutputFolderError

_WRITTEN: ContextVar[set[str] | None] = ContextVar("written", default=None)


@contextmanager
def files_kept() -> Iterator[None]:
    """Look, when a block ends well, for every file that :mod:`.files` has written in it and nobody removed by intent.

    A block inside another looks for its own files alone, at its own end.

    :raises OutputFolderError: one is not there any more.
    """
    written: set[str] = set()
    token = _WRITTEN.set(written)
    try:
        yield
    finally:
        _WRITTEN.reset(token)
    require_files(map(Path, written))


def require_files(paths: Iterable[Path]) -> None:
    """Check that files that were written are there.

    :raises OutputFolderError: one is not.
    """
    missing = sorted(path for path in paths if not path.is_file())
    if missing:
        raise OutputFolderError(f"{missing[0]} was written and is not there any more.", "Repeat the same command.")


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
