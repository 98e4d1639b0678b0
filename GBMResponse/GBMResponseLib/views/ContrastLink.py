"""One contrast for all images of a comparison: a drag in one view must not look like response in another."""

from typing import Any

import slicer
import vtk

from ..common import NodeRoles
from ..results.ResultDisplay import brightness
from ..results.ResultNodes import ResultNodes


class ContrastLink:
    """Mirrors window and level among input, predicted images and follow-up, and keeps the scales of overlays.

    A follow-up has intensities of another unit: its window is that of the input times the ratio of their brightness.
    """

    def __init__(self) -> None:
        self._factors: dict[Any, float] = {}
        self._scales: dict[Any, tuple[float, float]] = {}
        self._own: dict[Any, tuple[float, float, int]] = {}
        self._first = self._current = (0.0, 0.0)
        self._tags: list[tuple[Any, int]] = []
        self._setting = False

    def link(self, *runs: ResultNodes) -> None:
        """Begin with the contrast of the input, for the images of these runs."""
        self.release()
        source = runs[0].inputVolume
        reference = source if source is not None else runs[0].node(NodeRoles.PREDICTED)
        display = _display(reference)
        if display is None:
            return
        for nodes in runs:
            self._take(nodes, reference)
        self._factors[display] = 1.0
        self._first = self._current = (display.GetWindow(), display.GetLevel())
        self._apply()
        self._tags = [(node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onImage)) for node in self._factors]
        self._tags += [(node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onOverlay)) for node in self._scales]

    def reset(self) -> None:
        """Give all images the contrast with which the comparison began."""
        self._current = self._first
        self._apply()

    def release(self) -> None:
        """Follow nothing any more; a follow-up gets its own contrast back."""
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        for display, (window, level, automatic) in self._own.items():
            _setWindow(display, window, level)
            display.SetAutoWindowLevel(automatic)
        self._tags, self._factors, self._scales, self._own = [], {}, {}, {}

    def forget(self) -> None:
        """Let go of all nodes as they are: the scene is closing."""
        self._own = {}
        self.release()

    def _take(self, nodes: ResultNodes, reference: Any) -> None:
        overlays = nodes.overlays()
        for node in nodes.allNodes():
            display = _display(node)
            if display is None or node is nodes.registeredFollowUp:
                continue
            if any(node is overlay for overlay in overlays):
                self._scales[display] = overlayScale(node) or (display.GetWindow(), display.GetLevel())
            else:
                self._factors[display] = 1.0
        for followUp in (nodes.followUp, nodes.registeredFollowUp):
            display = _display(followUp)
            if display is not None:
                self._own[display] = display.GetWindow(), display.GetLevel(), display.GetAutoWindowLevel()
                self._factors[display] = brightness(followUp) / brightness(reference)

    def _onImage(self, display: Any, _event: str) -> None:
        if self._setting:
            return
        factor = self._factors[display]
        current = display.GetWindow() / factor, display.GetLevel() / factor
        if max(abs(new - old) for new, old in zip(current, self._current, strict=True)) > 1e-6 * self._current[0]:
            self._current = current
            self._apply()

    def _onOverlay(self, display: Any, _event: str) -> None:
        if not self._setting:
            self._apply()

    def _apply(self) -> None:
        self._setting = True
        try:
            for display, factor in self._factors.items():
                _setWindow(display, self._current[0] * factor, self._current[1] * factor)
            for display, (window, level) in self._scales.items():
                _setWindow(display, window, level)
        finally:
            self._setting = False


def overlayScale(node: Any) -> tuple[float, float] | None:
    """Return window and level that an overlay was made with; None for those of earlier versions."""
    words = (node.GetAttribute(NodeRoles.SCALE) or "").split()
    return (float(words[0]), float(words[1])) if len(words) == 2 else None


def _display(volume: Any) -> Any:
    """The scalar display of a volume; None if it has none or is no such volume."""
    display = volume.GetDisplayNode() if volume is not None and volume.IsA("vtkMRMLScalarVolumeNode") else None
    return display if isinstance(display, slicer.vtkMRMLScalarVolumeDisplayNode) else None


def _setWindow(display: Any, window: float, level: float) -> None:
    if (display.GetWindow(), display.GetLevel()) == (window, level):
        return
    wasModifying = display.StartModify()
    display.SetAutoWindowLevel(False)
    display.SetWindowLevel(window, level)
    display.EndModify(wasModifying)
