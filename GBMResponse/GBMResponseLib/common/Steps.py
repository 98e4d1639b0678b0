"""A call that is made later, and work in short steps of the event loop, for classes that know no Qt."""

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .QtTimers import QtTimer


class Later:
    """At most one call is pending.

    :param startTimer: calls a function once after some milliseconds; returns the timer.
    """

    def __init__(self, startTimer: "Callable[[int, Callable[[], None]], QtTimer]") -> None:
        self._startTimer = startTimer
        self._timer: QtTimer | None = None

    @property
    def isPending(self) -> bool:
        """Whether the call is still to be made."""
        return self._timer is not None

    def call(self, callback: Callable[[], None], milliseconds: int = 0) -> None:
        """Make this call once, in the place of one that is pending."""

        def onTimeout() -> None:
            self._timer = None
            callback()

        self.stop()
        self._timer = self._startTimer(milliseconds, onTimeout)

    def stop(self) -> None:
        """Forget the call that is pending."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()


class Steps:
    """Work that is done in one step per turn of the event loop, so that Slicer draws and reacts between them.

    :param later: makes its calls.
    :param guard: makes a call, and sees to what goes wrong in it.
    """

    def __init__(self, later: Later, guard: Callable[[Callable[[], None]], None]) -> None:
        self._later = later
        self._guard = guard
        self._steps: Generator[Any] | None = None

    def run(self, steps: Generator[Any], onEnd: Callable[[Any], None]) -> None:
        """Take all steps from the next turn on; then hand on what the last one gave."""

        def step(last: Any = None) -> None:
            try:
                result = next(steps)
            except StopIteration:
                onEnd(last)
            else:
                self._later.call(lambda: self._guard(lambda: step(result)))

        self._steps = steps
        self._later.call(lambda: self._guard(step))

    def stop(self) -> None:
        """Take no more; what the steps have begun and not finished is taken back."""
        self._later.stop()
        steps, self._steps = self._steps, None
        if steps is not None:
            steps.close()
