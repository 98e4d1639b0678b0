"""Is one person on both sides of a split, under different ids or in different slice stores?

Data sets overlap: about 400 cases of BraTS 2024 come from MU-Glioma-Post, 62 patients of UCSF-ALPTDG are also in
UCSF-PDGM. Which ones is not in the images, so the user lists them in a CSV file with the columns `patient` and
`same_as`, one line per pair of ids. An id is that of `patients.json`, with its data set before a colon where several
data sets have it: `MU-Glioma-Post:PatientID_0003`. Copies of an image are found without a list, by their SHA-256.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from GBMResponseCore.errors import MissingFileError

from ..datasets.pair import normalized_id
from ..datasets.tables import read_csv
from .person import patient_key, person_of
from .slice_store import read_patients
from .splits import SPLIT_FILE, STORE_FILE, LeakageError, SplitError, check_leakage, read_split

_COLUMNS = ("patient", "same_as")
_IMAGES = ("image", "follow-up")
_IDS_ALONE = (
    "If they are one person, figures measured with them are void. If not, bring the run's slice store back to where "
    "its store.json says, so that data sets and images can be compared, or give the patients of one store other ids."
)

Group = tuple[str, str]


@dataclass(frozen=True)
class LeakageReport:
    """What was compared.

    :param patients: entries per split.
    :param shared: entries known to be one person, and ids that occur more than once; each in one split.
    """

    patients: dict[str, int]
    shared: list[list[str]]


@dataclass(frozen=True)
class SplitCheck:
    """What the split of a bundle's training says about the patients of a store.

    :param known: whether there is such a split; without one nothing can be said.
    :param same_ids: ids that both have, in different data sets: taken for different people.
    :param seen_by_autoencoder: ids of patients in the run's extra images, which the image autoencoder alone learned.
    """

    known: bool
    same_ids: tuple[str, ...] = ()
    seen_by_autoencoder: tuple[str, ...] = ()


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
    datasets = {normalized_id(str(record.get("dataset", ""))) for record in records} - {""}

    def plain(text: str) -> str:
        dataset, colon, patient = text.partition(":")
        return patient if colon and normalized_id(dataset) in datasets else text

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
    named: list[tuple[str, Mapping[str, Any]]] = []
    for folder, external in [(folder, False) for folder in folders] + [(folder, True) for folder in external_tests]:
        records = read_patients(folder)
        split = dict.fromkeys((normalized_id(record["id"]) for record in records), "test")
        if not external and not (folder / SPLIT_FILE).is_file():
            raise SplitError(f"{folder} has no {SPLIT_FILE}.", "Run gbmresponse-train split, or give it with --test.")
        if not external:
            split = {normalized_id(patient): name for patient, name in read_split(folder / SPLIT_FILE)}
        for record in records:
            patient, dataset = record["id"], str(record.get("dataset") or folder.resolve().name)
            if normalized_id(patient) not in split:
                raise SplitError(f"{SPLIT_FILE} of {folder} does not list {patient}.")
            name = _name(record, dataset)
            entries.append((name, split[normalized_id(patient)]))
            names[patient_key(patient)].add(name)
            names[f"{normalized_id(dataset)}:{patient_key(patient)}"].add(name)
            named.append((name, record))
    groups: list[tuple[str, ...]] = [
        (_resolve(first, names), _resolve(second, names)) for first, second in same_patient
    ]
    groups += _copies(named)
    check_leakage(entries, groups, {name: normalized_id(name) for name, _ in entries})
    counts = {split: sum(value == split for _, value in entries) for split in ("train", "validation", "test")}
    known = {name for name, _ in entries}
    shared = [list(group) for group in groups if sum(name in known for name in group) > 1]
    repeated = [name for name, count in Counter(name for name, _ in entries).items() if count > 1]
    return LeakageReport(counts, shared + [[name] for name in repeated])


def check_training_split(
    bundle: Path, split: Mapping[str, str], records: Sequence[Mapping[str, Any]] = ()
) -> SplitCheck:
    """Make sure that the run which made a bundle had split the patients as a store does.

    The run's split is `RUN/patient_split.csv` for the bundle `RUN/bundles/NAME`, or lies beside `bundle.json`. Patients
    whom only one of both knows do not matter: an external test set shares none. One id is one person, unless the slice
    store of the run is at hand and both stores name different data sets, or only one names any. Copies of an image are
    one person in any case.

    :param split, records: of the store.
    :raises LeakageError: a person is in two splits, under whatever spelling or visit of the id.
    """
    bundle = bundle.resolve()
    folders = [folder for folder in (bundle, bundle.parent.parent) if (folder / SPLIT_FILE).is_file()]
    same_ids: set[str] = set()
    seen: set[str] = set()
    for folder in folders:
        entries, (trained, extra) = read_split(folder / SPLIT_FILE), _records_of_run(folder)
        seen.update(_shared(records, extra))
        if not trained:
            try:
                check_leakage([*split.items(), *entries])
            except LeakageError as error:
                raise LeakageError(error.message, _IDS_ALONE) from error
            continue
        own, others = _names(records), _names(trained)
        pairs = [
            (names.get(normalized_id(patient), patient), value)
            for names, part in ((own, split.items()), (others, entries))
            for patient, value in part
        ]
        named = [
            (names[normalized_id(record["id"])], record)
            for names, part in ((own, records), (others, trained))
            for record in part
        ]
        people = _persons([*records, *trained])
        check_leakage(pairs, _copies(named), people)
        both = own.keys() & others.keys()
        same_ids.update(patient for patient in both if people[own[patient]] != people[others[patient]])
    return SplitCheck(bool(folders), tuple(sorted(same_ids)), tuple(sorted(seen)))


def _records_of_run(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Records of the slice store of a run folder, and of its extra images; none of a store that is not there."""
    if not (folder / STORE_FILE).is_file():
        return [], []
    stated = json.loads((folder / STORE_FILE).read_text(encoding="utf-8"))
    extra = [record for store in stated.get("extra_images", []) for record in _records_if_there(Path(store))]
    return _records_if_there(Path(stated["store"])), extra


def _records_if_there(store: Path) -> list[dict[str, Any]]:
    try:
        return read_patients(store)
    except MissingFileError:
        return []


def _shared(records: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> list[str]:
    """Ids of the records whose person or image is among the others."""
    people = set(_persons(others).values())
    images = {digest for record in others for digest in _digests(record)}
    persons = _persons(records)
    return [
        record["id"]
        for record in records
        if persons[_patient_name(record)] in people or not images.isdisjoint(_digests(record))
    ]


def _digests(record: Mapping[str, Any]) -> list[str]:
    """SHA-256 of the images of a record, as far as it has them."""
    digests = (record.get("sources", {}).get(image, {}).get("sha256") for image in _IMAGES)
    return [digest for digest in digests if digest]


def _names(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Normalized id -> name of the patient."""
    return {normalized_id(record["id"]): _patient_name(record) for record in records}


def _persons(records: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Name of every patient -> what is equal for one person alone."""
    return {
        _patient_name(record): normalized_id(_patient_name(record)) if record.get("dataset") else person_of(record)
        for record in records
    }


def _patient_name(record: Mapping[str, Any]) -> str:
    """For messages: the person with the data set if the record names one, else the id."""
    return _name(record, record["dataset"]) if record.get("dataset") else record["id"]


def _copies(named: Iterable[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, ...]]:
    """Names whose records have an image in common."""
    by_image: dict[str, list[str]] = defaultdict(list)
    for name, record in named:
        for digest in _digests(record):
            by_image[digest].append(name)
    return [group for group in map(tuple, map(dict.fromkeys, by_image.values())) if len(group) > 1]


def _name(record: Mapping[str, Any], dataset: str) -> str:
    """Name of a person that is unique over data sets."""
    return f"{person_of(record)} ({dataset})"


def _resolve(text: str, names: Mapping[str, set[str]]) -> str:
    """The name that an id of the list means; ids that are in no store keep their own.

    :raises SplitError: if several data sets have it.
    """
    dataset, colon, patient = text.partition(":")
    key = f"{normalized_id(dataset)}:{patient_key(patient)}" if colon else patient_key(text)
    found = sorted(names.get(key, ()))
    if len(found) > 1:
        raise SplitError(f"The id {text} means {' and '.join(found)}.", "Write the data set before it: DATASET:ID.")
    return found[0] if found else text
