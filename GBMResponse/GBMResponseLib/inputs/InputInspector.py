"""Reads from the scene the facts that `InputFindings` judges; cheap, and cached by modification time."""

import dataclasses
import itertools
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..common.NodeRoles import RUN, isSynthetic
from .InputFacts import InputFacts, TumorFacts, VolumeFacts, guessTumorSegment
from .SequenceHints import SequenceHints, clearInput, sequenceHints

_MOST_SAMPLED = 2_000_000
"""Voxels that are looked at; of larger volumes every n-th, so that the panel never stops."""


class InputInspector:
    """Collects facts about the chosen nodes.

    :param temporaryFolder: where predictions are written, for the free space.
    """

    def __init__(self, temporaryFolder: Path) -> None:
        self._temporaryFolder = temporaryFolder
        self._volumes: dict[str, tuple[int, VolumeFacts]] = {}
        self._segments: dict[tuple[str, str], tuple[tuple[int, int], _Extent]] = {}

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
        return dataclasses.replace(known[1], hints=volumeHints(volume))

    def _tumorFacts(self, segmentation: Any, segmentID: str, volume: Any) -> TumorFacts:
        segment = segmentation.GetSegmentation().GetSegment(segmentID)
        labelmap = segment.GetRepresentation(labelmapName())
        source = labelmap if labelmap is not None else segment
        key, stamp = (segmentation.GetID(), segmentID), (source.GetMTime(), segment.GetLabelValue())
        known = self._segments.get(key)
        if known is None or known[0] != stamp:
            extent = _surfaceExtent(segment) if labelmap is None else _labelmapExtent(labelmap, segment.GetLabelValue())
            known = self._segments[key] = (stamp, extent)
        extent = known[1]
        parents = [node.GetParentTransformNode() for node in (segmentation, volume) if node is not None]
        fraction, slices = 1.0, 0
        if extent.volumeMl > 0.0 and volume is not None:
            fraction = _insideFraction(segmentation, extent.bounds, volume)
            slices = round(extent.depth / volume.GetSpacing()[2])
        convertible = labelmap is not None or canMakeLabelmap(segmentation)
        return TumorFacts(
            segment.GetName(), extent.volumeMl, fraction, len(set(parents)) < 2, slices, extent.pieces, convertible
        )


@dataclasses.dataclass(frozen=True)
class _Extent:
    """Size of a segment: bounding box in the segmentation's space, depth in mm along its slice axis, parts."""

    volumeMl: float
    bounds: list[float]
    depth: float = 0.0
    pieces: int = 0


def canMakeLabelmap(segmentation: Any) -> bool:
    """Whether this Slicer has rules from the segments' main representation to voxels; contours need SlicerRT's."""
    content, name = segmentation.GetSegmentation(), labelmapName()
    if content.ContainsRepresentation(name):
        return True
    paths = slicer.vtkSegmentationConversionPaths()
    content.GetPossibleConversions(name, paths)
    return paths.GetNumberOfPaths() > 0


def volumeHints(volume: Any) -> SequenceHints:
    """Return what name and DICOM tags say about a volume; the tags that Slicer keeps in the scene, or its database."""
    tags, scene = {}, slicer.mrmlScene
    hierarchy = scene.GetSubjectHierarchyNode()
    item = hierarchy.GetItemByDataNode(volume) if hierarchy is not None else 0
    if item:
        for name in ("Modality", "SeriesDescription"):
            tags[name] = hierarchy.GetItemAttribute(item, f"DICOM.{name}")
        tags["StudyDate"] = hierarchy.GetAttributeFromItemAncestor(item, "DICOM.StudyDate", "Study")
    database = getattr(slicer, "dicomDatabase", None)
    instances = (volume.GetAttribute("DICOM.instanceUIDs") or "").split()
    if database is not None and instances:
        tags["ContrastBolusAgent"] = database.instanceValue(instances[0], "0018,0010")
    return sequenceHints(volume.GetName() or "", {name: text or "" for name, text in tags.items()})


def likelyInput() -> Any:
    """Return the only volume of the scene that is clearly the T1-Gd before treatment; else None."""
    scene, volumes = slicer.mrmlScene, []
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")):
        volume = scene.GetNthNodeByClass(number, "vtkMRMLScalarVolumeNode")
        generated = isSynthetic(volume) or volume.GetAttribute(RUN)
        if not generated and volume.GetClassName() == "vtkMRMLScalarVolumeNode" and not volume.GetHideFromEditors():
            volumes.append(volume)
    index = clearInput([volumeHints(volume) for volume in volumes])
    return None if index is None else volumes[index]


def likelySegmentation() -> Any:
    """Return the only segmentation of the scene, or the only one with a segment that is clearly the GTV; else None."""
    scene = slicer.mrmlScene
    count = scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode")
    nodes = [scene.GetNthNodeByClass(number, "vtkMRMLSegmentationNode") for number in range(count)]
    nodes = [node for node in nodes if not node.GetHideFromEditors()]
    clear = nodes if len(nodes) == 1 else [node for node in nodes if guessTumorSegment(segmentNames(node))]
    return clear[0] if len(clear) == 1 else None


def segmentNames(segmentation: Any) -> dict[str, str]:
    """Return segment ID -> name; empty without a segmentation."""
    if segmentation is None:
        return {}
    content = segmentation.GetSegmentation()
    identifiers = [content.GetNthSegmentID(number) for number in range(content.GetNumberOfSegments())]
    return {identifier: content.GetSegment(identifier).GetName() for identifier in identifiers}


def _labelmapExtent(labelmap: Any, label: int) -> _Extent:
    """Extent of one label of a layer."""
    scalars = labelmap.GetPointData().GetScalars()
    empty = _Extent(0.0, [0.0] * 6)
    if scalars is None or not scalars.GetNumberOfTuples():
        return empty
    inside = vtk_to_numpy(scalars).reshape(labelmap.GetDimensions()[::-1]) == label
    count = int(np.count_nonzero(inside))
    if not count:
        return empty
    extent = labelmap.GetExtent()
    limits, box = [], []
    for axis in range(3):
        occupied = np.flatnonzero(inside.any(axis=tuple(other for other in range(3) if other != 2 - axis)))
        limits.append((extent[2 * axis] + occupied[0] - 0.5, extent[2 * axis] + occupied[-1] + 0.5))
        box.insert(0, slice(occupied[0], occupied[-1] + 1))
    depth = np.count_nonzero(inside.any(axis=(1, 2))) * labelmap.GetSpacing()[2]
    matrix = vtk.vtkMatrix4x4()
    labelmap.GetImageToWorldMatrix(matrix)
    corners = np.array([matrix.MultiplyPoint((*corner, 1.0))[:3] for corner in itertools.product(*limits)])
    bounds = np.stack([corners.min(axis=0), corners.max(axis=0)], axis=1).reshape(-1)
    volumeMl = count * math.prod(labelmap.GetSpacing()) / 1000.0
    return _Extent(volumeMl, bounds.tolist(), depth, _countPieces(inside[tuple(box)]))


def _countPieces(inside: Any) -> int:
    """Parts of a mask that do not touch by a face of their voxels."""
    image = vtk.vtkImageData()
    image.SetDimensions(inside.shape[::-1])
    voxels = numpy_to_vtk(inside.astype("uint8").reshape(-1), deep=True, array_type=vtk.VTK_UNSIGNED_CHAR)
    image.GetPointData().SetScalars(voxels)
    parts = vtk.vtkImageConnectivityFilter()
    parts.SetInputData(image)
    parts.SetScalarRange(1, 1)
    parts.SetExtractionModeToAllRegions()
    parts.Update()
    return parts.GetNumberOfExtractedRegions()


def _surfaceExtent(segment: Any) -> _Extent:
    """The same for a segment without labelmap; the volume of a compact shape is about half that of its box."""
    bounds = [0.0] * 6
    segment.GetBounds(bounds)
    sides = [max(0.0, bounds[2 * axis + 1] - bounds[2 * axis]) for axis in range(3)]
    return _Extent(0.5 * math.prod(sides) / 1000.0, bounds)


def labelmapName() -> str:
    """Of the representation of segments that is a labelmap."""
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
