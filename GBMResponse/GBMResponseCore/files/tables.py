"""Tables of text, which spreadsheets write and open."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ..errors import CaseTableError, UnreadableFileError
from .paths import check_file
from .writing import write_text

_NUMBER = re.compile(r"[+-]?\d+\.?\d*([eE][+-]?\d+)?")


def write_csv(
    columns: Sequence[str],
    rows: Iterable[Mapping[str, Any] | Sequence[Any]],
    path: Path | str,
    delimiter: str = ",",
    line_end: str = "\n",
) -> Path:
    """Write a UTF-8 table; None is an empty cell, and no cell is a formula to a spreadsheet, see :func:`plain_cell`.

    :param rows: cells in the order of the columns, or by column: then others are left out, and absent ones empty.
    :raises OutputFolderError: if the file cannot be written.
    """
    lines: list[str] = []
    # Before Python 3.13 a carriage return in a cell is quoted only if lines end in one.
    writer = csv.writer(SimpleNamespace(write=lines.append), delimiter=delimiter, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        cells = [row.get(name) for name in columns] if isinstance(row, Mapping) else row
        writer.writerow([f"'{x}" if isinstance(x, str) and _is_formula(x.lstrip("'")) else x for x in cells])
    return write_text("".join(f"{line[:-2]}{line_end}" for line in lines), path)


def read_table(path: Path | str, name: str = "table") -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Read a table as spreadsheets write it: UTF-8 or UTF-16; commas, semicolons or tabs; perhaps a first line `sep=;`.

    :returns: the names of the columns, in lower case with single blanks, and of each row that is not blank its line
        number and its cells, stripped; as many as there are columns, or more if the row has more.
    :raises MissingFileError, EmptyFileError, UnreadableFileError: by the file.
    :raises CaseTableError: it is no such table.
    """
    path = check_file(path, name)
    try:
        content = path.read_bytes()
        text = content.decode("utf-16" if content.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except OSError as error:
        raise UnreadableFileError(f"The {name} file {path.name} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise CaseTableError(f"The table {path.name} is not UTF-8 text.", "Save it as CSV UTF-8.") from error
    if "\0" in text:
        raise CaseTableError(f"The table {path.name} is no text.", "Save it as CSV UTF-8.")
    named = re.match(r"\s*\"?sep=(.)\"?[^\S\n]*\r?\n", text, re.IGNORECASE)
    skipped = text[: named.end()].count("\n") if named else 0
    text = text[named.end() :] if named else text
    header = next((line for line in text.splitlines() if line.strip()), "")
    delimiter = named[1] if named else max(",;\t", key=header.count)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        lines = [(reader.line_num + skipped, [cell.strip() for cell in cells]) for cells in reader]
    except csv.Error as error:
        raise CaseTableError(f"The table {path.name} is no valid CSV: {error}.") from error
    lines = [(number, cells) for number, cells in lines if any(cells)]
    columns = [re.sub(r"\s+", " ", cell).casefold() for cell in lines[0][1]] if lines else []
    while columns and not columns[-1]:
        columns.pop()
    rows = []
    for number, cells in lines[1:]:
        while len(cells) > len(columns) and not cells[-1]:
            cells.pop()
        rows.append((number, cells + [""] * (len(columns) - len(cells))))
    return columns, rows


def plain_cell(text: str) -> str:
    """Text of a cell that :func:`write_csv` wrote: without the apostrophe before what could be taken for a formula."""
    return text[1:] if text.startswith("'") and _is_formula(text.lstrip("'")) else text


def _is_formula(text: str) -> bool:
    # A table read from one file and written to another has its numbers as text.
    return text.startswith(("=", "+", "-", "@", "\t", "\r")) and not _NUMBER.fullmatch(text)
