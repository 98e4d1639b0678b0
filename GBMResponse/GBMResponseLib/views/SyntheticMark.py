"""Writes SYNTHETIC into every slice view that shows a generated image, wherever it came from."""

from typing import Any

import slicer
import vtk

from ..common.NodeRoles import isSynthetic
from ..common.QtTimers import startTimer
from ..common.Translation import tr as _


class SyntheticMark:
    """Follows all slice views. What is generated is told by a node attribute, which is saved with the scene.

    The mark is an actor in the view, so it is in screen captures too.
    """

    _installed: "SyntheticMark | None" = None

    def __init__(self, layoutManager: Any) -> None:
        self._manager = layoutManager
        self._actors: dict[str, Any] = {}
        self._observed: list[tuple[Any, int]] = []
        self._blinded = False
        self._refreshTimer: Any = None
        layoutManager.connect("layoutChanged(int)", self.refresh)
        scene = slicer.mrmlScene
        # The nodes that say what a view shows are replaced when a scene is closed, and come before their volumes when
        # one is loaded.
        self._sceneTags = [
            scene.AddObserver(event, self._onSceneReplaced) for event in (scene.EndCloseEvent, scene.EndImportEvent)
        ]
        self.refresh()

    @classmethod
    def install(cls) -> "SyntheticMark | None":
        """Return the mark of this application; None without views."""
        if cls._installed is None and slicer.app.layoutManager() is not None:
            cls._installed = cls(slicer.app.layoutManager())
        return cls._installed

    @classmethod
    def installed(cls) -> "SyntheticMark | None":
        """Return the mark if there is one."""
        return cls._installed

    @classmethod
    def uninstall(cls) -> None:
        """Stop following the views."""
        if cls._installed is not None:
            cls._installed.close()
            cls._installed = None

    def setBlinded(self, blinded: bool) -> None:
        """During a reader study mark every view alike, so that the mark tells nothing."""
        self._blinded = blinded
        self.refresh()

    def refresh(self, _layout: int = 0) -> None:
        """Follow the views there are now, and mark them."""
        self._stopObserving()
        for name in self._manager.sliceViewNames():
            composite = self._manager.sliceWidget(name).mrmlSliceCompositeNode()
            if composite is None:
                continue
            callback = self._callback(name)
            tag = composite.AddObserver(vtk.vtkCommand.ModifiedEvent, callback)
            self._observed.append((composite, tag))
            self._update(name)

    def isMarked(self, name: str) -> bool:
        """Whether a view carries the mark now."""
        return name in self._actors and bool(self._actors[name].GetVisibility())

    def close(self) -> None:
        """Remove marks and observers."""
        self._stopObserving()
        for tag in self._sceneTags:
            slicer.mrmlScene.RemoveObserver(tag)
        if self._refreshTimer is not None:
            self._refreshTimer.stop()
        self._manager.disconnect("layoutChanged(int)", self.refresh)
        for name, actor in self._actors.items():
            widget = self._manager.sliceWidget(name)
            if widget is not None:
                _renderer(widget).RemoveViewProp(actor)
        self._actors.clear()

    def _onSceneReplaced(self, _caller: Any, _event: str) -> None:
        """Now, so that nothing is drawn without its mark, and again when all others have followed the scene."""
        self.refresh()
        if self._refreshTimer is not None:
            self._refreshTimer.stop()
        self._refreshTimer = startTimer(0, self.refresh)

    def _callback(self, name: str) -> Any:
        return lambda caller, event: self._update(name)

    def _update(self, name: str) -> None:
        widget = self._manager.sliceWidget(name)
        if widget is None:
            return
        visible = self._blinded or _showsSynthetic(widget.mrmlSliceCompositeNode())
        actor = self._actors.get(name)
        if actor is None:
            if not visible:
                return
            actor = self._actors[name] = _textActor()
            _renderer(widget).AddViewProp(actor)
        text = _("MAY BE SYNTHETIC") if self._blinded else _("SYNTHETIC - research use only")
        if bool(actor.GetVisibility()) != visible or actor.GetInput() != text:
            actor.SetInput(text)
            actor.SetVisibility(visible)
            widget.sliceView().scheduleRender()

    def _stopObserving(self) -> None:
        for composite, tag in self._observed:
            composite.RemoveObserver(tag)
        self._observed.clear()


def _showsSynthetic(composite: Any) -> bool:
    scene = slicer.mrmlScene
    layers = [composite.GetBackgroundVolumeID(), composite.GetLabelVolumeID()]
    if composite.GetForegroundOpacity() > 0.0:
        layers.append(composite.GetForegroundVolumeID())
    return any(isSynthetic(scene.GetNodeByID(identifier)) for identifier in layers if identifier)


def _renderer(widget: Any) -> Any:
    return widget.sliceView().renderWindow().GetRenderers().GetItemAsObject(0)


def _textActor() -> Any:
    actor = vtk.vtkTextActor()
    style = actor.GetTextProperty()
    style.SetFontFamilyToArial()
    style.SetFontSize(14)
    style.SetBold(True)
    style.SetShadow(True)
    style.SetColor(1.0, 0.72, 0.1)
    style.SetJustificationToRight()
    style.SetVerticalJustificationToTop()
    actor.GetPositionCoordinate().SetCoordinateSystemToNormalizedViewport()
    actor.SetPosition(0.985, 0.985)
    actor.SetVisibility(False)
    return actor
