"""What a predicted slice looks like beside the truth: its sharpness, and what moved where nothing should.

These are descriptions, no proper scores: a prediction can have any of them right by chance, and none has a skill.
"""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

HEAD_LEVEL = -0.8
"""Normalized intensity from which a pixel belongs to the head."""

_EDGE_PIXELS = 2
_CLEARANCE_PIXELS = 6
_SMOOTHING_PIXELS = 1.0
_FEWEST_PIXELS = 50


def sharpness(image: np.ndarray, inside: np.ndarray) -> float:
    """SD of the Laplacian of a slice (H, W) over a mask; NaN if it has fewer than two pixels."""
    return float(ndimage.laplace(image.astype(np.float64))[inside].std()) if inside.sum() > 1 else float("nan")


def outside_tumor(pre: np.ndarray, tumor: np.ndarray) -> np.ndarray:
    """The head with its edge, farther than 6 pixels from the tumor, bool (H, W).

    :param tumor: what may change, bool (H, W).
    """
    head = ndimage.binary_dilation(pre > HEAD_LEVEL, iterations=_EDGE_PIXELS)
    if not tumor.any():
        return head
    return head & ~ndimage.binary_dilation(tumor, iterations=_CLEARANCE_PIXELS)


def shift_and_gain(image: np.ndarray, pre: np.ndarray, where: np.ndarray) -> tuple[float, float, float]:
    """In-plane shift in pixels (row, column) and gain of a slice against the pre-treatment slice.

    Least squares of image - pre = -shift . gradient + (gain - 1) (pre + 1) + offset over `where`, both smoothed by a
    Gaussian of 1 pixel, the gradient that of their mean: exact to first order, for shifts up to about a pixel
    (Lucas and Kanade 1981).

    :param image, pre: (H, W), normalized, -1 is black.
    :param where: bool (H, W); with fewer than 50 pixels, all are NaN.
    """
    if where.sum() < _FEWEST_PIXELS:
        return (float("nan"),) * 3
    image, pre = (ndimage.gaussian_filter(part.astype(np.float64), _SMOOTHING_PIXELS) for part in (image, pre))
    rows, columns = np.gradient((image + pre) / 2.0)
    design = np.stack([-rows[where], -columns[where], pre[where] + 1.0, np.ones(int(where.sum()))], axis=1)
    # Of the normal equations, 4 x 4: many times as fast, and defined for a black slice, too.
    found = np.linalg.lstsq(design.T @ design, design.T @ (image - pre)[where], rcond=None)[0]
    return float(found[0]), float(found[1]), float(1.0 + found[2])


def appearance(
    images: np.ndarray,
    pre: np.ndarray,
    truth: np.ndarray,
    gtv: np.ndarray,
    outside: Sequence[np.ndarray],
    follows: np.ndarray,
) -> list[dict[str, float]]:
    """Appearance of every slice; NaN where something is not defined.

    - `sharpness_ratio`: SD of the Laplacian in the GTV, over that of the truth
    - `skull_shift`: length of the shift against the pre-treatment slice outside the tumor, pixels
    - `skull_jitter`: length of the difference of that shift to the next slice's
    - `gain_drift`: distance of the gain from 1, outside the tumor
    - `flicker_ratio`: mean absolute difference to the next slice in the GTV of either, over that of the truth

    :param images, pre, truth: (n, H, W), normalized.
    :param gtv: bool (n, H, W).
    :param outside: of every slice, see :func:`outside_tumor`.
    :param follows: bool (n,), whether row k + 1 is the neighbor of row k.
    """
    fits = np.array(
        [
            shift_and_gain(_clipped(image), _clipped(own), where)
            for image, own, where in zip(images, pre, outside, strict=True)
        ]
    )
    rows = []
    for k, (row_shift, column_shift, gain) in enumerate(fits):
        jitter = flicker = float("nan")
        if follows[k]:
            jitter = float(np.hypot(*(fits[k + 1] - fits[k])[:2]))
            either = gtv[k] | gtv[k + 1]
            steps = (_clipped(stack[k + 1][either]) - _clipped(stack[k][either]) for stack in (images, truth))
            flicker = _ratio(*(np.abs(step).sum() for step in steps))
        rows.append(
            {
                "sharpness_ratio": _ratio(*(sharpness(_clipped(stack[k]), gtv[k]) for stack in (images, truth))),
                "skull_shift": float(np.hypot(row_shift, column_shift)),
                "skull_jitter": jitter,
                "gain_drift": abs(float(gain) - 1.0),
                "flicker_ratio": flicker,
            }
        )
    return rows


def _clipped(image: np.ndarray) -> np.ndarray:
    return np.clip(image, -1.0, 1.0)


def _ratio(value: float, reference: float) -> float:
    return float(value / reference) if reference > 0 else float("nan")
