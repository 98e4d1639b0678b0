"""Who is told how a prediction or a whole run goes on, and may stop it."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from .prediction import ClassChoice


@dataclass(frozen=True)
class SamplingState:
    """Where the sampling of one prediction stands.

    :param sample: counted from 0.
    :param finished: slices of this sample that are done, of `slices`.
    :param working: slices that are being sampled now; `step` of `steps` is done for each of them.
    """

    sample: int
    samples: int
    finished: int
    slices: int
    working: int = 0
    step: int = 0
    steps: int = 1

    @property
    def fraction(self) -> float:
        """Part of all samples that is done, 0...1."""
        done = self.finished + self.working * self.step / self.steps
        return (self.sample + done / self.slices) / self.samples


class PredictionListener:
    """Hears how a prediction goes on; any method may raise `CancelledError` to stop it."""

    def stage(self, name: str) -> None:
        """A stage begins: `prepare`, `encode`, `classify`, `sample` or `assemble`."""

    def pulse(self) -> None:
        """Called often during long work that has no event of its own."""

    def prepared(self, pre: "np.ndarray", slices: list[int]) -> None:
        """The slices to generate, normalized (n, H, W), and their indices in the stack."""

    def classified(self, choice: "ClassChoice") -> None:
        """The class is known."""

    def sampling(self, state: SamplingState) -> None:
        """A sampling step, or a slice, is done."""

    def slice_done(self, sample: int, index: int, pixels: "np.ndarray") -> None:
        """A slice (H, W), normalized, is finished or was found finished; `index` is that in the stack."""


@dataclass(frozen=True)
class RunProgress:
    """Progress over a whole request.

    :param fraction: 0...1.
    :param eta_s: seconds left until the last slice is sampled; None before the first step.
    """

    fraction: float
    eta_s: float | None
    survival_class: str
    state: SamplingState


class RunListener:
    """Hears how a run goes on; any method may raise `CancelledError` to stop it, until the stage `write`."""

    def stage(self, name: str, survival_class: str | None) -> None:
        """A stage begins: `load`, `prepare`, `encode`, `classify`, `sample`, `assemble`, `measure` or `write`."""

    def pulse(self) -> None:
        """Called often during long work that has no event of its own."""

    def warning(self, code: str, sentence: str) -> None:
        """Something the user should know."""

    def classified(self, choice: "ClassChoice") -> None:
        """The classifier's probabilities and the class to predict for."""

    def progress(self, progress: RunProgress) -> None:
        """A sampling step is done."""

    def preview(self, survival_class: str, sample: int, index: int, path: Path) -> None:
        """The picture of a finished slice is there until the run ends; `index` is that in the stack."""
