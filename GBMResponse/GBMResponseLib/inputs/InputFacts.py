"""The chosen inputs and what is known about them, as plain values; `InputInspector` reads them from the scene."""

import re
from dataclasses import dataclass, field
from typing import Any

from .SequenceHints import SequenceHints

_WORDS = (r"gtv", r"gross", r"tumou?r", r"enhanc", r"lesion", r"target")
_NOT = re.compile(r"edema|oedema|necro|brain|skin|skull|eye|nerve|chiasm|\boar\b|ctv|ptv", re.IGNORECASE)


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


@dataclass(frozen=True)
class VolumeFacts:
    """Facts about a volume.

    :param spacing: mm, along the volume's own axes.
    :param lowest, highest: of the voxels.
    :param tiltDeg: angle between the volume's slice axis and the patient's long axis, 0 to 90.
    :param transform: `none`, `linear` or `nonlinear` parent transform.
    :param hints: what name and DICOM tags say.
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
    hints: SequenceHints = field(default_factory=SequenceHints)


@dataclass(frozen=True)
class TumorFacts:
    """Facts about the chosen segment.

    :param volumeMl: of the segment, in ml.
    :param insideFraction: part of the segment's bounding box that lies inside the volume, 0 to 1.
    :param slices: of the volume that the segment reaches.
    :param pieces: parts that do not touch; 0 if unknown, as for a surface.
    :param convertible: whether this Slicer can make voxels of the segment.
    """

    name: str
    volumeMl: float
    insideFraction: float
    sameTransform: bool
    slices: int = 0
    pieces: int = 0
    convertible: bool = True


@dataclass(frozen=True)
class InputFacts:
    """All facts.

    :param suggestedSegment: name of a segment that looks like the GTV while none, or another, is chosen; or empty.
    :param labelmapName: name of a labelmap volume that could become the segmentation; or empty.
    :param lostVolume, lostSegment: name of what was chosen and is gone from the scene; or empty.
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
    lostVolume: str = ""
    lostSegment: str = ""


def guessTumorSegment(names: dict[str, str]) -> str:
    """Return the ID of the segment that is clearly the GTV by its name, or the only one; else empty.

    :param names: segment ID -> name.
    """
    for word in _WORDS:
        found = [key for key, name in names.items() if re.search(word, name, re.IGNORECASE) and not _NOT.search(name)]
        if found:
            return found[0] if len(found) == 1 else ""
    only = next(iter(names)) if len(names) == 1 else ""
    return only if only and not _NOT.search(names[only]) else ""
