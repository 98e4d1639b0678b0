"""Simulate a cohort in parallel, laid out as CFB-GBM; an interrupted run continues."""

import json
import multiprocessing
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from GBMResponseCore import __version__
from GBMResponseCore.errors import OptionError
from GBMResponseCore.files import ensure_output_folder, write_json
from tqdm import tqdm

from ..anatomy.library import AnatomyLibrary
from ..errors import SimulationFolderError
from ..patient import SimulationSettings, simulate_patient
from .cfb_gbm_layout import STATEMENT, is_finished, read_truth, remove_partial, write_cohort_files, write_patient

LARGEST_COHORT = 100_000
SMALLEST_SIZE, SIZE_STEP = 64, 4

_SETTINGS = "simulation.json"

_library: AnatomyLibrary | None = None


@dataclass(frozen=True)
class CohortPlan:
    """What to simulate.

    :param patients: number of patients; their ids are 1 to this number.
    :param seed: of the cohort. Patient k of a seed is the same in cohorts of any size; no two seeds share a patient.
    :param anatomies: folder of prepared anatomies, or `phantom`.
    """

    patients: int
    seed: int
    anatomies: str
    settings: SimulationSettings

    def __post_init__(self) -> None:
        if not 1 <= self.patients < LARGEST_COHORT:
            raise OptionError(f"Cannot simulate {self.patients} patients.", f"Give 1 to {LARGEST_COHORT - 1}.")
        if self.seed < 0:
            raise OptionError(f"The seed is {self.seed}.", "Give a whole number from 0 up.")
        size, slices = self.settings.size, self.settings.slices
        if size < SMALLEST_SIZE or size % SIZE_STEP:
            remedy = f"Give a multiple of {SIZE_STEP} from {SMALLEST_SIZE} up."
            raise OptionError(f"Slices cannot have {size} x {size} pixels.", remedy)
        if not 0 <= self.settings.censored_share <= 1:
            raise OptionError(f"The share of censored patients is {self.settings.censored_share:g}.", "Give 0 to 1.")
        if self.settings.outcome < 0:
            raise OptionError(f"The outcome is {self.settings.outcome}.", "Give a whole number from 0 up.")
        if slices is not None and slices < 2:
            raise OptionError(f"A volume cannot have {slices} slices.", "Give 2 or more.")

    def patient_seed(self, number: int) -> int:
        return self.seed * LARGEST_COHORT + number

    def description(self) -> dict[str, Any]:
        """Everything that decides what patients look like, ready for JSON."""
        library = AnatomyLibrary(self.anatomies)
        fingerprints = {name: library.fingerprint(name) for name in self.settings.anatomies}
        settings = {"seed": self.seed, **asdict(self.settings), "anatomy_sha256": fingerprints}
        if not settings["outcome"]:
            del settings["outcome"]  # so that cohorts that were begun before there were outcomes go on
        return {"version": __version__, **json.loads(json.dumps(settings))}


def simulate_cohort(plan: CohortPlan, out: Path, processes: int | None = None) -> list[dict[str, Any]]:
    """Simulate the patients that are not finished, then write the tables; returns the hidden values of all.

    :param processes: None takes one per core.
    :raises AnatomyError: if an anatomy is missing or damaged.
    :raises SimulationFolderError: if the folder holds a cohort with other settings, or a larger one.
    :raises OutputFolderError: if the output cannot be written; finished patients stay.
    """
    ensure_output_folder(out / "data")
    _claim(plan, out)
    remove_partial(out)
    numbers = range(1, plan.patients + 1)
    todo = [number for number in numbers if not is_finished(out, number)]
    try:
        for _ in tqdm(_simulate(plan, out, todo, processes), total=len(todo), desc="Simulating", unit="patient"):
            pass
    finally:
        remove_partial(out)
    records = read_truth(out, numbers)
    write_cohort_files(out, records)
    return records


def _claim(plan: CohortPlan, out: Path) -> None:
    """Note the settings in the folder, or make sure that they are those noted there."""
    path = out / _SETTINGS
    description = plan.description()
    if path.is_file():
        found = json.loads(path.read_text(encoding="utf-8"))
        if found.get("simulation") != description:
            raise SimulationFolderError(f"The folder {out} holds a simulation with other settings.")
        if found["patients"] > plan.patients:
            raise SimulationFolderError(
                f"The folder {out} holds a simulation of {found['patients']} patients.",
                f"Give at least {found['patients']} patients, or another folder.",
            )
    content = {"synthetic": True, "statement": STATEMENT, "patients": plan.patients, "simulation": description}
    write_json(content, path)


def _simulate(plan: CohortPlan, out: Path, numbers: list[int], processes: int | None) -> Iterable[None]:
    work = partial(_simulate_one, plan=plan, out=out)
    processes = min(processes or os.cpu_count() or 1, len(numbers))
    if processes <= 1:
        _open_library(plan.anatomies)
        yield from map(work, numbers)
        return
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, _open_library, (plan.anatomies,)) as pool:
        yield from pool.imap_unordered(work, numbers)


def _open_library(anatomies: str) -> None:
    global _library  # noqa: PLW0603 - one library per process; loading an anatomy takes seconds
    if _library is None or _library.source != anatomies:
        _library = AnatomyLibrary(anatomies)


def _simulate_one(number: int, plan: CohortPlan, out: Path) -> None:
    write_patient(out, number, simulate_patient(plan.patient_seed(number), _library, plan.settings))
