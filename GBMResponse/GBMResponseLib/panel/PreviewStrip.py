"""Shows slices as the worker finishes them."""

from typing import Any

import qt

MOST_SHOWN = 4


class PreviewStrip:
    """The newest slices, side by side, the last one at the right.

    :param container: a widget with a horizontal layout.
    """

    def __init__(self, container: Any, height: int = 96) -> None:
        self._container = container
        self._height = height
        self._labels: list[Any] = []
        self.count = 0
        self.clear()

    def add(self, path: str, toolTip: str = "") -> bool:
        """Show a picture; False if it is gone already, which is no error."""
        pixmap = qt.QPixmap(path)
        if pixmap.isNull():
            return False
        label = qt.QLabel()
        ratio = self._container.devicePixelRatioF()
        pixmap = pixmap.scaledToHeight(round(self._height * ratio), qt.Qt.SmoothTransformation)
        pixmap.setDevicePixelRatio(ratio)
        label.setPixmap(pixmap)
        label.toolTip = toolTip
        self._container.layout().addWidget(label)
        self._labels.append(label)
        self.count += 1
        if len(self._labels) > MOST_SHOWN:
            self._remove(self._labels.pop(0))
        self._container.visible = True
        return True

    def clear(self) -> None:
        """Show nothing, and take no room."""
        for label in self._labels:
            self._remove(label)
        self._labels.clear()
        self.count = 0
        self._container.visible = False

    def _remove(self, label: Any) -> None:
        self._container.layout().removeWidget(label)
        label.hide()
        label.deleteLater()
