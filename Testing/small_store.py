"""A slice store of a few small patients, with its split."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from GBMResponseTraining.store.slice_store import write_store
from GBMResponseTraining.store.splits import SPLIT_FILE, write_split

SIZE = 64
SPLIT = {"P1": "train", "P2": "train", "P3": "validation", "P4": "test", "P5": "test", "P6": "test"}
SURVIVAL = {"P1": 100.0, "P2": 600.0, "P3": 300.0, "P4": 200.0, "P5": 700.0, "P6": 450.0}
SLICES = 3


def write_small_store(folder: Path, split: dict[str, str] | None = None, **records: dict) -> Path:
    """Write the store and return its folder.

    Every patient has three slices of a head with a bright lesion that grows by the follow-up.

    :param split: id -> split; None takes SPLIT.
    :param records: id -> further fields of the patient's record.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE / 2
    head = (x / 26) ** 2 + (y / 29) ** 2 < 1
    pre, post, gtv, patient, patients = [], [], [], [], []
    for number, (name, days) in enumerate(SURVIVAL.items()):
        texture = ndimage.gaussian_filter(rng.normal(size=(SLICES, SIZE, SIZE)), (0, 2, 2))
        tissue = np.where(head, -0.3 + texture, -1.0)
        for level in range(SLICES):
            center = rng.uniform(-8, 8, 2)
            distance = np.hypot(x - center[0], y - center[1])
            pre.append(np.where(distance < 6, 0.5, tissue[level]))
            post.append(np.where(distance < 8 + number / 2, 0.6, tissue[level]))
            gtv.append(distance < 7)
            patient.append(number)
        positions = [5.0 * level for level in range(SLICES)]
        record = {"id": name, "survival_days": days, "censored": False, "slice_positions_mm": positions}
        patients.append({**record, **records.get(name, {})})
    arrays = (np.array(stack, np.float32) for stack in (pre, post, gtv))
    write_store(folder, *arrays, np.array(patient), patients)
    write_split(SPLIT if split is None else split, folder / SPLIT_FILE)
    return folder
