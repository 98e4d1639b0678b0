"""Slices as pictures: gray levels, contours, colors, marks (sides, millimeters, synthetic), and PNG files."""

import io
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..files import write_bytes

YELLOW, CYAN, BLACK = (255, 225, 0), (0, 235, 255), (0, 0, 0)
"""Contours of the GTV and of what enhances; with their dark rim they stand out from every gray level."""
_STAMP = "SYNTHETIC"
_DARK = 0.25
"""Brightness that a contour leaves beside itself."""
_HEAT = np.array([(0, 0, 0), (80, 18, 123), (182, 54, 121), (251, 136, 97), (252, 253, 191)], np.float32)
"""Colors from nothing to all, of rising brightness (those of matplotlib's `magma`)."""
_BARS_MM = (10, 20, 50, 100)


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


def enlarged(pixels: np.ndarray, factor: int) -> np.ndarray:
    """A picture or mask (H, W, ...) enlarged by a whole factor, so that every pixel shows as it is."""
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def with_contour(pixels: np.ndarray, mask: np.ndarray, color: tuple[int, int, int] = YELLOW) -> np.ndarray:
    """Gray levels (H, W) or colors (H, W, 3) as colors with the rim of a mask (H, W), dark around it."""
    colors = np.repeat(pixels[..., None], 3, axis=-1) if pixels.ndim == 2 else pixels.copy()
    framed = np.pad(mask, 1, constant_values=True)
    rim = mask & ~(framed[:-2, 1:-1] & framed[2:, 1:-1] & framed[1:-1, :-2] & framed[1:-1, 2:])
    framed = np.pad(mask, 1)
    tall = framed[:-2] | framed[1:-1] | framed[2:]
    beside = (tall[:, :-2] | tall[:, 1:-1] | tall[:, 2:]) & ~mask
    colors[beside] = (colors[beside] * _DARK).astype(np.uint8)
    colors[rim] = color
    return colors


def heat_colors(part: np.ndarray) -> np.ndarray:
    """Parts 0...1 (H, W) as colors (H, W, 3): nothing is black, all is nearly white."""
    place = np.clip(part, 0.0, 1.0) * (len(_HEAT) - 1)
    channels = [np.interp(place, range(len(_HEAT)), _HEAT[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)


def heat_gradient() -> str:
    """The same colors as a CSS gradient, for a legend."""
    return "linear-gradient(to right, {})".format(", ".join(f"rgb{tuple(map(int, color))}" for color in _HEAT))


def marked(picture: np.ndarray, pixel_mm: float, sides: tuple[str, str], place: str) -> np.ndarray:
    """A copy with the patient's sides at its left and right rim, its place above, and a scale bar below.

    :param picture: uint8 (H, W) or (H, W, 3).
    :param pixel_mm: of the picture, along its rows.
    :param sides: letters such as R and L.
    """
    height, width = picture.shape[:2]
    page = Image.fromarray(picture).convert("RGB")
    draw, font = ImageDraw.Draw(page), text_font(max(9, width // 20))
    outline: dict[str, Any] = {"fill": (255, 255, 255), "font": font, "stroke_width": 1, "stroke_fill": BLACK}
    draw.text((3, height / 2), sides[0], anchor="lm", **outline)
    draw.text((width - 3, height / 2), sides[1], anchor="rm", **outline)
    draw.text((3, 2), place, anchor="la", **outline)
    length = max((mm for mm in _BARS_MM if mm <= 0.35 * width * pixel_mm), default=_BARS_MM[0])
    right, bottom, pixels = width - 5, height - 5, round(length / pixel_mm)
    draw.rectangle((right - pixels - 1, bottom - 3, right + 1, bottom + 1), fill=BLACK)
    draw.rectangle((right - pixels, bottom - 2, right, bottom), fill=(255, 255, 255))
    draw.text((right, bottom - 5), f"{length} mm", anchor="rb", **outline)
    return np.asarray(page)


def difference_colors(difference: np.ndarray, largest: float) -> np.ndarray:
    """Differences (H, W) as colors (H, W, 3): blue darker, white equal, red brighter; full color at `largest`."""
    part = np.clip(difference / largest, -1.0, 1.0)
    red, blue = np.minimum(1.0, 1.0 + part), np.minimum(1.0, 1.0 - part)
    return np.rint(255.0 * np.stack([red, np.minimum(red, blue), blue], axis=-1)).astype(np.uint8)


@cache
def text_font(pixels: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow, which takes a millisecond to load."""
    return ImageFont.load_default(pixels)


def stamped(pixels: np.ndarray) -> np.ndarray:
    """A copy of gray levels (H, W) or colors (H, W, 3) with the word SYNTHETIC in the lower left corner."""
    height, width = pixels.shape[:2]
    picture = Image.fromarray(pixels)
    draw, font = ImageDraw.Draw(picture), text_font(max(8, width // 20))
    left, top, right, _ = draw.textbbox((2, height - 2), _STAMP, font=font, anchor="lb")
    draw.rectangle((left - 2, top - 2, right + 1, height), fill="black")
    draw.text((2, height - 2), _STAMP, fill="white", font=font, anchor="lb")
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
