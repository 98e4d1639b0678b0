"""Volumes without a follow-up that a CSV file describes: columns `patient` and `image`, several rows per patient."""

from collections import defaultdict
from pathlib import Path

from GBMResponseCore.files import check_file

from ..errors import TableValueError
from ..tables import read_csv


def read_heads(table: Path) -> dict[str, list[Path]]:
    """Patient -> files, relative paths starting at the CSV's folder.

    :raises MissingFileError, EmptyFileError: by the table or an image.
    :raises DatasetError, TableValueError: if the table is no UTF-8 text, lacks a column, a cell or has no rows.
    """
    images = defaultdict(list)
    for number, row in read_csv(table, ("patient", "image")):
        if not (row["patient"] and row["image"]):
            raise TableValueError(f"Row {number} of {table.name} lacks the patient or the image.")
        images[row["patient"]].append(check_file(table.parent / row["image"]))
    return dict(images)
