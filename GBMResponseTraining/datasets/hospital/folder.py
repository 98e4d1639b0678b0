"""Any cohort that a CSV file describes, one row per patient.

=================  ========  ==========================================================================================
column                       meaning
=================  ========  ==========================================================================================
patient            required  id, unique
pre                required  file of the pre-treatment T1-Gd; relative paths start at the CSV's folder
post               required  file of the post-treatment T1-Gd
gtv                required  file of the GTV mask drawn on the pre-treatment image
survival_days      required  days from the pre-treatment MRI to death (or last contact); the cell may be empty
interval_days      optional  days from the pre- to the post-treatment MRI
radiotherapy_days  optional  days from the pre-treatment MRI to the start of radiotherapy
censored           optional  1, yes or true: alive at survival_days; 0, no, false or empty: deceased
gtv_labels         optional  label values that count as GTV, separated by blanks; empty: every positive value
post_gtv           optional  file of the GTV drawn on the post-treatment image; only its volume is kept
brain_mask         optional  file of a brain mask of the pre-treatment image, used by --skull-strip
=================  ========  ==========================================================================================

Other columns go into the patient's record as text. Separators: comma, semicolon or tab. Text: UTF-8.
"""

import re
from pathlib import Path
from typing import Any

from GBMResponseCore.files import check_file

from ..errors import TableValueError
from ..pair import PairSource, Skipped, attempt, drop_duplicates, parse_number, parse_truth
from ..tables import read_csv

REQUIRED = ("patient", "pre", "post", "gtv", "survival_days")
OPTIONAL = ("interval_days", "radiotherapy_days", "censored", "gtv_labels", "post_gtv", "brain_mask")

_NAMES = {"pre": "image", "post": "follow-up", "gtv": "GTV"}
"""What a column's file is called in messages, as in the checks of a case."""


def read_folder(table: Path) -> tuple[list[PairSource], list[Skipped]]:
    """Read the CSV of a cohort.

    :return: rows whose files exist; and the other rows with the reason.
    :raises MissingFileError, EmptyFileError: by the table.
    :raises DatasetError, TableValueError: if the table is no UTF-8 text, lacks a column or has no rows.
    """
    pairs: list[Any] = []
    skipped: list[Any] = []
    for number, row in read_csv(table, REQUIRED):
        patient = row["patient"] or f"row {number}"
        found = attempt(patient, _pair, row, table.parent)
        (skipped if isinstance(found, Skipped) else pairs).append(found)
    unique, duplicates = drop_duplicates(pairs)
    return unique, skipped + duplicates


def _pair(row: dict[str, str], folder: Path) -> PairSource:
    """:raises GBMResponseError: for a value or a file."""
    if not row["patient"]:
        raise TableValueError("The row has no patient id.")
    paths: dict[str, Any] = {}
    for column, name in _NAMES.items():
        if not row[column]:
            raise TableValueError(f"The cell {column} is empty.")
        paths[column] = check_file(folder / row[column], name)
    return PairSource(
        patient=row["patient"],
        **paths,
        gtv_labels=_labels(row.get("gtv_labels", "")),
        survival_days=parse_number(row["survival_days"], "survival_days"),
        censored=parse_truth(row.get("censored"), "censored"),
        interval_days=parse_number(row.get("interval_days"), "interval_days"),
        radiotherapy_days=parse_number(row.get("radiotherapy_days"), "radiotherapy_days", signed=True),
        **_optional_files(row, folder),
        extra={name: cell for name, cell in row.items() if name and cell and name not in (*REQUIRED, *OPTIONAL)},
    )


def _optional_files(row: dict[str, str], folder: Path) -> dict[str, Any]:
    files = {"post_gtv": "follow-up GTV", "brain_mask": "brain mask"}
    return {column: check_file(folder / row[column], name) for column, name in files.items() if row.get(column)}


def _labels(text: str) -> tuple[int, ...] | None:
    if not text:
        return None
    if not re.fullmatch(r"\d+(\s+\d+)*", text):
        raise TableValueError(f"The value of gtv_labels is '{text}', not whole numbers separated by blanks.")
    return tuple(int(label) for label in text.split())
