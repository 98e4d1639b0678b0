"""From the worker's files to nodes: everything is read first, then the whole run enters the scene, or nothing of it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..common import NodeRoles
from ..common.Failure import Failure
from ..common.Translation import tr as _
from ..inputs.InputFacts import PredictionInputs
from ..inputs.SceneExporter import geometryText
from .MeasurementsTable import columnTitles, fillTable, measurementRows
from .ResultDisplay import addWithDisplay, makeDisplay
from .ResultManifest import ClassResult, ResultManifest
from .ResultNodes import ResultNodes, placeNode, removeNode


@dataclass(frozen=True)
class _Loaded:
    """A volume and its display node, ready to enter the scene."""

    volume: Any
    display: Any
    role: str
    className: str


class ResultImporter:
    """Loads a result as one run: a new folder in the subject hierarchy beside the input volume.

    Nothing of the user's is changed: every run makes new nodes, which refer to their inputs.
    """

    def steps(
        self, manifest: ResultManifest, inputs: PredictionInputs, image: Any, run: str, registerFollowUp: bool = True
    ) -> Iterator[ResultNodes | None]:
        """Read one file per step, then add one node per step; the last step makes a run of them.

        :param image: the copy of the input volume that was predicted from; its geometry is the result's, exactly.
        :param registerFollowUp: also load the follow-up that the engine aligned.
        :returns: None, and after the last step the nodes.
        :raises Failure: a file cannot be read. Then, and if the iterator is closed before its end, the scene is
            unchanged.
        """
        notice, provenance = _readProvenance(manifest.provenance)
        loaded: list[_Loaded] = []

        def keep(volume: Any, role: str, className: str) -> None:
            source = inputs.followUp if role == NodeRoles.REGISTERED else inputs.volume
            loaded.append(_Loaded(volume, makeDisplay(volume, role, source), role, className))

        for result in manifest.classes:
            for role, path in result.volumes.items():
                volume = readVolume(path, role, image)
                yield None
                keep(volume, role, result.name)
                if role == NodeRoles.PREDICTED:
                    volume.SetAttribute(NodeRoles.GEOMETRY, geometryText(image))
                    yield None
                    difference = _difference(volume, image)
                    yield None
                    keep(difference, NodeRoles.DIFFERENCE, result.name)
                yield None
            for path in result.samples:
                keep(readVolume(path, NodeRoles.SAMPLE, image), NodeRoles.SAMPLE, result.name)
                yield None
        if len(manifest.classes) > 1:
            first, last = (_predicted(loaded, manifest.classes[number].name) for number in (0, -1))
            keep(_difference(last, first), NodeRoles.CLASS_DIFFERENCE, "")
            yield None
        if manifest.registeredFollowUp is not None and registerFollowUp:
            keep(readVolume(manifest.registeredFollowUp, NodeRoles.REGISTERED, image), NodeRoles.REGISTERED, "")
            yield None
        marks = {
            NodeRoles.SYNTHETIC: "1",
            NodeRoles.NOTICE: notice,
            NodeRoles.RUN: run,
            NodeRoles.CREATED: datetime.now(UTC).isoformat(timespec="seconds"),
            NodeRoles.SEGMENT: inputs.segmentID,
        }
        yield from self._addToScene(manifest, inputs, loaded, marks, provenance)

    def _addToScene(
        self,
        manifest: ResultManifest,
        inputs: PredictionInputs,
        loaded: list[_Loaded],
        marks: dict[str, str],
        provenance: str,
    ) -> Iterator[ResultNodes | None]:
        """Add a node per step. The last step makes a run of them; all are removed again unless it was the end."""
        scene = slicer.mrmlScene
        added: list[Any] = []
        nodes, folder, isEnd = ResultNodes(marks[NodeRoles.RUN], marks[NodeRoles.CREATED]), 0, False
        try:
            for entry, number in zip(loaded, _sampleNumbers(loaded), strict=True):
                added.append(entry.volume)
                self._addVolume(entry, number, manifest, inputs, marks)
                yield None
            table = self._addTable(manifest, marks)
            if table is not None:
                added.append(table)
                yield None
            for node in added:
                if node.GetAttribute(NodeRoles.ROLE) == NodeRoles.PREDICTED:  # without these there is no run
                    node.SetAttribute(NodeRoles.PROVENANCE, provenance)
                    node.SetAttribute(NodeRoles.RUN, nodes.run)
                nodes.addNode(node)
            folder = _group(nodes, inputs.volume if _isInScene(inputs.volume) else None, manifest, marks)
            yield nodes
            isEnd = True
        finally:
            for node in () if isEnd else added:
                removeNode(scene, node)
            if folder and not isEnd:
                scene.GetSubjectHierarchyNode().RemoveItem(folder)

    def _addVolume(
        self, entry: _Loaded, number: int, manifest: ResultManifest, inputs: PredictionInputs, marks: dict[str, str]
    ) -> None:
        """Add a volume; a predicted one belongs to no run yet.

        :param number: of the sample, from 1; 0 for what is none.
        """
        node, role, className = entry.volume, entry.role, entry.className
        name = _nodeName(role, className if len(manifest.classes) > 1 else "", number, inputs.volume.GetName())
        node.SetName(slicer.mrmlScene.GenerateUniqueName(name))
        _mark(node, marks | {NodeRoles.ROLE: role, NodeRoles.CLASS: className})
        if role == NodeRoles.PREDICTED:
            node.RemoveAttribute(NodeRoles.RUN)
        if number:
            node.SetAttribute(NodeRoles.SAMPLE_NUMBER, str(number))
        result = next((result for result in manifest.classes if result.name == className), None)
        node.SetAttribute(NodeRoles.CLASS_SOURCE, result.source if result is not None else "")
        if role == NodeRoles.ENHANCEMENT and result is not None and result.volumeIsShown:
            node.SetAttribute(NodeRoles.VOLUME_SHOWN, "1")
        addWithDisplay(node, entry.display, role)
        _refer(node, inputs)

    def _addTable(self, manifest: ResultManifest, marks: dict[str, str]) -> Any:
        rows = measurementRows(manifest.classes)
        if not rows:
            return None
        table = slicer.vtkMRMLTableNode()
        table.SetName(slicer.mrmlScene.GenerateUniqueName(_("SYNTHETIC measurements")))
        fillTable(table, columnTitles(manifest.classes), rows)
        _mark(table, marks | {NodeRoles.ROLE: NodeRoles.MEASUREMENTS})
        slicer.mrmlScene.AddNode(table)
        return table


def classText(result: ClassResult, probabilities: dict[str, float]) -> str:
    """Return a class with its source and probability, for people."""
    if result.source == "none":
        return _("without class")
    chance = probabilities.get(result.name)
    if result.source == "predicted" and chance is not None:
        return _("{name} (predicted, {chance:.0%})").format(name=result.name, chance=chance)
    return _("{name} (chosen)").format(name=result.name)


def _readProvenance(path: Path) -> tuple[str, str]:
    try:
        text = path.read_text(encoding="utf-8")
        return str(json.loads(text)["notice"]), text
    except (OSError, ValueError, KeyError, TypeError) as error:
        message = _("The record of the prediction cannot be read.")
        raise Failure("result", message, _("Predict again."), str(error)) from error


def readVolume(path: Path, role: str, image: Any) -> Any:
    """A volume outside the scene, without storage node: the temporary file may go, and saving the scene saves it.

    :param image: has the same grid, and its exact geometry; None: the file's own.
    :raises Failure: the file cannot be read, or has another grid.
    """
    isMask = role == NodeRoles.MASK
    volume = slicer.vtkMRMLLabelMapVolumeNode() if isMask else slicer.vtkMRMLScalarVolumeNode()
    if path.name.endswith(".nrrd"):
        storage = slicer.vtkMRMLNRRDStorageNode()
    else:
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetSingleFile(1)  # sample_02 is no further slice of sample_01
    storage.SetFileName(str(path))
    if not storage.ReadData(volume) or volume.GetImageData() is None:
        message = _("The file {name} of the result cannot be read.").format(name=path.name)
        raise Failure("result", message, _("Predict again; if it stays, look at the log."), str(path))
    if image is not None and volume.GetImageData().GetDimensions() != image.GetImageData().GetDimensions():
        message = _("The file {name} of the result has another grid than the input.").format(name=path.name)
        raise Failure("result", message, _("Predict again; if it stays, look at the log."), str(path))
    for name in list(volume.GetAttributeNames()):
        volume.RemoveAttribute(name)
    if image is not None:
        volume.CopyOrientation(image)
    return volume


def _predicted(loaded: list[_Loaded], className: str) -> Any:
    return next(entry.volume for entry in loaded if (entry.role, entry.className) == (NodeRoles.PREDICTED, className))


def _difference(later: Any, earlier: Any) -> Any:
    """One volume minus another on the same grid, float32."""
    after, before = (vtk_to_numpy(node.GetImageData().GetPointData().GetScalars()) for node in (later, earlier))
    change = after.astype(np.float32) - before.astype(np.float32)
    voxels = vtk.vtkImageData()
    voxels.SetDimensions(earlier.GetImageData().GetDimensions())
    voxels.GetPointData().SetScalars(numpy_to_vtk(change, deep=True, array_type=vtk.VTK_FLOAT))
    volume = slicer.vtkMRMLScalarVolumeNode()
    volume.SetAndObserveImageData(voxels)
    volume.CopyOrientation(earlier)
    return volume


def _nodeName(role: str, className: str, sample: int, inputName: str) -> str:
    roles = {
        NodeRoles.PREDICTED: _("prediction"),
        NodeRoles.DIFFERENCE: _("difference"),
        NodeRoles.CLASS_DIFFERENCE: _("difference of classes"),
        NodeRoles.MASK: _("generated slices"),
        NodeRoles.EXPECTED: _("expected image"),
        NodeRoles.SPREAD: _("spread"),
        NodeRoles.ENHANCEMENT: _("enhancement probability"),
        NodeRoles.REGISTERED: _("registered follow-up"),
        NodeRoles.SAMPLE: _("sample {number}").format(number=sample),
    }
    if role == NodeRoles.REGISTERED:
        return f"{roles[role]} - {inputName}"
    parts = [_("SYNTHETIC"), roles.get(role, role), className]
    return " ".join(part for part in parts if part) + f" - {inputName}"


def _mark(node: Any, marks: dict[str, str]) -> None:
    real = marks.get(NodeRoles.ROLE) == NodeRoles.REGISTERED
    for name, value in marks.items():
        if not (real and name in (NodeRoles.SYNTHETIC, NodeRoles.NOTICE)):
            node.SetAttribute(name, value)


def _sampleNumbers(loaded: list[_Loaded]) -> Iterator[int]:
    """Number of each sample in its class, from 1; 0 for what is none."""
    counts: dict[str, int] = {}
    for entry in loaded:
        isSample = entry.role == NodeRoles.SAMPLE
        counts[entry.className] = counts.get(entry.className, 0) + isSample
        yield counts[entry.className] if isSample else 0


def _isInScene(node: Any) -> bool:
    return node is not None and node.GetID() is not None and slicer.mrmlScene.GetNodeByID(node.GetID()) is node


def _refer(node: Any, inputs: PredictionInputs) -> None:
    references = (
        (NodeRoles.INPUT_VOLUME, inputs.volume),
        (NodeRoles.SEGMENTATION, inputs.segmentation),
        (NodeRoles.FOLLOW_UP, inputs.followUp),
    )
    for role, source in references:
        if _isInScene(source):
            node.SetNodeReferenceID(role, source.GetID())


def _group(nodes: ResultNodes, inputVolume: Any, manifest: ResultManifest, marks: dict[str, str]) -> int:
    """A folder beside the input volume: under its study or patient if it has one. Returns its item, or 0."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    if hierarchy is None:
        return 0
    parent = hierarchy.GetSceneItemID()
    if inputVolume is not None and hierarchy.GetItemByDataNode(inputVolume):
        parent = hierarchy.GetItemParent(hierarchy.GetItemByDataNode(inputVolume))
    texts = ", ".join(classText(result, manifest.probabilities) for result in manifest.classes)
    time = marks[NodeRoles.CREATED][11:19]
    name = _("SYNTHETIC prediction {time} UTC: {classes}").format(time=time, classes=texts)
    folder = hierarchy.CreateFolderItem(parent, name)
    hierarchy.SetItemAttribute(folder, NodeRoles.RUN, nodes.run)
    hierarchy.SetItemAttribute(folder, NodeRoles.SYNTHETIC, "1")
    for node in nodes.allNodes():
        placeNode(hierarchy, folder, node)
    return int(folder)
