"""Who is told how a run goes on, from the sampler to the panel, and may stop it."""

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk

    from .inputs.slices import CaseSlices
    from .model.classes import ClassChoice

_BEFORE_SAMPLING, _AFTER_SAMPLING = 0.05, 0.95
"""Fractions of a run at which sampling begins and ends."""


@dataclass(frozen=True)
class Progress:
    """Where the making of pictures stands: the expected image, then the samples.

    :param survival_class: as requested; number `class_number` (from 0) of `class_count`.
    :param sample: counted from 0; None is the expected image.
    :param before, after: parts of the class's pictures that are done before this one and after it, 0...1.
    :param finished: slices of this picture that are done, of `slices`.
    :param working: slices that are being made now; `step` of `steps` is done for each of them.
    """

    survival_class: str
    class_number: int = 0
    class_count: int = 1
    sample: int | None = None
    sample_count: int = 0
    before: float = 0.0
    after: float = 1.0
    finished: int = 0
    slices: int = 1
    working: int = 0
    step: int = 0
    steps: int = 1

    @property
    def sampled(self) -> float:
        """Part of all sampling that is done, 0...1."""
        done = (self.finished + self.working * self.step / self.steps) / self.slices
        return (self.class_number + self.before * (1.0 - done) + self.after * done) / self.class_count

    @property
    def fraction(self) -> float:
        """Part of the run that is done, 0...1."""
        return _BEFORE_SAMPLING + self.sampled * (_AFTER_SAMPLING - _BEFORE_SAMPLING)


class EnoughError(Exception):
    """Raised by a listener while samples are drawn: those that are there shall do. No failure, and never shown."""


class Listener:
    """Hears how a run goes on. Any method may raise `CancelledError` to stop it, until the stage `write`."""

    def stage(self, name: str, survival_class: str | None) -> None:
        """A stage begins.

        In order: `load`, `prepare`; per class `encode`, `classify`, `expected`, `sample`, `assemble`; `measure`,
        `write`.

        :param survival_class: as requested; None where the stage is about all classes.
        """

    def pulse(self) -> None:
        """Called often during long work that has no event of its own."""

    def warning(self, code: str, sentence: str) -> None:
        """Something the user should know."""

    def prepared(self, slices: "CaseSlices") -> None:
        """The slices to generate are known."""

    def classified(self, choice: "ClassChoice") -> None:
        """The classifier's probabilities, and the class to predict for first."""

    def progress(self, progress: Progress) -> None:
        """A sampling step, or a slice, is done.

        While a sample is drawn it may raise `EnoughError`: the run then ends with the samples that are complete.
        """

    def slice_done(self, survival_class: str, sample: int | None, index: int, pixels: "np.ndarray") -> None:
        """A slice (H, W), normalized, is finished or was found finished; `index` is that in the stack.

        :param sample: counted from 0; None is the expected image, which comes first.
        """

    def expected_done(self, survival_class: str, volume: "sitk.Image") -> None:
        """The expected image is there, on the input's grid; no sample is yet."""

    def written(self) -> None:
        """The result has its place; what asks to stop the run was kept back meanwhile, and comes too late."""


class TimeLeft:
    """Estimates how long a run samples on, from what it has told before."""

    def __init__(self) -> None:
        self._start: tuple[float, float] | None = None

    def seconds(self, progress: Progress) -> float | None:
        """Seconds until the last slice is sampled; None before the first step."""
        now, done = time.perf_counter(), progress.sampled
        self._start = self._start or (now, done)
        began, before = self._start
        return (now - began) * (1.0 - done) / (done - before) if done > before else None


class Clock:
    """Seconds spent per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        """What was done since the last mark belongs to this stage."""
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        self._last = now
