"""Shows a run: pre-treatment, expected image, sample and what comes of them side by side, linked, in an own layout."""

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import slicer
import vtk

from ..common import NodeRoles
from ..common.QtTimers import startTimer
from ..common.Signal import Signal
from ..common.Steps import Later
from ..common.Translation import tr as _
from ..inputs.HeadBox import HeadBox, findHead
from ..results.ResultDisplay import placeLegends, refreshLegends
from ..results.ResultNodes import ResultNodes
from .ContrastLink import ContrastLink
from .Curtain import Curtain
from .LayoutDescription import (
    MOST_VIEWS,
    READER_LAYOUT,
    VIEW_GROUP,
    isOwnLayout,
    layoutIdentifier,
    registerLayouts,
    viewName,
)
from .TumorOutline import TumorOutline
from .UserLayout import forgetUserLayout, giveUserLayoutBack, keepUserLayout
from .ViewContent import ViewContent, nodeIdentifier, overlayTitle, seenContent

_OVERLAY_OPACITY = 0.65
_SETTLE_MS = 60
_MOST_COMPARED = 2
"""Classes that are shown with their differences; more of them are shown without."""


class ResultViews:
    """Owns the comparison layout. Without a layout manager (no main window) it does nothing.

    Signals: `shownChanged(bool)` when the layout comes or goes, also by Slicer's own menu.

    The views the user had are not touched: the layout has views of its own, and `hide` brings the old layout back.
    Meanwhile the tumor is drawn as an outline only, as its filling would hide what was predicted.
    """

    def __init__(self) -> None:
        self.shownChanged = Signal()
        self.contrast = ContrastLink()
        self._outline = TumorOutline()
        self._curtain = Curtain()
        self.overlay = NodeRoles.DIFFERENCE
        self.fade = 1.0
        self.sample = 1
        self._whatIf: tuple[str, Any] | None = None
        manager = slicer.app.layoutManager()
        if manager is not None:
            manager.connect("layoutChanged(int)", self._onLayoutChanged)
        self._nodes: ResultNodes | None = None
        self._other: ResultNodes | None = None
        self._layers: list[tuple[Any, int]] = []
        self._filling = False
        self._fitted: list[tuple[int, ...]] = []
        """Sizes of the views for which the field of view was set."""
        self._byUser: dict[Any, ViewContent] = {}
        """Layers that the user chose in a view, until the panel changes it."""
        self._settling = Later(startTimer)
        self._foundHead: tuple[str, HeadBox | None] | None = None

    @property
    def nodes(self) -> ResultNodes | None:
        """The run that is shown, or was last."""
        return self._nodes

    @property
    def isShown(self) -> bool:
        """Whether the comparison layout is on the screen."""
        manager = slicer.app.layoutManager()
        return manager is not None and isOwnLayout(manager.layout)

    def shownRuns(self) -> list[str]:
        """Return the identifiers of the runs that `show` got last."""
        return [run.run for run in (self._nodes, self._other) if run is not None]

    def shownRun(self) -> str:
        """Return the identifier of the run whose images the views show; empty if they show none."""
        manager = slicer.app.layoutManager()
        for number in range(MOST_VIEWS if self.isShown else 0):
            widget = manager.sliceWidget(viewName(number))
            shown = widget.mrmlSliceCompositeNode().GetForegroundVolumeID() if widget is not None else None
            volume = slicer.mrmlScene.GetNodeByID(shown) if shown else None
            if volume is not None and volume.GetAttribute(NodeRoles.RUN):
                return volume.GetAttribute(NodeRoles.RUN)
        return ""

    def prepare(self, nodes: ResultNodes, other: ResultNodes | None = None) -> None:
        """Make the views for a run, which `show` will fill; before that other things may be drawn."""
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        self._nodes, self._other, self._whatIf = nodes, other, None
        keepUserLayout(manager)
        registerLayouts(manager.layoutLogic().GetLayoutNode())
        layout = layoutIdentifier(len(self.contents()))
        if manager.layout != layout:
            manager.setLayout(layout)
            self._curtain.close(self._names())  # all views have new sizes
            self._curtain.open()

    def show(self, nodes: ResultNodes, other: ResultNodes | None = None) -> None:
        """Show a run and jump to its tumor.

        :param other: another run, shown beside it.
        """
        manager = slicer.app.layoutManager()
        if manager is None:
            return
        self.prepare(nodes, other)
        with self._drawnInTurn():
            for number, content in enumerate(self.contents()):
                self._fill(manager.sliceWidget(viewName(number)), content)
            self._follow()
            self._outline.show(nodes.segmentation, nodes.segmentID)
            self._fitted = []
            self._fit()
        # The widgets of a new layout get their size in the event loop.
        self._settling.call(self._settle, _SETTLE_MS)

    def hide(self) -> None:
        """Bring the user's layout back, unless they chose another one meanwhile."""
        self._curtain.finish()
        manager = slicer.app.layoutManager()
        if manager is not None and isOwnLayout(manager.layout):
            giveUserLayoutBack(manager)
        self._settling.stop()
        self._unfollow()
        self._placeLegends()
        self.restoreFilling()

    def close(self) -> None:
        """The panel is going: give the user's layout back and follow no layouts any more."""
        self.hide()
        manager = slicer.app.layoutManager()
        if manager is not None:
            manager.disconnect("layoutChanged(int)", self._onLayoutChanged)

    def forget(self) -> None:
        """Let go of all nodes: the scene is closing."""
        self._settling.stop()
        self.contrast.forget()
        self._unfollow()
        self._nodes = self._other = self._whatIf = None

    def setFade(self, fade: float) -> None:
        """Set how much of the prediction is seen over the pre-treatment image, 0 to 1."""
        self.fade = fade
        for widget, content in self._shown():
            if content.fades:
                widget.mrmlSliceCompositeNode().SetForegroundOpacity(fade)

    def setOverlay(self, role: str) -> None:
        """Choose what the last view shows on the anatomy: difference, spread or enhancement probability."""
        self.overlay = role
        self._update()

    def setSample(self, number: int) -> None:
        """Choose which sample is shown, counted from 1; 0 is the expected image, where classes are compared."""
        self.sample = number
        self._update()

    def sampleRange(self) -> tuple[int, int]:
        """Return the numbers that `setSample` may get for the run that is shown; (0, 0) without samples."""
        nodes = self._nodes
        count = max((len(nodes.sampleNodes(name)) for name in nodes.classes), default=0) if nodes is not None else 0
        return (1 if count and len(nodes.classes) == 1 else 0), count

    def showWhatIf(self, title: str, volume: Any) -> None:
        """Lay a slice over the expected image; None takes it away."""
        self._whatIf = None if volume is None else (title, volume)
        self._update()

    def sliceNode(self) -> Any:
        """Return the node that tells which slice of the expected image is seen; None while no run is shown."""
        shown = self._shown()
        return shown[min(1, len(shown) - 1)][0].mrmlSliceNode() if shown else None

    def _update(self) -> None:
        self._byUser.clear()
        with self._drawnInTurn():
            for widget, content in self._shown():
                self._setContent(widget, content)
            self._placeLegends()

    def jumpToTumor(self) -> None:
        """Center all views on the tumor."""
        center = self._tumorCenter()
        if center is None:
            return
        for widget, _content in self._shown():
            widget.mrmlSliceNode().JumpSliceByOffsetting(*center)

    def contents(self) -> list[ViewContent]:
        """Return what the views show, in their order."""
        return self._contentsOfTwo() if self._other is not None else self._contentsOfOne()

    def _contentsOfTwo(self) -> list[ViewContent]:
        """Pictures and overlay of the first class of two runs, in a row each."""
        views = []
        for letter, nodes in (("A", self._nodes), ("B", self._other)):
            before = nodes.inputVolume or nodes.node(NodeRoles.PREDICTED)
            row = [ViewContent(_("Before"), before), *self._pictures(nodes, nodes.classes[0], before, False)]
            overlay = nodes.node(self.overlay) or nodes.node(NodeRoles.DIFFERENCE)
            if overlay is not None:
                title = overlayTitle(overlay.GetAttribute(NodeRoles.ROLE))
                row.append(ViewContent(title, before, overlay, _OVERLAY_OPACITY))
            views += [dataclasses.replace(view, title=f"{letter}: {view.title}") for view in row[-3:]]
        return views

    def _contentsOfOne(self) -> list[ViewContent]:
        nodes = self._nodes
        before = nodes.inputVolume or nodes.node(NodeRoles.PREDICTED)
        views = [ViewContent(_("Before"), before)]
        several = len(nodes.classes) > 1
        for name in nodes.classes:
            views += self._pictures(nodes, name, before, several)
        if self._whatIf is not None:
            views[1] = ViewContent(self._whatIf[0], views[1].foreground, self._whatIf[1])
        followUp = nodes.registeredFollowUp or nodes.followUp
        if followUp is not None:
            aligned = nodes.registeredFollowUp is not None
            views.append(ViewContent(_("True follow-up, aligned") if aligned else _("True follow-up"), followUp))
        elif nodes.classDifference is not None:
            title = _("{last} minus {first}").format(last=nodes.classes[-1], first=nodes.classes[0])
            views.append(ViewContent(title, before, nodes.classDifference, _OVERLAY_OPACITY))
        if len(nodes.classes) > _MOST_COMPARED:
            return views[:MOST_VIEWS]
        for name in nodes.classes:
            overlay = nodes.node(self.overlay, name) or nodes.node(NodeRoles.DIFFERENCE, name)
            if overlay is not None:
                title = overlayTitle(overlay.GetAttribute(NodeRoles.ROLE))
                title = f"{title} {name}" if several else title
                views.append(ViewContent(title, before, overlay, _OVERLAY_OPACITY))
        return views[:MOST_VIEWS]

    def _pictures(self, nodes: ResultNodes, name: str, before: Any, several: bool) -> list[ViewContent]:
        """The expected image and a sample of a class; where classes are compared, one of them."""
        samples, expected = nodes.sampleNodes(name), nodes.node(NodeRoles.EXPECTED, name)
        number = min(max(self.sample, 0 if several and expected is not None else 1), len(samples))
        pictures = []
        if expected is not None and not (several and number):
            pictures.append((_("Expected (average)"), expected))
        if number:
            title = _("Sample {number} of {count}").format(number=number, count=len(samples))
            pictures.append((title, samples[number - 1]))
        titled = [(f"{title} {name}" if several else title, picture) for title, picture in pictures]
        return [ViewContent(title, before, picture, self.fade, fades=True) for title, picture in titled]

    def restoreFilling(self) -> None:
        """Draw tumors as the user does."""
        self._outline.restore()

    def _onLayoutChanged(self, layout: int) -> None:
        """The user may leave the comparison with Slicer's own layout menu."""
        if not self.isShown:
            self._curtain.finish()
            if layout != READER_LAYOUT:
                forgetUserLayout(slicer.app.layoutManager())
            self._unfollow()
            self._placeLegends()
            self.restoreFilling()
        elif self._nodes is not None and not self._layers:
            self._follow()
        self.shownChanged.emit(self.isShown)

    def _follow(self) -> None:
        """Keep one contrast, and in each view what it is there for."""
        self._unfollow()
        self.contrast.link(*(run for run in (self._nodes, self._other) if run is not None))
        for widget, _content in self._shown():
            composite = widget.mrmlSliceCompositeNode()
            self._layers.append((composite, composite.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onLayers)))

    def _unfollow(self) -> None:
        self.contrast.release()
        for composite, tag in self._layers:
            composite.RemoveObserver(tag)
        self._layers.clear()
        self._byUser.clear()

    def _onLayers(self, composite: Any, _event: str) -> None:
        """Linked views get the layers of the one that the user works in (vtkMRMLSliceLinkLogic), and loaded volumes.

        What the user does in a view stays there; all other views keep showing what their title says.
        """
        if self._filling:
            return
        for widget, content in self._shown():
            if widget.mrmlSliceCompositeNode() is composite and composite.GetInteractionFlags():
                self._byUser[composite] = seenContent(composite, content.title)
            elif widget.mrmlSliceCompositeNode() is composite:
                self._setContent(widget, self._byUser.get(composite, content))

    def _names(self) -> list[str]:
        return [viewName(number) for number, _content in enumerate(self._shown())]

    @contextmanager
    def _drawnInTurn(self) -> Iterator[None]:
        """What changes in the views meanwhile is drawn view by view."""
        self._curtain.close(self._names())
        try:
            yield
        finally:
            self._curtain.open()

    def _settle(self) -> None:
        with self._drawnInTurn():
            self._fit()

    def _fit(self) -> None:
        shown, head = self._shown(), None
        sizes = [widget.mrmlSliceNode().GetDimensions() for widget, _content in shown]
        for widget, content in shown if sizes != self._fitted else ():
            widget.sliceLogic().FitSliceToBackground()
            head = head or self._head(content.background)
            if head is not None:
                head.zoom(widget.mrmlSliceNode())
        self._showLegends()
        if sizes != self._fitted:
            self._fitted = sizes
            self.jumpToTumor()

    def _showLegends(self) -> None:
        """A view that is new follows its layers only after it was drawn once."""
        self._filling = True
        for widget, _content in self._shown():
            refreshLegends(widget.mrmlSliceCompositeNode())
        self._filling = False
        self._placeLegends()

    def _placeLegends(self) -> None:
        runs = [run for run in (self._nodes, self._other) if run is not None]
        views = [(widget.mrmlSliceNode().GetID(), content.foreground) for widget, content in self._shown()]
        placeLegends([overlay for run in runs for overlay in run.overlays()], views)

    def _head(self, volume: Any) -> HeadBox | None:
        """Where the head is; found once per run."""
        if volume is None:
            return None
        if self._foundHead is None or self._foundHead[0] != self._nodes.run:
            self._foundHead = self._nodes.run, findHead(volume)
        return self._foundHead[1]

    def _shown(self) -> list[tuple[Any, ViewContent]]:
        manager = slicer.app.layoutManager()
        if manager is None or self._nodes is None or not isOwnLayout(manager.layout):
            return []
        return [(manager.sliceWidget(viewName(number)), view) for number, view in enumerate(self.contents())]

    def _fill(self, widget: Any, content: ViewContent) -> None:
        sliceNode = widget.mrmlSliceNode()
        sliceNode.SetViewGroup(VIEW_GROUP)
        sliceNode.SetOrientation("Axial")
        widget.mrmlSliceCompositeNode().SetLinkedControl(True)
        self._setContent(widget, content)
        if content.background is not None:
            sliceNode.RotateToVolumePlane(content.background)

    def _setContent(self, widget: Any, content: ViewContent) -> None:
        widget.mrmlSliceNode().SetLayoutLabel(content.title)
        composite = widget.mrmlSliceCompositeNode()
        self._filling = True
        composite.SetBackgroundVolumeID(nodeIdentifier(content.background))
        composite.SetForegroundVolumeID(nodeIdentifier(content.foreground))
        composite.SetLabelVolumeID(None)
        composite.SetForegroundOpacity(content.opacity)
        refreshLegends(composite)
        self._filling = False

    def _tumorCenter(self) -> tuple[float, float, float] | None:
        nodes = self._nodes
        if nodes is None or nodes.segmentation is None or not nodes.segmentID:
            return None
        if nodes.segmentation.GetSegmentation().GetSegment(nodes.segmentID) is None:
            return None
        center = [0.0, 0.0, 0.0]
        nodes.segmentation.GetSegmentCenterRAS(nodes.segmentID, center)
        return tuple(center)
