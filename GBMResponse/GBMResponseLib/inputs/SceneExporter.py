"""From nodes to files for the worker: on copies, with parent transforms applied, on one grid."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.files import sha256_of_file
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..common.Failure import Failure
from ..common.Translation import tr as _
from ..common.VolumeFile import writeVolume
from .InputFacts import PredictionInputs
from .InputFindings import contoursOnly
from .InputInspector import canMakeLabelmap, labelmapName

_ROUNDING = 1e-6
"""mm, and of directions."""


class SceneExporter:
    """Writes the inputs of a prediction. No node enters or leaves the scene meanwhile, and none is changed."""

    def __init__(self) -> None:
        self._image: Any = None

    def steps(self, inputs: PredictionInputs, folder: Path, geometry: str = "") -> Iterator[dict[str, str | None]]:
        """Write `image.nrrd`, `gtv.nrrd` and `follow_up.nrrd` into the folder, a file per step.

        :param geometry: that the image had when it was exported before (`geometryText`); empty: it is the first time.
        :returns: after each step, the files so far: `image`, `gtv`, `follow_up` (None without one).
        :raises Failure: a node has no voxels, the segment is empty or outside, or the disk is full.
        """
        files: dict[str, str | None] = {"image": None, "gtv": None, "follow_up": None}
        image = self._image = hardenedCopy(inputs.volume)
        _restoreGeometry(image, geometry)
        files["image"] = _write(image, folder / "image.nrrd")
        yield files
        files["gtv"] = _write(segmentOnGrid(inputs.segmentation, inputs.segmentID, image), folder / "gtv.nrrd")
        yield files
        if inputs.followUp is not None:
            files["follow_up"] = _write(hardenedCopy(inputs.followUp), folder / "follow_up.nrrd")
            yield files

    def arePresent(self, inputs: PredictionInputs) -> bool:
        """Whether nodes and segment that were chosen are still in the scene."""
        nodes = [inputs.volume, inputs.segmentation, *([inputs.followUp] if inputs.followUp is not None else [])]
        if any(slicer.mrmlScene.GetNodeByID(node.GetID() or "") is not node for node in nodes):
            return False
        return inputs.segmentation.GetSegmentation().GetSegment(inputs.segmentID) is not None

    def haveEqualVoxels(self, first: Any, second: Any) -> bool:
        """Whether two volumes show the same, for example because one is a copy."""
        images = [volume.GetImageData() for volume in (first, second)]
        if None in images or images[0].GetDimensions() != images[1].GetDimensions():
            return False
        voxels = [vtk_to_numpy(image.GetPointData().GetScalars()) for image in images]
        return bool(np.array_equal(*voxels))

    def image(self) -> Any:
        """Hand over the copy of the volume that was written last; the result takes its geometry from it."""
        image, self._image = self._image, None
        return image

    def fingerprint(self, files: dict[str, str | None]) -> str:
        """Return 16 letters that change with the content of exported files."""
        digest = hashlib.sha256()
        for role, path in sorted(files.items()):
            digest.update(role.encode())
            if path is not None:
                digest.update(sha256_of_file(path).encode())
        return digest.hexdigest()[:16]


def geometryText(volume: Any) -> str:
    """Return spacing, origin and directions of a volume, with all their digits."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASDirectionMatrix(matrix)
    directions = [matrix.GetElement(row, column) for row in range(3) for column in range(3)]
    return json.dumps([*volume.GetSpacing(), *volume.GetOrigin(), *directions])


def _restoreGeometry(volume: Any, text: str) -> None:
    """Give a volume the digits that it had before, unless it lies elsewhere now."""
    known = json.loads(text) if text else []
    if not known or not np.allclose(known, json.loads(geometryText(volume)), rtol=0.0, atol=_ROUNDING):
        return
    matrix = vtk.vtkMatrix4x4()
    for number, value in enumerate(known[6:]):
        matrix.SetElement(number // 3, number % 3, value)
    volume.SetSpacing(*known[:3])
    volume.SetOrigin(*known[3:6])
    volume.SetIJKToRASDirectionMatrix(matrix)


def hardenedCopy(volume: Any) -> Any:
    """Return a copy of a scalar volume, outside the scene, with its parent transform applied and without attributes.

    A linear transform changes the copy's geometry only; a warping one resamples it.

    :raises Failure: the volume has no voxels.
    """
    if volume is None:
        raise Failure("no-volume", _("There is no volume."), _("Choose the T1-Gd volume before treatment."))
    if volume.GetImageData() is None:
        message = _("The volume {name} has no voxels.").format(name=volume.GetName())
        raise Failure("no-volume", message, _("Choose another volume."))
    copy = slicer.vtkMRMLScalarVolumeNode()
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    image = vtk.vtkImageData()
    image.ShallowCopy(volume.GetImageData())
    copy.SetAndObserveImageData(image)
    copy.SetIJKToRASMatrix(matrix)
    parent = volume.GetParentTransformNode()
    if parent is None:
        return copy
    if parent.IsTransformToWorldLinear():
        toWorld = vtk.vtkMatrix4x4()
        parent.GetMatrixTransformToWorld(toWorld)
        copy.ApplyTransformMatrix(toWorld)
    else:
        warp = vtk.vtkGeneralTransform()
        parent.GetTransformToWorld(warp)
        copy.ApplyTransform(warp)
    return copy


def segmentOnGrid(segmentation: Any, segmentID: str, reference: Any) -> Any:
    """Return a segment as a 0/1 volume (uint8), outside the scene, on the grid of a reference volume in world space.

    :raises Failure: there is no such segment, it is empty, or it lies outside the reference.
    """
    segment = segmentation.GetSegmentation().GetSegment(segmentID) if segmentation is not None else None
    if segment is None:
        message = _("The tumor segment does not exist any more.")
        raise Failure("no-segment", message, _("Choose the segment that outlines the tumor (GTV)."))
    name = segment.GetName()
    mask = slicer.vtkOrientedImageData()
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    shared = segmentation.GetSegmentation().ContainsRepresentation(labelmapName())
    if not logic.GetSegmentBinaryLabelmapRepresentation(segmentation, segmentID, mask, True):
        raise _emptySegment(name) if canMakeLabelmap(segmentation) else Failure("contours-only", contoursOnly(name))
    label = segment.GetLabelValue() if shared else None
    if not _toBinary(mask, label):
        raise _emptySegment(name)
    grid = _grid(reference)
    onGrid = slicer.vtkOrientedImageData()
    resample = slicer.vtkOrientedImageDataResample.ResampleOrientedImageToReferenceOrientedImage
    if not resample(mask, grid, onGrid, False, False) or not vtk_to_numpy(onGrid.GetPointData().GetScalars()).any():
        message = _("The segment {name} lies outside the volume.").format(name=name)
        raise Failure("no-overlap", message, _("Check that volume and segmentation belong to the same patient."))
    voxels = slicer.vtkMRMLScalarVolumeNode()
    logic.CopyOrientedImageDataToVolumeNode(onGrid, voxels, True, True)
    # A new node, as one that lies there but for the last digits would keep its own.
    volume = slicer.vtkMRMLScalarVolumeNode()
    volume.SetAndObserveImageData(voxels.GetImageData())
    volume.CopyOrientation(reference)
    return volume


def _toBinary(mask: Any, label: int | None) -> bool:
    """Keep one label of a layer that several segments share (None: everything) as 1; whether anything is left."""
    scalars = mask.GetPointData().GetScalars()
    if scalars is None or not scalars.GetNumberOfTuples():
        return False
    voxels = vtk_to_numpy(scalars)
    inside = (voxels > 0) if label is None else (voxels == label)
    if not inside.any():
        return False
    binary = numpy_to_vtk(inside.astype("uint8"), deep=True, array_type=vtk.VTK_UNSIGNED_CHAR)
    binary.SetName("ImageScalars")
    mask.GetPointData().SetScalars(binary)
    return True


def _grid(reference: Any) -> Any:
    """An oriented image with the geometry and extent of a volume; its voxels are not used."""
    matrix = vtk.vtkMatrix4x4()
    reference.GetIJKToRASMatrix(matrix)
    grid = slicer.vtkOrientedImageData()
    grid.SetExtent(reference.GetImageData().GetExtent())
    grid.SetGeometryFromImageToWorldMatrix(matrix)
    return grid


def _write(volume: Any, path: Path) -> str:
    try:
        writeVolume(volume, path, compressed=False)
    except OutputFolderError as error:
        message = _("The inputs cannot be written to the temporary folder.")
        raise Failure(error.code, message, _("Free some disk space, then press Predict again."), str(error)) from error
    return str(path)


def _emptySegment(name: str) -> Failure:
    message = _("The segment {name} is empty.").format(name=name)
    return Failure("empty-gtv", message, _("Draw the tumor, or choose another segment."))
