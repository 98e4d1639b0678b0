"""How the volumes of a result look: window and level of the input for images, own colors for everything else."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import slicer
from vtk.util.numpy_support import vtk_to_numpy

from ..common import NodeRoles
from ..common.Translation import tr as _
from . import ColorTables

_GRAY = "vtkMRMLColorTableNodeGrey"
_MOST_SAMPLED = 250_000
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
    if role in _TABLES:
        volume.SetAttribute(NodeRoles.SCALE, f"{display.GetWindow():.9g} {display.GetLevel():.9g}")
        _addLegend(volume, role)


def _addLegend(volume: Any, role: str) -> None:
    """Slicer's own legend: it is seen where the overlay is seen, also in the user's views, and saved with the scene."""
    legend = slicer.vtkSlicerColorLogic.AddDefaultColorLegendDisplayNode(volume)
    if legend is None:  # a Slicer without the module Colors
        return
    titles = {
        NodeRoles.SPREAD: _("SD, image units"),
        NodeRoles.ENHANCEMENT: _("probability"),
    }
    legend.SetTitleText(titles.get(role, _("change, image units")))
    legend.SetLabelFormat("%.1f" if role == NodeRoles.ENHANCEMENT else "%.0f")
    legend.SetNumberOfLabels(3)
    legend.SetSize(0.1, 0.28)
    legend.SetPosition(0.95, 0.02)


def refreshLegends(composite: Any) -> None:
    """Show the legends of what a slice view shows.

    They follow layers that the user chooses, not those that a program sets, and a view that is new knows no legend
    (vtkMRMLColorLegendDisplayableManager::ProcessMRMLNodesEvents): the flag says that a layer was chosen.
    """
    composite.SetInteractionFlags(composite.ForegroundVolumeFlag)
    composite.Modified()
    composite.SetInteractionFlags(0)


def placeLegends(overlays: Sequence[Any], views: Sequence[tuple[str, Any]]) -> None:
    """Show each legend in the views that show its overlay, and in no other.

    :param views: ID of the slice node and foreground of each; none: wherever the overlays are seen.
    """
    for overlay in overlays:
        legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(overlay)
        if legend is None:
            continue
        places = [identifier for identifier, foreground in views if foreground is overlay]
        wasModifying = legend.StartModify()
        legend.RemoveAllViewNodeIDs()
        for identifier in places:
            legend.AddViewNodeID(identifier)
        legend.SetVisibility(bool(places) or not views)
        legend.EndModify(wasModifying)


def brightness(volume: Any) -> float:
    """Return a high percentile of a volume's voxels, to compare images of different units; never 0."""
    return _highest(volume, 99.5) or 1.0


def _highest(volume: Any, percent: float) -> float:
    """A percentile of the magnitudes that are not 0, so that single voxels do not set the scale."""
    voxels = vtk_to_numpy(volume.GetImageData().GetPointData().GetScalars()).reshape(-1)
    voxels = voxels[:: max(1, voxels.size // _MOST_SAMPLED)]
    changed = np.abs(voxels[np.flatnonzero(voxels)].astype(np.float32))
    return float(np.percentile(changed, percent)) if changed.size else 1.0
