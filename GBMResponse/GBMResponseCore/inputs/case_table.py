"""The table of a cohort: one case per line of a CSV file. Columns: docs/batch.md."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import CaseTableError
from ..files import read_table
from ..request import AUTO_CLASS

REQUIRED = ("id", "image", "gtv")
OPTIONAL = ("follow_up", "class", "gtv_roi", "series", "bundle", "days", "unusable", "found")
_ID = re.compile(r"\w[\w.-]*(?<!\.)")
_LONGEST_ID = 200
"""Bytes: most file systems allow 255, and temporary names need some of them."""
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?|(summary|measurements)(-\d+)?\.csv")
"""Names of devices of Windows, and of files that stand beside the folders of the cases."""


@dataclass(frozen=True)
class TableCase:
    """One line of the table.

    :param identifier: also the name of the case's folder.
    :param classes: names of survival classes, or `predicted`.
    :param others, options: settings of this case alone, by attribute of a request and of its options.
    :param unusable: why the case cannot be run; then image and GTV need not be there.
    :param found: what a scan has found; for people.
    """

    identifier: str
    image: Path
    gtv: Path
    follow_up: Path | None
    classes: tuple[str, ...]
    others: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    unusable: str = ""
    found: str = ""


def read_case_table(path: Path) -> list[TableCase]:
    """Read a CSV file as of :func:`read_table`; relative paths start at the folder of the file.

    :raises MissingFileError, EmptyFileError, UnreadableFileError: by the file.
    :raises CaseTableError: a column is missing, unknown or doubled, an id is missing, doubled or cannot name a folder
        on every system, an image or a GTV is not given, days are no number, or there is
        no case. Whether images exist is not asked here.
    """
    names, rows = read_table(path, "case table")
    columns = [name.replace(" ", "_").replace("-", "_") for name in names]
    _check_columns(columns)
    cases = [_case(columns, cells, line, path.parent) for line, cells in rows]
    if not cases:
        raise CaseTableError(f"The table {path.name} has no cases.")
    seen = set()
    for case in cases:
        folded = unicodedata.normalize("NFKC", case.identifier).casefold()  # some systems see no difference
        if folded in seen:
            raise CaseTableError(f"The id {case.identifier!r} is there twice.", "Give each case its own id.")
        seen.add(folded)
    return cases


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


def _case(columns: Sequence[str], cells: Sequence[str], line: int, folder: Path) -> TableCase:
    if len(cells) > len(columns):
        raise CaseTableError(f"Line {line} of the table has more cells than the first line.")
    values = dict(zip(columns, cells, strict=True))
    identifier = values["id"]
    if not _ID.fullmatch(identifier) or len(identifier.encode("utf-8", "surrogatepass")) > _LONGEST_ID:
        message = f"The id {identifier[:_LONGEST_ID]!r} in line {line} of the table cannot name a folder."
        raise CaseTableError(message, "Use letters, digits, '_', '-' and '.', no '.' at either end, 200 bytes at most.")
    if _RESERVED.fullmatch(identifier.casefold()):
        message = f"The id {identifier!r} in line {line} of the table is the name of something else."
        raise CaseTableError(message, "Take another: it is a device of Windows, or a table beside the cases' folders.")
    unusable = values.get("unusable", "")
    for name in ("image", "gtv"):
        if not values[name] and not unusable:
            raise CaseTableError(f"The case {identifier} in line {line} of the table has no {name}.")
    follow_up = values.get("follow_up")
    classes = tuple(name.strip() for name in values.get("class", "").split("+") if name.strip())
    return TableCase(
        identifier,
        folder / values["image"],
        folder / values["gtv"],
        folder / follow_up if follow_up else None,
        classes or (AUTO_CLASS,),
        _others(values, folder),
        _options(values, line),
        unusable,
        values.get("found", ""),
    )


def _options(values: Mapping[str, str], line: int) -> dict[str, Any]:
    """:raises CaseTableError: the days are no number."""
    days = values.get("days")
    try:
        return {"days_since_rt": float(days)} if days else {}
    except ValueError:
        raise CaseTableError(f"The days {days!r} in line {line} of the table are no number.") from None


def _others(values: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Which series and regions of DICOM files, and which model, are meant, where the table says so."""
    regions = tuple(name.strip() for name in values.get("gtv_roi", "").split("|") if name.strip())
    others: dict[str, Any] = {"gtv_labels": regions} if regions else {}
    others |= {"series": values["series"]} if values.get("series") else {}
    bundle = values.get("bundle")
    # A known model's name, unless there is such a folder beside the table.
    return others | ({"bundle": folder / bundle if (folder / bundle).is_dir() else Path(bundle)} if bundle else {})
