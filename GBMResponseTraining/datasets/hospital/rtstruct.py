"""RTSTRUCT -> mask: which contours are the GTV, and which voxels lie in them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.errors import NoOverlapError
from GBMResponseCore.inputs.resampling import image_like

from ..errors import StructureSetError
from .dicom_series import pydicom_module

DEFAULT_ROI = "gtv"
"""Regular expression of a GTV's name, in any case."""

_CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
_SLICE_TOLERANCE = 0.2
"""Largest distance of a contour from the middle of a slice, in slices."""


@dataclass(frozen=True)
class Roi:
    """One region: its name and the frame of reference of its contours."""

    number: int
    name: str
    frame_of_reference: str


@dataclass(frozen=True)
class StructureSet:
    """What a structure set holds, without its contours.

    :param series: UIDs of the series it was drawn on.
    :param time: date and time of its making, as text that sorts.
    """

    path: Path
    rois: tuple[Roi, ...]
    series: frozenset[str]
    time: str


def read_structure_set(path: Path) -> StructureSet:
    """:raises StructureSetError: if it is damaged.

    :raises MissingPackageError: without pydicom.
    """
    dataset = _read(path)
    frames = dataset.get("ReferencedFrameOfReferenceSequence") or []
    default = str(frames[0].get("FrameOfReferenceUID", "")) if len(frames) == 1 else ""
    series = {
        str(item.SeriesInstanceUID)
        for frame in frames
        for study in frame.get("RTReferencedStudySequence") or []
        for item in study.get("RTReferencedSeriesSequence") or []
    }
    rois = [
        Roi(
            int(item.ROINumber),
            str(item.get("ROIName", "")).strip(),
            str(item.get("ReferencedFrameOfReferenceUID") or default),
        )
        for item in dataset.get("StructureSetROISequence") or []
    ]
    time = f"{dataset.get('StructureSetDate') or ''}{dataset.get('StructureSetTime') or ''}"
    return StructureSet(path, tuple(rois), frozenset(series), time)


def choose_rois(structures: StructureSet, pattern: str = DEFAULT_ROI, names: Sequence[str] = ()) -> list[Roi]:
    """Choose the regions that make up the GTV.

    Names given are taken, all of them. Else a region called exactly GTV is taken alone, and without one the union of
    all whose name matches.

    :param pattern: regular expression, searched in any case.
    :raises StructureSetError: if a name is missing, or if nothing matches.
    """
    known = {roi.name.casefold(): roi for roi in structures.rois}
    listed = ", ".join(roi.name for roi in structures.rois) or "none"
    if names:
        missing = [name for name in names if name.casefold() not in known]
        if missing:
            raise StructureSetError(f"There is no region {', '.join(missing)}; there are: {listed}.")
        return [known[name.casefold()] for name in names]
    if "gtv" in known and re.search(pattern, "gtv", re.IGNORECASE):
        return [known["gtv"]]
    chosen = [roi for roi in structures.rois if re.search(pattern, roi.name, re.IGNORECASE)]
    if not chosen:
        raise StructureSetError(
            f"No region's name matches '{pattern}'; there are: {listed}.", "Give --roi, or name it in the table."
        )
    return chosen


def draw_rois(structures: StructureSet, rois: Iterable[Roi], image: sitk.Image) -> sitk.Image:
    """Draw the union of regions on the grid of the image they were drawn on.

    :return: uint8 0/1, the image's grid.
    :raises StructureSetError: if a region has no closed contour, or one that lies in no slice.
    :raises NoOverlapError: if nothing lies in the image.
    """
    contours = _contours(_read(structures.path))
    mask = np.zeros(image.GetSize()[::-1], bool)
    for roi in rois:
        if not contours[roi.number]:
            raise StructureSetError(f"The region {roi.name} has no closed contour.", "Draw it, or name another one.")
        mask |= rasterise(contours[roi.number], image)
    if not mask.any():
        raise NoOverlapError("The contours of the GTV lie outside the image or hold no voxel.")
    return image_like(image, mask.astype(np.uint8))


def rasterise(contours: Iterable[np.ndarray], image: sitk.Image) -> np.ndarray:
    """Fill closed planar contours: a voxel is inside if its center is within an odd number of them.

    So a contour inside another one is a hole.

    :param contours: points (n, 3) each, LPS mm, in planes of the image's slices.
    :return: bool, the image's shape in numpy order. Contours above or below the image are left out.
    :raises StructureSetError: if a contour crosses slices or lies between them.
    """
    matrix = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    to_index = np.linalg.inv(matrix).T
    result = np.zeros(image.GetSize()[::-1], bool)
    for points in contours:
        index = (np.asarray(points, float) - image.GetOrigin()) @ to_index
        level = float(index[:, 2].mean())
        row = round(level)
        if np.abs(index[:, 2] - row).max() > _SLICE_TOLERANCE:
            raise StructureSetError(
                "A contour of the GTV does not lie in a slice of the image.",
                "Export the RTSTRUCT together with the series that it was drawn on.",
            )
        if 0 <= row < len(result):
            result[row] ^= _filled(index[:, :2], result.shape[1:])
    return result


def _filled(polygon: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels (rows, columns) whose center is inside a polygon (n, 2) of points (column, row), even-odd rule."""
    inside = np.zeros(shape, bool)
    x, y = polygon.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    first, last = max(0, int(np.floor(y.min()))), min(shape[0] - 1, int(np.ceil(y.max())))
    columns = np.arange(shape[1])
    for line in range(first, last + 1):
        cut = (y <= line) != (next_y <= line)
        crossings = x[cut] + (line - y[cut]) * (next_x[cut] - x[cut]) / (next_y[cut] - y[cut])
        inside[line] = np.searchsorted(np.sort(crossings), columns, side="right") % 2 == 1
    return inside


def _contours(dataset: Any) -> dict[int, list[np.ndarray]]:
    """Region number -> closed contours (n, 3)."""
    contours: dict[int, list[np.ndarray]] = defaultdict(list)
    for item in dataset.get("ROIContourSequence") or []:
        for contour in item.get("ContourSequence") or []:
            points = np.array(contour.get("ContourData") or [], float).reshape(-1, 3)
            if str(contour.get("ContourGeometricType", "")) in _CLOSED and len(points) > 2:
                contours[int(item.ReferencedROINumber)].append(points)
    return contours


def _read(path: Path) -> Any:
    pydicom = pydicom_module()
    try:
        return pydicom.dcmread(path)
    except (pydicom.errors.InvalidDicomError, OSError, EOFError, ValueError, AttributeError):
        raise StructureSetError("The RTSTRUCT cannot be read.", "Export it again.") from None
