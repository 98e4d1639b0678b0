"""Cases of a reader study from a table, for images that are not in the scene."""

from pathlib import Path

from GBMResponseCore.files import read_table

from ..common.Failure import Failure, engineErrors
from ..common.Translation import tr as _
from .ReaderStudyPlan import ReaderStudyVolume

COLUMNS = ("patient", "source", "image", "slices")


def readStudyTable(path: Path) -> list[ReaderStudyVolume]:
    """Read a CSV with the columns patient, source (`real` or a model's name), image and slices.

    `slices` lists positions along the third axis of the file, such as `8 9 12-14`. Relative image paths start at the
    table's folder.

    :raises Failure: the table cannot be read, or a row is not valid.
    """
    path = Path(path)
    with engineErrors():
        columns, rows = read_table(path)
    return [_volume(dict(zip(columns, cells, strict=False)), number, path) for number, cells in rows]


def _volume(row: dict[str, str], number: int, path: Path) -> ReaderStudyVolume:
    try:
        patient, source, image = (row[column] for column in COLUMNS[:3])
        slices = _positions(row["slices"])
        file = path.parent / image
        if not (patient and source and image and slices and file.is_file()):
            raise ValueError("empty field or missing image")
    except (KeyError, ValueError) as error:
        message = _("Row {number} of {name} is not valid.").format(number=number, name=path.name)
        remedy = _("It needs: {columns}; the image file must exist.").format(columns=", ".join(COLUMNS))
        raise Failure("table", message, remedy, str(error)) from error
    return ReaderStudyVolume(patient, source, str(file), slices)


def _positions(text: str) -> tuple[int, ...]:
    positions: list[int] = []
    for part in text.replace(",", " ").replace(";", " ").split():
        first, _dash, last = part.partition("-")
        positions += range(int(first), int(last or first) + 1)
    return tuple(dict.fromkeys(positions))
