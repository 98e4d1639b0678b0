"""What every importer hands over: where one patient's images are and what is known about the patient."""

import hashlib
import logging
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from GBMResponseCore.errors import DependencyError, GBMResponseError, OutputFolderError

from .errors import TableValueError

if TYPE_CHECKING:  # training runs on stores alone, also where SimpleITK is not installed
    from GBMResponseCore.inputs.reading import Note

log = logging.getLogger(__name__)

T = TypeVar("T")

DAYS_PER_WEEK = 7

_TRUE, _FALSE = ("1", "yes", "true"), ("", "0", "no", "false")
_MISSING = {"", "na", "n/a", "nan", "none", "unknown"}


@dataclass(frozen=True)
class PairSource:
    """One pre/post pair before its images are read.

    :param patient: id within the cohort.
    :param pre: file of the pre-treatment T1-Gd.
    :param post: file of the post-treatment T1-Gd.
    :param gtv: file of the GTV drawn on the pre-treatment image.
    :param gtv_labels: label values that count as GTV; None takes every positive value.
    :param survival_days: from the pre-treatment MRI to death, or to the last contact if `censored`; None: not known.
    :param censored: the patient was alive at `survival_days`.
    :param interval_days: from the pre- to the post-treatment MRI; None: not known.
    :param radiotherapy_days: from the pre-treatment MRI to the start of radiotherapy, negative if it was before.
    :param post_gtv: file of the GTV on the post-treatment image; only its volume is kept. None: there is none.
    :param brain_mask: file of a brain mask on the pre-treatment image's grid or space; None: there is none.
    :param label_names: what label values of `gtv` mean, for the report.
    :param extra: further fields of the patient's record, JSON values.
    :param notes: what should be known about how the files were chosen, for the report.
    """

    patient: str
    pre: Path
    post: Path
    gtv: Path
    gtv_labels: tuple[int, ...] | None = None
    survival_days: float | None = None
    censored: bool = False
    interval_days: float | None = None
    radiotherapy_days: float | None = None
    post_gtv: Path | None = None
    brain_mask: Path | None = None
    label_names: dict[int, str] | None = None
    extra: dict[str, Any] = field(default_factory=dict)
    notes: "tuple[Note, ...]" = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """All files that the pair is made of."""
        return tuple(path for path in (self.pre, self.post, self.gtv, self.post_gtv, self.brain_mask) if path)

    @property
    def days_since_radiotherapy(self) -> float | None:
        """Days from the start of radiotherapy to the post-treatment MRI; None: not known."""
        if self.interval_days is None or self.radiotherapy_days is None:
            return None
        return self.interval_days - self.radiotherapy_days


@dataclass(frozen=True)
class Skipped:
    """A patient that is not imported.

    :param code: short constant for programs.
    :param reason: one sentence.
    :param remedy: what can be done about it; empty if nothing can.
    """

    patient: str
    code: str
    reason: str
    remedy: str = ""

    @classmethod
    def for_error(cls, patient: str, error: Exception) -> "Skipped":
        """Return what a failure says; one that was not expected is named by its type."""
        if isinstance(error, GBMResponseError):
            return cls(patient, error.code, error.message, error.remedy)
        return cls(patient, "error", f"Unexpected failure: {type(error).__name__}: {error}")


def attempt(patient: str, make: Callable[..., T], *arguments: Any) -> T | Skipped:
    """Return what `make` makes of one patient, or why it cannot: one patient never ends an import.

    :raises OutputFolderError, DependencyError: what would end the same way for every patient.
    """
    try:
        return make(*arguments)
    except (OutputFolderError, DependencyError):
        raise
    except GBMResponseError as error:
        return Skipped.for_error(patient, error)
    except Exception as error:
        log.exception("Unexpected failure of one patient")
        return Skipped.for_error(patient, error)


def digest(text: str) -> str:
    """Return a short hash; file names made of it are valid everywhere and do not name a patient."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:20]


def file_state(path: Path) -> tuple[int, int] | None:
    """Return size and time of change of a file, None if there is none."""
    return (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None


def normalized_id(text: str) -> str:
    """Return a patient id without differences of case, surrounding blanks and zero padding: ` P-007` -> `p-7`."""
    return re.sub(r"\d+", lambda digits: str(int(digits.group())), text.strip().casefold())


def natural_order(text: str) -> list[tuple[int, int | str]]:
    """Return a sort key that puts 2 before 10."""
    parts = re.findall(r"\d+|\D+", normalized_id(text))
    return [(0, int(part)) if part.isdigit() else (1, part) for part in parts]


def drop_duplicates(pairs: Iterable[Any]) -> tuple[list[Any], list[Skipped]]:
    """Separate the pairs whose patient id occurs once from the others: which of them is right cannot be known."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for pair in pairs:
        groups[normalized_id(pair.patient)].append(pair)
    unique = [group[0] for group in groups.values() if len(group) == 1]
    remedy = "Keep one entry per patient, or give visits different ids such as P1_t1 and P1_t2."
    skipped = [
        Skipped(pair.patient, "duplicate-patient", f"This patient id occurs {len(group)} times.", remedy)
        for group in groups.values()
        if len(group) > 1
        for pair in group
    ]
    return unique, skipped


def parse_number(text: str | None, name: str, signed: bool = False) -> float | None:
    """Return a table cell as a number, None if it is empty or says that the value is missing.

    :param name: of the value, for the message.
    :param signed: the number may be negative.
    :raises TableValueError: if it is anything else.
    """
    text = (text or "").strip()
    if text.casefold() in _MISSING:
        return None
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (value < 0 and not signed):
        raise TableValueError(f"The {name} is '{text}', not a number{'' if signed else ' from 0 up'}.")
    return value


def parse_truth(text: str | None, name: str) -> bool:
    """Return a table cell as yes or no; an empty cell is no.

    :param name: of the value, for the message.
    :raises TableValueError: if it is anything else.
    """
    text = (text or "").strip().casefold()
    if text not in (*_TRUE, *_FALSE):
        raise TableValueError(f"The value of {name} is '{text}', not 0 or 1.")
    return text in _TRUE


def require_columns(found: Sequence[str], required: Sequence[str], table: str) -> None:
    """:raises TableValueError: if a table lacks a column."""
    missing = [column for column in required if column not in found]
    if missing:
        raise TableValueError(
            f"The table {table} has no column {', '.join(missing)}.", f"Its columns are: {', '.join(found)}."
        )
