"""All choices of the user, saved with the scene and bound to the widgets of the panel."""

from typing import Annotated

from slicer import vtkMRMLScalarVolumeNode, vtkMRMLSegmentationNode
from slicer.parameterNodeWrapper import WithinRange, parameterNodeWrapper

from .Choices import ClassMode, ComputeDevice, SamplerPreset


@parameterNodeWrapper
class ParameterNode:
    """The parameters of the module.

    inputVolume - T1-Gd volume before treatment.
    gtvSegmentation, gtvSegmentID - where the tumor (GTV) is outlined.
    followUpVolume - true follow-up to compare with; may be empty.
    registerFollowUp - align the follow-up with the volume before treatment.
    bundleFolder - folder of the model; empty for the one that ships.
    classMode, classScheme, className - survival class.
    samples, guidanceScale, samplerPreset, steps, seed - how to draw.
    device, sliceBatch - how to compute; 0 slices lets free memory decide.
    fade - how much of the prediction is seen over the volume before treatment.
    """

    inputVolume: vtkMRMLScalarVolumeNode
    gtvSegmentation: vtkMRMLSegmentationNode
    gtvSegmentID: str = ""
    followUpVolume: vtkMRMLScalarVolumeNode
    registerFollowUp: bool = True
    bundleFolder: str = ""
    classMode: ClassMode = ClassMode.predicted
    classScheme: str = ""
    className: str = ""
    samples: Annotated[int, WithinRange(1, 32)] = 1
    guidanceScale: Annotated[float, WithinRange(0.0, 10.0)] = 2.0
    samplerPreset: SamplerPreset = SamplerPreset.balanced
    steps: Annotated[int, WithinRange(1, 1000)] = 10
    seed: Annotated[int, WithinRange(0, 2147483647)] = 1
    device: ComputeDevice = ComputeDevice.auto
    sliceBatch: Annotated[int, WithinRange(0, 64)] = 0
    fade: Annotated[float, WithinRange(0.0, 1.0)] = 1.0
