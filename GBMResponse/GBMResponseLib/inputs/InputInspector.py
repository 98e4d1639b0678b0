"""Reads from the scene the facts that `InputFindings` judges; cheap, and cached by modification time."""

import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import vtk_to_numpy

from ..common.NodeRoles import isSynthetic
from .InputFacts import InputFacts, TumorFacts, VolumeFacts, guessTumorSegment

_MOST_SAMPLED = 2_000_000
"""Voxels that are looked at; of larger volumes every n-th, so that the panel never stops."""


class InputInspector:
    """Collects facts about the chosen nodes.

    :param temporaryFolder: where predictions are written, for the free space.
    """

    def __init__(self, temporaryFolder: Path) -> None:
        self._temporaryFolder = temporaryFolder
        self._volumes: dict[str, tuple[int, VolumeFacts]] = {}
        self._segments: dict[tuple[str, str], tuple[tuple[int, int], float, list[float]]] = {}

    def facts(self, volume: Any, segmentation: Any, segmentID: str, followUp: Any) -> InputFacts:
        """Return the facts; every node may be None."""
        names = segmentNames(segmentation)
        suggested = guessTumorSegment(names)
        labelmap = firstLabelmap() if segmentation is None else None
        tumor = self._tumorFacts(segmentation, segmentID, volume) if segmentID in names else None
        return InputFacts(
            volume=self._volumeFacts(volume),
            hasSegmentation=segmentation is not None,
            segmentCount=len(names),
            tumor=tumor,
            suggestedSegment=names[suggested] if suggested and suggested != segmentID else "",
            labelmapName=labelmap.GetName() if labelmap is not None else "",
            followUp=self._volumeFacts(followUp),
            followUpIsInput=followUp is not None and followUp is volume,
            freeMB=self._freeMB(),
            sceneHasVolumes=slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode") is not None,
        )

    def _freeMB(self) -> float | None:
        try:
            return shutil.disk_usage(self._temporaryFolder).free / 1e6
        except OSError:
            return None

    def _volumeFacts(self, volume: Any) -> VolumeFacts | None:
        image = volume.GetImageData() if volume is not None else None
        if image is None or image.GetPointData().GetScalars() is None:
            return None
        stamp = max(volume.GetMTime(), image.GetMTime(), _transformTime(volume))
        known = self._volumes.get(volume.GetID())
        if known is None or known[0] != stamp:
            known = stamp, _readVolumeFacts(volume, image)
            self._volumes[volume.GetID()] = known
        return known[1]

    def _tumorFacts(self, segmentation: Any, segmentID: str, volume: Any) -> TumorFacts:
        segment = segmentation.GetSegmentation().GetSegment(segmentID)
        labelmap = segment.GetRepresentation(_labelmapName())
        source = labelmap if labelmap is not None else segment
        key, stamp = (segmentation.GetID(), segmentID), (source.GetMTime(), segment.GetLabelValue())
        known = self._segments.get(key)
        if known is None or known[0] != stamp:
            size = _surfaceSize(segment) if labelmap is None else _labelmapSize(labelmap, segment.GetLabelValue())
            known = self._segments[key] = (stamp, *size)
        _stamp, volumeMl, bounds = known
        parents = [node.GetParentTransformNode() for node in (segmentation, volume) if node is not None]
        fraction = _insideFraction(segmentation, bounds, volume) if volumeMl > 0.0 and volume is not None else 1.0
        return TumorFacts(segment.GetName(), volumeMl, fraction, len(set(parents)) < 2)


def segmentNames(segmentation: Any) -> dict[str, str]:
    """Return segment ID -> name; empty without a segmentation."""
    if segmentation is None:
        return {}
    content = segmentation.GetSegmentation()
    identifiers = [content.GetNthSegmentID(number) for number in range(content.GetNumberOfSegments())]
    return {identifier: content.GetSegment(identifier).GetName() for identifier in identifiers}


def _labelmapSize(labelmap: Any, label: int) -> tuple[float, list[float]]:
    """Volume in ml and bounding box in the segmentation's space of one label of a layer."""
    scalars = labelmap.GetPointData().GetScalars()
    empty = 0.0, [0.0] * 6
    if scalars is None or not scalars.GetNumberOfTuples():
        return empty
    inside = vtk_to_numpy(scalars).reshape(labelmap.GetDimensions()[::-1]) == label
    count = int(np.count_nonzero(inside))
    if not count:
        return empty
    extent = labelmap.GetExtent()
    limits = []
    for axis in range(3):
        occupied = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != 2 - axis)))
        limits.append((extent[2 * axis] + occupied[0] - 0.5, extent[2 * axis] + occupied[-1] + 0.5))
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    corners = np.array([matrix.MultiplyPoint((*corner, 1.0))[:3] for corner in itertools.product(*limits)])
    bounds = np.stack([corners.min(axis=0), corners.max(axis=0)], axis=1).reshape(-1)
    return count * math.prod(labelmap.GetSpacing()) / 1000.0, bounds.tolist()


def _surfaceSize(segment: Any) -> tuple[float, list[float]]:
    """The same for a segment without labelmap; the volume of a compact shape is about half that of its box."""
    bounds = [0.0] * 6
    segment.GetBounds(bounds)
    sides = [max(0.0, bounds[2 * axis + 1] - bounds[2 * axis]) for axis in range(3)]
    return 0.5 * math.prod(sides) / 1000.0, bounds


def _labelmapName() -> str:
    return slicer.vtkSegmentationConverter.GetSegmentationBinaryLabelmapRepresentationName()


def _readVolumeFacts(volume: Any, image: Any) -> VolumeFacts:
    voxels = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(-1)
    sampled = voxels[:: max(1, voxels.size // _MOST_SAMPLED)]
    finite = bool(np.isfinite(sampled).all())
    directions = vtk.vtkMatrix4x4()
    volume.GetIJKToRASDirectionMatrix(directions)
    upward = abs(directions.GetElement(2, 2))
    parent = volume.GetParentTransformNode()
    transform = "none" if parent is None else ("linear" if parent.IsTransformToWorldLinear() else "nonlinear")
    return VolumeFacts(
        name=volume.GetName(),
        dimensions=tuple(image.GetDimensions()),
        spacing=tuple(volume.GetSpacing()),
        lowest=float(sampled.min()) if finite else math.nan,
        highest=float(sampled.max()) if finite else math.nan,
        finite=finite,
        tiltDeg=math.degrees(math.acos(min(1.0, upward))),
        transform=transform,
        synthetic=isSynthetic(volume),
    )


def _insideFraction(segmentation: Any, bounds: list[float], volume: Any) -> float:
    """Part of the segment's bounding box, in world space, inside the volume's."""
    own = _worldBounds(bounds, segmentation.GetParentTransformNode())
    field = [0.0] * 6
    volume.GetRASBounds(field)
    fraction = 1.0
    for low, high in ((0, 1), (2, 3), (4, 5)):
        length = own[high] - own[low]
        shared = min(own[high], field[high]) - max(own[low], field[low])
        fraction *= max(0.0, shared) / length if length > 0.0 else float(shared >= 0.0)
    return fraction


def _worldBounds(bounds: list[float], parent: Any) -> list[float]:
    if parent is None:
        return bounds
    toWorld = vtk.vtkGeneralTransform()
    parent.GetTransformToWorld(toWorld)
    world = [0.0] * 6
    slicer.vtkOrientedImageDataResample.TransformBounds(bounds, toWorld, world)
    return world


def _transformTime(volume: Any) -> int:
    parent = volume.GetParentTransformNode()
    return parent.GetTransformToWorldMTime() if parent is not None else 0


def firstLabelmap() -> Any:
    """Return a labelmap volume that may hold the tumor: the first of the scene that is not generated; or None."""
    scene = slicer.mrmlScene
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode")):
        labelmap = scene.GetNthNodeByClass(number, "vtkMRMLLabelMapVolumeNode")
        if not isSynthetic(labelmap):
            return labelmap
    return None
