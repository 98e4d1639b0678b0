"""Doubles of Slicer's module objects: loadable modules, scripted modules with their widget, and the module manager."""

import importlib.util
import pathlib
import sys

import slicer
from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal


class ModuleDouble:
    """slicer.modules.<name> of a loadable module: its real logic, no widget."""

    def __init__(self, name: str, logic):
        self.name, self.title, self._logic = name, name, logic

    def logic(self):
        return self._logic

    def widgetRepresentation(self):
        return None


class ModuleManager(QtCore.QObject):
    """slicer.app.moduleManager() (Base/QTCore/qSlicerModuleManager.h)."""

    cppName = "qSlicerModuleManager"
    cppSignals = {
        "moduleAboutToBeUnloaded(QString)": "moduleAboutToBeUnloaded",
        "moduleLoaded(QString)": "moduleLoaded",
    }
    moduleAboutToBeUnloaded = Signal(str)
    moduleLoaded = Signal(str)

    def module(self, name: str):
        return getattr(slicer.modules, name.lower(), None)

    def modulesNames(self) -> list[str]:
        return [module.name for module in vars(slicer.modules).values() if hasattr(module, "widgetRepresentation")]


class qSlicerScriptedLoadableModule:
    """The `parent` of the module class: the attributes that a module may set, and nothing else."""

    __slots__ = (
        "_widget",
        "acknowledgementText",
        "associatedNodeTypes",
        "categories",
        "contributors",
        "dependencies",
        "helpText",
        "hidden",
        "icon",
        "index",
        "name",
        "path",
        "title",
        "widgetRepresentationCreationEnabled",
    )

    def __init__(self, path: pathlib.Path):
        self.path, self.name = str(path), path.stem
        self.hidden, self._widget = False, None

    def widgetRepresentation(self):
        if self._widget is None:
            self._widget = self.createNewWidgetRepresentation()
        return self._widget

    def createNewWidgetRepresentation(self):
        return qSlicerScriptedLoadableModuleWidget(self.path)

    def logic(self):
        return None


class qSlicerScriptedLoadableModuleWidget(QtWidgets.QWidget):
    """The `parent` of the widget class; the host calls enter() and exit(), as Slicer's module panel does."""

    cppName = "qSlicerScriptedLoadableModuleWidget"
    cppSignals = {"mrmlSceneChanged(vtkMRMLScene*)": "mrmlSceneChanged"}
    mrmlSceneChanged = Signal(object)

    def __init__(self, path: str):
        super().__init__()
        self._path, self._entered = path, False
        self._self = None
        QtWidgets.QVBoxLayout(self)
        self.reload()

    moduleName = Property(str, lambda self: pathlib.Path(self._path).stem)
    isEntered = Property(bool, lambda self: self._entered)

    def mrmlScene(self):
        return slicer.mrmlScene

    def reload(self) -> None:
        """Make a new widget object from the module that is in sys.modules, and set it up."""
        className = self.moduleName + "Widget"
        self._self = getattr(sys.modules[self.moduleName], className)(self)
        setattr(slicer.modules, className, self._self)
        self._self.setup()

    def self(self):
        return self._self

    def enter(self) -> None:
        self._entered = True
        if hasattr(self._self, "enter"):
            self._self.enter()

    def exit(self) -> None:
        self._entered = False
        if hasattr(self._self, "exit"):
            self._self.exit()


def loadModule(path: pathlib.Path) -> qSlicerScriptedLoadableModule:
    """Load a scripted module file, as Slicer's module factory does, without creating its widget."""
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    source = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = source
    spec.loader.exec_module(source)
    module = qSlicerScriptedLoadableModule(path)
    setattr(slicer.modules, path.stem + "Instance", getattr(source, path.stem)(module))
    setattr(slicer.modules, path.stem.lower(), module)
    setattr(slicer.moduleNames, path.stem, path.stem)
    slicer.app.moduleManager().moduleLoaded.emit(path.stem)
    return module


def publish() -> None:
    """Make the classes available where slicer.util looks for them."""
    slicer.qSlicerScriptedLoadableModule = qSlicerScriptedLoadableModule
    slicer.qSlicerScriptedLoadableModuleWidget = qSlicerScriptedLoadableModuleWidget
