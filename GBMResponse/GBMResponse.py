"""GBMResponse module of 3D Slicer: metadata, widget, logic and test; what they do is in GBMResponseLib."""

import os
import shutil
from pathlib import Path

import qt
import slicer
import vtk
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)
from slicer.util import VTKObservationMixin

OLDEST_SLICER = (5, 12)


class GBMResponse(ScriptedLoadableModule):
    """What the module selector and the help section show."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("GBM Response")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["GBMResponse contributors"]
        self.parent.helpText = _(
            "Predicts how the T1-Gd MRI of an adult with glioblastoma may look after radiotherapy, from the MRI before"
            " radiotherapy and the gross tumor volume (GTV), with a latent diffusion model."
            " The predicted images are synthetic. Research use only: not a medical device."
        )
        self.parent.acknowledgementText = _(
            "The method follows Leclercq et al., Pre to Post-Treatment Glioblastoma MRI Prediction using a Latent"
            " Diffusion Model, DGM4MICCAI 2025, doi:10.1007/978-3-032-05472-2_18."
            " The sample case comes from the Brain-Tumor-Progression collection of The Cancer Imaging Archive"
            " (Schmainda and Prah, 2018, doi:10.7937/K9/TCIA.2018.15quzvnb, CC BY 3.0), modified."
        )
        slicer.app.connect("startupCompleted()", onStartupCompleted)


def slicerProblem() -> str:
    """Return why this Slicer cannot run the module; empty if it can."""
    present = (slicer.app.majorVersion, slicer.app.minorVersion)
    if present >= OLDEST_SLICER:
        return ""
    sentence = _("GBMResponse needs 3D Slicer {needed} or newer; this is {present}. Please update 3D Slicer.")
    return sentence.format(needed=_version(OLDEST_SLICER), present=_version(present))


def _version(numbers: tuple) -> str:
    return ".".join(map(str, numbers))


def onStartupCompleted() -> None:
    """Mark synthetic images in scenes that are loaded without opening the module; offer sample case and export."""
    if slicerProblem():
        return
    from GBMResponseLib.inputs.SampleDataRegistration import registerSampleData
    from GBMResponseLib.views.LayoutDescription import registerLayouts
    from GBMResponseLib.views.SyntheticMark import SyntheticMark
    from GBMResponseLib.views.UserLayout import restoreAfterStart

    if slicer.app.layoutManager() is not None:
        registerLayouts(slicer.app.layoutManager().layoutLogic().GetLayoutNode())
        restoreAfterStart(slicer.app.layoutManager())
    SyntheticMark.install()
    registerSampleData(Path(__file__).resolve().parent / "Resources")
    try:
        import DICOMLib  # noqa: F401  a Slicer may be built without it
    except ImportError:
        return
    from GBMResponseLib.dicom.SyntheticExport import registerPlugin

    registerPlugin()


class GBMResponseWidget(ScriptedLoadableModuleWidget, VTKObservationMixin):
    """Loads the panel and keeps it in step with the scene."""

    def __init__(self, parent=None) -> None:
        ScriptedLoadableModuleWidget.__init__(self, parent)
        VTKObservationMixin.__init__(self)
        self.logic = None
        self.panel = None
        self.readerPanel = None
        self.batchPanel = None
        self._parameterNode = None
        self._parameterNodeGuiTag = self._parameterNodeTag = None
        self._watched = []
        self._watchTags = []

    def setup(self) -> None:
        """Called when the user opens the module for the first time. Starts nothing and reads no network."""
        ScriptedLoadableModuleWidget.setup(self)
        problem = slicerProblem()
        if problem:
            self._showProblem(problem)
            return
        uiWidget = slicer.util.loadUI(self.resourcePath("UI/GBMResponse.ui"))
        self.layout.addWidget(uiWidget)
        self.ui = slicer.util.childWidgetVariables(uiWidget)
        uiWidget.setMRMLScene(slicer.mrmlScene)

        onStartupCompleted()  # a module that was loaded later got no such signal
        self.logic = GBMResponseLogic()
        from GBMResponseLib.panel.PanelFactory import makePanels

        self.panel, self.readerPanel, self.batchPanel = makePanels(self.ui, self.logic)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self.onSceneStartClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndCloseEvent, self.onSceneEndClose)
        self.addObserver(slicer.mrmlScene, slicer.mrmlScene.EndImportEvent, self.onSceneChanged)
        self.initializeParameterNode()

    def cleanup(self) -> None:
        """Called when the application closes and before the module is reloaded; ends a prediction that is running."""
        if self.logic is None:
            return
        self.setParameterNode(None)
        self.removeObservers()
        self.readerPanel.close()
        self.batchPanel.close()
        self.panel.close()
        self.logic.close()

    def enter(self) -> None:
        """Called each time the user opens this module."""
        if self.logic is not None:
            self.initializeParameterNode()

    def exit(self) -> None:
        """Called each time the user opens a different module; a prediction goes on meanwhile."""
        if self.panel is not None:
            self.panel.stopBlinking()

    def onReload(self) -> None:
        """Reload library and engine too; they are no modules of their own."""
        from GBMResponseLib.panel.PanelFactory import forgetLibrary

        forgetLibrary()
        ScriptedLoadableModuleWidget.onReload(self)

    def onSceneStartClose(self, caller, event) -> None:
        """Called just before the scene is closed."""
        self.setParameterNode(None)
        self.readerPanel.close()
        self.batchPanel.forgetScene()
        self.panel.forgetScene()

    def onSceneEndClose(self, caller, event) -> None:
        """Called just after the scene is closed."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def onSceneChanged(self, caller, event) -> None:
        """Called after a scene was loaded: it may bring parameters and runs."""
        if self.parent.isEntered:
            self.initializeParameterNode()

    def initializeParameterNode(self) -> None:
        """Make sure that there are parameters, and that the panel shows them."""
        self.setParameterNode(self.logic.getParameterNode())
        self.panel.chooseDefaults()
        self.panel.refresh()
        self.panel.refreshRuns()

    def setParameterNode(self, parameterNode) -> None:
        """Bind the panel to these parameters; None unbinds it."""
        if self._parameterNode is not None:
            self._parameterNode.disconnectGui(self._parameterNodeGuiTag)
            self._parameterNode.RemoveObserver(self._parameterNodeTag)
            self._watch([])
        self._parameterNode = parameterNode
        if parameterNode is not None:
            self._parameterNodeGuiTag = parameterNode.connectGui(self.ui)
            # Not with addObserver, which would keep a wrapper of the parameters for every time the module is entered.
            event = vtk.vtkCommand.ModifiedEvent
            self._parameterNodeTag = parameterNode.AddObserver(event, self._onParametersModified)
            self._watch([parameterNode.inputVolume, parameterNode.gtvSegmentation, parameterNode.followUpVolume])
        self.panel.setParameters(parameterNode)
        self.batchPanel.setParameters(parameterNode)

    def _onParametersModified(self, caller, event) -> None:
        node = self._parameterNode
        self._watch([node.inputVolume, node.gtvSegmentation, node.followUpVolume])
        self.panel.refreshLater()

    def _watch(self, nodes) -> None:
        """Judge the inputs again when they change: voxels, segments, names, transforms."""
        nodes = list(dict.fromkeys(node for node in nodes if node is not None))
        if nodes == self._watched:
            return
        for node, tag in self._watchTags:
            node.RemoveObserver(tag)
        # Not with addObserver, which keeps every node it was ever given, and so the voxels of closed scenes.
        self._watchTags = [
            (node, node.AddObserver(event, self.panel.refreshLater)) for node in nodes for event in _inputEvents(node)
        ]
        self._watched = nodes

    def _showProblem(self, sentence: str) -> None:
        label = qt.QLabel(sentence)
        label.wordWrap = True
        self.layout.addWidget(label)
        self.layout.addStretch(1)


def _inputEvents(node) -> list:
    events = [vtk.vtkCommand.ModifiedEvent, slicer.vtkMRMLTransformableNode.TransformModifiedEvent]
    if node.IsA("vtkMRMLSegmentationNode"):
        segmentation = slicer.vtkSegmentation
        events += [segmentation.SegmentAdded, segmentation.SegmentRemoved, segmentation.SegmentModified]
        events += [segmentation.RepresentationModified]
    else:
        events.append(slicer.vtkMRMLVolumeNode.ImageDataModifiedEvent)
    return events


class GBMResponseLogic(ScriptedLoadableModuleLogic, VTKObservationMixin):
    """Predicts without a panel.

    :param workerCommand: program and arguments of the prediction process; PythonSlicer by default.
    :param confirm: asks the user the one question about installing packages; by default a dialog that also shows how
        it goes.
    """

    def __init__(self, workerCommand=None, confirm=None) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        VTKObservationMixin.__init__(self)
        self.moduleFolder = Path(__file__).resolve().parent
        self.workerCommand = workerCommand or defaultWorkerCommand()
        self.confirm = confirm
        self._engine = None

    def getParameterNode(self):
        """Return the parameters of the module, saved with the scene."""
        from GBMResponseLib.settings.ParameterNode import ParameterNode

        return ParameterNode(super().getParameterNode())

    @property
    def engine(self):
        """The parts that predict, made at the first use; the process itself starts with the first prediction."""
        if self._engine is None:
            from GBMResponseLib.run.Engine import Engine

            self._engine = Engine(self.moduleFolder, self.workerCommand, installationGuide(self.confirm))
            self.addObserver(slicer.mrmlScene, slicer.mrmlScene.StartCloseEvent, self._onSceneStartClose)
            slicer.app.connect("aboutToQuit()", self.close)
        return self._engine

    def predict(
        self, inputVolume, segmentation, segmentID, followUpVolume=None, *, waitForCompletion=False, **settings
    ):
        """Predict the MRI after treatment.

        :param inputVolume: T1-Gd volume before treatment.
        :param segmentation: segmentation node that holds the tumor.
        :param segmentID: the segment that outlines the tumor (GTV).
        :param followUpVolume: true follow-up to be shown and scored against.
        :param waitForCompletion: return when the prediction has ended; otherwise at once, and `engine.controller`
            tells what happens.
        :param settings: fields of `PredictionSettings`; `bundleFolder` is the bundled model by default.
        :returns: `PredictionRun`; its `nodes` hold the new nodes when it is done.
        :raises Failure: it cannot begin, or (waiting) it failed or was cancelled. The scene is unchanged then.
        """
        from GBMResponseLib.common.Failure import Failure
        from GBMResponseLib.inputs.InputFacts import PredictionInputs

        problem = slicerProblem()
        if problem:
            raise Failure("slicer-too-old", problem)
        inputs = PredictionInputs(inputVolume, segmentation, segmentID, followUpVolume)
        run = self.engine.start(inputs, settings)
        if waitForCompletion:
            self.engine.wait(run)
        return run

    def cancel(self) -> None:
        """End the running prediction; finished slices are kept for the next one with the same inputs and settings."""
        self.engine.controller.cancel()

    def close(self) -> None:
        """End the prediction process and remove temporary files."""
        self.removeObservers()
        if self._engine is not None:
            slicer.app.disconnect("aboutToQuit()", self.close)
            self._engine.close()
            self._engine = None

    def _onSceneStartClose(self, caller, event) -> None:
        self._engine.controller.abandon(_("The scene was closed, which ended the prediction."))


def defaultWorkerCommand() -> list:
    """Return how the prediction process is started: Slicer's own Python, in a process of its own."""
    suffix = ".exe" if os.name == "nt" else ""
    program = os.path.join(slicer.app.slicerHome, "bin", f"PythonSlicer{suffix}")
    if not os.path.isfile(program):  # a Slicer that runs from its build folder has it elsewhere, and names it in PATH
        program = shutil.which("PythonSlicer") or program
    return [program, "-m", "GBMResponseCore.worker"]


def installationGuide(confirm=None):
    """Return who asks before packages are installed: a dialog, or one question where there is no main window."""
    from GBMResponseLib.worker.DependencyInstaller import Question

    if confirm is not None or slicer.app.layoutManager() is None:
        return Question(confirm or (lambda question: slicer.util.confirmOkCancelDisplay(question, _("GBM Response"))))
    from GBMResponseLib.panel.InstallationDialog import InstallationDialog

    return InstallationDialog(slicer.app.clipboard().setText)


class GBMResponseTest(ScriptedLoadableModuleTest):
    """Predicts the sample case, from Reload and Test or ctest."""

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all checks."""
        for check in (self.test_sampleCase, self.test_predictSampleCase):
            self.setUp()
            check()

    def test_sampleCase(self) -> None:
        """The sample case loads as two volumes and a segmentation whose segment is found to be the tumor."""
        volume, segmentation, followUp = self.loadSample()
        self.assertEqual(volume.GetImageData().GetDimensions(), (256, 256, 20))
        self.assertEqual(followUp.GetImageData().GetDimensions(), (256, 256, 20))
        self.assertEqual(segmentation.GetSegmentation().GetNumberOfSegments(), 1)

    def test_predictSampleCase(self) -> None:
        """A prediction makes new nodes on the input's grid and leaves the input alone."""
        volume, segmentation, _followUp = self.loadSample()
        before = slicer.util.arrayFromVolume(volume).copy()
        logic = GBMResponseLogic()
        try:
            missing = logic.engine.dependencies.missing()
            if missing:
                self.delayDisplay(f"Skipped, not installed: {', '.join(missing)}")
                return
            self.delayDisplay("Predicting the sample case")
            segmentID = segmentation.GetSegmentation().GetNthSegmentID(0)
            run = logic.predict(volume, segmentation, segmentID, waitForCompletion=True, steps=1, samples=1)
            predicted = run.nodes.node("predicted")
            generated = slicer.util.arrayFromVolume(run.nodes.node("generated_mask")) > 0
            after = slicer.util.arrayFromVolume(predicted)
            self.assertEqual(after.shape, before.shape)
            self.assertTrue(generated.any() and (after[generated] != before[generated]).any())
            self.assertTrue((after[~generated] == before[~generated]).all())
            self.assertTrue((slicer.util.arrayFromVolume(volume) == before).all())
            self.assertIn("SYNTHETIC", predicted.GetName())
        finally:
            logic.close()
        self.delayDisplay("Test passed")

    def loadSample(self):
        """Return volume, segmentation and follow-up of the sample case."""
        import SampleData

        onStartupCompleted()
        return SampleData.SampleDataLogic().downloadSamples("GBMResponseBTP05")
