"""A page of pictures to look through after an import: wrong pairs, shifted GTVs and bad registrations show at once."""

import io
from pathlib import Path

import numpy as np
from GBMResponseCore.files import write_bytes

from .slice_store import SliceStore

_PER_PAGE = 30
_INCHES = 2.2
_WHITE = 0.5
"""Normalized intensity shown white: scalp fat and vessels may saturate."""


def write_contact_sheet(store: SliceStore, path: Path) -> list[Path]:
    """Write the middle GTV slice of every patient as PNG: pre with contour, post with contour, post - pre.

    Needs matplotlib. A store of more than 30 patients makes further pages `<name>_02.png` and so on.

    :return: the files.
    :raises OutputFolderError: if a file cannot be written.
    """
    patients = range(len(store.patients))
    pages = [patients[start : start + _PER_PAGE] for start in range(0, len(patients), _PER_PAGE)]
    files = []
    for number, page in enumerate(pages, start=1):
        name = path if number == 1 else path.with_name(f"{path.stem}_{number:02d}{path.suffix}")
        files.append(write_bytes(_draw(store, page), name))
    return files


def _draw(store: SliceStore, patients: range) -> bytes:
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = store.gtv.shape[1:]
    picture = np.zeros((len(patients) * rows, 3 * columns, 3), np.uint8)
    top = 0.3
    height = len(patients) * _INCHES
    figure = Figure(figsize=(3 * _INCHES * columns / rows, height + top), facecolor="black")
    axis = figure.add_axes((0, 0, 1, height / (height + top)))
    for line, patient in enumerate(patients):
        own = np.flatnonzero(store.patient == patient)
        middle = int(own[len(own) // 2])
        pre, post = (np.asarray(stack[middle], np.float32) for stack in (store.pre, store.post))
        shown = [np.clip((image + 1) / (_WHITE + 1), 0, 1) for image in (pre, post)]
        tiles = [colormaps["gray"](image) for image in shown]
        tiles.append(colormaps["seismic"](np.clip((shown[1] - shown[0] + 1) / 2, 0, 1)))
        place = slice(line * rows, (line + 1) * rows)
        picture[place] = np.concatenate(tiles, axis=1)[..., :3] * 255
        y = np.arange(place.start, place.stop)
        for column, color in enumerate(("red", "red", "black")):
            x = np.arange(columns) + column * columns
            axis.contour(x, y, store.gtv[middle], [0.5], colors=color, linewidths=0.7)
        axis.text(4, place.start + 4, _label(store.patients[patient]), color="yellow", fontsize=7, va="top")
    axis.imshow(picture, extent=(-0.5, 3 * columns - 0.5, len(patients) * rows - 0.5, -0.5), aspect="auto")
    axis.set_xlim(-0.5, 3 * columns - 0.5)
    axis.set_ylim(len(patients) * rows - 0.5, -0.5)
    axis.axis("off")
    for column, title in enumerate(("pre, GTV in red", "post, GTV of pre in red", "post - pre")):
        figure.text((column + 0.5) / 3, 1 - top / 2 / (height + top), title, color="white", ha="center", va="center")
    buffer = io.BytesIO()
    FigureCanvasAgg(figure).print_png(buffer)
    return buffer.getvalue()


def _label(record: dict) -> str:
    """Id, correlation of pre and post, the same before registration if there was one, and the interval."""
    lines = [str(record["id"]), f"r = {record['correlation_after']:.2f}"]
    if record["registered"]:
        lines.append(f"was {record['correlation_before']:.2f}")
    if record["interval_days"] is not None:
        lines.append(f"{record['interval_days']:g} days")
    return "\n".join(lines)
