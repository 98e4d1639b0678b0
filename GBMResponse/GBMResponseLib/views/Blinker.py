"""Switches between before and after, so that the eye catches what changed."""

from collections.abc import Callable

import qt

INTERVAL_MS = 700


class Blinker:
    """Calls a function with 0 and 1 in turn while it is on.

    :param setFade: receives how much of the prediction is to be seen.
    """

    def __init__(self, setFade: Callable[[float], None]) -> None:
        self._setFade = setFade
        self._after = False
        self._timer = qt.QTimer()
        self._timer.setInterval(INTERVAL_MS)
        self._timer.connect("timeout()", self._blink)

    def start(self) -> None:
        """Begin with the image before treatment."""
        self._after = True
        self._blink()
        self._timer.start()

    def stop(self, fade: float = 1.0) -> None:
        """End, and leave this fade."""
        if self._timer.isActive():
            self._timer.stop()
            self._setFade(fade)

    def _blink(self) -> None:
        self._after = not self._after
        self._setFade(1.0 if self._after else 0.0)
