"""How the tumor is drawn while runs are compared: an outline, as a filling would cover what was predicted."""

import json
from typing import Any

import slicer
import vtk

from ..common import NodeRoles

LINE, RIM = (1.0, 1.0, 0.0), (0.0, 0.0, 0.0)
_LINE_PIXELS, _RIM_PIXELS = 2, 4


class TumorOutline:
    """Draws a segment as a yellow line with a dark rim inside: one of them is seen on every gray.

    A display has one color and one thickness, so the rim and the line above it are displays of two nodes that share
    the user's segments (as vtkMRMLSegmentationNode::CopyContent does it), are hidden, and are never saved. The user's
    own display is a yellow line meanwhile, and remembers how the user had it, also in a saved scene.
    """

    def __init__(self) -> None:
        self._strokes: list[Any] = []
        self._tags: list[tuple[Any, int]] = []
        self._segmentation: Any = None
        self._segmentID = ""

    def show(self, segmentation: Any, segmentID: str) -> None:
        """Draw a segment as an outline."""
        if self._strokes and (segmentation, segmentID) == (self._segmentation, self._segmentID):
            return
        self.restore()
        display = segmentation.GetDisplayNode() if segmentation is not None else None
        if display is None or segmentation.GetSegmentation().GetSegment(segmentID) is None:
            return
        self._segmentation, self._segmentID = segmentation, segmentID
        color = display.GetSegmentOverrideColor(segmentID)
        users = {
            "segment": segmentID,
            "color": [color[number] for number in range(3)],
            "pixels": display.GetSliceIntersectionThickness(),
            "filled": bool(display.GetVisibility2DFill()),
        }
        display.SetAttribute(NodeRoles.UNFILLED, json.dumps(users))
        display.SetVisibility2DFill(False)
        display.SetSliceIntersectionThickness(_LINE_PIXELS)
        display.SetSegmentOverrideColor(segmentID, *LINE)
        for lineColor, pixels in ((RIM, _RIM_PIXELS), (LINE, _LINE_PIXELS)):  # what comes later is drawn above
            self._strokes.append(_stroke(segmentation, segmentID, lineColor, pixels))
        self._follow()
        followed = (vtk.vtkCommand.ModifiedEvent, slicer.vtkSegmentation.SegmentAdded)
        followed += (slicer.vtkMRMLDisplayableNode.DisplayModifiedEvent,)
        self._tags = [(segmentation, segmentation.AddObserver(event, self._follow)) for event in followed]
        scene = slicer.mrmlScene
        self._tags.append((scene, scene.AddObserver(scene.NodeRemovedEvent, self._follow)))

    def restore(self) -> None:
        """Draw tumors again as the user did, also in a scene that was saved while runs were compared."""
        scene = slicer.mrmlScene
        for node, tag in self._tags:
            node.RemoveObserver(tag)
        self._tags, self._segmentation = [], None
        for stroke in self._strokes:
            if stroke.GetID() and scene.GetNodeByID(stroke.GetID()) is stroke:
                display = stroke.GetDisplayNode()
                scene.RemoveNode(stroke)
                scene.RemoveNode(display)
        self._strokes.clear()
        for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode")):
            display = scene.GetNthNodeByClass(number, "vtkMRMLSegmentationDisplayNode")
            users = display.GetAttribute(NodeRoles.UNFILLED)
            if users:
                _restore(display, {"filled": True} if users == "1" else json.loads(users))  # "1": of earlier versions
                display.RemoveAttribute(NodeRoles.UNFILLED)

    def _follow(self, _caller: Any = None, _event: str = "") -> None:
        """Where the user moves the segmentation, or hides or removes the tumor, the outline follows."""
        if slicer.mrmlScene.GetNodeByID(self._segmentation.GetID() or "") is not self._segmentation:
            self.restore()
            return
        display, identifier = self._segmentation.GetDisplayNode(), self._segmentID
        seen = display is not None and bool(display.GetVisibility()) and display.GetSegmentVisibility(identifier)
        for stroke in self._strokes:
            stroke.SetAndObserveTransformNodeID(self._segmentation.GetTransformNodeID())
            stroke.GetDisplayNode().SetAllSegmentsVisibility(False)
            stroke.GetDisplayNode().SetSegmentVisibility(identifier, True)
            stroke.GetDisplayNode().SetVisibility(seen)


def _stroke(segmentation: Any, segmentID: str, color: tuple[float, ...], pixels: int) -> Any:
    """A segmentation of the same segments, drawn as lines of one color."""
    scene = slicer.mrmlScene
    display, stroke = slicer.vtkMRMLSegmentationDisplayNode(), slicer.vtkMRMLSegmentationNode()
    for node in (display, stroke):
        node.SetHideFromEditors(True)
        node.SetSaveWithScene(False)
    display.SetVisibility3D(False)
    display.SetVisibility2DFill(False)
    display.SetSliceIntersectionThickness(pixels)
    display.SetPreferredDisplayRepresentationName2D(segmentation.GetDisplayNode().GetDisplayRepresentationName2D())
    scene.AddNode(display)
    stroke.SetAndObserveSegmentation(segmentation.GetSegmentation())
    stroke.SetAndObserveDisplayNodeID(display.GetID())
    scene.AddNode(stroke)
    display.SetSegmentOverrideColor(segmentID, *color)
    return stroke


def _restore(display: Any, users: dict[str, Any]) -> None:
    display.SetVisibility2DFill(users["filled"])
    if "segment" not in users:
        return
    display.SetSliceIntersectionThickness(users["pixels"])
    if min(users["color"]) < 0.0:
        display.UnsetSegmentOverrideColor(users["segment"])
    else:
        display.SetSegmentOverrideColor(users["segment"], *users["color"])
