"""Training, validation and test patients: an exact, stratified split (usually 80/10/10) that all stages share.

The unit is the patient, never the slice or the visit. The split is a file, `patient_split.csv` (columns `patient` and
`split`), in the folder of the slice store; once there it is reused, so that it stays the same for every model.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.files import check_file, plain_cell, write_csv

from ..datasets.pair import natural_order, normalized_id, require_columns
from .person import group_ids, patient_key, person_of

SPLITS = ("train", "validation", "test")
SPLIT_FILE = "patient_split.csv"
STORE_FILE = "store.json"
"""Beside the split of a run folder: which slice stores the run was trained on."""

USUAL_SHARES = (0.1, 0.1)
"""Shares of the patients for validation and for test."""
_COLUMNS = ("patient", "split")


class SplitError(GBMResponseError):
    """Patients and split do not fit together."""

    code = "split"
    exit_code = 45
    remedy = "Delete patient_split.csv to make a new split; models trained with the old one must not be tested on it."


class LeakageError(SplitError):
    """One patient is in two splits."""

    code = "leakage"
    exit_code = 46
    remedy = "Put all entries of a patient into one split, and train again: figures measured with this one are void."


def stratified_split(
    survival_days: Mapping[str, float | None],
    seed: int = 0,
    same_patient: Iterable[Sequence[str]] = (),
    held_out: tuple[float, float] = USUAL_SHARES,
    persons: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Assign each id to a split; the same ids and seed give the same split, in whatever order they come.

    Persons are counted, not ids: a share (rounded, at least one if it is not 0) for validation, another for test, the
    rest for training. Each quartile of survival, and unknown survival, is represented in proportion, to within one
    person.

    :param survival_days: id -> survival; None: not known. Several visits of a person count once, with their mean.
    :param same_patient: groups of ids known to be one person.
    :param held_out: shares of validation and of test, 0 to 1, together at most 1.
    :param persons: id -> person; None: as the ids say.
    :return: id -> `train`, `validation` or `test`.
    :raises SplitError: for fewer persons than splits, or impossible shares.
    """
    shares = (1.0 - sum(held_out), *held_out)
    if min(held_out) < 0 or shares[0] < -1e-9:
        raise SplitError("The shares of the splits are impossible.", "Give three numbers from 0 up that sum to 100.")
    members = group_ids(persons or {patient: patient_key(patient) for patient in survival_days}, same_patient)
    groups = sum(share > 1e-9 for share in shares)
    if len(members) < groups:
        raise SplitError(f"{len(members)} patients cannot be split into {groups} groups.", "Import more patients.")
    names = sorted(members, key=natural_order)
    survival = np.array([_mean([survival_days[member] for member in members[name]]) for name in names])
    known = survival[~np.isnan(survival)]
    # NaN comes behind the longest survival: a stratum of its own.
    limits = [*np.quantile(known, (0.25, 0.5, 0.75)), np.inf] if len(known) else []
    strata = np.searchsorted(limits, survival, side="left")
    shuffled = np.random.default_rng(seed).permutation(len(names))
    line = shuffled[np.argsort(strata[shuffled], kind="stable")]
    # Persons in a line, stratum after stratum: evenly spaced picks take the same share of each stratum.
    for_validation, for_test = (max(1, round(share * len(names))) if share else 0 for share in held_out)
    test, rest = _evenly(line, for_test)
    validation, train = _evenly(rest, for_validation)
    split = {}
    for name, chosen in zip(SPLITS, (train, validation, test), strict=True):
        split.update({member: name for index in chosen for member in members[names[index]]})
    return {patient: split[patient] for patient in survival_days}


def check_leakage(
    entries: Iterable[tuple[str, str]],
    same_patient: Iterable[Sequence[str]] = (),
    persons: Mapping[str, str] | None = None,
) -> None:
    """Make sure that no person is in two splits, under whatever spelling or visit of the id.

    :param entries: (id, split), of one data set or of several together.
    :param same_patient: groups of ids known to be one person.
    :param persons: id -> person, of the ids whose person is known; others are taken for what they say.
    :raises LeakageError: if one is.
    """
    persons = persons or {}
    splits: dict[str, set[str]] = defaultdict(set)
    for patient, split in entries:
        splits[patient].add(split)
    people = {patient: persons.get(patient) or patient_key(patient) for patient in splits}
    for members in group_ids(people, same_patient).values():
        found = sorted(set().union(*(splits[member] for member in members)))
        if len(found) > 1:
            raise LeakageError(f"One patient, listed as {', '.join(members)}, is in {' and '.join(found)}.")


def split_store(
    folder: Path,
    patients: Sequence[Mapping[str, Any]],
    seed: int = 0,
    same_patient: Iterable[Sequence[str]] = (),
    held_out: tuple[float, float] = USUAL_SHARES,
) -> dict[str, str]:
    """Return the split of a slice store: the one in its folder, or a new one that is then saved there.

    :param patients: records of the store.
    :param held_out: see :func:`stratified_split`; of a new split.
    :raises SplitError: if the saved split is no such file or lacks a patient, or for fewer than three persons.
    :raises LeakageError: if the saved split has a patient twice.
    :raises OutputFolderError: if the split cannot be saved.
    """
    same_patient = [list(group) for group in same_patient]
    persons = {record["id"]: person_of(record) for record in patients}
    path = folder / SPLIT_FILE
    if path.is_file():
        entries = read_split(path)
        stored = {normalized_id(patient): person for patient, person in persons.items()}
        listed = {patient: stored[key] for patient, _ in entries if (key := normalized_id(patient)) in stored}
        check_leakage(entries, same_patient, listed)
        known = {normalized_id(patient): split for patient, split in entries}
        missing = [record["id"] for record in patients if normalized_id(record["id"]) not in known]
        if missing:
            raise SplitError(f"{path.name} does not list {len(missing)} patients of the store, such as {missing[0]}.")
        return {record["id"]: known[normalized_id(record["id"])] for record in patients}
    survival = {record["id"]: record["survival_days"] for record in patients}
    split = stratified_split(survival, seed, same_patient, held_out, persons)
    write_split(split, path)
    return split


def read_split(path: Path) -> list[tuple[str, str]]:
    """Read (id, split) of every line; a patient that is listed twice comes twice.

    :raises MissingFileError, EmptyFileError: by the file.
    :raises TableValueError: if it lacks a column.
    :raises SplitError: if a split has an unknown name.
    """
    with check_file(path, "split").open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, restval="")
        require_columns(reader.fieldnames or [], _COLUMNS, path.name)
        entries = [(plain_cell(row["patient"]).strip(), row["split"].strip()) for row in reader]
    for patient, split in entries:
        if split not in SPLITS:
            message = f"{path.name} puts {patient} into '{split}'."
            raise SplitError(message, f"Use {', '.join(SPLITS)}.")
    return entries


def write_split(split: Mapping[str, str], path: Path) -> None:
    """:raises OutputFolderError: if the file cannot be written."""
    write_csv(_COLUMNS, [(name, split[name]) for name in sorted(split, key=natural_order)], path)


def survival_thresholds(patients: Sequence[Mapping[str, Any]], split: Mapping[str, str], classes: int) -> list[float]:
    """Return the survival in days that cuts the training patients into equal classes, ascending.

    Censored patients take no part: how long they lived is not known. Several visits of a person count once, with their
    mean.

    :param patients: records with `id`, `survival_days` and perhaps `censored` and `person`.
    :param split: id -> split.
    :param classes: 2 for the median, 4 for the quartiles.
    :return: `classes` - 1 values.
    :raises SplitError: if no training patient has a known survival.
    """
    known: dict[str, list[float]] = defaultdict(list)
    for record in patients:
        if split[record["id"]] == "train" and has_known_survival(record):
            known[person_of(record)].append(record["survival_days"])
    if not known:
        raise SplitError("No training patient has a known survival.", "Import patients whose survival is known.")
    days = [_mean(visits) for visits in known.values()]
    return [float(np.quantile(days, index / classes)) for index in range(1, classes)]


def has_known_survival(record: Mapping[str, Any]) -> bool:
    """True for a patient who is known to have died, and when."""
    return record["survival_days"] is not None and not record.get("censored")


def _mean(days: Sequence[float | None]) -> float:
    """Mean of what is known; NaN if nothing is."""
    known = [value for value in days if value is not None]
    return float(np.mean(known)) if known else float("nan")


def _evenly(line: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Evenly spaced elements of an array, and the others in their order."""
    picks = ((np.arange(count) + 0.5) * len(line) / count).astype(int)
    return line[picks], np.delete(line, picks)
