"""Names under which a result is remembered in nodes: attributes and references. They travel with the scene."""

from typing import Any

PREFIX = "GBMResponse."
SYNTHETIC = PREFIX + "Synthetic"
NOTICE = PREFIX + "Notice"
PROVENANCE = PREFIX + "Provenance"
RUN = PREFIX + "Run"
RUN_NAME = PREFIX + "RunName"
CREATED = PREFIX + "Created"
ROLE = PREFIX + "Role"
CLASS = PREFIX + "Class"
CLASS_SOURCE = PREFIX + "ClassSource"
SAMPLE_NUMBER = PREFIX + "SampleNumber"
SEGMENT = PREFIX + "SegmentID"
SCALE = PREFIX + "Scale"
"""On an overlay: window and level that its colors stand for."""
VOLUME_SHOWN = PREFIX + "VolumeShown"
"""On an enhancement probability whose volumes are not withheld: what enhances may be shown as a region."""
GEOMETRY = PREFIX + "Geometry"
"""On a prediction: the exact geometry of what it was made from, whose last digits change when a scene is loaded."""
SUMMARY = PREFIX + "Summary"
"""On a table of scores: the sentences that go with it."""
UNFILLED = PREFIX + "Unfilled"
"""On a segmentation's display node whose filling is hidden while runs are compared: how the user had it."""

INPUT_VOLUME = PREFIX + "InputVolume"
SEGMENTATION = PREFIX + "Segmentation"
FOLLOW_UP = PREFIX + "FollowUp"

PREDICTED, DIFFERENCE, MASK, EXPECTED, SPREAD = "predicted", "difference", "generated_mask", "expected", "spread"
CLASS_DIFFERENCE = "class_difference"
"""The last class minus the first: what the class does, as both start from the same noise."""
ENHANCEMENT, SAMPLE, REGISTERED, MEASUREMENTS, SCORES = (
    "enhancement_probability",
    "sample",
    "registered_follow_up",
    "measurements",
    "scores",
)


def isSynthetic(node: Any) -> bool:
    """Whether a node shows or measures a generated image."""
    return node is not None and node.GetAttribute(SYNTHETIC) == "1"


def runKey(node: Any) -> tuple[str, ...]:
    """What a node is in its run; equal for copies of it, also where several samples have one role."""
    names = (RUN, ROLE, CLASS, SAMPLE_NUMBER)
    return tuple(node.GetAttribute(name) or "" for name in names)


def hasRunKey(node: Any) -> bool:
    """Whether `runKey` tells a node from all others of its run; samples of earlier versions have no number."""
    isSample = node.GetAttribute(ROLE) == SAMPLE
    return bool(node.GetAttribute(RUN) and node.GetAttribute(SAMPLE_NUMBER if isSample else ROLE))
