"""Simulate a cohort in parallel and collect it in a slice store; an interrupted run continues."""

import multiprocessing
import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from GBMResponseCore.intensity import NormalisationSettings, fit_scale
from tqdm import tqdm

from .slice_store import collect_parts, write_part
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
    finished = [_part(parts, seed) for seed in seeds]
    collect_parts(folder, finished)
    for path in finished:
        path.unlink()


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
    write_part(_part(parts, seed), pre, post, patient.gtv, record)
