"""`slicer.app` and `slicer.mrmlScene`: Slicer's real logics and scene behind a QApplication with the names in use."""

import atexit
import os
import platform
import shutil
import sys
import tempfile
import types

import slicer
import slicer.util
import vtk
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from host.io_manager import IOManager
from host.modules import ModuleDouble, ModuleManager
from host.subject_hierarchy import SubjectHierarchyItems

# Giving a logic the scene registers its node and storage classes.
LOGICS = {
    "Units": "vtkSlicerUnitsLogic",
    "Terminologies": "vtkSlicerTerminologiesModuleLogic",
    "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
    "Volumes": "vtkSlicerVolumesLogic",
    "Segmentations": "vtkSlicerSegmentationsModuleLogic",
    "Transforms": "vtkSlicerTransformLogic",
    "Markups": "vtkSlicerMarkupsLogic",
    "Models": "vtkSlicerModelsLogic",
    "Tables": "vtkSlicerTablesLogic",
    "Texts": "vtkSlicerTextsLogic",
    "CropVolume": "vtkSlicerCropVolumeLogic",
    "Sequences": "vtkSlicerSequencesLogic",
}
# Top-level modules of a real Slicer and where the wheel keeps them.
ALIASES = {
    "vtkAddon": "vtkAddonPython",
    "vtkITK": "vtkITK",
    "vtkSegmentationCore": "vtkSegmentationCore",
    "vtkSegmentationCorePython": "vtkSegmentationCore",
    "vtkTeem": "vtkTeem",
}


class Core:
    """Scene, application logic and what they need: the part of qSlicerCoreApplication that has no Qt."""

    def __init__(self, folder: str):
        self.folder = folder
        logic, scene = slicer.vtkSlicerApplicationLogic(), slicer.vtkMRMLScene()
        self.logic, self.scene = logic, scene
        logic.SetTemporaryPath(folder)
        scene.SetRootDirectory(folder)
        scene.RegisterNodeClass(slicer.vtkMRMLCommandLineModuleNode())
        scene.RegisterNodeClass(slicer.vtkMRMLColorLegendDisplayNode())  # vtkSlicerColorLogic does
        crosshair = slicer.vtkMRMLCrosshairNode()
        crosshair.SetCrosshairName("default")
        scene.AddNode(crosshair)
        logic.SetMRMLScene(scene)  # makes the selection and interaction nodes
        self.remoteIO, self.dataIO = slicer.vtkMRMLRemoteIOLogic(), slicer.vtkDataIOManagerLogic()
        self.remoteIO.GetCacheManager().SetRemoteCacheDirectory(folder)
        self.dataIO.SetMRMLApplicationLogic(logic)
        self.dataIO.SetAndObserveDataIOManager(self.remoteIO.GetDataIOManager())
        logic.SetMRMLSceneDataIO(scene, self.remoteIO, self.dataIO)
        logic.SetSliceLogics(vtk.vtkCollection())
        logic.SetViewLogics(vtk.vtkCollection())
        for view in ("SliceView", "ThreeDView"):
            factory = getattr(slicer, f"vtkMRML{view}DisplayableManagerFactory")
            factory.GetInstance().SetMRMLApplicationLogic(logic)
        logic.GetColorLogic().SetMRMLScene(scene)
        logic.GetColorLogic().AddDefaultColorNodes()  # before anything is loaded, or display nodes have no colors
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene, True)
        logic.SetModuleLogic("Colors", logic.GetColorLogic())  # the Volumes logic looks it up

    def startModules(self) -> None:
        """Make slicer.modules and slicer.moduleNames, with the loadable modules whose logics the wheel has."""
        for name in ("modules", "moduleNames"):  # the wheel leaves a function of that name
            module = sys.modules["slicer." + name] = types.ModuleType("slicer." + name)
            setattr(slicer, name, module)
        for name, className in LOGICS.items():
            logic = getattr(slicer, className)()
            logic.SetMRMLApplicationLogic(self.logic)
            logic.SetMRMLScene(self.scene)
            self.logic.SetModuleLogic(name, logic)
            setattr(slicer.modules, name.lower(), ModuleDouble(name, logic))
            setattr(slicer.moduleNames, name, name)
        self.hierarchyItems = SubjectHierarchyItems(self.scene)


class qSlicerApplication(QtWidgets.QApplication):
    """What the module asks of slicer.app (qSlicerCoreApplication.h, qSlicerApplication.h); anything else raises.

    The host sets versionNumbers, hasMainWindow and folders; a test may change the first two.
    """

    cppName = "qSlicerApplication"
    cppSignals = {"startupCompleted()": "startupCompleted", "lastWindowClosed()": "lastWindowClosed"}
    startupCompleted = Signal()

    def __init__(self):
        super().__init__(["Slicer"])
        self._folder = tempfile.mkdtemp(prefix="slicer-host-")
        atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        self._versionNumbers = (5, 12)
        self._layoutManager = None
        self._ioManager, self._moduleManager = IOManager(), ModuleManager()
        self._core = Core(self._folder)
        self.setOrganizationName("slicer-host")
        self.setApplicationName("Slicer")
        for scope in (QtCore.QSettings.UserScope, QtCore.QSettings.SystemScope):
            for kind in (QtCore.QSettings.IniFormat, QtCore.QSettings.NativeFormat):
                QtCore.QSettings.setPath(kind, scope, os.path.join(self._folder, "settings"))
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.IniFormat)
        self._settings = QtCore.QSettings(os.path.join(self._folder, "Slicer.ini"), QtCore.QSettings.IniFormat)

    slicerHome = Property(str, lambda self: self._folder)
    temporaryPath = Property(
        str, lambda self: self._core.logic.GetTemporaryPath(), lambda self, v: self._core.logic.SetTemporaryPath(v)
    )
    extensionsInstallPath = Property(str, lambda self: os.path.join(self._folder, "Extensions"))
    majorVersion = Property(int, lambda self: self._versionNumbers[0])
    minorVersion = Property(int, lambda self: self._versionNumbers[1])
    revision = Property(str, lambda self: "34045")
    releaseType = Property(str, lambda self: "Stable")
    documentationBaseUrl = Property(str, lambda self: "https://slicer.readthedocs.io/en/v5.12/")
    os = Property(str, lambda self: {"linux": "linux", "darwin": "macosx", "win32": "win"}[sys.platform])
    arch = Property(str, lambda self: {"x86_64": "amd64", "AMD64": "amd64"}.get(platform.machine(), platform.machine()))
    platform = Property(str, lambda self: f"{self.os}-{self.arch}")

    def mrmlScene(self):
        return self._core.scene

    def applicationLogic(self):
        return self._core.logic

    def coreIOManager(self):
        return self._ioManager

    def ioManager(self):
        return self._ioManager

    def moduleManager(self):
        return self._moduleManager

    def moduleLogic(self, name: str):
        return self._core.logic.GetModuleLogic(name)

    def layoutManager(self):
        """Return the layout manager, or None as in a Slicer without main window."""
        return self._layoutManager

    def settings(self):
        return self._settings

    userSettings = revisionUserSettings = settings

    def testingEnabled(self) -> bool:
        """A method in Slicer too; True keeps slicer.util from opening message boxes."""
        return True

    def startupEnvironment(self):
        return QtCore.QProcessEnvironment.systemEnvironment()

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"{self.documentationBaseUrl}user_guide/modules/{name.lower()}.html"

    def pauseRender(self) -> None:
        """Nothing renders by itself on the host."""

    def resumeRender(self) -> None:
        """Nothing renders by itself on the host."""

    def setRenderPaused(self, paused: bool) -> None:
        """Nothing renders by itself on the host."""


def start() -> qSlicerApplication:
    """Make slicer.app, slicer.mrmlScene and slicer.modules, once per process."""
    if not hasattr(slicer, "app"):
        for realName, wheelName in ALIASES.items():
            sys.modules.setdefault(realName, sys.modules["slicer_core." + wheelName])
        slicer.app = qSlicerApplication()
        slicer.mrmlScene = slicer.app.mrmlScene()
        slicer.app._core.startModules()
    return slicer.app
