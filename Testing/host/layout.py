"""Double of the layout manager: real layout logic, slice logic and displayable managers, rendered off screen.

Only the Qt side is replaced: qMRMLLayoutManager, qMRMLSliceWidget, qMRMLSliceView, qMRMLSliceControllerWidget
(Libs/MRML/Widgets) and ctkVTKAbstractView. As there, a view that is seen renders by a timer of its own after it was
asked to (ctkVTKAbstractView::scheduleRender), and at once when its size is new; besides, when its pixels are asked for.
"""

import xml.etree.ElementTree as ElementTree

import numpy as np
import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets
from PySide6.QtCore import Property, Signal
from vtk.util.numpy_support import vtk_to_numpy

MANAGERS = (
    "vtkMRMLVolumeGlyphSliceDisplayableManager",
    "vtkMRMLModelSliceDisplayableManager",
    "vtkMRMLCrosshairDisplayableManager",
    "vtkMRMLSegmentationsDisplayableManager2D",
    "vtkMRMLMarkupsDisplayableManager",
    "vtkMRMLTransformsDisplayableManager2D",
    "vtkMRMLColorLegendDisplayableManager",
)

UPDATE_MS = 16
"""ctkVTKAbstractView's maximum update rate is 60 Hz."""


def displayableManagerFactory():
    """Return the factory of slice views with the managers that Slicer registers and the wheel has."""
    factory = slicer.vtkMRMLSliceViewDisplayableManagerFactory.GetInstance()
    for manager in MANAGERS:
        if not factory.IsDisplayableManagerRegistered(manager):
            factory.RegisterDisplayableManager(manager)
    return factory


class qMRMLSliceView(QtWidgets.QWidget):
    """The pixels of one slice node."""

    cppName = "qMRMLSliceView"

    def __init__(self, logic, parent=None):
        super().__init__(parent)
        base, overlay = vtk.vtkRenderer(), vtk.vtkRenderer()
        self._logic, self._window = logic, vtk.vtkRenderWindow()
        self._size, self._pixels = None, None
        self._timer = QtCore.QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(UPDATE_MS)
        self._timer.timeout.connect(self._onTimeout)
        self._paused, self._pending = 0, False
        overlay.SetLayer(1)
        self._window.SetOffScreenRendering(1)
        self._window.SetMultiSamples(0)  # ctkVTKAbstractView::multiSamples(), which Slicer leaves at 0
        self._window.SetNumberOfLayers(2)
        for renderer in (base, overlay):
            renderer.GetActiveCamera().ParallelProjectionOn()
            self._window.AddRenderer(renderer)
        self._interactor = vtk.vtkRenderWindowInteractor()
        self._interactor.SetRenderWindow(self._window)
        self._resize(400, 400)
        self._interactor.Initialize()
        self._mapper, self._actor = vtk.vtkImageMapper(), vtk.vtkActor2D()
        self._mapper.SetColorWindow(255)
        self._mapper.SetColorLevel(127.5)
        self._actor.SetMapper(self._mapper)
        self._actor.GetProperty().SetDisplayLocationToBackground()
        base.AddViewProp(self._actor)  # before the managers add theirs: what is drawn first lies below
        self._group = slicer.vtkMRMLDisplayableManagerGroup()
        self._group.Initialize(displayableManagerFactory(), base)
        self._group.SetMRMLDisplayableNode(logic.GetSliceNode())
        for caller, event in ((self._group, vtk.vtkCommand.UpdateEvent), (logic, vtk.vtkCommand.ModifiedEvent)):
            caller.AddObserver(event, lambda caller, event: self.scheduleRender())
        self._annotation = vtk.vtkCornerAnnotation()
        overlay.AddViewProp(self._annotation)
        self.setMinimumSize(60, 60)

    cornerAnnotationText = Property(
        str, lambda self: self._annotation.GetText(0) or "", lambda self, text: self._annotation.SetText(0, text)
    )

    def renderWindow(self):
        return self._window

    def interactor(self):
        return self._interactor

    def cornerAnnotation(self):
        return self._annotation

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    def displayableManagerByClassName(self, name: str):
        return self._group.GetDisplayableManagerByClassName(name)

    def scheduleRender(self) -> None:
        if self.visible and not self._timer.isActive():
            self._timer.start()

    def pauseRender(self) -> int:
        self._paused += 1
        return self._paused

    def resumeRender(self) -> int:
        """Draw what was asked for meanwhile: ctkVTKAbstractView::resumeRender."""
        if not self._paused:
            raise RuntimeError("qMRMLSliceView: rendering is not paused")
        self._paused -= 1
        if not self._paused and self._pending:
            self._render()
        return self._paused

    def isRenderPaused(self) -> bool:
        return self._paused > 0

    def forceRender(self) -> None:
        self._render()

    def _onTimeout(self) -> None:
        if self._paused:
            self._pending = True
        else:
            self._render()

    def _render(self) -> None:
        self._timer.stop()
        self._pending = False
        if self.visible and not slicer.mrmlScene.IsBatchProcessing():
            self._pixels = self.array()
            self.update()

    def _resize(self, width: int, height: int) -> None:
        """Give the slice node the view's size, as qMRMLSliceControllerWidget::setSliceViewSize does."""
        if (width, height) != self._size and width > 0 and height > 0:
            self._size = (width, height)
            self._window.SetSize(width, height)
            self._logic.ResizeSliceNode(width, height)

    def resizeEvent(self, event):
        self._resize(event.size().width(), event.size().height())

    def array(self) -> np.ndarray:
        """Render and return the pixels: (rows, columns, 3) uint8, top row first."""
        connection = self._logic.GetImageDataConnection()  # ask each time: it changes with the layers
        self._mapper.SetInputConnection(connection)
        self._actor.SetVisibility(connection is not None)
        self._window.Render()
        grab = vtk.vtkWindowToImageFilter()
        grab.SetInput(self._window)
        grab.ReadFrontBufferOff()
        grab.ShouldRerenderOff()  # it was drawn just now
        grab.Update()
        columns, rows, _ = grab.GetOutput().GetDimensions()
        pixels = vtk_to_numpy(grab.GetOutput().GetPointData().GetScalars())
        return np.ascontiguousarray(pixels.reshape(rows, columns, -1)[::-1, :, :3])

    def paintEvent(self, event):
        if self._pixels is None or self._pixels.shape[:2] != (self._window.GetSize()[1], self._window.GetSize()[0]):
            self._pixels = self.array()
        pixels = self._pixels
        rows, columns, _ = pixels.shape
        image = QtGui.QImage(pixels.data, columns, rows, 3 * columns, QtGui.QImage.Format_RGB888)
        QtGui.QPainter(self).drawImage(self.rect, image)


class qMRMLSliceControllerWidget(QtWidgets.QWidget):
    """The bar above a slice view: name, position, link."""

    cppName = "qMRMLSliceControllerWidget"

    def __init__(self, logic, parent=None):
        super().__init__(parent)
        self._logic = logic
        self.setFixedHeight(20)
        logic.GetSliceNode().AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self.update())

    def sliceLogic(self):
        return self._logic

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()

    def setSliceLink(self, linked: bool) -> None:
        for node in slicer.util.getNodesByClass("vtkMRMLSliceCompositeNode"):
            node.SetLinkedControl(bool(linked))

    def isLinked(self) -> bool:
        return bool(self._logic.GetSliceCompositeNode().GetLinkedControl())

    def setSliceOffsetValue(self, offset: float) -> None:
        self._logic.SetSliceOffset(offset)

    def paintEvent(self, event):
        node = self._logic.GetSliceNode()
        red, green, blue = (int(255 * part) for part in node.GetLayoutColor())
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect, QtGui.QColor(red, green, blue))
        offset = round(self._logic.GetSliceOffset(), 1) + 0.0  # no "-0.0"
        text = f" {node.GetLayoutLabel() or node.GetLayoutName()}    {offset:.1f} mm"
        painter.setPen(QtCore.Qt.black if red + green + blue > 300 else QtCore.Qt.white)
        painter.drawText(self.rect, QtCore.Qt.AlignVCenter, text)


class qMRMLSliceWidget(QtWidgets.QWidget):
    """Controller and view of one slice node."""

    cppName = "qMRMLSliceWidget"

    def __init__(self, node, parent=None):
        super().__init__(parent)
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLApplicationLogic(slicer.app.applicationLogic())
        slicer.app.applicationLogic().GetSliceLogics().AddItem(self._logic)
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._logic.SetSliceNode(node)
        column = QtWidgets.QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        self._controller, self._view = qMRMLSliceControllerWidget(self._logic), qMRMLSliceView(self._logic)
        column.addWidget(self._controller)
        column.addWidget(self._view, 1)

    sliceViewName = Property(str, lambda self: self._logic.GetSliceNode().GetLayoutName())
    sliceOrientation = Property(
        str,
        lambda self: self._logic.GetSliceNode().GetOrientation(),
        lambda self, value: self._logic.GetSliceNode().SetOrientation(value),
    )

    def sliceLogic(self):
        return self._logic

    def sliceView(self):
        return self._view

    def sliceController(self):
        return self._controller

    def mrmlSliceNode(self):
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self):
        return self._logic.GetSliceCompositeNode()


class qSlicerLayoutManager(QtCore.QObject):
    """slicer.app.layoutManager(); `viewport()` is the widget that shows the views."""

    cppName = "qSlicerLayoutManager"
    cppSignals = {"layoutChanged(int)": "layoutChanged"}
    layoutChanged = Signal(int)

    def __init__(self):
        super().__init__()
        self._viewport = QtWidgets.QWidget()
        self._viewport.setAutoFillBackground(True)
        QtWidgets.QVBoxLayout(self._viewport).setContentsMargins(0, 0, 0, 0)
        self._widgets = {}  # slice node's layout name -> widget
        self._content, self._shown = None, None
        self._logic = slicer.vtkMRMLLayoutLogic()
        self._logic.SetMRMLScene(slicer.mrmlScene)
        self._logic.GetLayoutNode().AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._update())
        scene = slicer.mrmlScene
        for name in ("EndBatchProcessEvent", "EndImportEvent", "EndCloseEvent"):
            scene.AddObserver(getattr(slicer.vtkMRMLScene, name), lambda caller, event: self._update())
        self.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)

    layout = Property(
        int,
        lambda self: self._logic.GetLayoutNode().GetViewArrangement(),
        lambda self, value: self.setLayout(value),
    )
    threeDViewCount = Property(int, lambda self: 0)
    tableViewCount = Property(int, lambda self: 0)
    plotViewCount = Property(int, lambda self: 0)

    def setLayout(self, layout: int) -> None:
        node = self._logic.GetLayoutNode()
        if node.GetViewArrangement() == layout:
            return
        if not node.IsLayoutDescription(layout):
            layout = slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView
        node.RemoveAllMaximizedViewNodes()
        node.SetViewArrangement(layout)

    def layoutLogic(self):
        return self._logic

    def viewport(self):
        return self._viewport

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._widgets)

    def sliceWidget(self, name: str):
        return self._widgets.get(name)

    def mrmlSliceLogics(self):
        return slicer.app.applicationLogic().GetSliceLogics()

    def resetSliceViews(self) -> None:
        for widget in self._widgets.values():
            widget.sliceController().fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        """There is no 3-D view on the host."""

    def mrmlScene(self):
        return slicer.mrmlScene

    def _update(self) -> None:
        """Show the views of the layout node's description; qMRMLLayoutManagerPrivate::onLayoutNodeModifiedEvent."""
        node = self._logic.GetLayoutNode()
        if node is None or slicer.mrmlScene.IsBatchProcessing():
            return
        state = (node.GetViewArrangement(), node.GetCurrentLayoutDescription())
        if state == self._shown or not state[1]:
            return
        changed = self._shown is None or state[0] != self._shown[0]
        self._shown = state
        for widget in self._widgets.values():
            widget.setParent(None)
        if self._content is not None:
            self._viewport.layout().removeWidget(self._content)
            self._content.deleteLater()
        self._content = self._build(ElementTree.fromstring(state[1]))
        self._viewport.layout().addWidget(self._content)
        if changed:
            self.layoutChanged.emit(state[0])

    def _build(self, element: ElementTree.Element) -> QtWidgets.QWidget:
        if element.tag == "view":
            return self._view(element)
        content = QtWidgets.QWidget()
        kind = element.get("type", "horizontal")
        kinds = {"vertical": QtWidgets.QVBoxLayout, "horizontal": QtWidgets.QHBoxLayout, "grid": QtWidgets.QGridLayout}
        if kind not in kinds:
            raise ValueError(f"the host knows no layout type '{kind}'")
        layout = kinds[kind](content)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        for item in element.findall("item"):
            for child in item:
                widget = self._build(child)
                if kind == "grid":
                    place = [int(item.get(key, standard)) for key, standard in PLACES]
                    layout.addWidget(widget, *place)
                    layout.setRowStretch(place[0], 1)
                    layout.setColumnStretch(place[1], 1)
                else:
                    layout.addWidget(widget, 1)
                widget.setVisible(True)
        return content

    def _view(self, element: ElementTree.Element) -> QtWidgets.QWidget:
        className, tag = element.get("class"), element.get("singletontag")
        if className != "vtkMRMLSliceNode":
            label = QtWidgets.QLabel(f"{className} {tag}: not on this host")
            label.setAlignment(QtCore.Qt.AlignCenter)
            return label
        if tag not in self._widgets:
            node = slicer.mrmlScene.GetSingletonNode(tag, className)  # made by the layout logic
            self._widgets[tag] = qMRMLSliceWidget(node)
        return self._widgets[tag]


PLACES = (("row", 0), ("column", 0), ("rowspan", 1), ("colspan", 1))
