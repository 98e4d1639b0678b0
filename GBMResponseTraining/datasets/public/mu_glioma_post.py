"""MU-Glioma-Post (TCIA, University of Missouri): the last MRI before radiotherapy and one three to six months later.

Pair rule: pre is the last time point up to the start of radiotherapy; post is the first one in the weeks 12 to 24 after
pre, and not before the end of radiotherapy. Most patients have no MRI before radiotherapy and are left out. GTV: the
labels 1, 3 and 4 of pre. Images are skull-stripped, and all of a patient lie on one grid.

Survival: day of death minus day of pre. The last contact is not published: who is stated to be alive is censored on the
last day with an MRI or radiotherapy, anybody else's survival is not known.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import DatasetError
from ..pair import PairSource, Skipped, attempt, natural_order, normalized_id, parse_number
from ..tables import Row, column_with, find_one, read_sheet
from ..visits import Visit, Window

LABELS = {1: "non-enhancing core", 2: "edema", 3: "enhancing", 4: "resection cavity"}
"""Order of BraTS 2024; compare the signals of the labels that an import prints."""

_SHEET = "MU Glioma Post"
_FILE = re.compile(r"^(PatientID_\d+)_Timepoint_(\d+)_(brain_t1c|tumorMask)\.nii(\.gz)?$", re.IGNORECASE)
_MRI = re.compile(r"days from diagnosis to .*mri.*timepoint_(\d+)")
_START = ("diagnosis to", "radiation therapy", "start")
_END = ("diagnosis to", "radiation therapy", "end")
_DEATH = ("diagnosis to death",)
_DECEASED = ("overall survival", "death")
_EXTRA = {
    "diagnosis": "primary diagnosis",
    "dose_gy": "dose",
    "fractions": "number of fractions",
    "age_years": "age at diagnosis",
}


@dataclass(frozen=True)
class MuRule:
    """Which visits make a pair, and what counts as GTV.

    :param window: weeks of the follow-up after the pre-treatment visit.
    :param gtv_labels: of :data:`LABELS`.
    :param diagnosis: regular expression that the primary diagnosis has to match, in any case; None takes all.
    """

    window: Window = field(default_factory=Window)
    gtv_labels: tuple[int, ...] = (1, 3, 4)
    diagnosis: str | None = None


def read_mu_glioma_post(source: Path, rule: MuRule | None = None) -> tuple[list[PairSource], list[Skipped]]:
    """Read the workbook and the image tree below a folder, wherever in it they lie.

    :return: the pairs, and every other patient with the reason.
    :raises DatasetError, TableValueError: by the workbook, or if there is no image.
    :raises MissingPackageError: without openpyxl.
    """
    rule = rule or MuRule()
    rows = read_sheet(find_one(source, "MU-Glioma-Post_ClinicalData*.xlsx"), _SHEET, ("patient_id",))
    _check_columns(rows[0][1])
    images = _images(source)
    if not images:
        raise DatasetError(
            "There is no image named like MU-Glioma-Post's, PatientID_0003_Timepoint_1_brain_t1c.nii.gz.",
            "Give the folder that holds the downloaded images and the workbook.",
        )
    pairs: list[Any] = []
    skipped: list[Any] = []
    seen: set[str] = set()
    for _, row in rows:
        patient = row["patient_id"]
        key = normalized_id(patient)
        if not key.startswith("patientid"):
            continue
        if key in seen:
            skipped.append(Skipped(patient, "duplicate-patient", "The workbook has more than one row of this patient."))
            pairs = [pair for pair in pairs if normalized_id(pair.patient) != key]
            continue
        seen.add(key)
        result = attempt(patient, _pair, patient, row, images.get(key, {}), rule)
        (pairs if isinstance(result, PairSource) else skipped).append(result)
    for key in sorted(set(images) - seen, key=natural_order):
        skipped.append(Skipped(key, "no-table-row", "The workbook has no row of this patient."))
    return pairs, skipped


def _check_columns(row: Row) -> None:
    """:raises DatasetError: if the workbook lacks what the rule needs."""
    wanted = {
        "the days of the MRIs": any(map(_MRI.search, row)),
        "the start of radiotherapy": column_with(row, *_START),
        "the day of death": column_with(row, *_DEATH),
    }
    missing = [name for name, found in wanted.items() if not found]
    if missing:
        raise DatasetError(f"The sheet {_SHEET} has no column with {' and '.join(missing)}.", "Download it again.")


def _images(source: Path) -> dict[str, dict[int, dict[str, Path]]]:
    """Patient in normal form -> time point -> `brain_t1c` or `tumormask` -> file."""
    images: dict[str, dict[int, dict[str, Path]]] = defaultdict(lambda: defaultdict(dict))
    for path in sorted(source.rglob("*.nii*")):
        match = _FILE.match(path.name)
        if match and path.is_file():
            images[normalized_id(match[1])][int(match[2])][match[3].lower()] = path
    return images


def _pair(patient: str, row: Row, images: Mapping[int, Mapping[str, Path]], rule: MuRule) -> PairSource | Skipped:
    """:raises GBMResponseError: for a value."""
    extra = {key: row.get(column, "") for key, column in _EXTRA.items()}
    if rule.diagnosis and not re.search(rule.diagnosis, extra["diagnosis"], re.IGNORECASE):
        return Skipped(patient, "diagnosis", f"The diagnosis is '{extra['diagnosis']}'.", "Change --diagnosis.")
    visits = _visits(row, images)
    if not visits:
        return Skipped(patient, "no-pre-image", "There is no T1-Gd with a known day.", "Download it again.")
    start, end = (_number(row, words) for words in (_START, _END))
    if start is None:
        return Skipped(patient, "no-radiotherapy-date", "The start of radiotherapy is not known.")
    before = [visit for visit in visits if visit.day <= start]
    if not before:
        reason = f"The first T1-Gd is {visits[0].day - start:g} days after the start of radiotherapy."
        return Skipped(patient, "no-pre-image", reason)
    pre = before[-1]
    post = rule.window.follow_up(visits, pre.day, max(start, end or start))
    if post is None:
        return rule.window.skipped(patient, visits, pre.day)
    if pre.mask is None:
        return Skipped(patient, "no-gtv", f"{pre.name} has no tumorMask.", "Download it again.")
    death = _number(row, _DEATH)
    if death is not None and death < pre.day:
        return Skipped(patient, "table-value", f"Death on day {death:g} is before {pre.name}.")
    alive = death is None and _number(row, _DECEASED) == 0
    last = _last_known_day(row) if alive else death
    return PairSource(
        patient=patient,
        pre=pre.image,
        post=post.image,
        gtv=pre.mask,
        gtv_labels=rule.gtv_labels,
        label_names=LABELS,
        survival_days=None if last is None else last - pre.day,
        censored=alive,
        interval_days=post.day - pre.day,
        radiotherapy_days=start - pre.day,
        post_gtv=post.mask,
        extra={
            "dataset": "MU-Glioma-Post",
            "pre_visit": pre.name,
            "post_visit": post.name,
            **{key: value for key, value in extra.items() if value},
        },
    )


def _visits(row: Row, images: Mapping[int, Mapping[str, Path]]) -> Sequence[Visit]:
    """Time points with T1-Gd and a known day, in the order of the days."""
    visits = []
    for column, cell in row.items():
        match = _MRI.search(column)
        day = parse_number(cell, column, signed=True) if match else None
        files = images.get(int(match[1]), {}) if match else {}
        if day is not None and "brain_t1c" in files:
            visits.append(Visit(f"Timepoint_{match[1]}", day, files["brain_t1c"], files.get("tumormask")))
    return sorted(visits, key=lambda visit: visit.day)


def _last_known_day(row: Row) -> float:
    """Last day on which a patient was examined or treated, whether or not there are images of it."""
    days = [parse_number(cell, column, signed=True) for column, cell in row.items() if _MRI.search(column)]
    days += [_number(row, words) for words in (_START, _END)]
    return max(day for day in days if day is not None)


def _number(row: Row, words: Sequence[str]) -> float | None:
    column = column_with(row, *words)
    return parse_number(row[column], column, signed=True) if column else None
