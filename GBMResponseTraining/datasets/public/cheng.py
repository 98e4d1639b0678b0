"""Cheng brain tumor dataset: T1-Gd slices of whole heads without a follow-up, for the image autoencoder alone.

Source: figshare 1512427 (doi 10.6084/m9.figshare.1512427, CC BY 4.0 as third parties report), 3064 slices of 233
patients with meningioma, glioma or pituitary tumor, 512 x 512 pixels of 0.49 mm, mixed planes. Read here is a copy of
it as 8-bit JPEG: in one folder, files ``NNNN.jpg`` or ``<class>_NNNN.jpg``, loose or in ``*.tar``, and ``index.csv``.

===================  ========  ========================================================================================
column of index.csv            meaning
===================  ========  ========================================================================================
cheng_index          required  number of the slice's file in the original
x0, y0, x1, y1       required  box around the tumor in pixels
lr_symmetry          required  correlation of the slice with its mirror image: axial and coronal slices have a high one
bottom_foreground    required  share of the lowest rows that is head: in coronal and sagittal slices, that is the neck
class                optional  meningioma, glioma or pituitary; without the column all are gliomas
===================  ========  ========================================================================================

The planes are not stated. Kept are slices of `lr_symmetry` above 0.8 and `bottom_foreground` below 0.06, which are
axial by eye. Neighboring numbers are the same patient, whom nothing else names: :data:`HELD_OUT` are ranges of numbers,
and what is nearer to one than :data:`GUARD` numbers is left out.

The original's MATLAB files are HDF5, which needs a package that nothing else here does: they are not read.
"""

import io
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from GBMResponseCore.files import check_file

from ..errors import DatasetError
from ..pair import Skipped, parse_number
from ..tables import Row, read_csv

HELD_OUT = ((699, 799), (1375, 1460), (2330, 2599))
"""Ranges (first, last) of numbers that no network is trained on."""
GUARD = 20
PIXEL_MM = 0.49
SIDE = 512
SOURCE = "the Cheng brain tumor dataset, doi 10.6084/m9.figshare.1512427, CC BY 4.0"
CITATION = (
    "Cheng J et al. (2015). PLoS ONE 10(10):e0140381. doi:10.1371/journal.pone.0140381. "
    "Cheng J et al. (2016). PLoS ONE 11(6):e0157112. doi:10.1371/journal.pone.0157112."
)

_SYMMETRY, _FOREGROUND = 0.8, 0.06
_BLOCK = 40
_BOX = ("x0", "y0", "x1", "y1")
_REQUIRED = ("cheng_index", *_BOX, "lr_symmetry", "bottom_foreground")


@dataclass(frozen=True)
class ChengSlice:
    """A slice before its image is read.

    :param number: in the original data set.
    :param tumor: `glioma`, `meningioma` or `pituitary`.
    :param box: around the tumor, pixels (left, top, right, bottom).
    """

    number: int
    tumor: str
    box: tuple[float, float, float, float]

    @property
    def names(self) -> tuple[str, str]:
        """What its file may be called."""
        return f"{self.number:04d}.jpg", f"{self.tumor}_{self.number:04d}.jpg"

    @property
    def block(self) -> str:
        """Slices that probably share a patient: by class and forties of numbers."""
        return f"cheng-{self.tumor}-{self.number // _BLOCK * _BLOCK:04d}"


def read_index(folder: Path, held_out: bool = False) -> tuple[list[ChengSlice], list[Skipped]]:
    """Choose slices by `index.csv`, in the order of their numbers.

    :param held_out: those of the held-out ranges instead of those to train on.
    :return: chosen slices; and the others with the reason, but for those of the other part.
    :raises MissingFileError, EmptyFileError, DatasetError, TableValueError: by the table, or none is left.
    """
    chosen, skipped = [], []
    for _, row in read_csv(folder / "index.csv", _REQUIRED):
        item = _slice(row)
        values = [parse_number(row[name], name, signed=True) or 0.0 for name in ("lr_symmetry", "bottom_foreground")]
        if values[0] <= _SYMMETRY or values[1] >= _FOREGROUND:
            skipped.append(Skipped(f"{item.number}", "not-axial", "The slice is probably not axial."))
        elif any(first <= item.number <= last for first, last in HELD_OUT):
            chosen += [item] if held_out else []
        elif any(first - GUARD < item.number < last + GUARD for first, last in HELD_OUT):
            skipped.append(Skipped(f"{item.number}", "near-held-out", "The patient may be among the held-out ones."))
        else:
            chosen += [] if held_out else [item]
    if not chosen:
        raise DatasetError(f"No axial slice {'is held out' if held_out else 'to train on'} in {folder.name}.")
    return sorted(chosen, key=lambda item: (item.tumor, item.number)), skipped


def read_images(folder: Path, slices: list[ChengSlice]) -> Iterator[np.ndarray]:
    """The image of each slice in turn, uint8 (512, 512).

    :raises MissingFileError: a file is neither in the folder nor in a ``*.tar`` there.
    :raises DatasetError: a file is no such image, or an archive cannot be read.
    """
    archives: dict[str, tuple[Path, tarfile.TarInfo]] = {}
    for path in sorted(folder.glob("*.tar")):
        try:
            with tarfile.open(path) as archive:
                archives |= {Path(member.name).name: (path, member) for member in archive if member.isfile()}
        except (tarfile.TarError, OSError):
            raise DatasetError(f"The archive {path.name} cannot be read.", "Download it again.") from None
    for item in slices:
        loose = [folder / name for name in item.names if (folder / name).is_file()]
        packed = [archives[name] for name in item.names if name in archives]
        if loose or not packed:
            content = check_file(loose[0] if loose else folder / item.names[0], "slice's").read_bytes()
        else:
            path, member = packed[0]
            with tarfile.open(path) as archive:
                content = archive.extractfile(member).read()
        yield _decoded(content, item.names[0])


def _slice(row: Row) -> ChengSlice:
    """:raises TableValueError: for a cell that is no number."""
    number = int(parse_number(row["cheng_index"], "cheng_index") or 0)
    left, top, right, bottom = (parse_number(row[name], name) or 0.0 for name in _BOX)
    return ChengSlice(number, row.get("class") or "glioma", (left, top, right, bottom))


def _decoded(content: bytes, name: str) -> np.ndarray:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=("JPEG",)) as image:
            pixels = np.asarray(image.convert("L"))
    except (UnidentifiedImageError, OSError):
        raise DatasetError(f"The slice {name} is no JPEG image.", "Download it again.") from None
    if pixels.shape != (SIDE, SIDE):
        raise DatasetError(f"The slice {name} has {pixels.shape[1]} x {pixels.shape[0]} pixels, not {SIDE} x {SIDE}.")
    return pixels
