"""Doubles of what a DICOM export plugin uses: its base class, the exportable of the dialog, and the database."""

import sys
import types
from pathlib import Path

import pydicom
import slicer


class DICOMPlugin:
    """Base class (Modules/Scripted/DICOMLib/DICOMPlugin.py)."""

    def __init__(self):
        self.loadType = "Generic DICOM"
        self.loadableCache = {}
        self.tags = {}
        self.tempDir = None

    def examineForImport(self, fileList):
        return []

    def load(self, loadable):
        return True


class qSlicerDICOMExportable:
    """Properties and tags, all of them text (Modules/Scripted/DICOMLib/Widgets/qSlicerDICOMExportable.h)."""

    __slots__ = ("_tags", "confidence", "directory", "name", "pluginClass", "subjectHierarchyItemID", "tooltip")

    def __init__(self):
        self._tags = {}
        self.name = self.tooltip = self.pluginClass = self.directory = ""
        self.confidence, self.subjectHierarchyItemID = 0.0, 0

    def setTag(self, name: str, value: str) -> None:
        if not (isinstance(name, str) and isinstance(value, str)):
            raise TypeError(f"{name} = {value!r}")
        self._tags[name] = value

    def tag(self, name: str) -> str:
        return self._tags.get(name, "")


class ctkDICOMDatabase:
    """Files by the UID of their object."""

    def __init__(self):
        self._files = {}

    def insert(self, path: Path) -> None:
        self._files[str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)] = str(path)

    def fileForInstance(self, uid: str) -> str:
        return self._files.get(uid, "")


def install() -> None:
    """Put them where the plugin looks for them."""
    module = sys.modules["DICOMLib"] = types.ModuleType("DICOMLib")
    module.DICOMPlugin = DICOMPlugin
    slicer.qSlicerDICOMExportable = qSlicerDICOMExportable
    slicer.dicomDatabase = ctkDICOMDatabase()
