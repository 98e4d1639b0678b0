"""How a setting is declared once, and what command, messages, panel and provenance derive from that.

Only the standard library is needed.
"""

import dataclasses
import math
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import Path
from reprlib import repr as short
from typing import Any, TypeVar, get_args, get_origin

from .errors import OptionError, RequestError

T = TypeVar("T")


def decided(value: T | None) -> T:
    """A value that is None only before somebody has decided or checked it, as every setting of a prediction.

    :raises ValueError: nobody has.
    """
    if value is None:
        raise ValueError("a value is used before it is known")
    return value


def setting(help: str, default: Any = MISSING, **details: Any) -> Any:
    """Declare a field of a dataclass of settings.

    :param help: for people: `--help`, tool tips.
    :param default: None is the bundle's own value, or that of this machine.
    :param details: what differs from the rule, see `Setting`.
    """
    return dataclasses.field(default=default, metadata={"help": help, **details})


@dataclass(frozen=True)
class Setting:
    """How a declared field looks from outside.

    :param attribute: the field's name in its dataclass.
    :param name: in messages and in the provenance.
    :param option: of the command. That of a field that is true or false switches it from its default.
    :param kind: `str`, `int`, `float`, `bool` or `Path`.
    :param several: it is a list of them.
    :param group: `files`, `case`, `output`, `dicom`, `model`, `sampling` or `machine`.
    :param otherwise: value of a sampling setting that neither the user nor the bundle gives.
    """

    attribute: str
    name: str
    option: str
    kind: type
    several: bool
    default: Any
    help: str
    group: str = "sampling"
    otherwise: Any = None
    choices: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None

    def check(self, value: Any) -> None:
        """:raises OptionError: the value is none of the choices, or out of range."""
        words = self.name.replace("_", " ")
        if self.choices and value not in self.choices:
            raise OptionError(f"Unknown {words} {short(value)}.", f"Choose one of: {', '.join(self.choices)}.")
        low = -math.inf if self.lowest is None else self.lowest
        high = math.inf if self.highest is None else self.highest
        if (self.lowest, self.highest) != (None, None) and not low <= value <= high:
            limit = f"{low:g} or more" if self.highest is None else f"{low:g} to {high:g}"
            raise OptionError(f"The {words} cannot be {value}.", f"Use {limit}.")

    def check_type(self, value: Any) -> None:
        """Check a value of a decoded message; JSON's true is no number.

        :raises RequestError: it is of another type, or nothing here can hold it.
        """
        entries = [value]
        if self.several:
            if not isinstance(value, list):
                raise RequestError(f"The field {self.name!r} has the value {short(value)}, which is no list.")
            entries = value
        accepted = {float: (int, float), Path: (str,)}.get(self.kind, (self.kind,))
        for entry in entries:
            if not isinstance(entry, accepted) or (isinstance(entry, bool) and self.kind is not bool):
                names = " or ".join(kind.__name__ for kind in accepted)
                raise RequestError(
                    f"The field {self.name!r} has the value {short(entry)}, which is not of type {names}."
                )
            if isinstance(entry, float) and not math.isfinite(entry):
                raise RequestError(f"The field {self.name!r} is not a finite number.")
            if isinstance(entry, int) and abs(entry) >= 1 << 63:
                raise RequestError(f"The field {self.name!r} is a number of more than 64 bits.")
            if isinstance(entry, str) and ("\0" in entry or any("\ud800" <= letter <= "\udfff" for letter in entry)):
                raise RequestError(f"The field {self.name!r} holds a character that no text can have.")


def settings(cls: type) -> tuple[Setting, ...]:
    """The fields that a dataclass declares by `setting`, also inherited ones, in order."""
    return _settings(cls)


@cache
def _settings(cls: type) -> tuple[Setting, ...]:
    found = []
    for entry in fields(cls):
        if "help" not in entry.metadata:
            continue
        details = dict(entry.metadata)
        name = details.pop("name", entry.name)
        kind = next(part for part in get_args(entry.type) or (entry.type,) if part is not type(None))
        several = get_origin(entry.type) is tuple
        option = details.pop("option", "--" + name.replace("_", "-"))
        found.append(Setting(entry.name, name, option, kind, several, entry.default, **details))
    return tuple(found)
