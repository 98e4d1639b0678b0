"""Writes SYNTHETIC into every slice and 3-D view that shows a generated image, wherever it came from."""

from typing import Any

import slicer
import vtk

from ..common.NodeRoles import isSynthetic
from ..common.QtTimers import startTimer
from ..common.Translation import tr as _
from .LayoutDescription import READER_LAYOUT
from .SyntheticHeirs import SyntheticHeirs
from .UserLayout import giveUserLayoutBack

_SLICE, _RENDERING = "vtkMRMLSliceNode", "vtkMRMLVolumeRenderingDisplayNode"
_THREE_D = "3-D {number}"


class SyntheticMark:
    """Follows all slice and 3-D views. What is generated is told by a node attribute, which is saved with the scene.

    The mark is an actor in the view, so it is in screen captures too.
    """

    _installed: "SyntheticMark | None" = None

    def __init__(self, layoutManager: Any) -> None:
        self._manager = layoutManager
        self._actors: dict[str, Any] = {}
        self._observed: list[tuple[Any, int]] = []
        self._blinded = False
        self._heirs = SyntheticHeirs()
        self._refreshTimer: Any = None
        layoutManager.connect("layoutChanged(int)", self.refresh)
        scene = slicer.mrmlScene
        # The nodes that say what a view shows are replaced when a scene is closed, and come before their volumes when
        # one is loaded.
        self._sceneTags = [
            scene.AddObserver(event, self._onSceneReplaced) for event in (scene.EndCloseEvent, scene.EndImportEvent)
        ]
        self._sceneTags += [
            scene.AddObserver(event, self._onNodesChanged) for event in (scene.NodeAddedEvent, scene.NodeRemovedEvent)
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
        self._follow3D()

    def close(self) -> None:
        """Remove marks and observers."""
        self._stopObserving()
        self._heirs.close()
        for tag in self._sceneTags:
            slicer.mrmlScene.RemoveObserver(tag)
        if self._refreshTimer is not None:
            self._refreshTimer.stop()
        self._manager.disconnect("layoutChanged(int)", self.refresh)
        views = {name: self._manager.sliceWidget(name) for name in self._manager.sliceViewNames()}
        views = {name: widget.sliceView() for name, widget in views.items() if widget is not None}
        for number in range(self._manager.threeDViewCount):
            views[_THREE_D.format(number=number)] = self._manager.threeDWidget(number).threeDView()
        for name, actor in self._actors.items():
            if name in views:
                _renderer(views[name]).RemoveViewProp(actor)
        self._actors.clear()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodesChanged(self, _scene: Any, _event: str, node: Any) -> None:
        """A volume rendering may come or go."""
        if self._manager.threeDViewCount and node.IsA(_RENDERING) and self._refreshTimer is None:
            self._refreshTimer = startTimer(0, self._onRefreshTimer)

    def _onRefreshTimer(self) -> None:
        self._refreshTimer = None
        if self._manager.layout == READER_LAYOUT and not self._blinded:
            giveUserLayoutBack(self._manager)  # a scene that was saved during a study comes without it
        self.refresh()

    def _follow3D(self) -> None:
        """Follow what 3-D views show of volumes: slices, and volume renderings."""
        if not self._manager.threeDViewCount:
            return
        for className in (_SLICE, _RENDERING):
            for node in _nodes(className):
                self._observed.append((node, node.AddObserver(vtk.vtkCommand.ModifiedEvent, self._update3D)))
        self._update3D()

    def _update3D(self, _caller: Any = None, _event: str = "") -> None:
        visible = self._blinded or _showsSynthetic3D(self._manager)
        for number in range(self._manager.threeDViewCount):
            self._write(_THREE_D.format(number=number), self._manager.threeDWidget(number).threeDView(), visible)

    def _onSceneReplaced(self, _caller: Any, _event: str) -> None:
        """Now, so that nothing is drawn without its mark, and again when all others have followed the scene."""
        self.refresh()
        if self._refreshTimer is not None:
            self._refreshTimer.stop()
        self._refreshTimer = startTimer(0, self._onRefreshTimer)

    def _callback(self, name: str) -> Any:
        return lambda caller, event: self._update(name)

    def _update(self, name: str) -> None:
        widget = self._manager.sliceWidget(name)
        if widget is None:
            return
        self._write(name, widget.sliceView(), self._blinded or _showsSynthetic(widget.mrmlSliceCompositeNode()))
        self._update3D()

    def _write(self, name: str, view: Any, visible: bool) -> None:
        actor = self._actors.get(name)
        if actor is None:
            if not visible:
                return
            actor = self._actors[name] = _textActor()
            _renderer(view).AddViewProp(actor)
        text = _("MAY BE SYNTHETIC") if self._blinded else _("SYNTHETIC - research use only")
        if bool(actor.GetVisibility()) != visible or actor.GetInput() != text:
            actor.SetInput(text)
            actor.SetVisibility(visible)
            view.scheduleRender()

    def _stopObserving(self) -> None:
        for composite, tag in self._observed:
            composite.RemoveObserver(tag)
        self._observed.clear()


def _showsSynthetic(composite: Any) -> bool:
    scene = slicer.mrmlScene
    layers = [composite.GetBackgroundVolumeID(), composite.GetLabelVolumeID()]
    if composite.GetForegroundOpacity() > 0.0:
        layers.append(composite.GetForegroundVolumeID())
    for number in range(composite.Layer_Last, composite.Layer_Last + composite.GetNumberOfAdditionalLayers()):
        if composite.GetNthLayerOpacity(number) > 0.0:
            layers.append(composite.GetNthLayerVolumeID(number))
    return any(isSynthetic(scene.GetNodeByID(identifier)) for identifier in layers if identifier)


def _showsSynthetic3D(manager: Any) -> bool:
    """Whether a slice that 3-D views show, or a volume rendering, is generated."""
    for name in manager.sliceViewNames():
        widget = manager.sliceWidget(name)
        if widget.mrmlSliceNode().GetSliceVisible() and _showsSynthetic(widget.mrmlSliceCompositeNode()):
            return True
    return any(node.GetVisibility() and isSynthetic(node.GetVolumeNode()) for node in _nodes(_RENDERING))


def _nodes(className: str) -> list[Any]:
    scene = slicer.mrmlScene
    return [scene.GetNthNodeByClass(number, className) for number in range(scene.GetNumberOfNodesByClass(className))]


def _renderer(view: Any) -> Any:
    return view.renderWindow().GetRenderers().GetItemAsObject(0)


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
