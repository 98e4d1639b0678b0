"""What a reader judges."""

from dataclasses import dataclass

REAL = "real"


@dataclass(frozen=True)
class ReaderStudyVolume:
    """A volume that slices are taken from.

    :param source: `real`, or the name of the model that made it.
    :param reference: how the volume is found: a node ID or a file.
    :param slices: slices that may be shown, as positions along the volume's third axis.
    """

    patient: str
    source: str
    reference: str
    slices: tuple[int, ...]


@dataclass(frozen=True)
class ReaderStudyItem:
    """One slice to judge; the reader sees its number only."""

    number: int
    patient: str
    source: str
    reference: str
    slice: int
