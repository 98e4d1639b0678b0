"""How the tumor is drawn while runs are compared: a yellow outline, as a filling would cover what was predicted."""

import json
from typing import Any

import slicer

from ..common import NodeRoles

_LINE = (1.0, 1.0, 0.0)
_PIXELS = 2


def showOutline(segmentation: Any, segmentID: str) -> None:
    """Draw a segment as an outline; its display node remembers how the user had it, also in a saved scene."""
    restoreOutlines()
    display = segmentation.GetDisplayNode() if segmentation is not None else None
    if display is None or segmentation.GetSegmentation().GetSegment(segmentID) is None:
        return
    color = display.GetSegmentOverrideColor(segmentID)
    users = {
        "segment": segmentID,
        "color": [color[number] for number in range(3)],
        "pixels": display.GetSliceIntersectionThickness(),
        "filled": bool(display.GetVisibility2DFill()),
    }
    display.SetAttribute(NodeRoles.UNFILLED, json.dumps(users))
    display.SetVisibility2DFill(False)
    display.SetSliceIntersectionThickness(_PIXELS)
    display.SetSegmentOverrideColor(segmentID, *_LINE)


def restoreOutlines() -> None:
    """Draw tumors again as the user did, also in a scene that was saved while runs were compared."""
    scene = slicer.mrmlScene
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationDisplayNode")):
        display = scene.GetNthNodeByClass(number, "vtkMRMLSegmentationDisplayNode")
        users = display.GetAttribute(NodeRoles.UNFILLED)
        if users:
            _restore(display, {"filled": True} if users == "1" else json.loads(users))  # "1": of earlier versions
            display.RemoveAttribute(NodeRoles.UNFILLED)


def _restore(display: Any, users: dict[str, Any]) -> None:
    display.SetVisibility2DFill(users["filled"])
    if "segment" not in users:
        return
    display.SetSliceIntersectionThickness(users["pixels"])
    if min(users["color"]) < 0.0:
        display.UnsetSegmentOverrideColor(users["segment"])
    else:
        display.SetSegmentOverrideColor(users["segment"], *users["color"])
