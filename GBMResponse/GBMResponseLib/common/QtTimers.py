"""One-shot timers for classes that know no Qt, and calls that are made one per turn of the event loop."""

from collections.abc import Callable

import qt
import slicer


class QtTimer:
    """A started timer. It makes its call even if nobody keeps it; only `stop` prevents that."""

    def __init__(self, milliseconds: int, callback: Callable[[], None]) -> None:
        self._callback = callback
        # With a parent: PythonQt deletes an object without one together with its last Python reference, and the last
        # reference to a timer is often dropped by its own callback, in the middle of the signal.
        self._timer = qt.QTimer(slicer.app)
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", self._onTimeout)
        self._timer.start(milliseconds)

    def stop(self) -> None:
        """Forget the call, if it has not been made."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.deleteLater()

    def _onTimeout(self) -> None:
        self.stop()
        self._callback()


def startTimer(milliseconds: int, callback: Callable[[], None]) -> QtTimer:
    """Call a function once, after this time at the earliest."""
    return QtTimer(milliseconds, callback)


class Turns:
    """Makes calls one per turn of the event loop, so that Slicer draws and reacts between them."""

    def __init__(self) -> None:
        self._calls: list[Callable[[], None]] = []
        self._timer: QtTimer | None = None

    @property
    def arePending(self) -> bool:
        """Whether a call is still to be made."""
        return bool(self._calls)

    def add(self, *calls: Callable[[], None]) -> None:
        """Make these calls, after those that are pending."""
        self._calls += calls
        if self._calls and self._timer is None:
            self._timer = startTimer(0, self._turn)

    def finish(self) -> None:
        """Make all that are pending now."""
        while self._calls:
            self._calls.pop(0)()

    def cancel(self) -> None:
        """Make none of them any more."""
        self._calls.clear()

    def _turn(self) -> None:
        self._timer = None
        if self._calls:
            call = self._calls.pop(0)
            try:
                call()
            finally:
                self.add()  # only now: what else waits comes first
