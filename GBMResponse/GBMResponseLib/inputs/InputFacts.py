"""What is known about the chosen inputs, as plain values; `InputInspector` reads them from the scene."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VolumeFacts:
    """Facts about a volume.

    :param spacing: mm, along the volume's own axes.
    :param lowest, highest: of the voxels.
    :param tiltDeg: angle between the volume's slice axis and the patient's long axis, 0 to 90.
    :param transform: `none`, `linear` or `nonlinear` parent transform.
    """

    name: str
    dimensions: tuple[int, int, int]
    spacing: tuple[float, float, float]
    lowest: float
    highest: float
    finite: bool
    tiltDeg: float
    transform: str
    synthetic: bool = False


@dataclass(frozen=True)
class TumorFacts:
    """Facts about the chosen segment.

    :param volumeMl: of the segment, in ml.
    :param insideFraction: part of the segment's bounding box that lies inside the volume, 0 to 1.
    """

    name: str
    volumeMl: float
    insideFraction: float
    sameTransform: bool


@dataclass(frozen=True)
class InputFacts:
    """All facts.

    :param suggestedSegment: name of a segment that looks like the GTV while none, or another, is chosen; or empty.
    :param labelmapName: name of a labelmap volume that could become the segmentation; or empty.
    """

    volume: VolumeFacts | None = None
    hasSegmentation: bool = False
    segmentCount: int = 0
    tumor: TumorFacts | None = None
    suggestedSegment: str = ""
    labelmapName: str = ""
    followUp: VolumeFacts | None = None
    followUpIsInput: bool = False
    freeMB: float | None = None
    sceneHasVolumes: bool = True
