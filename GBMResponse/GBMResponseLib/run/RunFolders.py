"""Temporary folders of predictions: private, without names of patients, removed at the end."""

import os
import shutil
import time
import uuid
from pathlib import Path

from ..common.Failure import Failure
from ..common.Translation import tr as _

_PREFIX = "GBMResponse-"
_ABANDONED_S = 7 * 24 * 3600.0


class RunFolders:
    """Makes and removes folders under Slicer's temporary folder.

    The result folder is named after the request, so that the same request after a cancel finds its finished slices.
    """

    def __init__(self, temporaryFolder: Path) -> None:
        self._root = Path(temporaryFolder) / f"{_PREFIX}{os.getpid()}-{uuid.uuid4().hex[:8]}"

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
        shutil.rmtree(self._root, ignore_errors=True)

    def _removeAbandoned(self) -> None:
        """Remove what a session that crashed has left: folders of this kind that were not used for a week."""
        for folder in self._root.parent.glob(f"{_PREFIX}*"):
            try:
                isAbandoned = time.time() - folder.stat().st_mtime > _ABANDONED_S
            except OSError:
                continue
            if isAbandoned and folder != self._root:
                self.remove(folder)

    def _make(self, folder: Path) -> Path:
        if not self._root.exists():
            self._removeAbandoned()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            message = _("The temporary folder cannot be written.")
            remedy = _("Free some disk space, or choose another temporary folder in Slicer's settings.")
            raise Failure("disk-full", message, remedy, str(error)) from error
        return folder
