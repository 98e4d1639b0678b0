"""The layout of the paper's Figure 4: examples of a test set from the best to the worst local SSIM, or failures.

One row per slice. Columns: pre-treatment image with GTV in red, predicted and true follow-up, and
the same three around the tumor.
"""

import io
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.files import write_bytes

COLUMNS = ("pre MRI, GTV in red", "predicted post MRI\n(synthetic)", "true post MRI")

_INCHES = 1.9
_WHITE = 0.5
"""Normalized intensity shown white: scalp fat and vessels may saturate."""
_TITLE_CHARACTERS = 160
_MARGIN_PIXELS = 16
_SMALLEST_CROP = 48


@dataclass(frozen=True)
class Example:
    """One row: normalized slices (H, W), the GTV (H, W) and the local SSIM of the prediction."""

    pre: np.ndarray
    predicted: np.ndarray
    post: np.ndarray
    gtv: np.ndarray
    ssim_local: float
    label: str = ""


def spread_by_local_ssim(ssim_local: Sequence[float], count: int) -> list[int]:
    """Slices evenly spaced in the order of descending local SSIM, the best and the worst among them.

    :param ssim_local: one value per slice; slices with NaN, those without GTV, are never chosen.
    :param count: five give best, quartiles and worst.
    :return: indices; fewer than `count` if there are not so many slices.
    """
    values = np.asarray(ssim_local, dtype=np.float64)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(-values[known], kind="stable")]
    picks = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return order[picks].tolist()


def worst_against_copy(
    ssim_local: Sequence[float], copied: Sequence[float], patients: Sequence[int] | np.ndarray, count: int
) -> list[int]:
    """Slices whose prediction loses most local SSIM against the copy of the pre image, the worst first.

    :param ssim_local, copied: one value per slice; slices with NaN are never chosen.
    :param patients: the slice's patient, of whom the worst slice alone is chosen.
    :return: indices; fewer than `count` if there are not so many patients.
    """
    gained = np.asarray(ssim_local, dtype=np.float64) - np.asarray(copied, dtype=np.float64)
    chosen: dict[int, int] = {}
    for index in np.argsort(gained, kind="stable"):
        if not np.isnan(gained[index]):
            chosen.setdefault(int(patients[index]), int(index))
    return list(chosen.values())[:count]


def write_figure4(examples: Sequence[Example], title: str, png: Path, pdf: Path) -> None:
    """Write the examples, in the order given, as PNG and PDF. Needs matplotlib.

    :raises OutputFolderError: if a file cannot be written.
    """
    from matplotlib.backends.backend_pdf import FigureCanvasPdf

    figure = _draw(examples, title)
    _write_png(figure, png)
    buffer = io.BytesIO()
    FigureCanvasPdf(figure).print_pdf(buffer, metadata={"Title": title, "CreationDate": None})
    write_bytes(buffer.getvalue(), pdf)


def write_examples(examples: Sequence[Example], title: str, png: Path) -> None:
    """Write examples as :func:`write_figure4` draws them, as PNG alone.

    :raises OutputFolderError: if the file cannot be written.
    """
    _write_png(_draw(examples, title), png)


def _write_png(figure: Any, png: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    write_bytes(buffer.getvalue(), png)


def _draw(examples: Sequence[Example], title: str) -> Any:
    from matplotlib.figure import Figure

    top, bottom, side = 0.75, 0.3, 0.55
    width, height = 2 * len(COLUMNS) * _INCHES + side, len(examples) * _INCHES + top + bottom
    figure = Figure(figsize=(width, height), facecolor="white", dpi=200)
    axes = figure.subplots(len(examples), 2 * len(COLUMNS), squeeze=False)
    figure.subplots_adjust(side / width, bottom / height, 0.998, 1 - top / height, wspace=0.03, hspace=0.03)
    for line, example in zip(axes, examples, strict=True):
        for window, group in ((np.s_[:, :], line[:3]), (_tumor_window(example.gtv), line[3:])):
            images = (example.pre, example.predicted, example.post)
            for axis, image in zip(group, images, strict=True):
                axis.imshow(image[window], cmap="gray", vmin=-1.0, vmax=_WHITE, interpolation="nearest")
            if example.gtv[window].any():
                group[0].contour(example.gtv[window], [0.5], colors="red", linewidths=0.8)
        text = f"local SSIM {example.ssim_local:.2f}"
        line[0].set_ylabel(f"{text}\n{example.label}" if example.label else text, fontsize=7)
    for axis, column in zip(axes[0], [*COLUMNS, *COLUMNS], strict=True):
        axis.set_title(column, fontsize=8)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    figure.suptitle(textwrap.fill(title, _TITLE_CHARACTERS), fontsize=9, y=1 - 0.05 / height, va="top")
    figure.text(0.5, 0.08 / height, SYNTHETIC_NOTICE, ha="center", va="bottom", fontsize=7, color="firebrick")
    return figure


def window_around(gtv: np.ndarray, side: int) -> tuple[slice, slice]:
    """The window of `side` x `side` pixels around the middle of the GTV's box, moved inside the slice.

    :param gtv: (H, W), at least `side` pixels in either direction; the middle of the slice is taken if it is empty.
    """
    windows = []
    for inside, size in zip(_occupied(gtv), gtv.shape, strict=True):
        start = (int(inside[0]) + int(inside[-1]) + 1 - side) // 2
        start = min(max(start, 0), size - side)
        windows.append(slice(start, start + side))
    return windows[0], windows[1]


def _tumor_window(gtv: np.ndarray) -> tuple[slice, slice]:
    """A square around the GTV with a margin, moved inside the slice; the middle of the slice if there is no GTV."""
    extent = max(map(np.ptp, _occupied(gtv))) + 1 + 2 * _MARGIN_PIXELS
    return window_around(gtv, min(max(int(extent), _SMALLEST_CROP), *gtv.shape))


def _occupied(gtv: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns in which the GTV has pixels; those in the middle if it is empty."""
    if not gtv.any():
        rows, columns = (np.array([size // 2]) for size in gtv.shape)
        return rows, columns
    return np.flatnonzero(gtv.any(axis=1)), np.flatnonzero(gtv.any(axis=0))
