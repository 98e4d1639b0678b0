"""All choices of the user, saved with the scene and bound to the widgets of the panel."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from .PredictionSettings import PredictionSettings


@parameterNodeWrapper
class ParameterNode(PredictionSettings):
    """The parameters of the module: the settings of a prediction, its inputs, and how its result is shown.

    inputVolume - T1-Gd volume before treatment.
    gtvSegmentation, gtvSegmentID - where the tumor (GTV) is outlined.
    followUpVolume - true follow-up to compare with; may be empty.
    fade - how much of the prediction is seen over the volume before treatment.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    gtvSegmentation: vtkMRMLSegmentationNode
    gtvSegmentID: str = ""
    followUpVolume: vtkMRMLScalarVolumeNode
    fade: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
