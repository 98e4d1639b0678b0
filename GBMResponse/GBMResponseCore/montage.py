"""A page of pictures: input with contour, prediction, true follow-up and difference, for every tumour slice."""

import io
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from . import SYNTHETIC_NOTICE
from .case import Case
from .files import write_bytes
from .prediction import Prediction
from .registration import register_rigidly, resample_onto


def write_montage(case: Case, prediction: Prediction, path: Path) -> Path:
    """Write the montage as PNG. Needs matplotlib (`pip install gbmresponse[report]`).

    One row per generated slice, superior at the top. A follow-up is registered rigidly to the input first; it is
    shown in its own intensity scale and takes no part in the difference, which is prediction minus input.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    grid, scale = prediction.grid, prediction.scale
    rows = prediction.slices[::-1]
    pre = scale.normalise(grid.to_stack(case.image)[rows])
    predicted = scale.normalise(grid.to_stack(prediction.samples[0])[rows])
    gtv = grid.to_stack(case.gtv, label=True)[rows]
    columns = [("T1-Gd before, GTV in red", pre), (_predicted_title(prediction), predicted)]
    if case.follow_up is not None:
        title, follow_up = _follow_up(case, prediction, rows)
        columns.append((title, follow_up))
    difference = predicted - pre
    row_window, column_window = _head_window(pre)

    height = 2.3
    figure = Figure(figsize=((len(columns) + 1) * height, len(rows) * height + 0.7), facecolor="black")
    axes = figure.subplots(len(rows), len(columns) + 1, squeeze=False)
    for axis in axes.flat:
        axis.axis("off")
    for line, slice_index in enumerate(rows):
        for axis, (_, images) in zip(axes[line], columns, strict=False):
            axis.imshow(images[line, row_window, column_window], cmap="gray", vmin=-1, vmax=1)
        axes[line, 0].contour(gtv[line, row_window, column_window], [0.5], colors="red", linewidths=0.8)
        axes[line, -1].imshow(difference[line, row_window, column_window], cmap="seismic", vmin=-1, vmax=1)
        axes[line, -1].contour(gtv[line, row_window, column_window], [0.5], colors="black", linewidths=0.6)
        axes[line, 0].text(3, 9, f"slice {slice_index}", color="yellow", fontsize=7)
        axes[line, 1].text(3, 9, "SYNTHETIC", color="orange", fontsize=7)
    for axis, title in zip(axes[0], [*(title for title, _ in columns), "predicted - before"], strict=True):
        axis.set_title(title, color="white", fontsize=8)
    figure.text(0.5, 0.004, SYNTHETIC_NOTICE, color="orange", ha="center", va="bottom", fontsize=7)
    figure.subplots_adjust(0.005, 0.25 / len(rows) / height, 0.995, 1 - 0.3 / len(rows) / height, 0.02, 0.02)
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return write_bytes(buffer.getvalue(), path)


def _predicted_title(prediction: Prediction) -> str:
    choice = prediction.class_choice
    return f"predicted, class {choice.name} ({choice.source})"


def _follow_up(case: Case, prediction: Prediction, rows: list[int]) -> tuple[str, np.ndarray]:
    from .intensity import fit_scale

    result = register_rigidly(case.image, case.follow_up)
    moved = resample_onto(case.follow_up, case.image, result.transform)
    settings = {"clip_high": prediction.scale.clip_high}
    scale = fit_scale(sitk.GetArrayViewFromImage(case.follow_up), settings)
    title = "true follow-up, registered" if result.improved else "true follow-up, not registered"
    return title, scale.normalise(prediction.grid.to_stack(moved)[rows])


def _head_window(stack: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that hold the head in any slice, with a margin."""
    head = (stack > -0.7).mean(axis=0) > 0.2
    windows = []
    for axis in (1, 0):
        inside = np.flatnonzero(head.any(axis=axis))
        low, high = (inside[0], inside[-1] + 1) if len(inside) else (0, head.shape[0])
        windows.append(slice(max(int(low) - 6, 0), int(high) + 6))
    return windows[0], windows[1]
