"""Shows one slice, large and alone, and hides what it is."""

from typing import Any

import slicer

from ..common.QtTimers import startTimer
from ..common.Steps import Later
from ..common.Translation import tr as _
from ..views.LayoutDescription import READER_LAYOUT, READER_VIEW, isOwnLayout, registerLayouts
from ..views.SyntheticMark import SyntheticMark
from ..views.UserLayout import giveUserLayoutBack, keepUserLayout

_SETTLE_MS = 60


class ReaderStudyView:
    """A layout with one view and a volume node of its own that is never saved."""

    def __init__(self) -> None:
        self._volume: Any = None
        self._comparison: int | None = None
        self._settling = Later(startTimer)
        self._isBlinded = False

    @property
    def volume(self) -> Any:
        """The node to put slices into; made at the first use."""
        if self._volume is None:
            self._volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", _("Reader study image"))
            self._volume.SetHideFromEditors(True)
            self._volume.SetSaveWithScene(False)
            self._volume.CreateDefaultDisplayNodes()
            self._volume.GetDisplayNode().SetSaveWithScene(False)
            self._volume.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeGrey")
        return self._volume

    def show(self) -> None:
        """Show the node's slice, fitted to the view."""
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        if not self._isBlinded:  # also where a scene came with this layout
            SyntheticMark.install().setBlinded(True)
            self._isBlinded = True
        if manager.layout != READER_LAYOUT:
            self._comparison = manager.layout if isOwnLayout(manager.layout) else None
            keepUserLayout(manager)
            registerLayouts(manager.layoutLogic().GetLayoutNode())
            manager.setLayout(READER_LAYOUT)
        widget = manager.sliceWidget(READER_VIEW)
        composite = widget.mrmlSliceCompositeNode()
        composite.SetBackgroundVolumeID(self.volume.GetID())
        composite.SetForegroundVolumeID(None)
        composite.SetLabelVolumeID(None)
        sliceNode = widget.mrmlSliceNode()
        sliceNode.SetOrientation("Axial")
        sliceNode.RotateToVolumePlane(self.volume)
        widget.sliceLogic().FitSliceToBackground()
        self._settling.call(self._fit, _SETTLE_MS)

    def _fit(self) -> None:
        """Fit again when the widget of a new layout has its size."""
        manager = slicer.app.layoutManager()
        if manager is not None and manager.layout == READER_LAYOUT:
            manager.sliceWidget(READER_VIEW).sliceLogic().FitSliceToBackground()

    def hide(self) -> None:
        """Bring the user's layout back and remove the node."""
        self._settling.stop()
        manager = slicer.app.layoutManager()
        if manager is not None:
            mark = SyntheticMark.installed()
            if mark is not None:  # not while the module is reloaded
                mark.setBlinded(False)
            if manager.layout == READER_LAYOUT and self._comparison is not None:
                manager.setLayout(self._comparison)
            elif manager.layout == READER_LAYOUT:
                giveUserLayoutBack(manager)
        self._comparison, self._isBlinded = None, False
        if self._volume is not None:
            slicer.mrmlScene.RemoveNode(self._volume)
            self._volume = None
