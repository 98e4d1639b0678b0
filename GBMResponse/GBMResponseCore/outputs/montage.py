"""A page of pictures: input with contour, prediction, true follow-up and difference, for every tumor slice."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .. import SYNTHETIC_NOTICE
from ..files import write_bytes
from ..inputs.slices import CaseSlices
from .picture import head_window, white_level

if TYPE_CHECKING:
    from ..prediction import Prediction


@dataclass(frozen=True)
class _Column:
    """Normalized slices (n, H, W) under one title; `white` is the intensity shown white."""

    title: str
    images: np.ndarray
    white: float


def write_montage(slices: CaseSlices, prediction: "Prediction", path: Path) -> Path:
    """Write the montage as PNG. Needs matplotlib (`pip install gbmresponse[report]`).

    One row per generated slice, superior at the top. The follow-up is shown in its own intensity scale and takes no
    part in the difference, which is prediction minus input.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = slices.indices[::-1]
    pre, predicted = slices.pre[::-1], prediction.pixels[0][::-1]
    gtv = slices.gtv[rows]
    white = white_level(pre)
    choice = prediction.class_choice
    columns = [
        _Column("T1-Gd before, GTV in red", pre, white),
        _Column(f"predicted, class {choice.name} ({choice.class_source})", predicted, white),
    ]
    if slices.follow_up is not None:
        images = slices.truth[::-1]
        title = "true follow-up, registered" if slices.follow_up.registered else "true follow-up, not registered"
        columns.append(_Column(title, images, white_level(images)))
    difference = predicted - pre
    window = head_window(pre)

    height = 2.3
    figure = Figure(figsize=((len(columns) + 1) * height, len(rows) * height + 0.7), facecolor="black")
    axes = figure.subplots(len(rows), len(columns) + 1, squeeze=False)
    for line, slice_index in enumerate(rows):
        for axis, column in zip(axes[line], columns, strict=False):
            axis.imshow(column.images[line][window], cmap="gray", vmin=-1, vmax=column.white)
        axes[line, 0].contour(gtv[line][window], [0.5], colors="red", linewidths=0.8)
        axes[line, -1].imshow(difference[line][window], cmap="seismic", vmin=-1 - white, vmax=1 + white)
        axes[line, -1].contour(gtv[line][window], [0.5], colors="black", linewidths=0.6)
        axes[line, 0].text(3, 9, f"slice {slice_index}", color="yellow", fontsize=7)
        axes[line, 1].text(3, 9, "SYNTHETIC", color="orange", fontsize=7)
    for axis, title in zip(axes[0], [*(column.title for column in columns), "predicted - before"], strict=True):
        axis.set_title(title, color="white", fontsize=8)
    for axis in axes.flat:
        axis.axis("off")
    figure.text(0.5, 0.004, SYNTHETIC_NOTICE, color="orange", ha="center", va="bottom", fontsize=7)
    figure.subplots_adjust(0.005, 0.25 / len(rows) / height, 0.995, 1 - 0.3 / len(rows) / height, 0.02, 0.02)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return write_bytes(buffer.getvalue(), path)
