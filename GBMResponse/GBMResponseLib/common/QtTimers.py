"""One-shot timers for classes that know no Qt."""

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
