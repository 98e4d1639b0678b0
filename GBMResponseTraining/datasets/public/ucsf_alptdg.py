"""UCSF-ALPTDG (also UCSF-LPTDG): two scans of treated patients, a median of 65 days apart.

This is **not** the paper's task: both scans are after treatment. It serves as an external test of how a model follows
evolution. Terms of use forbid commercial use.

Pair rule: pre is time 1, post is time 2. Images are skull-stripped and registered to the second scan. GTV: the labels
1, 3 and 4 of time 1. Survival is the size of `Days from death to 1st scan`: its sign is not consistent. Who has none is
not known to be dead.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import DatasetError
from ..pair import DAYS_PER_WEEK, PairSource, Skipped, attempt, natural_order, normalized_id, parse_number
from ..tables import Row, find_one, read_sheet

LABELS = {1: "non-enhancing core", 2: "edema", 3: "enhancing", 4: "resection cavity"}

_SHEET, _SPLIT_SHEET = "Clinical Info", "TrainTestSplit"
_ID, _INTERVAL, _DEATH = "subjectid", "days from 1st scan to 2nd scan", "days from death to 1st scan"
_FILE = re.compile(r"^(\w+)_time([12])_(t1ce|seg)\.nii(\.gz)?$", re.IGNORECASE)
_EXTRA = {"diagnosis": "who 2021 diagnosis", "grade": "grade", "idh": "idh", "mgmt": "mgmt"}


@dataclass(frozen=True)
class UcsfRule:
    """Which pairs are kept, and what counts as GTV.

    :param min_weeks, max_weeks: keep pairs with the second scan this long after the first, limits included.
    :param gtv_labels: of :data:`LABELS`.
    :param diagnosis: regular expression that the diagnosis has to match, in any case; None takes all.
    """

    min_weeks: float | None = None
    max_weeks: float | None = None
    gtv_labels: tuple[int, ...] = (1, 3, 4)
    diagnosis: str | None = None


def read_ucsf_alptdg(source: Path, rule: UcsfRule | None = None) -> tuple[list[PairSource], list[Skipped]]:
    """Read the workbook and the image tree below a folder, wherever in it they lie.

    :return: the pairs, and every other patient with the reason.
    :raises DatasetError, TableValueError: by the workbook, or if there is no image.
    :raises MissingPackageError: without openpyxl.
    """
    rule = rule or UcsfRule()
    workbook = find_one(source, "UCSF_PostopGlioma*.xlsx", "UCSF*.xlsx")
    rows = {normalized_id(row[_ID]): row for _, row in read_sheet(workbook, _SHEET, (_ID, _INTERVAL, _DEATH))}
    publishers_split = _publishers_split(workbook)
    images = _images(source)
    if not images:
        raise DatasetError(
            "There is no image named like UCSF-ALPTDG's, for example 100002_time1_t1ce.nii.gz.",
            "Give the folder that holds the downloaded images and the workbook.",
        )
    pairs, skipped = [], []
    for patient in sorted({*rows, *images}, key=natural_order):
        result = attempt(patient, _pair, patient, rows.get(patient), images.get(patient, {}), rule)
        if isinstance(result, Skipped):
            skipped.append(result)
            continue
        if patient in publishers_split:
            result.extra["publishers_split"] = publishers_split[patient]
        pairs.append(result)
    return pairs, skipped


def _publishers_split(workbook: Path) -> dict[str, str]:
    """Patient -> what the publishers' own split says; empty if the workbook has none of this form."""
    try:
        rows = read_sheet(workbook, _SPLIT_SHEET, (_ID,))
    except DatasetError:
        return {}
    return {normalized_id(row[_ID]): " ".join(cell for name, cell in row.items() if name != _ID) for _, row in rows}


def _images(source: Path) -> dict[str, dict[str, list[Path]]]:
    """Patient in normal form -> such as `1_t1ce` -> files."""
    images: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for path in sorted(source.rglob("*.nii*")):
        match = _FILE.match(path.name)
        if match and path.is_file():
            images[normalized_id(match[1])][f"{match[2]}_{match[3].lower()}"].append(path)
    return images


def _pair(patient: str, row: Row | None, images: Mapping[str, list[Path]], rule: UcsfRule) -> PairSource | Skipped:
    """:raises GBMResponseError: for a value."""
    if row is None:
        return Skipped(patient, "no-table-row", f"The sheet {_SHEET} has no row of this patient.")
    if rule.diagnosis and not re.search(rule.diagnosis, row.get(_EXTRA["diagnosis"], ""), re.IGNORECASE):
        stated = row.get(_EXTRA["diagnosis"], "")
        return Skipped(patient, "diagnosis", f"The diagnosis is '{stated}'.", "Change --diagnosis.")
    files = {}
    for key, code in (("1_t1ce", "no-pre-image"), ("2_t1ce", "no-follow-up"), ("1_seg", "no-gtv")):
        found = images.get(key, [])
        if len(found) > 1:
            return Skipped(patient, "duplicate-file", f"There are {len(found)} files {found[0].name}.")
        if not found:
            return Skipped(patient, code, f"There is no file {patient}_time{key}.nii.gz.", "Download it again.")
        files[key] = found[0]
    days = _size(row, _INTERVAL)
    weeks = None if days is None else days / DAYS_PER_WEEK
    if (rule.min_weeks, rule.max_weeks) != (None, None):
        if weeks is None:
            return Skipped(patient, "interval", "The time between the scans is not known.")
        if weeks < (rule.min_weeks or 0) or (rule.max_weeks is not None and weeks > rule.max_weeks):
            reason = f"The second scan is {weeks:.1f} weeks after the first."
            return Skipped(patient, "interval", reason, "Change --min-weeks or --max-weeks.")
    return PairSource(
        patient=patient,
        pre=files["1_t1ce"],
        post=files["2_t1ce"],
        gtv=files["1_seg"],
        gtv_labels=rule.gtv_labels,
        label_names=LABELS,
        survival_days=_size(row, _DEATH),
        interval_days=days,
        post_gtv=(images.get("2_seg") or [None])[0],
        extra={
            "dataset": "UCSF-ALPTDG",
            "task": "both scans are after treatment",
            **{key: row[column] for key, column in _EXTRA.items() if row.get(column)},
        },
    )


def _size(row: Row, column: str) -> float | None:
    value = parse_number(row[column], column, signed=True)
    return None if value is None else abs(value)
