"""The table of a cohort: one case per line of a CSV file. Columns: docs/batch.md."""

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import CaseTableError
from ..files import check_file
from ..request import PREDICTED_CLASS

REQUIRED = ("id", "image", "gtv")
OPTIONAL = ("follow_up", "class")
_ID = re.compile(r"\w[\w.-]{0,99}")


@dataclass(frozen=True)
class TableCase:
    """One line of the table.

    :param identifier: also the name of the case's folder.
    :param classes: names of survival classes, or `predicted`.
    """

    identifier: str
    image: Path
    gtv: Path
    follow_up: Path | None
    classes: tuple[str, ...]


def read_case_table(path: Path) -> list[TableCase]:
    """Read a UTF-8 CSV file with commas or semicolons; relative paths start at the folder of the file.

    :raises MissingFileError, EmptyFileError: there is no such file, or nothing in it.
    :raises CaseTableError: a column is missing, unknown or doubled, an id is missing, doubled or no file name, an image
        or a GTV is not given, or there is no case. Whether the images exist is not asked here.
    """
    text = _text(check_file(path, "case table"))
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=";" if ";" in header else ",", strict=True)
    try:
        columns = [(name or "").strip() for name in reader.fieldnames or ()]
        _check_columns(columns)
        reader.fieldnames = columns
        rows = [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise CaseTableError(f"The table {path.name} is no valid CSV: {error}.") from error
    cases = [_case(row, line, path.parent) for line, row in rows if any(row.values())]
    if not cases:
        raise CaseTableError(f"The table {path.name} has no cases.")
    seen: dict[str, str] = {}
    for case in cases:
        folded = case.identifier.casefold()  # folders differ in more than case on every system
        if folded in seen:
            raise CaseTableError(f"The id {case.identifier!r} is there twice.", "Give each case its own id.")
        seen[folded] = case.identifier
    return cases


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise CaseTableError(f"The table {path.name} is not UTF-8 text.", "Save it as CSV UTF-8.") from error


def _check_columns(columns: Sequence[str]) -> None:
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise CaseTableError(f"The table lacks the column {missing[0]!r}; it has: {', '.join(columns)}.")
    unknown = [name for name in columns if name not in REQUIRED + OPTIONAL]
    if unknown:
        known = ", ".join(REQUIRED + OPTIONAL)
        raise CaseTableError(f"The table has an unknown column {unknown[0]!r}.", f"Known are: {known}.")
    if len(set(columns)) < len(columns):
        raise CaseTableError("The table has a column twice.")


def _case(row: dict[str, str | None], line: int, folder: Path) -> TableCase:
    if None in row or None in row.values():
        raise CaseTableError(f"Line {line} of the table has another number of cells than the first line.")
    values = {name: value.strip() for name, value in row.items()}
    if not _ID.fullmatch(values["id"]):
        message = f"The id {values['id']!r} in line {line} of the table cannot name a folder."
        raise CaseTableError(message, "Use letters, digits, '_', '-' and '.', at most 100 of them.")
    for name in ("image", "gtv"):
        if not values[name]:
            raise CaseTableError(f"The case {values['id']} in line {line} of the table has no {name}.")
    follow_up = values.get("follow_up")
    classes = tuple(name.strip() for name in values.get("class", "").split("+") if name.strip())
    return TableCase(
        values["id"],
        folder / values["image"],
        folder / values["gtv"],
        folder / follow_up if follow_up else None,
        classes or (PREDICTED_CLASS,),
    )
