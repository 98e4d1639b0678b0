"""Automatic subject hierarchy items, as qSlicerSubjectHierarchyPluginLogic makes them; the node is the real one."""

import slicer
import vtk

# What Slicer's own plugins add (their canAddNodeToSubjectHierarchy): volumes, segmentations, transforms, tables, ...
ADDED = (
    "vtkMRMLVolumeNode",
    "vtkMRMLSegmentationNode",
    "vtkMRMLTransformNode",
    "vtkMRMLTableNode",
    "vtkMRMLTextNode",
    "vtkMRMLModelNode",
    "vtkMRMLMarkupsNode",
    "vtkMRMLColorTableNode",
    "vtkMRMLSequenceBrowserNode",
)


class SubjectHierarchyItems:
    """Adds an item for each node that appears, and removes it when the node goes."""

    def __init__(self, scene):
        scene.AddObserver(slicer.vtkMRMLScene.NodeAddedEvent, self._onNodeAdded)
        scene.AddObserver(slicer.vtkMRMLScene.NodeAboutToBeRemovedEvent, self._onNodeAboutToBeRemoved)
        scene.AddObserver(slicer.vtkMRMLScene.EndImportEvent, self._onImported)
        scene.AddObserver(slicer.vtkMRMLScene.EndCloseEvent, lambda caller, event: resolve(caller))
        resolve(scene)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAdded(self, scene, event, node):
        if node.IsA("vtkMRMLSubjectHierarchyNode"):
            resolve(scene)
        elif not scene.IsImporting():
            self._add(scene, node)

    def _add(self, scene, node) -> None:
        if node.GetHideFromEditors() or not any(node.IsA(name) for name in ADDED):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        if not hierarchy.GetItemByDataNode(node):
            hierarchy.CreateItem(hierarchy.GetSceneItemID(), node)

    @vtk.calldata_type(vtk.VTK_OBJECT)
    def _onNodeAboutToBeRemoved(self, scene, event, node):
        if scene.IsClosing() or node.IsA("vtkMRMLSubjectHierarchyNode"):
            return
        hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
        item = hierarchy.GetItemByDataNode(node) if hierarchy is not None else 0
        if item:
            hierarchy.RemoveItem(item, False, False)

    def _onImported(self, scene, event):
        resolve(scene)
        for index in range(scene.GetNumberOfNodes()):
            self._add(scene, scene.GetNthNode(index))


def resolve(scene) -> None:
    """Make the node if there is none, and one of several."""
    slicer.vtkMRMLSubjectHierarchyNode.ResolveSubjectHierarchy(scene)
