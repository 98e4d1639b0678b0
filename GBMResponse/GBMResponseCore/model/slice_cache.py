"""Finished slices of an unfinished prediction, so that the same request continues where it was stopped."""

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..files import ensure_output_folder, write_bytes

_KEY_LENGTH = 32


def request_key(facts: Mapping[str, Any], *arrays: np.ndarray) -> str:
    """Hash of everything that determines a slice: JSON-ready facts, and arrays."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def kept_batch_size(folder: Path, key: str) -> int | None:
    """Slices that the unfinished run of this request, if there is one, sampled at once; the least of several."""
    sizes = [path.name.rpartition("-")[2] for path in folder.glob(f"{key[:_KEY_LENGTH]}-*")]
    return min((int(size) for size in sizes if size.isdigit() and int(size) > 0), default=None)


class SliceCache:
    """A folder of finished slices that belong to one request.

    Slices that were sampled together are kept and used together: in another company the last digits of a slice differ.

    :param folder: created when the first slice is stored.
    :param key: hash of everything that determines the result; another key never finds these slices.
    :param batch_size: slices that are sampled at once; None: that changes nothing.

    The sample None is the expected image.
    """

    def __init__(self, folder: Path, key: str, batch_size: int | None = None) -> None:
        self._folder = folder / (key[:_KEY_LENGTH] + ("" if batch_size is None else f"-{batch_size}"))

    def load(self, sample: int | None, index: int) -> np.ndarray | None:
        """Return the stored slice float32 (rows, columns); None if there is none, or a damaged one."""
        path = self._path(sample, index)
        try:
            pixels = np.load(path, allow_pickle=False) if path.is_file() else None
        except (OSError, ValueError, EOFError):
            return None
        if not isinstance(pixels, np.ndarray) or pixels.dtype != np.float32 or pixels.ndim != 2:
            return None
        return pixels if np.isfinite(pixels).all() else None

    def load_together(self, sample: int | None, indices: Sequence[int], shape: tuple[int, int]) -> np.ndarray | None:
        """Return stored slices (n, *shape), or None unless all of them are there and sound."""
        found = [self.load(sample, index) for index in indices]
        whole = [pixels for pixels in found if pixels is not None and pixels.shape == shape]
        return np.stack(whole) if len(whole) == len(found) else None

    def store(self, sample: int | None, index: int, pixels: np.ndarray) -> None:
        """Keep a finished slice.

        :raises OutputFolderError: it cannot be written.
        """
        ensure_output_folder(self._folder)
        buffer = io.BytesIO()
        np.save(buffer, pixels.astype(np.float32))
        write_bytes(buffer.getvalue(), self._path(sample, index), durable=False)

    def _path(self, sample: int | None, index: int) -> Path:
        picture = "expected" if sample is None else f"sample{sample:03d}"
        return self._folder / f"{picture}_slice{index:04d}.npy"
