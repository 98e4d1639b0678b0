"""What other modules make of a generated image is generated, too: the mark goes on to copies, crops and resampled ones.

MRML tells no origin of a node. Followed are: clones (they copy attributes), Crop Volume, command line modules (all that
resample, filter or register), and nodes whose name still says SYNTHETIC. What a script computes from the voxels is not.
"""

from typing import Any

import slicer
import vtk

from ..common import NodeRoles
from ..common.NodeRoles import isSynthetic
from ..common.QtTimers import startTimer
from ..common.Steps import Later

_WORD = "SYNTHETIC"
_CROP, _COMMAND_LINE = "vtkMRMLCropVolumeParametersNode", "vtkMRMLCommandLineModuleNode"


class SyntheticHeirs:
    """Watches the scene for nodes that come from generated ones, and marks them."""

    def __init__(self) -> None:
        scene = slicer.mrmlScene
        self._sceneTags = [
            scene.AddObserver(scene.NodeAddedEvent, self._onNodeAdded),
            scene.AddObserver(scene.EndCloseEvent, self.forget),
        ]
        self._watched: list[tuple[Any, int]] = []
        self._added: list[str] = []
        self._later = Later(startTimer)
        for className in (_CROP, _COMMAND_LINE):
            for number in range(scene.GetNumberOfNodesByClass(className)):
                self._watch(scene.GetNthNodeByClass(number, className))

    def close(self) -> None:
        """Watch nothing any more."""
        for tag in self._sceneTags:
            slicer.mrmlScene.RemoveObserver(tag)
        self.forget()

    def forget(self, _scene: Any = None, _event: str = "") -> None:
        """Let go of the nodes of a scene."""
        for node, tag in self._watched:
            node.RemoveObserver(tag)
        self._watched.clear()
        self._added.clear()
        self._later.stop()

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAdded(self, _scene: Any, _event: str, node: Any) -> None:
        if node.IsA(_CROP) or node.IsA(_COMMAND_LINE):
            self._watch(node)
        elif node.IsA("vtkMRMLVolumeNode"):
            _partFromRun(node)
            _markByName(node)
            self._added.append(node.GetID())
            if not self._later.isPending:  # its maker may name it only now
                self._later.call(self._onLater)

    def _onLater(self) -> None:
        identifiers, self._added = self._added, []
        for node in map(slicer.mrmlScene.GetNodeByID, identifiers):
            if node is not None:
                _markByName(node)

    def _watch(self, node: Any) -> None:
        event = vtk.vtkCommand.ModifiedEvent if node.IsA(_CROP) else node.StatusModifiedEvent
        self._watched.append((node, node.AddObserver(event, self._onModified)))

    def _onModified(self, node: Any, _event: str) -> None:
        if node.IsA(_CROP):
            sources, results = [node.GetInputVolumeNode()], [node.GetOutputVolumeNode()]
        else:
            sources, results = _images(node, "input"), _images(node, "output")
        source = next((source for source in sources if isSynthetic(source)), None)
        for result in results:
            if source is not None and result is not None and not isSynthetic(result):
                mark(result, source)


def mark(node: Any, source: Any = None) -> None:
    """Mark a node as generated; with the notice and the record of where it comes from."""
    node.SetAttribute(NodeRoles.SYNTHETIC, "1")
    for name in (NodeRoles.NOTICE, NodeRoles.PROVENANCE):
        if source is not None and source.GetAttribute(name):
            node.SetAttribute(name, source.GetAttribute(name))


def _markByName(node: Any) -> None:
    if _WORD in (node.GetName() or "") and not isSynthetic(node):
        mark(node)


def _partFromRun(node: Any) -> None:
    """A copy of a node of a run keeps its mark, but is no part of the run: the original is."""
    if not NodeRoles.hasRunKey(node):
        return
    key, scene = NodeRoles.runKey(node), slicer.mrmlScene
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")):
        other = scene.GetNthNodeByClass(number, "vtkMRMLVolumeNode")
        if other is not node and NodeRoles.runKey(other) == key:
            for name in (NodeRoles.RUN, NodeRoles.ROLE):
                node.RemoveAttribute(name)
            return


def _images(node: Any, channel: str) -> list[Any]:
    """Images that a command line module reads or writes."""
    found = []
    for group in range(node.GetNumberOfParameterGroups()):
        for number in range(node.GetNumberOfParametersInGroup(group)):
            isImage = node.GetParameterTag(group, number) == "image"
            if isImage and node.GetParameterChannel(group, number) == channel:
                value = node.GetParameterAsString(node.GetParameterName(group, number))
                found += [slicer.mrmlScene.GetNodeByID(identifier) for identifier in value.split(",") if identifier]
    return found
