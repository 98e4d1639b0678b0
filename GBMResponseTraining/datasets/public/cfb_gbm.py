"""CFB-GBM (TCIA, doi 10.7937/v9pn-2f72): pairs of the visits t0 (before radiotherapy) and t1 (about 14 weeks later).

The patients are deceased; survival is counted in weeks from the MRI t0, so it is not censored. All series are
registered to the T1-Gd of t0 and skull-stripped by the publishers.
"""

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DatasetError, TableValueError
from ..pair import DAYS_PER_WEEK, PairSource, Skipped, attempt, parse_number, require_columns

SIMULATION_FILE = "simulation.json"
"""`gbmresponse-train simulate` leaves it beside its tables: those patients are not CFB-GBM's."""
SIMULATED = "simulated patients (synthetic, in the layout of CFB-GBM, seed {seed})"
"""Data set of a simulated cohort: those of two seeds have equal ids for different patients."""

_DOWNLOAD = "Download the CFB-GBM tables (*.tsv) next to the images."
_SURVIVAL, _DELAY = "survival (weeks)", "time_diff_t0 (weeks)"
_RADIOTHERAPY = "delay_t0_to_radiotherapy (weeks)"
_COLUMNS = {
    "clinical_data": ("id_patient", _SURVIVAL),
    "mri_availability": ("id_patient", "temporality", _DELAY, "t1gd"),
    "treatment_imaging_availability": ("id_patient", "temporality", "gtv", "gtv_type"),
    "treatment_data": ("id_patient",),
}
_OPTIONAL = ("treatment_data",)
_EXTRA = {
    "age_at_t0_years": ("clinical_data", "age_at_t0 (years)"),
    "gender": ("clinical_data", "gender"),
    "t0_to_radiotherapy_weeks": ("treatment_data", _RADIOTHERAPY),
    "dose_gy": ("treatment_data", "dose (Gy)"),
    "fractions": ("treatment_data", "fractions_number"),
}
_IMAGE = re.compile(r"^(\d+)_(t[0-2])_(\w+?)\.nii(\.gz)?$", re.IGNORECASE)
_VERSION = re.compile(r"_v(\d+(?:\.\d+)*)(?:_(\d+))?\.tsv$", re.IGNORECASE)

Row = dict[str, str]


@dataclass(frozen=True)
class Tables:
    """The tables, newest version of each.

    :param patients: table name -> patient id -> row, of the tables with one row per patient.
    :param visits: table name -> (patient id, `t0`, `t1` or `t2`) -> row, of the tables with one row per visit.
    """

    patients: Mapping[str, Mapping[int, Row]]
    visits: Mapping[str, Mapping[tuple[int, str], Row]]


@dataclass(frozen=True)
class Candidate:
    """A patient whose tables promise a T1-Gd at t0 and at t1 and a GTV at t0.

    :param survival_weeks: from the MRI t0 to death; None: not in the table.
    :param interval_weeks: from t0 to t1; None: not in the table.
    :param human_gtv: a person drew the GTV of t0; else it is an nnU-Net's.
    :param post_gtv: there is a GTV at t1 too (an nnU-Net's).
    :param radiotherapy_weeks: from t0 to the start of radiotherapy; None: not in the table.
    """

    patient: int
    survival_weeks: float | None
    interval_weeks: float | None
    human_gtv: bool
    post_gtv: bool
    radiotherapy_weeks: float | None = None


def read_cfb_gbm(
    source: Path, min_weeks: float | None = None, max_weeks: float | None = None
) -> tuple[list[PairSource], list[Skipped]]:
    """Read tables and image tree below a folder, wherever in it they lie.

    Images are found by file name alone: later versions pad the folders' names with zeros, but not the files'.

    :param min_weeks, max_weeks: keep pairs with t1 this long after t0, limits included.
    :return: the pairs, and every other patient of the tables with the reason.
    :raises DatasetError, TableValueError: by the tables, or if there is no image.
    """
    tables = read_tables(source)
    candidates, skipped = select_candidates(tables, min_weeks, max_weeks)
    images = find_images(source)
    if not images:
        raise DatasetError(
            "There is no image named like CFB-GBM's, for example 15_t0_t1gd.nii.gz.",
            "Give the folder that holds the downloaded images and tables.",
        )
    simulation = next(source.rglob(SIMULATION_FILE), None)
    dataset = SIMULATED.format(seed=_seed(simulation)) if simulation else "CFB-GBM"
    pairs = []
    for candidate in candidates:
        result = attempt(str(candidate.patient), _pair, candidate, images, tables, dataset)
        if isinstance(result, PairSource):
            pairs.append(result)
        else:
            skipped.append(result)
    return pairs, skipped


def _seed(simulation: Path) -> str:
    """Seed of a simulated cohort, as text."""
    try:
        return str(json.loads(simulation.read_text(encoding="utf-8"))["simulation"]["seed"])
    except (ValueError, KeyError, TypeError):
        return "unknown"


def read_tables(source: Path) -> Tables:
    """Read the newest version of each table below a folder.

    :raises DatasetError: if a table is missing.
    :raises TableValueError: if one lacks a column or holds an id that is no number.
    """
    patients: dict[str, dict[int, Row]] = {}
    visits: dict[str, dict[tuple[int, str], Row]] = {}
    for name, required in _COLUMNS.items():
        path = _newest(source, name)
        if path is None and name in _OPTIONAL:
            patients[name] = {}
            continue
        if path is None:
            raise DatasetError(f"There is no table CFB-GBM_{name}_v*.tsv.", _DOWNLOAD)
        rows = _rows(path, required)
        if "temporality" in required:
            visits[name] = {(_id(row, path), row["temporality"].strip().lower()): row for row in rows}
        else:
            patients[name] = {_id(row, path): row for row in rows}
    return Tables(patients, visits)


def select_candidates(
    tables: Tables, min_weeks: float | None = None, max_weeks: float | None = None
) -> tuple[list[Candidate], list[Skipped]]:
    """Apply the pair rule to the tables alone.

    :param min_weeks, max_weeks: keep pairs with t1 this long after t0, limits included.
    :return: candidates by ascending id; and every other patient with the reason.
    """
    scans, masks = tables.visits["mri_availability"], tables.visits["treatment_imaging_availability"]
    chosen, skipped = [], []
    for patient in sorted(tables.patients["clinical_data"]):
        lacks = None
        if not _flag(scans, patient, "t0", "t1gd"):
            lacks = ("no-pre-image", "There is no T1-Gd at t0.")
        elif not _flag(scans, patient, "t1", "t1gd"):
            lacks = ("no-follow-up", "There is no T1-Gd at t1.")
        elif not _flag(masks, patient, "t0", "gtv"):
            lacks = ("no-gtv", "There is no GTV at t0.")
        if lacks:
            skipped.append(Skipped(str(patient), *lacks))
            continue
        candidate = attempt(str(patient), _candidate, tables, patient)
        if isinstance(candidate, Skipped):
            skipped.append(candidate)
            continue
        outside = _outside(candidate.interval_weeks, min_weeks, max_weeks)
        if outside:
            skipped.append(Skipped(str(patient), "interval", outside, "Change --min-weeks or --max-weeks."))
        else:
            chosen.append(candidate)
    return chosen, skipped


def report(tables: Tables, min_weeks: float | None = None, max_weeks: float | None = None) -> str:
    """Say what the tables alone promise: pairs, those with a GTV at t1 too, who drew the GTVs, and distributions.

    :param min_weeks, max_weeks: as for :func:`select_candidates`.
    """
    pairs, _ = select_candidates(tables, min_weeks, max_weeks)
    lines = [
        f"Patients: {len(tables.patients['clinical_data'])}",
        f"Pairs (T1-Gd at t0 and t1, GTV at t0): {len(pairs)}",
        f"  also with a GTV at t1: {sum(pair.post_gtv for pair in pairs)}",
        f"  GTV at t0 drawn by a person: {sum(pair.human_gtv for pair in pairs)}",
        f"  start of radiotherapy known: {sum(pair.radiotherapy_weeks is not None for pair in pairs)}",
    ]
    for name, values in (
        ("Survival", [pair.survival_weeks for pair in pairs]),
        ("t0 to t1", [pair.interval_weeks for pair in pairs]),
    ):
        known = [value for value in values if value is not None]
        quartiles = " / ".join(f"{value:g}" for value in np.percentile(known, (25, 50, 75))) if known else "not known"
        lines.append(f"{name} in weeks, quartiles: {quartiles}")
    return "\n".join(lines)


def find_images(source: Path) -> dict[tuple[int, str, str], list[Path]]:
    """Find images below a folder by name: (patient id, `t0`..., modality as `t1gd` or `gtv`) -> files."""
    images: dict[tuple[int, str, str], list[Path]] = {}
    for path in sorted(source.rglob("*.nii*")):
        match = _IMAGE.match(path.name)
        if match and path.is_file():
            key = (int(match[1]), match[2].lower(), match[3].lower())
            images.setdefault(key, []).append(path)
    return images


def _newest(source: Path, name: str) -> Path | None:
    """The file of a table with the highest version, then date."""
    found = []
    for path in source.rglob(f"CFB-GBM_{name}_v*.tsv"):
        match = _VERSION.search(path.name)
        if match:
            version = tuple(int(number) for number in match[1].split("."))
            found.append((version, int(match[2] or 0), path))
    return max(found)[2] if found else None


def _rows(path: Path, required: tuple[str, ...]) -> list[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter="\t", restval="")
        columns = [name.strip() for name in reader.fieldnames or []]
        require_columns(columns, required, path.name)
        reader.fieldnames = columns
        return [row for row in reader if row["id_patient"].strip()]


def _id(row: Row, path: Path) -> int:
    try:
        return int(row["id_patient"])
    except ValueError:
        raise TableValueError(f"The table {path.name} has the patient id '{row['id_patient']}'.") from None


def _flag(visits: Mapping[tuple[int, str], Row], patient: int, time: str, column: str) -> bool:
    """True if the table says 1 for a patient's visit."""
    return visits.get((patient, time), {}).get(column, "").strip() in ("1", "1.0")


def _candidate(tables: Tables, patient: int) -> Candidate:
    """:raises TableValueError: for a number that is none."""
    masks = tables.visits["treatment_imaging_availability"]
    delay = tables.visits["mri_availability"][patient, "t1"][_DELAY]
    return Candidate(
        patient=patient,
        survival_weeks=parse_number(tables.patients["clinical_data"][patient][_SURVIVAL], "survival in weeks"),
        interval_weeks=parse_number(delay, "delay of t1 in weeks"),
        human_gtv=masks[patient, "t0"]["gtv_type"].strip().lower().startswith("human"),
        post_gtv=_flag(masks, patient, "t1", "gtv"),
        radiotherapy_weeks=parse_number(
            tables.patients["treatment_data"].get(patient, {}).get(_RADIOTHERAPY), "delay of radiotherapy in weeks"
        ),
    )


def _outside(interval_weeks: float | None, min_weeks: float | None, max_weeks: float | None) -> str | None:
    """Why an interval is not wanted, or None."""
    if min_weeks is None and max_weeks is None:
        return None
    if interval_weeks is None:
        return "The time between t0 and t1 is not known."
    if interval_weeks < (min_weeks or 0) or interval_weeks > (max_weeks if max_weeks is not None else interval_weeks):
        return f"t1 is {interval_weeks:g} weeks after t0."
    return None


def _pair(
    candidate: Candidate, images: Mapping[tuple[int, str, str], list[Path]], tables: Tables, dataset: str
) -> PairSource | Skipped:
    paths = []
    for time, modality in (("t0", "t1gd"), ("t1", "t1gd"), ("t0", "gtv")):
        name = f"{candidate.patient}_{time}_{modality}.nii.gz"
        found = images.get((candidate.patient, time, modality), [])
        if not found:
            reason = f"The tables promise {name}, but there is no such file."
            return Skipped(str(candidate.patient), "missing-file", reason, "Download it again.")
        if len(found) > 1:
            reason = f"There are {len(found)} files {name}."
            return Skipped(str(candidate.patient), "duplicate-file", reason, "Keep one version of the images.")
        paths.append(found[0])
    return PairSource(
        patient=str(candidate.patient),
        pre=paths[0],
        post=paths[1],
        gtv=paths[2],
        survival_days=_days(candidate.survival_weeks),
        interval_days=_days(candidate.interval_weeks),
        radiotherapy_days=_days(candidate.radiotherapy_weeks),
        post_gtv=_only(images, candidate.patient, "t1", "gtv"),
        brain_mask=_only(images, candidate.patient, "t0", "brain_mask"),
        extra={
            "dataset": dataset,
            "gtv_by": "human" if candidate.human_gtv else "nnU-Net",
            **_extra(candidate.patient, tables),
        },
    )


def _only(images: Mapping[tuple[int, str, str], list[Path]], patient: int, time: str, modality: str) -> Path | None:
    """An image that is not required: its file, None if there is none or more than one."""
    found = images.get((patient, time, modality), [])
    return found[0] if len(found) == 1 else None


def _extra(patient: int, tables: Tables) -> dict[str, Any]:
    """What else the tables say about a patient, as text; empty cells are left out."""
    values = {key: tables.patients[table].get(patient, {}).get(column) for key, (table, column) in _EXTRA.items()}
    return {key: value.strip() for key, value in values.items() if value and value.strip()}


def _days(weeks: float | None) -> float | None:
    return None if weeks is None else weeks * DAYS_PER_WEEK
