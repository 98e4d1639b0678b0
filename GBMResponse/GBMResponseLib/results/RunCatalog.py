"""The runs of a scene, also those that were loaded with it."""

from typing import Any

from ..common import NodeRoles
from .ResultNodes import ResultNodes

_CLASSES = ("vtkMRMLScalarVolumeNode", "vtkMRMLTableNode")


def findRuns(scene: Any) -> list[ResultNodes]:
    """Return the runs that have a predicted volume, the newest first."""
    runs: dict[str, ResultNodes] = {}
    for className in _CLASSES:
        for number in range(scene.GetNumberOfNodesByClass(className)):
            node = scene.GetNthNodeByClass(number, className)
            run = node.GetAttribute(NodeRoles.RUN)
            if run and node.GetAttribute(NodeRoles.ROLE):
                created = node.GetAttribute(NodeRoles.CREATED) or ""
                runs.setdefault(run, ResultNodes(run, created)).addNode(node)
    complete = [run for run in runs.values() if run.node(NodeRoles.PREDICTED) is not None]
    return sorted(complete, key=lambda run: run.created, reverse=True)
