"""Simulate a cohort in parallel and collect it in a slice store; an interrupted run continues."""

import json
import multiprocessing
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from GBMResponseCore.intensity import NormalisationSettings, fit_scale
from tqdm import tqdm

from .slice_store import write_store
from .synthetic import AnatomyLibrary, SimulationSettings, simulate_patient

_library: AnatomyLibrary | None = None


def simulate_cohort(
    folder: Path,
    anatomy_folder: Path,
    settings: SimulationSettings,
    normalisation: NormalisationSettings,
    seeds: Sequence[int],
    processes: int | None = None,
) -> None:
    """Simulate one patient per seed and write a slice store to `folder`."""
    if (folder / "patients.json").is_file():
        return
    parts = folder / "patients"
    parts.mkdir(parents=True, exist_ok=True)
    todo = [seed for seed in seeds if not _part(parts, seed).is_file()]
    work = partial(_simulate_one, parts=parts, settings=settings, normalisation=normalisation)
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes or os.cpu_count(), _open_library, (anatomy_folder,)) as pool:
        for _ in tqdm(pool.imap_unordered(work, todo), total=len(todo), desc="Simulating patients", unit="patient"):
            pass
    _collect(folder, [_part(parts, seed) for seed in seeds])


def _open_library(anatomy_folder: Path) -> None:
    global _library  # noqa: PLW0603 - one library per worker process; loading an anatomy takes seconds
    _library = AnatomyLibrary(anatomy_folder)


def _part(parts: Path, seed: int) -> Path:
    return parts / f"{seed:08d}.npz"


def _simulate_one(seed: int, parts: Path, settings: SimulationSettings, normalisation: NormalisationSettings) -> None:
    patient = simulate_patient(seed, _library, settings)
    pre = fit_scale(patient.pre, normalisation).normalise(patient.pre)
    post = fit_scale(patient.post, normalisation).normalise(patient.post)
    record = {"id": f"sim-{seed:08d}", "spacing_mm": patient.spacing_mm, **patient.record}
    record["slice_positions_mm"] = [float(position) for position in patient.slice_positions_mm]
    temporary = parts / f"{seed:08d}.partial"
    with temporary.open("wb") as file:
        np.savez(
            file,
            pre=pre.astype(np.float16),
            post=post.astype(np.float16),
            gtv=patient.gtv.astype(np.uint8),
            record=json.dumps(record),
        )
    os.replace(temporary, _part(parts, seed))


def _collect(folder: Path, parts: list[Path]) -> None:
    columns: dict[str, list[np.ndarray]] = {"pre": [], "post": [], "gtv": [], "patient": []}
    records = []
    for row, path in enumerate(parts):
        with np.load(path) as data:
            for name in ("pre", "post", "gtv"):
                columns[name].append(data[name])
            columns["patient"].append(np.full(len(data["gtv"]), row, dtype=np.int32))
            records.append(json.loads(str(data["record"])))
    write_store(folder, **{name: np.concatenate(arrays) for name, arrays in columns.items()}, patients=records)
    for path in parts:
        path.unlink()
