"""Is one person on both sides of a split, under different ids or in different slice stores?

Data sets overlap: about 400 cases of BraTS 2024 come from MU-Glioma-Post, 62 patients of UCSF-ALPTDG are also in
UCSF-PDGM. Which ones is not in the images, so the user lists them in a CSV file with the columns `patient` and
`same_as`, one line per pair of ids. An id is that of `patients.json`, with its data set before a colon where several
data sets have it: `MU-Glioma-Post:PatientID_0003`. Copies of an image are found without a list, by their SHA-256.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .datasets.pair import normalised_id
from .datasets.tables import read_csv
from .slice_store import read_patients
from .splits import SPLIT_FILE, SplitError, check_leakage, patient_key, read_split

_COLUMNS = ("patient", "same_as")
_IMAGES = ("image", "follow-up")

Group = tuple[str, str]


@dataclass(frozen=True)
class LeakageReport:
    """What was compared.

    :param patients: entries per split.
    :param shared: entries known to be one person, and ids that occur more than once; each in one split.
    """

    patients: dict[str, int]
    shared: list[list[str]]


def read_same_patient(table: Path) -> list[Group]:
    """Read pairs of ids that are one person.

    :raises GBMResponseError: by the table.
    """
    pairs = []
    for number, row in read_csv(table, _COLUMNS):
        if not (row["patient"] and row["same_as"]):
            raise SplitError(f"Line {number} of {table.name} names one id only.", "Give two ids on every line.")
        pairs.append((row["patient"], row["same_as"]))
    return pairs


def groups_within(pairs: Iterable[Group], records: Sequence[Mapping[str, Any]]) -> list[Group]:
    """Return pairs in the ids of one store: the data set before the colon is removed where it is the store's.

    :param records: of the store.
    """
    datasets = {normalised_id(str(record.get("dataset", ""))) for record in records} - {""}

    def plain(text: str) -> str:
        dataset, colon, patient = text.partition(":")
        return patient if colon and normalised_id(dataset) in datasets else text

    return [(plain(first), plain(second)) for first, second in pairs]


def check_stores(
    folders: Sequence[Path], same_patient: Iterable[Group] = (), external_tests: Sequence[Path] = ()
) -> LeakageReport:
    """Compare the splits of stores that are used together.

    :param folders: stores with a `patient_split.csv`.
    :param same_patient: pairs of ids known to be one person.
    :param external_tests: stores that are used for testing as a whole.
    :raises LeakageError: if a person is in two splits.
    :raises SplitError: if an id of `same_patient` occurs in several data sets and names none, or if a split lacks a
        patient.
    :raises GBMResponseError: if a store or split cannot be read.
    """
    entries: list[tuple[str, str]] = []
    names: dict[str, set[str]] = defaultdict(set)
    by_image: dict[str, list[str]] = defaultdict(list)
    for folder, external in [(folder, False) for folder in folders] + [(folder, True) for folder in external_tests]:
        records = read_patients(folder)
        split = dict.fromkeys((normalised_id(record["id"]) for record in records), "test")
        if not external and not (folder / SPLIT_FILE).is_file():
            raise SplitError(f"{folder} has no {SPLIT_FILE}.", "Run gbmresponse-train split, or give it with --test.")
        if not external:
            split = {normalised_id(patient): name for patient, name in read_split(folder / SPLIT_FILE)}
        for record in records:
            patient, dataset = record["id"], str(record.get("dataset") or folder.resolve().name)
            if normalised_id(patient) not in split:
                raise SplitError(f"{SPLIT_FILE} of {folder} does not list {patient}.")
            name = _name(patient, dataset)
            entries.append((name, split[normalised_id(patient)]))
            names[patient_key(patient)].add(name)
            names[f"{normalised_id(dataset)}:{patient_key(patient)}"].add(name)
            for image in _IMAGES:
                digest = record.get("sources", {}).get(image, {}).get("sha256")
                if digest:
                    by_image[digest].append(name)
    groups = [(_resolve(first, names), _resolve(second, names)) for first, second in same_patient]
    groups += [group for group in map(tuple, map(dict.fromkeys, by_image.values())) if len(group) > 1]
    check_leakage(entries, groups)
    counts = {split: sum(value == split for _, value in entries) for split in ("train", "validation", "test")}
    known = {name for name, _ in entries}
    shared = [list(group) for group in groups if sum(name in known for name in group) > 1]
    repeated = [name for name, count in Counter(name for name, _ in entries).items() if count > 1]
    return LeakageReport(counts, shared + [[name] for name in repeated])


def _name(patient: str, dataset: str) -> str:
    """Name of a person that is unique over data sets; visits are dropped."""
    return f"{patient_key(patient)} ({dataset})"


def _resolve(text: str, names: Mapping[str, set[str]]) -> str:
    """The name that an id of the list means; ids that are in no store keep their own.

    :raises SplitError: if several data sets have it.
    """
    dataset, colon, patient = text.partition(":")
    key = f"{normalised_id(dataset)}:{patient_key(patient)}" if colon else patient_key(text)
    found = sorted(names.get(key, ()))
    if len(found) > 1:
        raise SplitError(f"The id {text} means {' and '.join(found)}.", "Write the data set before it: DATASET:ID.")
    return found[0] if found else text
