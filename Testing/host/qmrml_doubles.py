"""Doubles of the qMRML widgets that the panel uses (Slicer: Libs/MRML/Widgets/<class>.h), on the real scene."""

import slicer
import vtk
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from host.ctk_doubles import ctkComboBox
from host.doubles import DOUBLES, double, stored

NODE_ID = QtCore.Qt.UserRole
Scene = slicer.vtkMRMLScene
REBUILDING_EVENTS = (Scene.EndBatchProcessEvent, Scene.EndCloseEvent, Scene.EndImportEvent)


class Observers:
    """VTK observers of one widget, removed together, at the latest with the widget."""

    def __init__(self, widget):
        self.tags = []
        widget.destroyed.connect(self.clear)

    def add(self, caller, event, callback) -> None:
        self.tags.append((caller, caller.AddObserver(event, callback)))

    def clear(self, widget=None) -> None:
        for caller, tag in self.tags:
            caller.RemoveObserver(tag)
        self.tags = []


@double("qMRMLWidget", mrmlSceneChanged="mrmlSceneChanged(vtkMRMLScene*)")
class qMRMLWidget(QtWidgets.QWidget):
    """A widget that hands its scene on to others."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene = None

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


@double(
    "qMRMLNodeComboBox",
    currentNodeChanged="currentNodeChanged(vtkMRMLNode*)",
    currentNodeChangedBool="currentNodeChanged(bool)",
    currentNodeIDChanged="currentNodeIDChanged(QString)",
    nodeActivated="nodeActivated(vtkMRMLNode*)",
    nodeAdded="nodeAdded(vtkMRMLNode*)",
    nodeAddedByUser="nodeAddedByUser(vtkMRMLNode*)",
    nodeAboutToBeRemoved="nodeAboutToBeRemoved(vtkMRMLNode*)",
    currentNodeRenamed="currentNodeRenamed(QString)",
    nodeAboutToBeEdited="nodeAboutToBeEdited(vtkMRMLNode*)",
)
class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Selects a node of the given types.

    Like the real one it is disabled until it has a scene, emits when the text of the current row changes (so not when
    it moves between two nodes of one name), falls back to None or to a neighbor when its node is removed, and selects
    the first node by itself only while its list has no other rows.
    """

    currentNodeChanged = Signal(object)
    currentNodeChangedBool = Signal(bool)
    currentNodeIDChanged = Signal(str)
    nodeActivated = Signal(object)
    nodeAdded = Signal(object)
    nodeAddedByUser = Signal(object)
    nodeAboutToBeRemoved = Signal(object)
    currentNodeRenamed = Signal(str)
    nodeAboutToBeEdited = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._scene, self._observers, self._nodeObservers = None, Observers(self), Observers(self)
        self._requested = ""
        self._attributes = {}
        self._labels = {}
        self._comboBox = ctkComboBox()
        self._comboBox.elideMode = QtCore.Qt.ElideMiddle
        self._comboBox.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Expanding)
        self._comboBox.setSizeAdjustPolicy(QtWidgets.QComboBox.AdjustToMinimumContentsLengthWithIcon)
        self._comboBox.setMinimumContentsLength(8)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._comboBox)
        self.setSizePolicy(QtWidgets.QSizePolicy.Preferred, QtWidgets.QSizePolicy.Fixed)
        self._comboBox.currentTextChanged.connect(lambda text: self._emitChanged())
        self._comboBox.activated.connect(lambda index: self.nodeActivated.emit(self.currentNode()))
        self.setEnabled(False)

    nodeTypes = stored("QStringList", "nodeTypes", [], "_rebuild")
    showHidden = stored(bool, "showHidden", False, "_rebuild")
    showChildNodeTypes = stored(bool, "showChildNodeTypes", True, "_rebuild")
    hideChildNodeTypes = stored("QStringList", "hideChildNodeTypes", [], "_rebuild")
    noneEnabled = stored(bool, "noneEnabled", False, "_rebuild")
    noneDisplay = stored(str, "noneDisplay", "None", "_rebuild")
    addEnabled = stored(bool, "addEnabled", True, "_rebuild")
    removeEnabled = stored(bool, "removeEnabled", True, "_rebuild")
    editEnabled = stored(bool, "editEnabled", False, "_rebuild")
    renameEnabled = stored(bool, "renameEnabled", False, "_rebuild")
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)
    baseName = stored(str, "baseName", "")
    interactionNodeSingletonTag = stored(str, "interactionNodeSingletonTag", "")

    def _setSizeAdjustPolicy(self, policy) -> None:
        self._comboBox.setSizeAdjustPolicy(policy)

    sizeAdjustPolicy = Property(
        QtWidgets.QComboBox.SizeAdjustPolicy, lambda self: self._comboBox.sizeAdjustPolicy, _setSizeAdjustPolicy
    )
    currentNodeID = Property(
        str, lambda self: self.currentNode().GetID() if self.currentNode() else "", lambda self, v: self._select(v)
    )

    def mrmlScene(self):
        return self._scene

    def setMRMLScene(self, scene) -> None:
        if scene is self._scene:
            return
        self._observers.clear()
        self._scene = scene
        if scene is not None:
            for event in REBUILDING_EVENTS:
                self._observers.add(scene, event, self._onSceneChanged)
            self._observers.add(scene, Scene.NodeRemovedEvent, self._onNodeRemoved)
            self._observers.add(scene, Scene.NodeAddedEvent, self._onNodeAdded)
            self._observers.add(scene, Scene.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved)
        self._rebuild()
        if self._requested:
            self._select(self._requested)
            self._requested = ""
        self.setEnabled(scene is not None)

    def _onSceneChanged(self, scene, event):
        if not scene.IsBatchProcessing():
            self._rebuild()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAdded(self, scene, event, node):
        if not scene.IsBatchProcessing() and self._accepts(node):
            self._rebuild()
            self.nodeAdded.emit(node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeRemoved(self, scene, event, node):
        if not scene.IsBatchProcessing() and self._accepts(node):
            self._rebuild()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAboutToBeRemoved(self, scene, event, node):
        if not scene.IsBatchProcessing() and self._accepts(node):
            self.nodeAboutToBeRemoved.emit(node)

    def _accepts(self, node) -> bool:
        matching = [name for name in self.nodeTypes if node.IsA(name)]
        if not matching or (node.GetHideFromEditors() and not self.showHidden):
            return False
        if not self.showChildNodeTypes and node.GetClassName() not in self.nodeTypes:
            return False
        if any(node.IsA(name) for name in self.hideChildNodeTypes):
            return False
        wanted = [pair for name in matching for pair in self._attributes.get(name, {}).items()]
        return all(
            node.GetAttribute(key) is not None and value in (None, node.GetAttribute(key)) for key, value in wanted
        )

    def _nodes(self) -> list:
        if self._scene is None:
            return []
        nodes = [self._scene.GetNthNode(index) for index in range(self._scene.GetNumberOfNodes())]
        return [node for node in nodes if self._accepts(node)]

    def _actions(self) -> list[str]:
        if self._scene is None:
            return []
        label = self.nodeTypeLabel(self.nodeTypes[0]) if len(self.nodeTypes) == 1 else "node"
        actions = [f"Rename current {label}"] if self.renameEnabled else []
        actions += [f"Edit current {label}"] if self.editEnabled else []
        if self.addEnabled:
            for name in self.nodeTypes:
                actions.append(f"Create new {self.nodeTypeLabel(name)}")
                actions += [f"Create new {self.nodeTypeLabel(name)} as..."] if self.renameEnabled else []
        actions += [f"Delete current {label}"] if self.removeEnabled else []
        return actions

    def _rebuild(self) -> None:
        """Make the rows anew and keep the current node; without it, take None, a neighbor or nothing."""
        box = self._comboBox
        oldIndex, oldID, oldText = box.currentIndex, box.itemData(box.currentIndex, NODE_ID), box.currentText
        nodes, actions = self._nodes(), self._actions()
        blocked = box.blockSignals(True)
        box.clear()
        self._nodeObservers.clear()
        if self.noneEnabled:
            box.addItem(self.noneDisplay, None)
        for node in nodes:
            box.addItem(node.GetName(), node.GetID())
            self._nodeObservers.add(node, vtk.vtkCommand.ModifiedEvent, self._onNodeModified)
        if actions:
            box.insertSeparator(box.count)
        for action in actions:
            box.addItem(action, None)
            box.setItemData(box.count - 1, 0, QtCore.Qt.UserRole - 1)  # neither enabled nor selectable
        index = box.findData(oldID, NODE_ID) if oldID else -1
        if index < 0:
            firstNode = 1 if self.noneEnabled else 0
            if self.noneEnabled:
                index = 0
            elif oldID and nodes:  # removed: a neighbor
                index = min(max(oldIndex, firstNode), firstNode + len(nodes) - 1)
            elif nodes and not actions:
                index = 0
        box.setCurrentIndex(index)
        box.blockSignals(blocked)
        if self.nodeTypes:
            box.defaultText = f"Select a {self.nodeTypeLabel(self.nodeTypes[0])}"
        if box.currentText != oldText or (box.itemData(box.currentIndex, NODE_ID) or "") != (oldID or ""):
            self._emitChanged()

    def _onNodeModified(self, node, event):
        box = self._comboBox
        index = box.findData(node.GetID(), NODE_ID)
        if index >= 0 and box.itemText(index) != node.GetName():
            box.setItemText(index, node.GetName())
        elif self._accepts(node) != (index >= 0):
            self._rebuild()

    def _emitChanged(self) -> None:
        node = self.currentNode()
        self.currentNodeChanged.emit(node)
        self.currentNodeChangedBool.emit(node is not None)
        self.currentNodeIDChanged.emit(node.GetID() if node else "")

    def _select(self, nodeID: str) -> None:
        if self._scene is None:
            self._requested = nodeID
            return
        index = self._comboBox.findData(nodeID, NODE_ID) if nodeID else -1
        self._comboBox.setCurrentIndex(index if index >= 0 else 0 if self.noneEnabled else -1)

    def currentNode(self):
        nodeID = self._comboBox.itemData(self._comboBox.currentIndex, NODE_ID)
        return self._scene.GetNodeByID(nodeID) if nodeID and self._scene is not None else None

    def setCurrentNode(self, node) -> None:
        if node is not None and not isinstance(node, (str, slicer.vtkMRMLNode)):
            raise ValueError(f"setCurrentNode takes a node or its ID, not {type(node).__name__}")
        self._select(node if isinstance(node, str) else node.GetID() if node is not None else "")

    def setCurrentNodeIndex(self, index: int) -> None:
        self.setCurrentNode(self.nodeFromIndex(index))

    def nodeCount(self) -> int:
        return len(self._nodes())

    def nodeFromIndex(self, index: int):
        nodes = self._nodes()
        return nodes[index] if 0 <= index < len(nodes) else None

    def addAttribute(self, nodeType: str, name: str, value=None) -> None:
        self._attributes.setdefault(nodeType, {})[name] = value
        self._rebuild()

    def removeAttribute(self, nodeType: str, name: str) -> None:
        self._attributes.get(nodeType, {}).pop(name, None)
        self._rebuild()

    def setNodeTypeLabel(self, label: str, nodeType: str) -> None:
        self._labels[nodeType] = label
        self._rebuild()

    def nodeTypeLabel(self, nodeType: str) -> str:
        if nodeType in self._labels:
            return self._labels[nodeType]
        return (self._scene.GetTypeDisplayNameByClassName(nodeType) if self._scene is not None else "") or "node"

    def addNode(self, nodeType: str = ""):
        nodeType = nodeType or self.nodeTypes[0]
        node = self._scene.AddNewNodeByClass(
            nodeType, self._scene.GenerateUniqueName(self.baseName or self.nodeTypeLabel(nodeType))
        )
        if self.selectNodeUponCreation:
            self.setCurrentNode(node)
        self.nodeAddedByUser.emit(node)
        return node

    def removeCurrentNode(self) -> None:
        if self.currentNode() is not None:
            self._scene.RemoveNode(self.currentNode())


@double(
    "qMRMLSegmentSelectorWidget",
    currentNodeChanged="currentNodeChanged(vtkMRMLNode*)",
    currentNodeChangedBool="currentNodeChanged(bool)",
    currentSegmentChanged="currentSegmentChanged(QString)",
    segmentSelectionChanged="segmentSelectionChanged(QStringList)",
    nodeAboutToBeEdited="nodeAboutToBeEdited(vtkMRMLNode*)",
)
class qMRMLSegmentSelectorWidget(qMRMLWidget):
    """Selects a segmentation and one of its segments (single selection only).

    currentNode(), currentNodeID() and currentSegmentID() are methods here, as in the real widget.
    """

    currentNodeChanged = Signal(object)
    currentNodeChangedBool = Signal(bool)
    currentSegmentChanged = Signal(str)
    segmentSelectionChanged = Signal(list)
    nodeAboutToBeEdited = Signal(object)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._node, self._segmentID, self._segmentObservers = None, "", Observers(self)
        self._nodeBox = qMRMLNodeComboBox()
        self._nodeBox.nodeTypes = ["vtkMRMLSegmentationNode"]
        self._nodeBox.addEnabled, self._nodeBox.renameEnabled = False, True
        self._segmentBox, self._segmentLabel, self._message = (
            ctkComboBox(),
            QtWidgets.QLabel("Segment: "),
            QtWidgets.QLabel(),
        )
        self._grid = QtWidgets.QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.addWidget(self._nodeBox, 0, 0)
        self._frame = QtWidgets.QFrame()
        row = QtWidgets.QHBoxLayout(self._frame)
        row.setContentsMargins(0, 0, 0, 0)
        for part in (self._segmentLabel, self._message, self._segmentBox):
            row.addWidget(part)
        self._segmentBox.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._grid.addWidget(self._frame, 1, 0)
        self._nodeBox.currentNodeChanged.connect(self._onNodeChanged)
        self._nodeBox.currentNodeChanged.connect(self.currentNodeChanged)
        self._nodeBox.currentNodeChangedBool.connect(self.currentNodeChangedBool)
        self._segmentBox.currentIndexChanged.connect(self._onSegmentChanged)
        self.mrmlSceneChanged.connect(self._nodeBox.setMRMLScene)
        self._populate()

    def _setNoneEnabled(self, enabled: bool) -> None:
        self._nodeBox.noneEnabled = enabled
        self._populate()

    def _setEditEnabled(self, enabled: bool) -> None:
        self._nodeBox.editEnabled = enabled

    def _setSelectorVisible(self, visible: bool) -> None:
        self._nodeBox.setVisible(visible)

    def _setHorizontal(self, horizontal: bool) -> None:
        self._grid.removeWidget(self._frame)
        self._grid.addWidget(self._frame, *((0, 1) if horizontal else (1, 0)))
        self._segmentLabel.setText("" if horizontal else "Segment: ")
        self.__dict__["_horizontal"] = horizontal

    def _refuseMultiSelection(self, multiple: bool) -> None:
        if multiple:
            raise NotImplementedError("the double selects one segment only")

    noneEnabled = Property(bool, lambda self: self._nodeBox.noneEnabled, _setNoneEnabled)
    editEnabled = Property(bool, lambda self: self._nodeBox.editEnabled, _setEditEnabled)
    segmentationNodeSelectorVisible = Property(bool, lambda self: not self._nodeBox.isHidden(), _setSelectorVisible)
    horizontalLayout = Property(bool, lambda self: self.__dict__.get("_horizontal", False), _setHorizontal)
    multiSelection = Property(bool, lambda self: False, _refuseMultiSelection)
    selectNodeUponCreation = stored(bool, "selectNodeUponCreation", True)

    def currentNode(self):
        return self._nodeBox.currentNode()

    def setCurrentNode(self, node) -> None:
        self._nodeBox.setCurrentNode(node)

    def currentNodeID(self) -> str:
        return self._nodeBox.currentNodeID

    def setCurrentNodeID(self, nodeID: str) -> None:
        self._nodeBox.setCurrentNodeID(nodeID)

    def currentSegmentID(self) -> str:
        return self._segmentID

    def setCurrentSegmentID(self, segmentID: str) -> None:
        if not segmentID and self.noneEnabled:
            self._segmentBox.setCurrentIndex(0)
            return
        index = self._segmentBox.findData(segmentID)
        if index >= 0 and index != self._segmentBox.currentIndex:
            self._segmentBox.setCurrentIndex(index)

    def segmentIDs(self) -> list[str]:
        """Return the segments of the multi-selection box, which is empty in single selection, as in the real widget."""
        return []

    def _onNodeChanged(self, node) -> None:
        if node is self._node:
            return
        self._segmentObservers.clear()
        self._node = node
        if node is not None:
            for name in ("SegmentAdded", "SegmentRemoved", "SegmentModified"):
                event = getattr(slicer.vtkSegmentation, name)
                self._segmentObservers.add(node, event, lambda caller, event: self._populate())
        self._populate()

    def _populate(self) -> None:
        box = self._segmentBox
        blocked = box.blockSignals(True)
        box.clear()
        box.blockSignals(blocked)
        segmentation = self._node.GetSegmentation() if self._node is not None else None
        filled = segmentation is not None and segmentation.GetNumberOfSegments() > 0
        self._segmentLabel.setVisible(filled)
        box.setVisible(filled)
        self._message.setVisible(not filled)
        self._message.setText("No segments in segmentation " if self._node is not None else "No node is selected ")
        if not filled:
            return
        identifiers = list(segmentation.GetSegmentIDs())
        blocked = box.blockSignals(True)
        if self.noneEnabled:
            box.addItem("None", "None")
        for identifier in identifiers:
            box.addItem(segmentation.GetSegment(identifier).GetName(), identifier)
        box.setCurrentIndex(-1)
        box.blockSignals(blocked)
        if self._segmentID in identifiers or (self.noneEnabled and not self._segmentID):
            blocked = box.blockSignals(True)
            self.setCurrentSegmentID(self._segmentID)
            box.blockSignals(blocked)
        else:
            box.setCurrentIndex(1 if self.noneEnabled else 0)

    def _onSegmentChanged(self, index: int) -> None:
        if self._node is not None:
            identifier = self._segmentBox.itemData(index) or ""
            self._segmentID = "" if identifier == "None" else identifier
            self.currentSegmentChanged.emit(self._segmentID)


def publish() -> None:
    """Make the doubles available as slicer.qMRML..., as in Slicer."""
    for name, cls in DOUBLES.items():
        if name.startswith("q"):
            setattr(slicer, name, cls)
