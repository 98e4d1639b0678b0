"""Slices as pictures: gray levels, contours, differences in color, a stamp that says synthetic, and PNG files."""

import io
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage

from ..files import write_bytes

RED, BLACK = (255, 60, 60), (0, 0, 0)
_STAMP = "SYNTHETIC"


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


def with_contour(pixels: np.ndarray, mask: np.ndarray, color: tuple[int, int, int] = RED) -> np.ndarray:
    """Gray levels (H, W) or colors (H, W, 3) as colors with the rim of a mask (H, W)."""
    colors = np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels.copy()
    colors[mask & ~ndimage.binary_erosion(mask)] = color
    return colors


def difference_colors(difference: np.ndarray, largest: float) -> np.ndarray:
    """Differences (H, W) as colors (H, W, 3): blue darker, white equal, red brighter; full color at `largest`."""
    part = np.clip(difference / largest, -1.0, 1.0)
    red, blue = np.minimum(1.0, 1.0 + part), np.minimum(1.0, 1.0 - part)
    return np.rint(255.0 * np.stack([red, np.minimum(red, blue), blue], axis=-1)).astype(np.uint8)


@cache
def text_font(pixels: int) -> ImageFont.FreeTypeFont:
    """The font that comes with Pillow, which takes a millisecond to load."""
    return ImageFont.load_default(pixels)


def stamped(gray: np.ndarray) -> np.ndarray:
    """A copy of a gray picture (H, W) with the word SYNTHETIC in its lower left corner."""
    height, width = gray.shape
    picture = Image.fromarray(gray)
    draw, font = ImageDraw.Draw(picture), text_font(max(8, width // 20))
    left, top, right, _ = draw.textbbox((2, height - 2), _STAMP, font=font, anchor="lb")
    draw.rectangle((left - 2, top - 2, right + 1, height), fill=0)
    draw.text((2, height - 2), _STAMP, fill=255, font=font, anchor="lb")
    return np.asarray(picture)


def png(picture: np.ndarray | Image.Image) -> bytes:
    """A PNG file of a picture; arrays are uint8, gray levels (H, W) or colors (H, W, 3)."""
    buffer = io.BytesIO()
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def write_preview(pixels: np.ndarray, white: float, path: Path) -> Path:
    """Write a predicted slice (H, W), normalized, as a stamped PNG, anterior at the top.

    :raises OutputFolderError: it cannot be written.
    """
    return write_bytes(png(stamped(gray_levels(pixels, white))), path, durable=False)
