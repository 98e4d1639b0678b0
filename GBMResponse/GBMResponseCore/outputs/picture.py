"""Slices as pictures: gray levels, contours, differences in color, a stamp that says synthetic, and PNG files."""

import struct
import zlib
from pathlib import Path

import numpy as np
from scipy import ndimage

from ..files import write_bytes

_LETTERS = {
    "S": "111 100 111 001 111",
    "Y": "101 101 111 010 010",
    "N": "101 111 111 111 101",
    "T": "111 010 010 010 010",
    "H": "101 101 111 101 101",
    "E": "111 100 111 100 111",
    "I": "111 010 010 010 111",
    "C": "111 100 100 100 111",
}
_STAMP = "SYNTHETIC"
_RED = (255, 60, 60)


def white_level(stack: np.ndarray) -> float:
    """Normalized intensity to show as white."""
    head = stack[stack > -0.8]
    # Scalp fat is the brightest tenth of a head: it may saturate, the brain may not.
    return -1.0 + 1.4 * (float(np.percentile(head, 85)) + 1.0) if head.size else 1.0


def head_window(stack: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that hold the head in any normalized slice (n, H, W), with a margin."""
    head = (stack > -0.7).mean(axis=0) > 0.2
    windows = []
    for axis in (1, 0):
        inside = np.flatnonzero(head.any(axis=axis))
        low, high = (inside[0], inside[-1] + 1) if len(inside) else (0, head.shape[0])
        windows.append(slice(max(int(low) - 6, 0), int(high) + 6))
    return windows[0], windows[1]


def gray_levels(pixels: np.ndarray, white: float) -> np.ndarray:
    """Normalized intensities of any shape as uint8, -1 black and `white` white."""
    return np.rint(np.clip((pixels + 1.0) / (white + 1.0), 0.0, 1.0) * 255.0).astype(np.uint8)


def with_contour(gray: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """A gray picture (H, W) as colors (H, W, 3) with the rim of a mask in red."""
    colors = np.repeat(gray[..., None], 3, axis=-1)
    colors[mask & ~ndimage.binary_erosion(mask)] = _RED
    return colors


def difference_colors(difference: np.ndarray, largest: float) -> np.ndarray:
    """Differences (H, W) as colors (H, W, 3): blue darker, white equal, red brighter; full color at `largest`."""
    part = np.clip(difference / largest, -1.0, 1.0)
    red, blue = np.minimum(1.0, 1.0 + part), np.minimum(1.0, 1.0 - part)
    return np.rint(255.0 * np.stack([red, np.minimum(red, blue), blue], axis=-1)).astype(np.uint8)


def stamped(gray: np.ndarray) -> np.ndarray:
    """A copy of a gray picture (H, W) with the word SYNTHETIC in its lower left corner."""
    letters = [np.array([[int(dot) for dot in row] for row in _LETTERS[c].split()], np.uint8) for c in _STAMP]
    word = np.concatenate([np.pad(letter, ((1, 1), (1, 0))) for letter in letters], axis=1)
    scale = max(1, gray.shape[1] // (3 * word.shape[1]))
    word = np.kron(word, np.ones((scale, scale), np.uint8))[: gray.shape[0], : gray.shape[1]]
    result = gray.copy()
    result[-word.shape[0] :, : word.shape[1]] = word * 255
    return result


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 gray levels (H, W) or colors (H, W, 3)."""
    height, width = pixels.shape[:2]
    header = struct.pack(">IIBBBBB", width, height, 8, 2 if pixels.ndim == 3 else 0, 0, 0, 0)
    rows = np.ascontiguousarray(pixels, dtype=np.uint8).reshape(height, -1)
    content = zlib.compress(np.pad(rows, ((0, 0), (1, 0))).tobytes(), 6)  # each row begins with its filter, 0
    chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def write_preview(pixels: np.ndarray, white: float, path: Path) -> Path:
    """Write a predicted slice (H, W), normalized, as a stamped PNG, anterior at the top.

    :raises OutputFolderError: it cannot be written.
    """
    return write_bytes(png(stamped(gray_levels(pixels, white))), path, durable=False)
