"""Slices as grey-level pictures: what is shown white, and 8-bit PNG files."""

from pathlib import Path

import numpy as np

from .files import write_png


def white_level(stack: np.ndarray) -> float:
    """Normalised intensity to show as white."""
    head = stack[stack > -0.8]
    # Scalp fat is the brightest tenth of a head: it may saturate, the brain may not.
    return -1.0 + 1.4 * (float(np.percentile(head, 85)) + 1.0) if head.size else 1.0


def grey_levels(pixels: np.ndarray, white: float) -> np.ndarray:
    """Normalised intensities of any shape as uint8, -1 black and `white` white."""
    return np.rint(np.clip((pixels + 1.0) / (white + 1.0), 0.0, 1.0) * 255.0).astype(np.uint8)


def write_picture(pixels: np.ndarray, white: float, path: Path) -> Path:
    """Write a normalised slice (H, W) as PNG, anterior at the top.

    :raises OutputFolderError: it cannot be written.
    """
    return write_png(grey_levels(pixels, white), path)
