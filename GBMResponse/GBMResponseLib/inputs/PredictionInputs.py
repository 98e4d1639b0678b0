"""Which nodes a prediction starts from."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PredictionInputs:
    """Nodes of the scene; nothing of them is changed.

    :param volume: pre-treatment T1-Gd, vtkMRMLScalarVolumeNode.
    :param segmentation: vtkMRMLSegmentationNode that holds the tumor.
    :param followUp: true follow-up, vtkMRMLScalarVolumeNode, or None.
    """

    volume: Any
    segmentation: Any
    segmentID: str
    followUp: Any = None
