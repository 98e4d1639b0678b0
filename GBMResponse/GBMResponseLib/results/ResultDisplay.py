"""How the volumes of a result look: window and level of the input for images, own colors for everything else."""

from typing import Any

import numpy as np
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from ..common import NodeRoles
from . import ColorTables

_GRAY = "vtkMRMLColorTableNodeGrey"
_MOST_SAMPLED = 1_000_000
_TABLES = {
    NodeRoles.DIFFERENCE: ColorTables.DIFFERENCE,
    NodeRoles.CLASS_DIFFERENCE: ColorTables.DIFFERENCE,
    NodeRoles.SPREAD: ColorTables.SPREAD,
    NodeRoles.ENHANCEMENT: ColorTables.PROBABILITY,
}


def makeDisplay(volume: Any, role: str, source: Any) -> Any:
    """Return a display node, not yet in the scene, for a volume that is not yet in it either.

    Window and level are set here: Slicer would otherwise search all voxels for them when the volume enters the scene.

    :param source: the volume whose window and level are copied; None: from the voxels.
    """
    if role == NodeRoles.MASK:
        return slicer.vtkMRMLLabelMapVolumeDisplayNode()
    display = slicer.vtkMRMLScalarVolumeDisplayNode()
    display.SetAutoWindowLevel(False)
    sourceDisplay = source.GetDisplayNode() if source is not None else None
    window = sourceDisplay.GetWindow() if sourceDisplay is not None else 0.0
    if role in (NodeRoles.DIFFERENCE, NodeRoles.CLASS_DIFFERENCE):
        highest = max(_highest(volume, 99.0), 0.5 * window)
        display.SetWindowLevelMinMax(-highest, highest)
    elif role == NodeRoles.SPREAD:
        display.SetWindowLevelMinMax(0.0, _highest(volume, 99.0))
    elif role == NodeRoles.ENHANCEMENT:
        display.SetWindowLevelMinMax(0.0, 1.0)
    elif window > 0.0:
        display.SetWindowLevel(window, sourceDisplay.GetLevel())
    else:
        display.SetWindowLevelMinMax(0.0, _highest(volume, 99.5))
    return display


def addWithDisplay(volume: Any, display: Any, role: str) -> None:
    """Add a volume and its display node to the scene."""
    scene = slicer.mrmlScene
    scene.AddNode(display)
    if role == NodeRoles.MASK:
        display.SetDefaultColorMap()
    else:
        table = _TABLES.get(role)
        display.SetAndObserveColorNodeID(ColorTables.colorTable(table).GetID() if table else _GRAY)
    volume.SetAndObserveDisplayNodeID(display.GetID())
    scene.AddNode(volume)


def _highest(volume: Any, percent: float) -> float:
    """A percentile of the magnitudes that are not 0, so that single voxels do not set the scale."""
    voxels = vtk_to_numpy(volume.GetImageData().GetPointData().GetScalars())
    changed = np.abs(voxels[np.flatnonzero(voxels)].astype(np.float32))
    changed = changed[:: max(1, changed.size // _MOST_SAMPLED)]
    return float(np.percentile(changed, percent)) if changed.size else 1.0
