"""The panel inside 3D Slicer, driven as a user would: ctest, or `unittest` in Slicer's Python console."""

import time
import unittest

import slicer

PATIENCE_S = 300.0


class GBMResponsePanelTest(unittest.TestCase):
    """Every test starts with an empty scene and the module open."""

    def setUp(self) -> None:
        slicer.mrmlScene.Clear()
        module = slicer.modules.gbmresponse
        module.widgetRepresentation().enter()
        self.widget = slicer.util.getModuleWidget(module)
        self.widget.initializeParameterNode()
        self.controller = self.widget.logic.engine.controller

    def tearDown(self) -> None:
        self.controller.cancel()
        self.waitUntil(lambda: not self.controller.isActive)
        slicer.mrmlScene.Clear()

    def test_emptySceneSaysWhatIsMissing(self) -> None:
        button = self.widget.ui.predictButton
        self.assertFalse(button.enabled)
        self.assertIn("T1-Gd", button.toolTip)

    def test_sampleCaseCanBePredicted(self) -> None:
        self.loadSample()
        self.assertTrue(self.widget.ui.predictButton.enabled)

    def test_emptySegmentForbids(self) -> None:
        _volume, segmentation, _followUp = self.loadSample()
        segmentID = segmentation.GetSegmentation().AddEmptySegment("gtv empty", "gtv empty")
        self.widget._parameterNode.gtvSegmentID = segmentID
        self.widget.panel.refresh()
        self.assertFalse(self.widget.ui.predictButton.enabled)

    def test_predictionMakesARun(self) -> None:
        self.loadSample()
        self.skipWithoutPackages()
        self.widget._parameterNode.steps = 1
        self.widget._parameterNode.samples = 1
        self.widget.ui.predictButton.click()
        self.waitUntil(lambda: not self.controller.isActive)
        self.assertIsNone(self.controller.run.failure)
        self.assertIn("SYNTHETIC", self.controller.run.nodes.node("predicted").GetName())
        self.assertEqual(self.widget.ui.runComboBox.count, 1)

    def test_cancelLeavesTheSceneAlone(self) -> None:
        self.loadSample()
        self.skipWithoutPackages()
        before = slicer.mrmlScene.GetNumberOfNodes()
        self.widget._parameterNode.steps = 1000
        self.widget.ui.predictButton.click()
        self.waitUntil(lambda: self.controller.progress.details or not self.controller.isActive)
        self.controller.cancel()
        self.waitUntil(lambda: not self.controller.isActive)
        self.assertIsNone(self.controller.run.failure)
        self.assertEqual(slicer.mrmlScene.GetNumberOfNodes(), before)

    def test_closingTheSceneEndsThePrediction(self) -> None:
        self.loadSample()
        self.skipWithoutPackages()
        self.widget.ui.predictButton.click()
        slicer.mrmlScene.Clear()
        self.assertFalse(self.controller.isActive)

    def loadSample(self) -> tuple:
        """Return volume, segmentation and follow-up of the sample case, chosen in the panel."""
        import SampleData

        import GBMResponse

        GBMResponse.onStartupCompleted()
        nodes = SampleData.SampleDataLogic().downloadSamples("GBMResponseBTP05")
        self.widget.panel.chooseDefaults()
        self.widget.panel.refresh()
        return tuple(nodes)

    def skipWithoutPackages(self) -> None:
        """Tests install nothing."""
        missing = self.widget.logic.engine.dependencies.missing()
        if missing:
            self.skipTest(f"not installed: {', '.join(missing)}")

    def waitUntil(self, condition) -> None:
        """Run the event loop until the condition holds."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            self.assertLess(time.monotonic(), deadline, "the prediction takes too long")
            slicer.app.processEvents()
            time.sleep(0.005)
