"""What one run is asked to do, in plain values: the same for the command, the cohort and the worker's messages."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from reprlib import repr as short
from typing import Any

from .errors import RequestError

PREDICTED_CLASS = "predicted"
"""Asks for the class that the classifier finds most probable."""

FORMATS = (".nii.gz", ".nrrd", ".mha")
SAMPLING_FIELDS = {
    "sampler": str,
    "steps": int,
    "guidance_scale": (int, float),
    "guidance_form": str,
    "eta": (int, float),
}


@dataclass(frozen=True)
class PredictionRequest:
    """A prediction from files to a folder.

    :param follow_up: true follow-up MRI to show and to score against, or None.
    :param bundle: None takes the bundle that ships.
    :param classes: `predicted` for the classifier's choice, or names of the scheme; several share their noise.
    :param days_since_rt: days from the start of radiotherapy to the follow-up that is predicted; only for models that
        know them.
    :param sampling: replaces fields of the bundle's default sampling.
    :param format: suffix of the volumes, one of `FORMATS`.
    :param measure: write measurements.
    :param montage: write `montage.png`.
    :param report: write `report.html`.
    """

    image: Path
    gtv: Path
    out: Path
    follow_up: Path | None = None
    bundle: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    scheme: str | None = None
    classes: tuple[str, ...] = (PREDICTED_CLASS,)
    samples: int = 1
    seed: int = 1
    sampling: Mapping[str, Any] = field(default_factory=dict)
    batch_size: int | None = None
    days_since_rt: float | None = None
    format: str = ".nii.gz"
    measure: bool = True
    montage: bool = True
    report: bool = True

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise RequestError("The classes must be one or more different names.", "Name each class once.")
        for name in self.classes:  # also a folder's name
            if not name or name.startswith(".") or set(name) & set("/\\:"):
                raise RequestError(f"{short(name)} is no name of a class.")
        if self.format not in FORMATS:
            raise RequestError(f"Unknown format {self.format!r}.", f"Choose one of: {', '.join(FORMATS)}.")
        unknown = set(self.sampling) - set(SAMPLING_FIELDS)
        if unknown:
            raise RequestError(f"Unknown sampling field {short(min(unknown))}.")
        for name, value in self.sampling.items():
            check_type(f"sampling.{name}", value, SAMPLING_FIELDS[name])

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "PredictionRequest":
        """Build a request from decoded JSON: paths are text, `null` or an absent field is the default.

        :raises RequestError: a field is missing, unknown or of a wrong type.
        """
        unknown = set(message) - {entry.name for entry in fields(cls)}
        if unknown:
            raise RequestError(f"Unknown field {short(min(unknown))}.")
        values = {name: value for name, value in message.items() if value is not None}
        for name in ("image", "gtv", "out"):
            if name not in values:
                raise RequestError(f"The field {name!r} is missing.")
        for name, value in values.items():
            check_type(name, value, _JSON_TYPES[name])
        for name in _PATHS & set(values):
            values[name] = Path(values[name])
        if "classes" in values:
            for name in values["classes"]:
                check_type("classes", name, str)
            values["classes"] = tuple(values["classes"])
        return cls(**values)


_PATHS = {"image", "gtv", "out", "follow_up", "bundle"}
_JSON_TYPES = {
    **dict.fromkeys((*_PATHS, "device", "precision", "scheme", "format"), str),
    **dict.fromkeys(("samples", "seed", "batch_size"), int),
    "days_since_rt": (int, float),
    **dict.fromkeys(("measure", "montage", "report"), bool),
    "classes": list,
    "sampling": dict,
}


def check_type(name: str, value: Any, expected: type | tuple[type, ...]) -> None:
    """Check a value that came as JSON.

    :raises RequestError: the type is wrong (JSON's true is no number), or nothing here can hold the value.
    """
    if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
        names = " or ".join(t.__name__ for t in (expected if isinstance(expected, tuple) else (expected,)))
        raise RequestError(f"The field {name!r} has the value {short(value)}, which is not of type {names}.")
    if isinstance(value, float) and not math.isfinite(value):
        raise RequestError(f"The field {name!r} is not a finite number.")
    if isinstance(value, int) and abs(value) >= 1 << 63:
        raise RequestError(f"The field {name!r} is a number of more than 64 bits.")
    if isinstance(value, str) and ("\0" in value or any("\ud800" <= letter <= "\udfff" for letter in value)):
        raise RequestError(f"The field {name!r} holds a character that no text can have.")
