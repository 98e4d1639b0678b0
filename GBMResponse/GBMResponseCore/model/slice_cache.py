"""Finished slices of an unfinished prediction, so that the same request continues where it was stopped."""

import io
from pathlib import Path

import numpy as np

from ..files import ensure_output_folder, write_bytes


class SliceCache:
    """A folder of finished slices that belong to one request.

    :param folder: created when the first slice is stored.
    :param key: hash of everything that determines the result; another key never finds these slices.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self._folder = folder / key[:32]

    def load(self, sample: int, index: int) -> np.ndarray | None:
        """Return the stored slice float32 (rows, columns), or None."""
        path = self._path(sample, index)
        try:
            return np.load(path, allow_pickle=False) if path.is_file() else None
        except (OSError, ValueError):
            return None

    def store(self, sample: int, index: int, pixels: np.ndarray) -> None:
        """Keep a finished slice.

        :raises OutputFolderError: it cannot be written.
        """
        ensure_output_folder(self._folder)
        buffer = io.BytesIO()
        np.save(buffer, pixels.astype(np.float32))
        write_bytes(buffer.getvalue(), self._path(sample, index), durable=False)

    def _path(self, sample: int, index: int) -> Path:
        return self._folder / f"sample{sample:03d}_slice{index:04d}.npy"
