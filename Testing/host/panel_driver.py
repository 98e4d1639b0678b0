"""Drives the real panel as a user would: chooses, clicks, waits. For tests and for the screenshots."""

from pathlib import Path

import slicer

from host.session import Session

WAIT_S = 600
"""Generous: a loaded machine with two cores needs half a minute to load torch."""


class PanelDriver:
    """The module's widget object and what a user does with it."""

    def __init__(self, session: Session):
        self.session = session
        self.widget = session.loadModule()

    @property
    def ui(self):
        return self.widget.ui

    @property
    def parameters(self):
        return self.widget.panel._parameters

    @property
    def controller(self):
        return self.widget.logic.engine.controller

    @property
    def status(self) -> str:
        return self.ui.statusLabel.text

    def choose(self, case, bundle: Path, **values) -> None:
        """Choose the inputs in their selectors and set parameters."""
        self.ui.inputVolumeSelector.setCurrentNode(case.volume)
        self.ui.segmentationSelector.setCurrentNode(case.segmentation)
        self.parameters.bundleFolder = str(bundle)
        for name, value in values.items():
            setattr(self.parameters, name, value)
        self.settle()
        self.ui.segmentSelector.setCurrentSegmentID(case.segmentID)
        self.settle()

    def settle(self) -> None:
        """Let pending refreshes happen, and views of a new layout get their size."""
        self.session.spin(0.03)
        self.session.until(lambda: self.widget.panel is None or not self.widget.panel._refreshing.isPending)
        self.session.spin(0.07)

    def click(self, name: str) -> None:
        """Click a button that must be enabled."""
        button = getattr(self.ui, name)
        assert button.enabled, button.toolTip
        button.click()

    def predict(self) -> None:
        """Click Predict."""
        assert self.ui.predictButton.text == "Predict"
        self.click("predictButton")

    def cancel(self) -> None:
        """Click Cancel as soon as it can be clicked."""
        self.session.until(lambda: self.ui.predictButton.text == "Cancel" and self.ui.predictButton.enabled)
        self.click("predictButton")

    def wait(self) -> None:
        """Wait for the end of the run."""
        self.session.until(lambda: not self.controller.isActive, WAIT_S)
        self.session.until(lambda: self.widget.panel is None or not self.widget.panel._turns.arePending)
        self.session.spin(0.05)

    def run(self):
        """Predict, wait, and return the run, which must have succeeded."""
        self.predict()
        run = self.controller.run
        self.wait()
        assert run.state.name == "done", self.status
        return run

    def untilSampling(self) -> None:
        """Wait until the first slice is finished."""
        seen = []
        self.controller.previewReady.connect(lambda *arguments: seen.append(arguments))
        self.session.until(lambda: seen or not self.controller.isActive, WAIT_S)
        assert seen, self.status

    def close(self) -> None:
        """Unload the module, which ends the worker."""
        self.session.useMainWindow()
        self.session.unloadModule()

    def reopen(self) -> None:
        """Unload the module and load it again."""
        self.close()
        self.widget = self.session.loadModule()


def snapshot() -> dict:
    """Return what a user would call their scene: every node but those of views and the module's parameters."""
    ignored = ("vtkMRMLAbstractViewNode", "vtkMRMLSliceCompositeNode", "vtkMRMLScriptedModuleNode", "vtkMRMLLayoutNode")
    ignored += ("vtkMRMLSelectionNode", "vtkMRMLInteractionNode", "vtkMRMLCrosshairNode", "vtkMRMLSliceDisplayNode")
    ignored += ("vtkMRMLSubjectHierarchyNode",)  # it holds the items of all nodes: hierarchyItems() tells more
    scene = slicer.mrmlScene
    nodes = [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]
    return {node.GetID(): node.GetMTime() for node in nodes if not any(node.IsA(className) for className in ignored)}


def isMarked(name: str) -> bool:
    """Return whether a slice view shows the words of the mark."""
    view = slicer.app.layoutManager().sliceWidget(name).sliceView()
    props = view.renderWindow().GetRenderers().GetItemAsObject(0).GetViewProps()
    shown = [prop for prop in map(props.GetItemAsObject, range(props.GetNumberOfItems())) if prop.GetVisibility()]
    return any("SYNTHETIC" in (prop.GetInput() or "") for prop in shown if prop.IsA("vtkTextActor"))


def hierarchyItems() -> list[str]:
    """Return the names of all subject hierarchy items, with their depth."""
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    found = []

    def walk(item, depth):
        children = [int(child) for child in slicer.util.getSubjectHierarchyItemChildren(item)]
        for child in children:
            found.append("  " * depth + hierarchy.GetItemName(child))
            walk(child, depth + 1)

    walk(hierarchy.GetSceneItemID(), 0)
    return found
