"""Any cohort that a CSV file describes, one row per patient.

=============  ========  ==============================================================================================
column                   meaning
=============  ========  ==============================================================================================
patient        required  id, unique
pre            required  file of the pre-treatment T1-Gd; relative paths start at the CSV's folder
post           required  file of the post-treatment T1-Gd
gtv            required  file of the GTV mask drawn on the pre-treatment image
survival_days  required  days from the pre-treatment MRI to death (or last contact); the cell may be empty
interval_days  optional  days from the pre- to the post-treatment MRI
censored       optional  1, yes or true: alive at survival_days; 0, no, false or empty: deceased
gtv_labels     optional  label values that count as GTV, separated by blanks; empty: every positive value
=============  ========  ==============================================================================================

Other columns go into the patient's record as text. Separators: comma, semicolon or tab. Text: UTF-8.
"""

import csv
import re
from pathlib import Path

from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.files import check_file

from .errors import DatasetError, TableValueError
from .pair import PairSource, Skipped, drop_duplicates, parse_number, require_columns

REQUIRED = ("patient", "pre", "post", "gtv", "survival_days")
OPTIONAL = ("interval_days", "censored", "gtv_labels")

_TRUE, _FALSE = ("1", "yes", "true"), ("", "0", "no", "false")
_NAMES = {"pre": "image", "post": "follow-up", "gtv": "GTV"}
"""What a column's file is called in messages, as in the checks of a case."""


def read_folder(table: Path) -> tuple[list[PairSource], list[Skipped]]:
    """Read the CSV of a cohort.

    :return: rows whose files exist; and the other rows with the reason.
    :raises MissingFileError, EmptyFileError: by the table.
    :raises DatasetError, TableValueError: if the table is no UTF-8 text, lacks a column or has no rows.
    """
    check_file(table, "table")
    pairs, skipped = [], []
    for number, row in _rows(table):
        patient = row["patient"] or f"row {number}"
        try:
            pairs.append(_pair(row, table.parent))
        except GBMResponseError as error:
            skipped.append(Skipped.for_error(patient, error))
    unique, duplicates = drop_duplicates(pairs)
    return unique, skipped + duplicates


def _rows(table: Path) -> list[tuple[int, dict[str, str]]]:
    """Line number and stripped cells of every row that is not blank."""
    try:
        text = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise DatasetError(f"The table {table.name} is not UTF-8 text.", "Save it as CSV UTF-8.") from None
    lines = text.splitlines()
    header = lines[0] if lines else ""
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(lines, delimiter=delimiter)
    columns = [name.strip().casefold() for name in next(reader, [])]
    require_columns(columns, REQUIRED, table.name)
    rows = []
    for cells in reader:
        if any(cell.strip() for cell in cells):
            padded = [*cells, *[""] * (len(columns) - len(cells))]
            rows.append((reader.line_num, {name: cell.strip() for name, cell in zip(columns, padded, strict=False)}))
    if not rows:
        raise DatasetError(f"The table {table.name} has no rows.")
    return rows


def _pair(row: dict[str, str], folder: Path) -> PairSource:
    """:raises GBMResponseError: for a value or a file."""
    if not row["patient"]:
        raise TableValueError("The row has no patient id.")
    paths = {}
    for column, name in _NAMES.items():
        if not row[column]:
            raise TableValueError(f"The cell {column} is empty.")
        paths[column] = check_file(folder / row[column], name)
    return PairSource(
        patient=row["patient"],
        **paths,
        gtv_labels=_labels(row.get("gtv_labels", "")),
        survival_days=parse_number(row["survival_days"], "survival_days"),
        censored=_truth(row.get("censored", "")),
        interval_days=parse_number(row.get("interval_days"), "interval_days"),
        extra={name: cell for name, cell in row.items() if name and cell and name not in (*REQUIRED, *OPTIONAL)},
    )


def _truth(text: str) -> bool:
    if text.casefold() not in (*_TRUE, *_FALSE):
        raise TableValueError(f"The value of censored is '{text}', not 0 or 1.")
    return text.casefold() in _TRUE


def _labels(text: str) -> tuple[int, ...] | None:
    if not text:
        return None
    if not re.fullmatch(r"\d+(\s+\d+)*", text):
        raise TableValueError(f"The value of gtv_labels is '{text}', not whole numbers separated by blanks.")
    return tuple(int(label) for label in text.split())
