"""How the tumor is drawn while runs are compared: an outline that is seen on every gray, and no filling."""

from collections.abc import Sequence
from typing import Any

import slicer
import vtk

from ..common import NodeRoles

LINE, RIM = (1.0, 1.0, 0.0), (0.0, 0.0, 0.0)
_LINE_PIXELS, _RIM_PIXELS = 2, 5


class TumorOutline:
    """Draws the tumor in views of ours with two further displays of its segmentation, which are never saved.

    The filling of the user's own display is hidden meanwhile, as it would cover what was predicted.
    """

    def __init__(self) -> None:
        self._displays: list[Any] = []
        self._followed: tuple[Any, int] | None = None

    def show(self, segmentation: Any, segmentID: str, viewIDs: Sequence[str]) -> None:
        """Draw the outline of a segment, yellow with a dark rim, in these views."""
        self.restore()
        display = segmentation.GetDisplayNode() if segmentation is not None else None
        if display is None:
            return
        if display.GetVisibility2DFill():
            display.SetAttribute(NodeRoles.UNFILLED, "1")
            display.SetVisibility2DFill(False)
        if segmentation.GetSegmentation().GetSegment(segmentID) is not None:
            for color, pixels in ((RIM, _RIM_PIXELS), (LINE, _LINE_PIXELS)):  # what comes later is drawn above
                self._displays.append(_add(segmentation, segmentID, viewIDs, color, pixels))
            self._followed = display, display.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onUsers)
            self._onUsers(display, "")

    def _onUsers(self, display: Any, _event: str) -> None:
        """Where the user hides the tumor, it is hidden."""
        for own in self._displays:
            own.SetVisibility(display.GetVisibility())

    def restore(self) -> None:
        """Fill tumors again that are drawn as outlines, also in a scene that was saved while runs were compared."""
        scene = slicer.mrmlScene
        if self._followed is not None:
            self._followed[0].RemoveObserver(self._followed[1])
            self._followed = None
        for display in self._displays:
            if display.GetID() and scene.GetNodeByID(display.GetID()) is display:
                scene.RemoveNode(display)
        self._displays.clear()
        for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode")):
            display = scene.GetNthNodeByClass(number, "vtkMRMLSegmentationDisplayNode")
            if display.GetAttribute(NodeRoles.UNFILLED):
                display.SetVisibility2DFill(True)
                display.RemoveAttribute(NodeRoles.UNFILLED)


def _add(segmentation: Any, segmentID: str, viewIDs: Sequence[str], color: tuple[float, ...], pixels: int) -> Any:
    display = slicer.vtkMRMLSegmentationDisplayNode()
    display.SetSaveWithScene(False)
    display.SetHideFromEditors(True)
    slicer.mrmlScene.AddNode(display)
    for identifier in viewIDs:
        display.AddViewNodeID(identifier)
    display.SetVisibility3D(False)
    display.SetVisibility2DFill(False)
    display.SetSliceIntersectionThickness(pixels)
    segmentation.AddAndObserveDisplayNodeID(display.GetID())
    display.SetAllSegmentsVisibility(False)
    display.SetSegmentVisibility(segmentID, True)
    display.SetSegmentOverrideColor(segmentID, *color)
    return display
