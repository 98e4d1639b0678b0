"""Draws views one per turn of the event loop, so that Slicer reacts between them."""

from collections.abc import Sequence

import slicer

from ..common.QtTimers import Turns


class Curtain:
    """While it is closed a view keeps its picture; whatever changes meanwhile is drawn once, when it opens.

    Nothing is lost if the layout goes meanwhile: a view that is not seen is drawn when it is seen again.
    """

    def __init__(self) -> None:
        self._turns = Turns()
        self._closed: list[str] = []

    def close(self, names: Sequence[str]) -> None:
        """Close these views, by their names, before their contents change."""
        self._turns.cancel()
        for name in names:
            widget = slicer.app.layoutManager().sliceWidget(name)
            if widget is not None and name not in self._closed:
                widget.setUpdatesEnabled(False)  # a new size is drawn as it is painted
                widget.sliceView().pauseRender()
                self._closed.append(name)

    def open(self) -> None:
        """Open the views, one per turn."""
        self._turns.add(*(lambda: self._openNext(True) for _ in self._closed))

    def finish(self) -> None:
        """Open them all now, and draw them when Qt does."""
        self._turns.cancel()
        while self._closed:
            self._openNext(False)

    def _openNext(self, isDrawn: bool) -> None:
        widget = slicer.app.layoutManager().sliceWidget(self._closed.pop(0))
        if widget is not None:
            view = widget.sliceView()
            if isDrawn:
                view.forceRender()  # first, as then nothing is left to draw
            view.resumeRender()
            widget.setUpdatesEnabled(True)
