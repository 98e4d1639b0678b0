"""The layout that the user had before one of ours: given back from the scene, and also after Slicer was closed.

A scene keeps it as an attribute of its layout node. Slicer writes the layout of the moment into its settings when it is
closed (qSlicerMainWindow::saveGUIState), so ours would be what it starts with; a setting of our own brings back theirs.
"""

from typing import Any

import slicer

from .LayoutDescription import READER_LAYOUT, isOwnLayout

_ATTRIBUTE, _SETTING = "GBMResponse.UserLayout", "GBMResponse/UserLayout"


def keepUserLayout(manager: Any) -> None:
    """Remember the layout, unless it is one of ours."""
    if not _isOurs(manager.layout):
        manager.layoutLogic().GetLayoutNode().SetAttribute(_ATTRIBUTE, str(manager.layout))
        slicer.app.settings().setValue(_SETTING, str(manager.layout))


def forgetUserLayout(manager: Any) -> None:
    """The user has a layout of their own again."""
    manager.layoutLogic().GetLayoutNode().RemoveAttribute(_ATTRIBUTE)
    slicer.app.settings().remove(_SETTING)


def giveUserLayoutBack(manager: Any) -> None:
    """Leave a layout of ours; for Slicer's conventional one if it is not known what was there before."""
    if _isOurs(manager.layout):
        kept = manager.layoutLogic().GetLayoutNode().GetAttribute(_ATTRIBUTE)
        manager.setLayout(int(kept) if kept else slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
    forgetUserLayout(manager)


def restoreAfterStart(manager: Any) -> None:
    """Slicer was closed while it showed one of our layouts: start with the one that the user had."""
    kept = slicer.app.settings().value(_SETTING)
    if kept:
        slicer.app.settings().remove(_SETTING)
        manager.setLayout(int(kept))


def _isOurs(layout: int) -> bool:
    return isOwnLayout(layout) or layout == READER_LAYOUT
