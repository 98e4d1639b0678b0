"""Names runs, and removes them so that the last one can be brought back."""

from typing import Any

import slicer

from ..common import NodeRoles
from .ResultNodes import ResultNodes, placeNode, removeNode


class RunEditor:
    """Changes runs of the scene; keeps the nodes of the run that was removed last until the scene is closed."""

    def __init__(self) -> None:
        self._removed: list[tuple[Any, list[Any]]] = []
        self._folder: tuple[int, str, dict[str, str]] | None = None

    @property
    def canRestore(self) -> bool:
        """Whether there is a run to bring back."""
        return bool(self._removed)

    def rename(self, run: ResultNodes, name: str) -> None:
        """Give a run a name of the user's; empty: none."""
        for node in run.allNodes():
            if name:
                node.SetAttribute(NodeRoles.RUN_NAME, name)
            else:
                node.RemoveAttribute(NodeRoles.RUN_NAME)

    def remove(self, run: ResultNodes) -> None:
        """Take all nodes of a run out of the scene, with their display and folder."""
        scene, hierarchy = slicer.mrmlScene, slicer.mrmlScene.GetSubjectHierarchyNode()
        self.forget()
        self._folder = _folder(hierarchy, run)
        for node in run.allNodes():
            self._removed.append((node, removeNode(scene, node)))
        if self._folder is not None:
            hierarchy.RemoveItem(self._folder[0])

    def restore(self) -> None:
        """Bring back what was removed last."""
        scene, removed, folder = slicer.mrmlScene, self._removed, self._folder
        self.forget()
        for node, displays in removed:
            for display in displays:
                scene.AddNode(display)
            scene.AddNode(node)
            if node.IsA("vtkMRMLDisplayableNode"):
                for number, display in enumerate(displays):
                    node.SetAndObserveNthDisplayNodeID(number, display.GetID())
        if folder is not None:
            _regroup([node for node, _displays in removed], *folder[1:])

    def forget(self) -> None:
        """Let go of the nodes: the scene is closing."""
        self._removed, self._folder = [], None


def _folder(hierarchy: Any, run: ResultNodes) -> tuple[int, str, dict[str, str]] | None:
    """Item, name and attributes of the folder of a run in the subject hierarchy."""
    node = run.node(NodeRoles.PREDICTED)
    item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
    folder = hierarchy.GetItemParent(item) if item else 0
    if not folder or hierarchy.GetItemAttribute(folder, NodeRoles.RUN) != run.run:
        return None
    names = (NodeRoles.RUN, NodeRoles.SYNTHETIC)
    attributes = {name: hierarchy.GetItemAttribute(folder, name) for name in names}
    return folder, hierarchy.GetItemName(folder), {**attributes, "parent": str(hierarchy.GetItemParent(folder))}


def _regroup(nodes: list[Any], name: str, attributes: dict[str, str]) -> None:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    folder = hierarchy.CreateFolderItem(int(attributes.pop("parent")), name)
    for key, value in attributes.items():
        hierarchy.SetItemAttribute(folder, key, value)
    for node in nodes:
        placeNode(hierarchy, folder, node)
