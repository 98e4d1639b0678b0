"""Tables as rows of text cells, with forgiving headers: CSV files and sheets of Excel workbooks."""

import datetime
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from GBMResponseCore.errors import CaseTableError, MissingPackageError
from GBMResponseCore.files import check_file, read_table

from .errors import DatasetError
from .pair import require_columns

Row = dict[str, str]


def normalized_header(text: str) -> str:
    """Return a column name in lower case, with single blanks and none around it."""
    return re.sub(r"\s+", " ", text).strip().casefold()


def read_csv(table: Path, required: Sequence[str]) -> list[tuple[int, Row]]:
    """Read a CSV file as of :func:`GBMResponseCore.files.read_table`.

    :param required: columns, as :func:`normalized_header` spells them.
    :return: line number and stripped cells by normalized column name, of every row that is not blank.
    :raises MissingFileError, EmptyFileError: by the file.
    :raises DatasetError: if it is no UTF-8 text or has no rows.
    :raises TableValueError: if it lacks a column.
    """
    try:
        columns, rows = read_table(table)
    except CaseTableError as error:
        raise DatasetError(error.message, error.remedy) from None
    return _rows([(1, columns), *rows], required, table.name)


def read_sheet(workbook: Path, sheet: str, required: Sequence[str]) -> list[tuple[int, Row]]:
    """Read a sheet of an .xlsx workbook; numbers become text as Python writes them, dates ISO dates.

    :param sheet: its name, in any case.
    :return: as of :func:`read_csv`.
    :raises MissingFileError, EmptyFileError: by the file.
    :raises MissingPackageError: without openpyxl.
    :raises DatasetError: if it is no workbook, or has no such sheet or no rows.
    :raises TableValueError: if the sheet lacks a column.
    """
    try:
        import openpyxl
        from openpyxl.utils.exceptions import InvalidFileException
    except ImportError:
        raise MissingPackageError("openpyxl", "read Excel workbooks") from None
    from zipfile import BadZipFile

    check_file(workbook, "workbook")
    try:
        book = openpyxl.load_workbook(workbook, read_only=True, data_only=True)
    except (InvalidFileException, BadZipFile, KeyError, OSError):
        raise DatasetError(f"The workbook {workbook.name} cannot be read.", "Download it again.") from None
    try:
        names = {normalized_header(name): name for name in book.sheetnames}
        if normalized_header(sheet) not in names:
            raise DatasetError(
                f"The workbook {workbook.name} has no sheet '{sheet}'.",
                f"Its sheets are: {', '.join(book.sheetnames)}.",
            )
        cells = book[names[normalized_header(sheet)]].iter_rows(values_only=True)
        lines = [(number, [_text(cell) for cell in row]) for number, row in enumerate(cells, start=1)]
    finally:
        book.close()
    return _rows(iter(lines), required, f"{workbook.name}, sheet {sheet}")


def find_one(source: Path, *patterns: str) -> Path:
    """Return the only file below a folder that matches one of the patterns; they are tried in order.

    :raises DatasetError: if there is none, or more than one.
    """
    for pattern in patterns:
        found = sorted(
            path for path in source.rglob(pattern) if path.is_file() and not path.name.startswith(("~", "."))
        )
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(str(path.relative_to(source)) for path in found)
            raise DatasetError(f"There are {len(found)} files {pattern}: {names}.", "Keep one version.")
    raise DatasetError(f"There is no file {patterns[0]} below {source}.", "Download it next to the images.")


def column_with(row: Iterable[str], *words: str) -> str | None:
    """Return the first column whose name holds all the words, None if there is none."""
    return next((name for name in row if all(word in name for word in words)), None)


def _rows(lines: Iterable[tuple[int, list[str]]], required: Sequence[str], name: str) -> list[tuple[int, Row]]:
    lines = iter(lines)
    columns = [normalized_header(cell) for cell in next(lines, (1, []))[1]]
    require_columns(columns, required, name)
    rows = []
    for number, cells in lines:
        if any(cell.strip() for cell in cells):
            padded = [*cells, *[""] * (len(columns) - len(cells))]
            rows.append((number, {column: cell.strip() for column, cell in zip(columns, padded, strict=False)}))
    if not rows:
        raise DatasetError(f"The table {name} has no rows.")
    return rows


def _text(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime.datetime):
        return cell.date().isoformat()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    return str(cell)
