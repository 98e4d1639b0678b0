"""Which slices are shown in which order: random, blinded, and the same again for the same seed."""

import hashlib
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ..common.Failure import Failure
from ..common.Translation import tr as _

REAL = "real"
_TRIES = 200


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


class ReaderStudyPlan:
    """The order of a reader study.

    As in the paper, one slice per patient and source, or all slices. Of a patient every source shows the same slice, so
    that the sources differ in nothing but how the image was made. Two slices of one patient do not follow each other
    where that can be avoided.

    :raises Failure: there is nothing to show.
    """

    def __init__(self, volumes: Sequence[ReaderStudyVolume], seed: int, onePerPatient: bool = True) -> None:
        self.seed = seed
        self.onePerPatient = onePerPatient
        entries = _entries(volumes, seed, onePerPatient)
        if not entries:
            message = _("There are no slices to judge.")
            raise Failure("no-slices", message, _("Predict a case first, or choose a table of cases."))
        ordered = _shuffled(entries, seed)
        self.items = [
            ReaderStudyItem(number, volume.patient, volume.source, volume.reference, position)
            for number, (volume, position) in enumerate(ordered, start=1)
        ]

    @property
    def signature(self) -> str:
        """Eight letters that change with the items or their order; volumes are told apart by patient and source."""
        text = "\n".join(f"{item.number}/{item.patient}/{item.source}/{item.slice}" for item in self.items)
        return hashlib.sha256(text.encode()).hexdigest()[:8]


def _entries(
    volumes: Sequence[ReaderStudyVolume], seed: int, onePerPatient: bool
) -> list[tuple[ReaderStudyVolume, int]]:
    ordered = sorted(volumes, key=lambda volume: (volume.patient, volume.source, volume.reference))
    if not onePerPatient:
        return [(volume, position) for volume in ordered for position in volume.slices]
    entries = []
    for patient in sorted({volume.patient for volume in ordered}):
        own = [volume for volume in ordered if volume.patient == patient and volume.slices]
        common = set.intersection(*(set(volume.slices) for volume in own)) if own else set()
        generator = random.Random(f"{seed}/{patient}")
        shared = generator.choice(sorted(common)) if common else None
        for volume in own:
            entries.append((volume, generator.choice(volume.slices) if shared is None else shared))
    return entries


def _shuffled(entries: list[tuple[ReaderStudyVolume, int]], seed: int) -> list[tuple[ReaderStudyVolume, int]]:
    """The try with the fewest neighbors of one patient."""
    generator = random.Random(seed)
    best, fewest = entries, len(entries) + 1
    for _attempt in range(_TRIES):
        order = generator.sample(entries, len(entries))
        neighbors = sum(first[0].patient == second[0].patient for first, second in itertools.pairwise(order))
        if neighbors < fewest:
            best, fewest = order, neighbors
        if not fewest:
            break
    return best
