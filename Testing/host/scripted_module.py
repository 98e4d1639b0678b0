"""Own versions of slicer.ScriptedLoadableModule and slicer.i18n, for what a module class may rely on."""

import logging
import os
import sys
import types
import unittest

import slicer
from PySide6 import QtGui, QtWidgets


class ScriptedLoadableModule:
    """Metadata of a module; the icon is found by name."""

    def __init__(self, parent):
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title, parent.helpText, parent.acknowledgementText = "", "", ""
        parent.categories, parent.dependencies, parent.contributors = [], [], []
        for extension in (".svg", ".png"):
            path = os.path.join(os.path.dirname(parent.path), "Resources", "Icons", self.moduleName + extension)
            if os.path.isfile(path):
                parent.icon = QtGui.QIcon(path)
                break
        if not hasattr(slicer, "selfTests"):
            slicer.selfTests = {}
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, filename: str) -> str:
        return os.path.join(os.path.dirname(self.parent.path), "Resources", filename)

    def runTest(self, msec=100, **options):
        testClass = getattr(sys.modules[type(self).__module__], self.moduleName + "Test")
        test = testClass()
        test.messageDelay = msec
        test.runTest(**options)


class ScriptedLoadableModuleWidget:
    """Panel of a module; without developer mode, so setup() adds nothing."""

    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        if parent is None:
            self.parent = slicer.qMRMLWidget()
            self.parent.setLayout(QtWidgets.QVBoxLayout())
            self.parent.setMRMLScene(slicer.mrmlScene)
        self.layout = self.parent.layout()
        if parent is None:
            self.setup()
            self.parent.show()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, filename: str) -> str:
        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", filename)

    def setup(self) -> None:
        """Nothing, without developer mode."""

    def cleanup(self) -> None:
        """Nothing; modules override it."""

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, moduleName: str) -> None:
        if moduleName == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    """Logic of a module with its parameter node, a singleton unless isSingletonParameterNode is set to False."""

    def __init__(self, parent=None):
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self):
        if self.isSingletonParameterNode:
            node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
            if node is not None and node.GetAttribute("ModuleName") != self.moduleName:
                node.SetAttribute("ModuleName", self.moduleName)  # closing the scene may have removed it
            found = [] if node is None else [node]
        else:
            found = self.getAllParameterNodes()
        return found[0] if found else slicer.mrmlScene.AddNode(self.createParameterNode())

    def getAllParameterNodes(self) -> list:
        nodes = slicer.util.getNodesByClass("vtkMRMLScriptedModuleNode")
        return [node for node in nodes if node.GetAttribute("ModuleName") == self.moduleName]

    def createParameterNode(self):
        node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
        node.UnRegister(None)
        if self.isSingletonParameterNode:
            node.SetSingletonTag(self.moduleName)
        node.SetAttribute("ModuleName", self.moduleName)
        node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    """Self-test of a module; runTest() runs the methods with 'test' in their name unless overridden."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.messageDelay = 100
        names = [name for name in dir(self) if "test" in name and callable(getattr(self, name))]
        self.moduleTestNames = names

    def delayDisplay(self, message, requestedDelay=None, msec=None):
        logging.info(message)
        slicer.app.processEvents()

    def setUp(self):
        """Nothing; modules override it."""

    def runTest(self):
        for name in self.moduleTestNames:
            self.setUp()
            getattr(self, name)()
            self.tearDown()


def tr(text: str) -> str:
    """Return the text: the host runs in English. Braces must be placeholders, as in Slicer's own function."""
    return text


def translate(context: str, text: str) -> str:
    """Return the text: the host runs in English."""
    return text


def install() -> None:
    """Put the modules into sys.modules and on the package slicer."""
    bases = (
        ScriptedLoadableModule,
        ScriptedLoadableModuleWidget,
        ScriptedLoadableModuleLogic,
        ScriptedLoadableModuleTest,
    )
    contents = {
        "ScriptedLoadableModule": {"__all__": [b.__name__ for b in bases], **{b.__name__: b for b in bases}},
        "i18n": {"tr": tr, "translate": translate},
    }
    for name, members in contents.items():
        module = sys.modules[f"slicer.{name}"] = types.ModuleType(f"slicer.{name}")
        vars(module).update(members)
        setattr(slicer, name, module)
