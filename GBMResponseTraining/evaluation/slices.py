"""What an evaluation says of single slices and patients: tables, Figure 4 and the failures."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from GBMResponseCore.files import write_csv

from .figures import Example, spread_by_local_ssim, worst_against_copy, write_examples, write_figure4
from .held_out import HeldOut, patient_ids
from .metrics.image import NAMES, per_patient_means
from .results import Row


def write_slices(rows: Sequence[Row], slices: HeldOut, out: Path) -> None:
    """Write `per_slice.csv` and `per_patient.csv`.

    :raises OutputFolderError: if a file cannot be written.
    """
    metrics = [name for name in NAMES if name in rows[0].per_slice[0]]
    ids = patient_ids(slices)
    index = np.concatenate([np.arange((slices.patient == p).sum()) for p in np.unique(slices.patient)])
    lines, patient_lines = [], []
    for row in rows:
        for k, values in enumerate(row.per_slice):
            name = row.classes[k] if row.classes else None
            place = [ids[k], int(index[k]), float(slices.positions_mm[k]), name]
            lines.append([row.name, *place, *(_cell(values[metric]) for metric in metrics)])
        means = per_patient_means(row.per_slice, slices.patient)
        for k, patient in enumerate(np.unique(slices.patient)):
            own = slices.rows_of(patient)
            name = row.classes[own[0]] if row.classes else None
            record = slices.records[patient]
            place = [record["id"], record["survival_days"], name, len(own)]
            patient_lines.append([row.name, *place, *(_cell(means[metric][k]) for metric in metrics)])
    write_csv(["model", "patient", "slice", "position_mm", "class", *metrics], lines, out / "per_slice.csv")
    columns = ["model", "patient", "survival_days", "class", "slices", *metrics]
    write_csv(columns, patient_lines, out / "per_patient.csv")


def _cell(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def write_figures(images: np.ndarray, row: Row, copy: Row, slices: HeldOut, count: int, about: str, out: Path) -> None:
    """Write Figure 4 and the failures of one model.

    :param images: predicted slices (n, H, W).
    :param row, copy: metrics of the model and of the copy of the pre-treatment image.
    :param count: rows of either figure.
    :param about: which data, for the titles.
    :raises OutputFolderError: if a file cannot be written.
    """
    local, copied = (entry.values("ssim_local") for entry in (row, copy))

    def example(k: int, label: str) -> Example:
        return Example(slices.pre[k], images[k], slices.post[k], slices.gtv[k], local[k], label)

    chosen = spread_by_local_ssim(local, count)
    limits = f"{local[chosen[0]]:.2f} to {local[chosen[-1]]:.2f}"
    title = f"Synthetic post MRI by {row.name}, ordered by descending local SSIM ({limits}); {about}"
    write_figure4([example(k, row.classes[k]) for k in chosen], title, out / "figure4.png", out / "figure4.pdf")
    worst = worst_against_copy(local, copied, slices.person, count)
    title = f"Failures: synthetic post MRI by {row.name}, worst local SSIM against copying the pre image; {about}"
    write_examples([example(k, f"copy {copied[k]:.2f}, {row.classes[k]}") for k in worst], title, out / "failures.png")
