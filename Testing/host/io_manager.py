"""Double of qSlicerCoreIOManager: what slicer.util's load and save functions ask of it, with Slicer's real logics."""

import os
import pathlib

import slicer
import vtk

FILE_TYPES = (
    ("vtkMRMLSegmentationNode", "SegmentationFile"),
    ("vtkMRMLVolumeNode", "VolumeFile"),
    ("vtkMRMLTransformNode", "TransformFile"),
    ("vtkMRMLTableNode", "TableFile"),
    ("vtkMRMLTextNode", "TextFile"),
    ("vtkMRMLColorTableNode", "ColorTableFile"),
)
VOLUME_OPTIONS = {"labelmap": 1, "center": 2, "singleFile": 4, "autoWindowLevel": 8, "discardOrientation": 16}


class IOManager:
    """Loads and saves scenes, volumes and segmentations; relative names stay relative, so that a test notices them."""

    def fileType(self, fileName: str) -> str:
        name = str(fileName).lower()
        if name.endswith((".mrml", ".mrb")):
            return "SceneFile"
        return "SegmentationFile" if name.endswith((".seg.nrrd", ".seg.nhdr")) else "VolumeFile"

    def fileWriterFileType(self, node, extension: str = "") -> str:
        return next((fileType for name, fileType in FILE_TYPES if node.IsA(name)), "NoFile")

    def addDefaultStorageNodes(self) -> None:
        for index in range(slicer.mrmlScene.GetNumberOfNodes()):
            node = slicer.mrmlScene.GetNthNode(index)
            if node.IsA("vtkMRMLStorableNode") and node.GetSaveWithScene():
                node.AddDefaultStorageNode()

    def loadNodes(self, fileType, properties, loadedNodes=None, messages=None) -> bool:
        path = str(properties["fileName"])
        readers = {"VolumeFile": self._volume, "SegmentationFile": self._segmentation, "SceneFile": self._scene}
        if str(fileType) not in readers or not os.path.exists(path):
            if messages is not None:
                text = f"no such file, or no reader for {fileType}: {path}"
                messages.AddMessage(vtk.vtkCommand.ErrorEvent, text)
            return False
        name = properties.get("name") or pathlib.Path(path).name.split(".")[0]
        node = readers[str(fileType)](path, name, properties, messages)
        if isinstance(node, slicer.vtkMRMLNode) and loadedNodes is not None:
            loadedNodes.AddItem(node)
        return bool(node)

    def saveNodes(self, fileType, properties, messages=None) -> bool:
        path = str(properties["fileName"])
        if fileType == "SceneFile":
            self.addDefaultStorageNodes()
            slicer.mrmlScene.SetURL(path)
            slicer.mrmlScene.SetRootDirectory(os.path.dirname(path))
            if path.endswith(".mrb"):
                return bool(slicer.mrmlScene.WriteToMRB(path, None, messages))
            return bool(slicer.mrmlScene.Commit(path))
        node = slicer.mrmlScene.GetNodeByID(properties["nodeID"])
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode(path)
        storage = node.GetStorageNode()
        storage.SetFileName(path)
        storage.SetUseCompression(int(properties.get("useCompression", 1)))
        return bool(storage.WriteData(node))

    def _volume(self, path, name, properties, messages):
        options = sum(bit for key, bit in VOLUME_OPTIONS.items() if properties.get(key))
        node = slicer.modules.volumes.logic().AddArchetypeVolume(path, name, options)
        if node and properties.get("show", True):
            selection = slicer.app.applicationLogic().GetSelectionNode()
            isLabel = node.IsA("vtkMRMLLabelMapVolumeNode")
            (selection.SetActiveLabelVolumeID if isLabel else selection.SetActiveVolumeID)(node.GetID())
            slicer.app.applicationLogic().PropagateVolumeSelection()
        return node

    def _segmentation(self, path, name, properties, messages):
        return slicer.modules.segmentations.logic().LoadSegmentationFromFile(path, True, name, None, messages)

    def _scene(self, path, name, properties, messages):
        if path.lower().endswith(".mrb"):
            return bool(slicer.mrmlScene.ReadFromMRB(path, bool(properties.get("clear")), messages))
        slicer.mrmlScene.SetURL(path)
        return bool(slicer.mrmlScene.Connect() if properties.get("clear") else slicer.mrmlScene.Import())
