"""Write the table of a cohort from a folder tree: what was found of each patient, and why a row is unusable.

Known are CFB-GBM's names (`15_t0_t1gd.nii.gz`), BIDS (`sub-15/ses-01/anat/`), a folder for each patient, files of all
patients side by side with the visit in their names, and DICOM exports. Nothing is guessed: what could be two things is
no case until somebody has decided.
"""

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..dicom.case import scanned
from ..dicom.choice import DEFAULT_SERIES, NATIVE, OTHER_WEIGHTING, choose_t1_gd, read_structure_sets
from ..errors import CaseTableError, DicomSeriesError, GBMResponseError, MissingFileError
from ..files import write_csv
from ..outputs.write import PROVENANCE

COLUMNS = ("id", "image", "gtv", "follow_up", "class", "bundle", "days", "unusable", "found")
_VOLUMES = (".nii.gz", ".nii", ".nrrd", ".mha", ".mhd")
_BEFORE = ("t0", "pre", "baseline", "planning", "before")
_AFTER = ("t1", "post", "followup", "follow-up", "fu", "after", "t2")
_NUMBERED = ("t0", "t1", "t2")
"""Visits where a patient has a `t0`; else T1 and T2 are weightings."""
_VISIT, _VISIT_IN_WORDS = (
    re.compile(rf"(?<![a-z0-9])(ses-[a-z0-9]+|{'|'.join(names)})(?![a-z0-9-])")
    for names in ((*_BEFORE, *_AFTER), [name for name in (*_BEFORE, *_AFTER) if name not in _NUMBERED])
)
_SUBJECT = re.compile(r"(?<![a-z0-9])sub-([a-z0-9]+)")
_MASK = re.compile(r"gtv|tumou?r|mask|seg|label|(?<![a-z])roi")
_GTV = re.compile(r"gtv")
_T1_GD = re.compile(DEFAULT_SERIES)
_OTHER_KIND = re.compile(rf"{NATIVE}|{OTHER_WEIGHTING}|(?<![a-z])(?:ct|dose|pet|fdg)(?![a-z])")


@dataclass(frozen=True)
class _Volume:
    """A volume by its name.

    :param visit: as it is named; empty if it is not.
    :param what: the name without patient and visit.
    """

    path: Path
    patient: str
    visit: str
    what: str

    @property
    def is_mask(self) -> bool:
        return bool(_MASK.search(self.what))

    @property
    def order(self) -> tuple[int, str]:
        """Of its visit among those of its patient."""
        return 0 if self.visit in _BEFORE else 2 if self.visit in _AFTER else 1, self.visit


def scan_folder(root: Path, table: Path) -> list[dict[str, Any]]:
    """Write a table of what is in a folder, and return its rows.

    :raises MissingFileError: there is no such folder.
    :raises CaseTableError: the table is there already, or nothing was found.
    :raises OutputFolderError: the table cannot be written.
    """
    if not root.is_dir():
        raise MissingFileError(f"The folder {root} does not exist.")
    if table.exists():
        raise CaseTableError(f"The table {table.name} is there already.", "Name another one, or remove it.")
    rows = scan(root.absolute())
    if not rows:
        raise CaseTableError(f"In the folder {root.name} there are neither volumes nor DICOM files.", "Name another.")
    write_csv(COLUMNS, rows, table)
    return rows


def scan(root: Path) -> list[dict[str, Any]]:
    """The rows of a table of what is in a folder, in the order of the patients' names."""
    patients: dict[str, list[_Volume]] = defaultdict(list)
    named = [_named(path, root, _VISIT) for path in _volumes(root)]
    numbered = {volume.patient for volume in named if volume.visit == _NUMBERED[0]}
    for volume in named:
        if volume.patient not in numbered:
            volume = _named(volume.path, root, _VISIT_IN_WORDS)
        patients[volume.patient].append(volume)
    rows = [_row(name, found) for name, found in sorted(patients.items())]
    return rows or _dicom_rows(root)


def _volumes(root: Path) -> Iterator[Path]:
    """Volumes below a folder, but for hidden ones and results of predictions."""
    for folder, inner, names in os.walk(root):
        inner[:] = sorted(name for name in inner if not name.startswith("."))
        if PROVENANCE in names:
            inner.clear()
            continue
        for name in sorted(names):
            if name.lower().endswith(_VOLUMES) and not name.startswith("."):
                yield Path(folder) / name


def _named(path: Path, root: Path, visits: re.Pattern[str]) -> _Volume:
    parts = [part.lower() for part in path.relative_to(root).parts]
    stem = next(parts[-1][: -len(suffix)] for suffix in _VOLUMES if parts[-1].endswith(suffix))
    subject = _SUBJECT.search("/".join(parts))
    in_name = visits.search(stem)
    in_folder = next((found for part in reversed(parts[:-1]) if (found := visits.search(part))), None)
    visit = in_name or in_folder
    start, end = in_name.span() if in_name else (0, 0)
    what = re.sub(r"[_-]+", " ", _SUBJECT.sub("", stem[end:] if in_name else stem)).strip()
    if subject:
        patient = f"sub-{subject[1]}"
    elif in_name and stem[:start].strip("_-") and (len(parts) == 1 or stem[:start].strip("_-").isdigit()):
        patient = stem[:start].strip("_-")
    else:
        patient = path.relative_to(root).parts[0] if len(parts) > 1 else stem
    return _Volume(path, patient, visit[1] if visit else "", what)


def _row(patient: str, volumes: Sequence[_Volume]) -> dict[str, Any]:
    """The row of a patient: the first visit with a GTV, and the image of the one after it."""
    visits: dict[tuple[int, str], list[_Volume]] = defaultdict(list)
    for volume in volumes:
        visits[volume.order].append(volume)
    ordered = [visits[order] for order in sorted(visits)]
    named = ", ".join(entry[0].visit for entry in ordered if entry[0].visit)
    found = f"{len(volumes)} volumes" + (f"; visits: {named}" if named else "")
    row: dict[str, Any] = {"id": re.sub(r"[^\w.-]+", "-", patient).strip(".-") or "case", "found": found}
    try:
        first = next((place for place, entry in enumerate(ordered) if any(item.is_mask for item in entry)), None)
        if first is None:
            raise CaseTableError("No GTV was found.")
        row["gtv"] = _only(_masks(ordered[first]), "GTV").path
        image = _only(_images(ordered[first]), "T1-Gd")
        row["image"] = image.path
        if not _T1_GD.search(image.what):
            row["found"] += "; no name says T1-Gd"
        if len(ordered) > first + 1 and (later := _images(ordered[first + 1])):
            row["follow_up"] = _only(later, "T1-Gd of the follow-up").path
    except CaseTableError as error:
        row["unusable"] = error.message
    return row


def _masks(visit: Sequence[_Volume]) -> list[_Volume]:
    masks = [volume for volume in visit if volume.is_mask]
    return [volume for volume in masks if _GTV.search(volume.what)] or masks


def _images(visit: Sequence[_Volume]) -> list[_Volume]:
    """Those called T1-Gd; else those whose names do not say another kind of image."""
    images = [volume for volume in visit if not volume.is_mask]
    called = [volume for volume in images if _T1_GD.search(volume.what)]
    return called or [volume for volume in images if not _OTHER_KIND.search(volume.what)]


def _only(volumes: Sequence[_Volume], what: str) -> _Volume:
    """:raises CaseTableError: there is none, or more than one."""
    if not volumes:
        raise CaseTableError(f"No {what} was found.")
    if len(volumes) > 1:
        names = ", ".join(volume.path.name for volume in volumes[:4])
        raise CaseTableError(f"{len(volumes)} volumes could be the {what}: {names}.")
    return volumes[0]


def _dicom_rows(root: Path) -> list[dict[str, Any]]:
    """One row for each folder of DICOM files, or for the folder itself; ids are numbers, as folders may bear names."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")) or [root]
    rows: list[dict[str, Any]] = []
    for folder in folders:
        row: dict[str, Any] = {"id": f"patient{len(rows) + 1:03d}", "image": folder, "gtv": folder}
        try:
            tree = scanned(folder)
            patients = {series.patient_id for series in tree.series}
            row["found"] = f"{len(tree.series)} DICOM series, {len(tree.structure_sets)} structure sets"
            if len(patients) > 1:
                raise DicomSeriesError(f"The folder holds {len(patients)} patients.")
            if not tree.structure_sets:
                raise DicomSeriesError("No RTSTRUCT or SEG was found.")
            structures, _ = read_structure_sets(path for *_, path in tree.structure_sets)
            chosen = choose_t1_gd(tree.series, drawn_on=frozenset().union(*(item.series for item in structures)))
            row["found"] += f"; T1-Gd: {chosen.series.description}, {chosen.sentence()}"
        except GBMResponseError as error:
            if not row.get("found"):
                continue  # no DICOM files at all
            row["unusable"] = error.message
        rows.append(row)
    return rows
