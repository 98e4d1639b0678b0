"""What the fix buttons of the findings list do. The only place that changes something of the user's, on their click."""

from collections.abc import Callable
from typing import Any

from ..model.ModelDescription import ModelDescription
from ..settings.Choices import ClassMode, nearestSteps
from .InputFacts import guessTumorSegment
from .SampleDataRegistration import SAMPLE


class InputFixes:
    """One method per fix that `InputFindings` names.

    :param parameters: returns the parameters of the panel.
    :param model: returns the description of the chosen model.
    """

    def __init__(self, parameters: Callable[[], Any], model: Callable[[], ModelDescription]) -> None:
        self._parameters = parameters
        self._model = model

    def apply(self, name: str) -> None:
        """Do what a finding's fix promises."""
        getattr(self, name)()

    def loadSampleCase(self) -> None:
        """From the files that ship with the module: nothing is downloaded."""
        import SampleData

        volume, segmentation, _followUp = SampleData.SampleDataLogic().downloadSamples(SAMPLE)
        self._parameters().inputVolume = volume
        self._parameters().gtvSegmentation = segmentation

    def chooseShippedModel(self) -> None:
        self._parameters().bundleFolder = ""

    def hardenTransform(self) -> None:
        self._parameters().inputVolume.HardenTransform()

    def importLabelmap(self) -> None:
        import slicer

        from .InputInspector import firstLabelmap

        labelmap = firstLabelmap()
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", labelmap.GetName())
        segmentation.CreateDefaultDisplayNodes()
        slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(labelmap, segmentation)
        self._parameters().gtvSegmentation = segmentation

    def useSuggestedSegment(self) -> None:
        from .InputInspector import segmentNames

        names = segmentNames(self._parameters().gtvSegmentation)
        self._parameters().gtvSegmentID = guessTumorSegment(names)

    def clearFollowUp(self) -> None:
        self._parameters().followUpVolume = None

    def chooseFirstClass(self) -> None:
        classes = self._model().classes(self._parameters().scheme(self._model()))
        if classes:
            self._parameters().classMode = ClassMode.chosen
            self._parameters().className = classes[0].name

    def useAutomaticClass(self) -> None:
        self._parameters().classMode = ClassMode.auto

    def setGuidanceOne(self) -> None:
        self._parameters().guidanceScale = 1.0

    def useNearestSteps(self) -> None:
        parameters = self._parameters()
        sampling = parameters.sampling(self._model())
        parameters.steps = nearestSteps(sampling["sampler"], sampling["steps"])
