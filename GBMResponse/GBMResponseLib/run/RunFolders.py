"""Temporary folders of predictions: private, without names of patients, removed at the end."""

import os
import shutil
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.outputs.folder import folder_in_use

from ..common.Failure import Failure
from ..common.Translation import tr as _

_PREFIX = "GBMResponse-"
_ABANDONED_S = 7 * 24 * 3600.0


class RunFolders:
    """Makes and removes folders under Slicer's temporary folder; while the session lasts they are locked for others.

    The result folder is named after the request, so that the same request after a cancel finds its finished slices.
    """

    def __init__(self, temporaryFolder: Path) -> None:
        self._root = Path(temporaryFolder) / f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self._lock = ExitStack()

    def inputs(self) -> Path:
        """Return a new folder for the inputs of one prediction.

        :raises Failure: it cannot be made.
        """
        return self._make(self._root / f"in-{uuid.uuid4().hex[:8]}")

    def results(self, key: str) -> Path:
        """Return the folder for the results of a request.

        :raises Failure: it cannot be made.
        """
        return self._make(self._root / f"out-{key}")

    def remove(self, folder: Path) -> None:
        """Remove a folder with all files, as far as possible."""
        shutil.rmtree(folder, ignore_errors=True)

    def removeAll(self) -> None:
        """Remove everything of this session."""
        self._lock.close()
        shutil.rmtree(self._root, ignore_errors=True)

    def _removeAbandoned(self) -> None:
        """Remove what a session that crashed has left: folders of this kind that nobody used for a week, or uses."""
        for folder in self._root.parent.glob(f"{_PREFIX}*"):
            try:
                isOld = time.time() - folder.lstat().st_mtime > _ABANDONED_S
                if isOld and folder.is_dir() and not folder.is_symlink():
                    with folder_in_use(folder):
                        self.remove(folder)
                    self.remove(folder)  # Windows keeps the lock itself until it is free
            except (OSError, OutputFolderError):
                continue  # of another user, or in use by a session that has lasted that long

    def _make(self, folder: Path) -> Path:
        try:
            if not self._root.exists():
                self._removeAbandoned()
                self._lock.close()
                self._root.mkdir(parents=True, mode=0o700)
                self._lock.enter_context(folder_in_use(self._root))
            folder.mkdir(exist_ok=True, mode=0o700)
        except (OSError, OutputFolderError) as error:
            message = _("The temporary folder cannot be written.")
            remedy = _("Free some disk space, or choose another temporary folder in Slicer's settings.")
            raise Failure("output-folder", message, remedy, str(error)) from error
        return folder
