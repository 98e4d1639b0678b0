"""Survival classes: quantile schemes, and the classifier's slice logits pooled to one patient-level probability."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import OptionError
from ..setting import decided

if TYPE_CHECKING:
    import numpy as np  # the panel reads classes where no package need be


@dataclass(frozen=True)
class SurvivalClass:
    """One class of a scheme: survival from the pre-treatment MRI in [min_days, max_days).

    A `max_days` of None is open. A `min_days` of None says that the range is not known, as for an imported checkpoint.
    """

    name: str
    token: int
    min_days: float | None
    max_days: float | None

    def contains(self, days: float) -> bool:
        """:raises OptionError: the range is not known."""
        if self.min_days is None:
            raise OptionError(f"The survival range of class {self.name!r} is not known.", "Choose the class by name.")
        return self.min_days <= days and (self.max_days is None or days < self.max_days)


@dataclass(frozen=True)
class ClassScheme:
    """A partition of survival into classes, shortest survival first (for example the paper's 2-class scheme).

    The order means nothing where the ranges are not known.
    """

    name: str
    classes: tuple[SurvivalClass, ...]

    @classmethod
    def from_dict(cls, name: str, entries: Sequence[dict[str, Any]]) -> "ClassScheme":
        return cls(name, tuple(SurvivalClass(**entry) for entry in entries))

    @classmethod
    def from_thresholds(
        cls, name: str, names: Sequence[str], thresholds: Sequence[float], first_token: int
    ) -> "ClassScheme":
        """Build a scheme from ascending thresholds in days: class i lies between thresholds i-1 and i."""
        lower = [0.0, *thresholds]
        upper = [*thresholds, None]
        classes = zip(names, lower, upper, strict=True)
        return cls(name, tuple(SurvivalClass(n, first_token + i, a, b) for i, (n, a, b) in enumerate(classes)))

    def to_list(self) -> list[dict[str, Any]]:
        return [dict(vars(entry)) for entry in self.classes]

    def of_survival(self, days: float) -> SurvivalClass:
        """Return the class of a patient who survives `days`.

        :raises OptionError: the thresholds are not known, or leave these days out.
        """
        for entry in self.classes:
            if entry.contains(days):
                return entry
        raise OptionError(f"No class of {self.name!r} holds {days:g} days.", "Choose the class by name.")

    def check_ranges(self) -> None:
        """Check that known ranges follow each other from 0 without a gap; unknown ones are all unknown.

        :raises ValueError: they do not.
        """
        starts = [entry.min_days for entry in self.classes]
        if all(start is None for start in starts):
            return
        if starts != [0, *(entry.max_days for entry in self.classes[:-1])] or self.classes[-1].max_days is not None:
            raise ValueError(f"the classes of {self.name} do not cover every survival once")

    def by_name(self, name: str) -> SurvivalClass:
        """Return the class called `name`.

        :raises OptionError: there is no such class.
        """
        for entry in self.classes:
            if entry.name == name:
                return entry
        allowed = ", ".join(entry.name for entry in self.classes)
        raise OptionError(f"Unknown survival class {name!r} in scheme {self.name}.", f"Choose one of: {allowed}.")

    def mixed(self, weight: float) -> "ClassChoice":
        """The choice of a mix of the first (0) and the last class (1)."""
        first, last = self.classes[0], self.classes[-1]
        if weight in (0.0, 1.0):
            chosen = last if weight else first
            return ClassChoice(self.name, chosen.name, chosen.token, "chosen")
        name = f"{1 - weight:.0%} {first.name}, {weight:.0%} {last.name}"
        return ClassChoice(self.name, name, first.token, "chosen", second=(last.token, weight))


@dataclass(frozen=True)
class ClassChoice:
    """The survival class a prediction was made for.

    :param scheme: `none` for no class.
    :param class_token: what the denoiser is told.
    :param class_source: `predicted`, `chosen` or `none`.
    :param second: token of the scheme's last class, and its share, of a mix that was chosen.
    :param probabilities: classifier's patient-level probability per class of the scheme; empty if it was not asked.
    :param note: a sentence on what the classifier is worth here; empty if there is nothing to say.
    """

    scheme: str
    name: str
    class_token: int
    class_source: str
    probabilities: dict[str, float] = field(default_factory=dict)
    note: str = ""
    second: tuple[int, float] | None = None

    @property
    def title(self) -> str:
        """For people: `none`, or name and source, as in `short (chosen)`."""
        return self.name if self.class_source == self.name else f"{self.name} ({self.class_source})"

    @property
    def sentence(self) -> str:
        """The title, and what the classifier said."""
        chances = ", ".join(f"{name} {chance:.0%}" for name, chance in self.probabilities.items())
        return f"Survival class: {self.title}{f', by the classifier {chances}' if chances else ''}."


def patient_probabilities(slice_logits: "np.ndarray", temperature: float = 1.0) -> "np.ndarray":
    """Pool logits (slices, classes) to patient probabilities (classes,): softmax of the mean logit.

    Slices of one patient are not independent, so their log-likelihoods are averaged, not added.
    """
    import numpy as np

    logits = np.asarray(slice_logits, dtype=np.float64).mean(axis=0) / temperature
    weights = np.exp(logits - logits.max())
    return weights / weights.sum()


def coarsen(probabilities: "np.ndarray", fine: ClassScheme, coarse: ClassScheme) -> "np.ndarray":
    """Sum probabilities of `fine` classes into the `coarse` classes whose day range holds them."""
    import numpy as np

    pooled = np.zeros(len(coarse.classes))
    for probability, entry in zip(probabilities, fine.classes, strict=True):
        pooled[coarse.classes.index(coarse.of_survival(decided(entry.min_days)))] += probability
    return pooled
