"""One-shot timers for classes that know no Qt."""

from collections.abc import Callable

import qt


class QtTimer:
    """A started timer; it lives as long as its owner keeps it."""

    def __init__(self, milliseconds: int, callback: Callable[[], None]) -> None:
        self._timer = qt.QTimer()
        self._timer.setSingleShot(True)
        self._timer.connect("timeout()", callback)
        self._timer.start(milliseconds)

    def stop(self) -> None:
        """Forget the call, if it has not been made."""
        self._timer.stop()


def startTimer(milliseconds: int, callback: Callable[[], None]) -> QtTimer:
    """Call a function once, after this time at the earliest."""
    return QtTimer(milliseconds, callback)
