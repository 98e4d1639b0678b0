"""The runs of a scene and their nodes, found by role, so that they are the same after saving and loading the scene."""

import json
from dataclasses import dataclass, field
from typing import Any

from ..common import NodeRoles

OVERLAYS = (NodeRoles.DIFFERENCE, NodeRoles.SPREAD, NodeRoles.ENHANCEMENT)
_CLASSES = ("vtkMRMLScalarVolumeNode", "vtkMRMLTableNode")


@dataclass
class ResultNodes:
    """One prediction run in the scene.

    :param created: time of the run, UTC, ISO 8601.
    :param byClass: class name -> role -> node.
    :param samples: class name -> nodes of the single samples.
    """

    run: str
    created: str
    inputVolume: Any = None
    segmentation: Any = None
    segmentID: str = ""
    followUp: Any = None
    byClass: dict[str, dict[str, Any]] = field(default_factory=dict)
    samples: dict[str, list[Any]] = field(default_factory=dict)
    measurements: Any = None
    scores: Any = None
    registeredFollowUp: Any = None
    classDifference: Any = None

    @property
    def name(self) -> str:
        """What the user calls the run; empty if they gave it no name."""
        predicted = self.node(NodeRoles.PREDICTED)
        return (predicted.GetAttribute(NodeRoles.RUN_NAME) or "") if predicted is not None else ""

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of their prediction."""
        return list(self.byClass)

    def node(self, role: str, className: str = "") -> Any:
        """Return the node of a role, of the first class if none is given; None if there is none."""
        roles = self.byClass.get(className or next(iter(self.byClass), ""), {})
        return roles.get(role)

    def sampleNodes(self, className: str) -> list[Any]:
        """Return the single possibilities of a class in their order; none if its expected image is all there is."""
        predicted = self.node(NodeRoles.PREDICTED, className)
        if self.samples.get(className) or predicted is None:
            return self.samples.get(className, [])
        record = json.loads(predicted.GetAttribute(NodeRoles.PROVENANCE) or "{}")
        record = record.get("classes", {}).get(className, record)
        return [] if record.get("predicted_is", "sample 1") == "expected image" else [predicted]

    @property
    def geometry(self) -> str:
        """The geometry that the input had when it was exported (`geometryText`); empty for runs of older versions."""
        predicted = self.node(NodeRoles.PREDICTED)
        return (predicted.GetAttribute(NodeRoles.GEOMETRY) or "") if predicted is not None else ""

    def record(self) -> dict[str, Any]:
        """Return the engine's record of the run (`provenance.json`); empty if there is none."""
        predicted = self.node(NodeRoles.PREDICTED)
        return json.loads(predicted.GetAttribute(NodeRoles.PROVENANCE) or "{}") if predicted is not None else {}

    def addNode(self, node: Any) -> None:
        """Take up a node by its attributes."""
        className, role = node.GetAttribute(NodeRoles.CLASS) or "", node.GetAttribute(NodeRoles.ROLE) or ""
        if role == NodeRoles.MEASUREMENTS:
            self.measurements = node
        elif role == NodeRoles.SCORES:
            self.scores = node
        elif role == NodeRoles.REGISTERED:
            self.registeredFollowUp = node
        elif role == NodeRoles.CLASS_DIFFERENCE:
            self.classDifference = node
        elif role == NodeRoles.SAMPLE:
            self.samples.setdefault(className, []).append(node)
        else:
            self.byClass.setdefault(className, {})[role] = node
        if role == NodeRoles.PREDICTED:
            self.inputVolume = self.inputVolume or node.GetNodeReference(NodeRoles.INPUT_VOLUME)
            self.segmentation = self.segmentation or node.GetNodeReference(NodeRoles.SEGMENTATION)
            self.followUp = self.followUp or node.GetNodeReference(NodeRoles.FOLLOW_UP)
            self.segmentID = self.segmentID or node.GetAttribute(NodeRoles.SEGMENT) or ""

    def overlays(self) -> list[Any]:
        """Return the volumes that are shown on the anatomy, in colors."""
        nodes = [self.node(role, name) for name in self.byClass for role in OVERLAYS]
        return [node for node in (*nodes, self.classDifference) if node is not None]

    def allNodes(self) -> list[Any]:
        """Return every node of the run."""
        nodes = [node for roles in self.byClass.values() for node in roles.values()]
        nodes += [node for several in self.samples.values() for node in several]
        shared = (self.classDifference, self.registeredFollowUp, self.measurements, self.scores)
        return nodes + [node for node in shared if node is not None]


def placeNode(hierarchy: Any, folder: int, node: Any) -> None:
    """Put a node into a folder of the subject hierarchy."""
    item = hierarchy.GetItemByDataNode(node)
    if item:
        hierarchy.SetItemParent(item, folder)
    else:  # without the module's plugins nodes get no item by themselves
        hierarchy.CreateItem(folder, node)


def removeNode(scene: Any, node: Any) -> list[Any]:
    """Take a node with its display out of the scene; returns its display nodes."""
    displays = []
    if node.IsA("vtkMRMLDisplayableNode"):
        displays = [node.GetNthDisplayNode(number) for number in range(node.GetNumberOfDisplayNodes())]
    for entry in (node, *displays):
        if entry.GetID() is not None and scene.GetNodeByID(entry.GetID()) is entry:
            scene.RemoveNode(entry)
    return displays


def patientOf(run: ResultNodes, hierarchy: Any) -> int | str:
    """Return the patient of a run: an item of the subject hierarchy, or the ID of the input volume that has none."""
    volume = run.inputVolume
    item = hierarchy.GetItemByDataNode(volume) if hierarchy is not None and volume is not None else 0
    patient = hierarchy.GetItemAncestorAtLevel(item, "Patient") if item else 0
    return patient or (volume.GetID() if volume is not None else "")


def findRuns(scene: Any) -> list[ResultNodes]:
    """Return the runs that have a predicted volume, the newest first."""
    runs: dict[str, ResultNodes] = {}
    seen: set[tuple[str, ...]] = set()
    for className in _CLASSES:
        for number in range(scene.GetNumberOfNodesByClass(className)):
            node = scene.GetNthNodeByClass(number, className)
            run = node.GetAttribute(NodeRoles.RUN)
            key = NodeRoles.runKey(node)
            isCopy = key in seen and NodeRoles.hasRunKey(node)
            if run and node.GetAttribute(NodeRoles.ROLE) and not isCopy:
                seen.add(key)
                created = node.GetAttribute(NodeRoles.CREATED) or ""
                runs.setdefault(run, ResultNodes(run, created)).addNode(node)
    complete = [run for run in runs.values() if run.node(NodeRoles.PREDICTED) is not None]
    return sorted(complete, key=lambda run: run.created, reverse=True)
