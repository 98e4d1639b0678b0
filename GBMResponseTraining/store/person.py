"""Who is behind a record: a person may have several records, one per visit or under several ids."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from ..datasets.pair import normalized_id

_VISIT = re.compile(r"[\W_]+(t|v|tp|time|timepoint|ses|session|visit|week|day|scan)[\W_]*\d+([\W_]\d+)?$")


def patient_key(text: str) -> str:
    """Return what an id says about the person: normalized and without a visit, `P-007_t1` -> `p-7`.

    Recognized at the end: t, v, tp, time, timepoint, ses, session, visit, week, day, scan and a number, if another
    number is left before it.
    """
    key = normalized_id(text)
    person = _VISIT.sub("", key)
    return person if re.search(r"\d", person) else key


def person_of(record: Mapping[str, Any]) -> str:
    """Return the person of a record within its store: `person` as the import stored it, else what the id says."""
    return record.get("person") or patient_key(record["id"])


def person_numbers(records: Iterable[Mapping[str, Any]]) -> np.ndarray:
    """Number of the person of every record, int (n,), in the order in which persons come first."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(person_of(record), len(numbers)) for record in records], dtype=int)


def group_ids(persons: Mapping[str, str], same_patient: Iterable[Sequence[str]] = ()) -> dict[str, list[str]]:
    """Return the ids of every person.

    :param persons: id -> person.
    :param same_patient: groups of ids known to be one person; an id that is not among those of `persons` is taken for
        what it says.
    :return: a person's name, that of one of the ids, -> ids.
    """
    alias: dict[str, str] = {}

    def root(key: str) -> str:
        while alias.get(key, key) != key:
            key = alias[key]
        return key

    for group in same_patient:
        first, *others = (root(persons.get(patient) or patient_key(patient)) for patient in group)
        alias.update({other: first for other in others if other != first})
    groups: dict[str, list[str]] = defaultdict(list)
    for patient, person in persons.items():
        groups[root(person)].append(patient)
    return dict(groups)
