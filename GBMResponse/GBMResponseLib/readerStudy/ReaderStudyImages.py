"""Finds the images of a reader study in the scene or on disk, and cuts single slices out of them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import slicer
import vtk
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy

from ..common import NodeRoles
from ..common.Failure import Failure
from ..common.Translation import tr as _
from ..results.ResultNodes import ResultNodes, findRuns
from .ReaderStudyPlan import REAL, ReaderStudyItem, ReaderStudyVolume

_PLACE = (0.0, 0.0, -10000.0)
"""Middle of every slice, RAS mm: the same for all, and far from the scene, whose contours would be drawn over them."""


class ReaderStudyImages:
    """Gives slices as small volumes that tell nothing about where they come from."""

    def __init__(self) -> None:
        self._files: dict[str, Any] = {}

    def volumesOfScene(self) -> list[ReaderStudyVolume]:
        """Return the predictions of the scene and the real images they stand beside."""
        volumes: dict[tuple[str, str], ReaderStudyVolume] = {}
        for run in findRuns(slicer.mrmlScene):
            origin = run.inputVolume.GetID() if run.inputVolume is not None else run.run
            for volume in _volumesOfRun(run):
                # Every run may have aligned the follow-up anew: the real image is judged once all the same.
                which = origin if volume.source == REAL else volume.reference
                volumes.setdefault((volume.source, which), volume)
        return list(volumes.values())

    def fill(self, item: ReaderStudyItem, target: Any) -> None:
        """Put the slice of an item into a scalar volume node: one slice at a place of its own, 256 grays.

        What Slicer shows of a volume (window, values, positions) is then the same for every source.

        :raises Failure: the image is gone, or has no such slice.
        """
        volume = self._volume(item)
        axis = _axialAxis(volume)
        voxels = vtk_to_numpy(volume.GetImageData().GetPointData().GetScalars())
        voxels = voxels.reshape(volume.GetImageData().GetDimensions()[::-1])
        if item.slice >= voxels.shape[2 - axis]:
            message = _("An image of the study has fewer slices than its plan says.")
            raise Failure("no-slices", message, _("Check the column slices of the table."))
        pixels = np.take(voxels, item.slice, axis=2 - axis)
        pixels = pixels[None] if axis == 2 else np.expand_dims(pixels, 2 - axis)
        image = vtk.vtkImageData()
        image.SetDimensions(*pixels.shape[::-1])
        flat = np.ascontiguousarray(pixels, dtype=np.float32).reshape(-1)
        low, high = _window(flat)
        grays = np.rint(np.clip((flat - low) / (high - low), 0.0, 1.0) * 255.0).astype(np.uint8)
        image.GetPointData().SetScalars(numpy_to_vtk(grays, deep=True, array_type=vtk.VTK_UNSIGNED_CHAR))
        target.SetIJKToRASMatrix(_centered(volume, image))
        target.SetAndObserveImageData(image)
        display = target.GetDisplayNode()
        display.SetAutoWindowLevel(False)
        display.SetWindowLevelMinMax(0.0, 255.0)

    def forget(self) -> None:
        """Let go of images that were read from disk."""
        self._files.clear()

    def _volume(self, item: ReaderStudyItem) -> Any:
        volume = slicer.mrmlScene.GetNodeByID(item.reference)
        if volume is None:
            volume = self._files.get(item.reference) or self._read(item.reference)
        if volume is None or volume.GetImageData() is None:
            message = _("An image of the study cannot be found any more.")
            raise Failure("no-image", message, _("Open the scene of the study again, or check the table."))
        return volume

    def _read(self, path: str) -> Any:
        if not Path(path).is_file():
            return None
        storages = (slicer.vtkMRMLNRRDStorageNode, slicer.vtkMRMLVolumeArchetypeStorageNode)
        isNrrd = path.lower().endswith((".nrrd", ".nhdr"))
        storage = storages[0 if isNrrd else 1]()
        storage.SetFileName(path)
        volume = slicer.vtkMRMLScalarVolumeNode()
        if not storage.ReadData(volume):
            return None
        self._files = {path: volume}  # one at a time: a study may have many large images
        return volume


def _window(pixels: np.ndarray) -> tuple[float, float]:
    """Lowest and highest shown intensity: the same rule for every source, so that the window tells nothing."""
    low = float(np.percentile(pixels, 1.0))
    head = pixels[pixels > pixels.mean()]
    # The scalp is much brighter than the brain: it may saturate.
    high = low + 1.6 * (float(np.median(head)) - low) if head.size else low
    return low, max(high, low + 1e-3)


def _centered(volume: Any, image: Any) -> Any:
    """The volume's directions and spacing, with the middle of the image at the place of all slices."""
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    middle = [(count - 1) / 2.0 for count in image.GetDimensions()]
    for row in range(3):
        offset = sum(matrix.GetElement(row, column) * middle[column] for column in range(3))
        matrix.SetElement(row, 3, _PLACE[row] - offset)
    return matrix


def _volumesOfRun(run: ResultNodes) -> list[ReaderStudyVolume]:
    mask = run.node(NodeRoles.MASK)
    patient = run.inputVolume.GetName() if run.inputVolume is not None else run.run
    found = []
    for name in run.classes:
        predicted = run.node(NodeRoles.PREDICTED, name)
        if predicted is not None and mask is not None:
            source = f"{_modelName(predicted)} {name}".strip()
            found.append(ReaderStudyVolume(patient, source, predicted.GetID(), _slices(mask, predicted)))
    real = run.registeredFollowUp or run.followUp or run.inputVolume
    if real is not None and mask is not None:
        found.append(ReaderStudyVolume(patient, REAL, real.GetID(), _slices(mask, real)))
    return found


def _slices(mask: Any, volume: Any) -> tuple[int, ...]:
    """Slices of the volume where something was generated, by number; those the volume has."""
    axis = _axialAxis(mask)
    inside = vtk_to_numpy(mask.GetImageData().GetPointData().GetScalars()) > 0
    inside = inside.reshape(mask.GetImageData().GetDimensions()[::-1])
    others = tuple(other for other in range(3) if other != 2 - axis)
    count = volume.GetImageData().GetDimensions()[_axialAxis(volume)]
    return tuple(int(number) for number in np.flatnonzero(inside.any(axis=others)) if number < count)


def _axialAxis(volume: Any) -> int:
    """The axis of the volume (0: i, 1: j, 2: k) that runs closest to the patient's long axis."""
    directions = vtk.vtkMatrix4x4()
    volume.GetIJKToRASDirectionMatrix(directions)
    return max(range(3), key=lambda axis: abs(directions.GetElement(2, axis)))


def _modelName(predicted: Any) -> str:
    try:
        record = json.loads(predicted.GetAttribute(NodeRoles.PROVENANCE) or "{}")
        records = list(record.get("classes", {}).values()) or [record]
        return str(records[0]["bundle"]["name"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return _("generated")
