"""The survival classes of an imported model: integers in the checkpoint, names and day ranges only from the user."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from GBMResponseCore.errors import OptionError
from GBMResponseCore.model.classes import ClassScheme, SurvivalClass
from GBMResponseCore.request import AUTO_CLASS, NO_CLASS, PREDICTED_CLASS

_RESERVED = (AUTO_CLASS, NO_CLASS, PREDICTED_CLASS)


@dataclass(frozen=True)
class ClassStatement:
    """What the user knows about the classes of a checkpoint.

    :param names: in the order of the integers of the training manifest; default `class0`, `class1`, ...
    :param thresholds: ascending days that separate the classes; None if they are not known.
    :param longest_first: integer 0 is the longest survival, not the shortest.
    """

    names: Sequence[str] | None = None
    thresholds: Sequence[float] | None = None
    longest_first: bool = False

    @property
    def sentence(self) -> str:
        """For the bundle's description."""
        if self.thresholds:
            return "Class names and survival thresholds are as stated at import; the checkpoint does not hold them."
        if self.names:
            return "Class names are as stated at import; the survival thresholds are not known."
        return "Which class means short survival, and the survival thresholds, are not known."

    def scheme(self, count: int) -> ClassScheme:
        """Return the scheme of a model with `count` classes, shortest survival first as far as that is known.

        :raises OptionError: names or thresholds do not fit the model.
        """
        names = list(self.names or (f"class{token}" for token in range(count)))
        if len(names) != count or len({*names, *_RESERVED}) != count + len(_RESERVED):
            raise OptionError(
                f"The class names {', '.join(names)} do not fit a model with {count} classes.",
                f"Give {count} different names, none of them {' or '.join(_RESERVED)}.",
            )
        tokens = range(count)
        if self.longest_first:
            names, tokens = names[::-1], tokens[::-1]
        if not self.thresholds:
            classes = [SurvivalClass(name, token, None, None) for name, token in zip(names, tokens, strict=True)]
        else:
            ordered = ClassScheme.from_thresholds("", names, self._checked_thresholds(count), 0).classes
            classes = [replace(entry, token=token) for entry, token in zip(ordered, tokens, strict=True)]
        return ClassScheme(f"{count}-class", tuple(classes))

    def _checked_thresholds(self, count: int) -> list[float]:
        days = list(self.thresholds or ())
        if len(days) != count - 1 or any(b <= a for a, b in pairwise([0.0, *days])):
            raise OptionError(
                f"The thresholds {days} do not fit a model with {count} classes.",
                f"Give {count - 1} positive, ascending numbers of days.",
            )
        return days
