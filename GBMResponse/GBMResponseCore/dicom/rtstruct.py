"""RTSTRUCT or SEG -> mask: which regions are the GTV, and which voxels lie in them."""

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..errors import FrameOfReferenceError, NoOverlapError, StructureSetError
from ..inputs.resampling import image_like, resample_mask
from . import segmentation
from .tree import Series, damage_is_typed, pydicom_module

DEFAULT_ROI = "gtv"
"""Regular expression of a GTV's name, in any case. With it, names of what is made from a GTV do not count."""

_DERIVED = r"[pci]tv|prv|margin|\d\s*mm|\+\s*\d|minus|brain.*gtv|(?<![a-z])(?:ring|opt)"
"""As in `PTV=GTV+5mm` or `Brain-GTV`."""
_CLOSED, _EXCLUSIVE = "CLOSED_PLANAR", "CLOSEDPLANAR_XOR"
_SLICE_TOLERANCE = 0.2
"""Largest distance of a contour from the middle of a slice, in slices."""
_THINNEST_RIM = 0.5
"""Pixels between a contour and a hole in it, on average; what is closer is the same contour drawn again."""


@dataclass(frozen=True)
class Roi:
    """One region: its name and the frame of reference of its contours.

    :param frame_of_reference: its UID, empty if not stated.
    :param drawn: it has a closed contour.
    """

    number: int
    name: str
    frame_of_reference: str
    drawn: bool = True


@dataclass(frozen=True)
class StructureSet:
    """What an RTSTRUCT or a SEG holds, without its contours or frames.

    :param series: UIDs of the series it was drawn on.
    :param time: date and time of its making, as text that sorts.
    :param modality: RTSTRUCT or SEG.
    """

    path: Path
    rois: tuple[Roi, ...]
    series: frozenset[str]
    time: str
    modality: str = "RTSTRUCT"


def read_structure_set(path: Path) -> StructureSet:
    """:raises StructureSetError: if it is damaged, or lacks what tells its regions and series apart.

    :raises MissingPackageError: without pydicom.
    """
    dataset = _read(path)
    with damage_is_typed("The RTSTRUCT", StructureSetError):
        if dataset.get("Modality") == segmentation.MODALITY:
            return _segmentation(path, dataset)
        frames = dataset.get("ReferencedFrameOfReferenceSequence") or []
        default = str(frames[0].get("FrameOfReferenceUID") or "") if len(frames) == 1 else ""
        series = {
            str(item.SeriesInstanceUID)
            for frame in frames
            for study in frame.get("RTReferencedStudySequence") or []
            for item in study.get("RTReferencedSeriesSequence") or []
        }
        drawn = _contours(dataset)
        rois = [
            Roi(
                int(item.ROINumber),
                str(item.get("ROIName") or "").strip(),
                str(item.get("ReferencedFrameOfReferenceUID") or default),
                bool(drawn[int(item.ROINumber)]),
            )
            for item in dataset.get("StructureSetROISequence") or []
        ]
        time = f"{dataset.get('StructureSetDate') or ''}{dataset.get('StructureSetTime') or ''}"
        return StructureSet(path, tuple(rois), frozenset(series), time)


def _segmentation(path: Path, dataset: Any) -> StructureSet:
    frame = str(dataset.get("FrameOfReferenceUID") or "")
    rois = tuple(Roi(number, name, frame) for number, name in segmentation.segments(dataset))
    series = {str(item.SeriesInstanceUID) for item in dataset.get("ReferencedSeriesSequence") or []}
    time = f"{dataset.get('ContentDate') or ''}{dataset.get('ContentTime') or ''}"
    return StructureSet(path, rois, frozenset(series), time, segmentation.MODALITY)


def matches(roi: Roi, pattern: str) -> bool:
    """True if a region's name is that of a GTV.

    :param pattern: regular expression, searched in any case; :data:`DEFAULT_ROI` leaves out what is made from a GTV.
    """
    derived = pattern == DEFAULT_ROI and re.search(_DERIVED, roi.name, re.IGNORECASE)
    return re.search(pattern, roi.name, re.IGNORECASE) is not None and not derived


def choose_rois(structures: StructureSet, pattern: str = DEFAULT_ROI, names: Sequence[str] = ()) -> list[Roi]:
    """Choose the regions that make up the GTV.

    Names given are taken, all of them. Else a region called exactly GTV is taken alone, and without one the union of
    all whose name matches. Regions without a closed contour are passed over where others of their name, or by the
    pattern, have one.

    :param pattern: see :func:`matches`.
    :raises StructureSetError: if a name is missing, if nothing matches, or if nothing is drawn.
    """
    if names:
        return [roi for name in names for roi in _drawn(structures, _named(structures, name), name)]
    exact = _named(structures, "gtv") if re.search(pattern, "gtv", re.IGNORECASE) else []
    if any(roi.drawn for roi in exact):
        return _drawn(structures, exact, "GTV")
    matching = [roi for roi in structures.rois if matches(roi, pattern)]
    if not matching:
        raise StructureSetError(
            f"No region's name matches '{pattern}'; there are: {_listed(structures)}.",
            "Give --roi, or name it in the table.",
        )
    return _drawn(structures, matching, matching[0].name)


def check_frame(rois: Iterable[Roi], series: Series) -> None:
    """:raises FrameOfReferenceError: if regions are not, or not known to be, in a series' coordinate system."""
    for roi in rois:
        if not (roi.frame_of_reference and series.frame_of_reference):
            what = f"the region {roi.name}" if series.frame_of_reference else f"the series {series}"
            raise FrameOfReferenceError(f"The frame of reference of {what} is not stated.")
        if roi.frame_of_reference != series.frame_of_reference:
            raise FrameOfReferenceError(
                f"The region {roi.name} was drawn in another frame of reference than that of the series {series}."
            )


def draw_rois(structures: StructureSet, rois: Iterable[Roi], image: sitk.Image) -> sitk.Image:
    """Draw the union of regions on the grid of the image they were drawn on.

    Segments are copied where their voxels are the image's, else interpolated.

    :return: uint8 0/1, the image's grid.
    :raises StructureSetError: if a region has no closed contour, or one that lies in no slice.
    :raises NoOverlapError: if nothing lies in the image.
    """
    if structures.modality == segmentation.MODALITY:
        mask = resample_mask(segmentation.read_segments(structures.path, {roi.number for roi in rois}), image)
        return _not_empty(mask, image)
    with damage_is_typed("The RTSTRUCT", StructureSetError):
        contours = _contours(_read(structures.path))
    mask = np.zeros(image.GetSize()[::-1], bool)
    for roi in rois:
        if not contours[roi.number]:
            raise StructureSetError(f"The region {roi.name} has no closed contour.", "Draw it, or name another one.")
        for exclusive in (False, True):
            points = [contour for contour, kind in contours[roi.number] if (kind == _EXCLUSIVE) == exclusive]
            mask |= rasterize(points, image, exclusive)
    return _not_empty(mask, image)


def _not_empty(mask: np.ndarray, image: sitk.Image) -> sitk.Image:
    """:raises NoOverlapError: if there is nothing in the mask."""
    if not mask.any():
        raise NoOverlapError("The contours of the GTV lie outside the image or hold no voxel.")
    return image_like(image, mask.astype(np.uint8))


def rasterize(contours: Iterable[np.ndarray], image: sitk.Image, exclusive: bool = False) -> np.ndarray:
    """Fill closed planar contours; a voxel is inside one if its center is.

    A contour inside another one is a hole, and one inside a hole is filled again. All others are united: contours that
    overlap, or that were drawn twice.

    :param contours: points (n, 3) each, LPS mm, in planes of the image's slices.
    :param exclusive: voxels within an odd number of contours are inside instead, as DICOM's CLOSEDPLANAR_XOR says.
    :return: bool, the image's shape in numpy order. Contours above or below the image are left out.
    :raises StructureSetError: if a contour crosses slices or lies between them.
    """
    matrix = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    to_index = np.linalg.inv(matrix).T
    result = np.zeros(image.GetSize()[::-1], bool)
    planes: dict[int, list[np.ndarray]] = defaultdict(list)
    for points in contours:
        index = (np.asarray(points, float) - image.GetOrigin()) @ to_index
        row = round(float(index[:, 2].mean()))
        if np.abs(index[:, 2] - row).max() > _SLICE_TOLERANCE:
            raise StructureSetError(
                "A contour of the GTV does not lie in a slice of the image.",
                "Export the RTSTRUCT together with the series that it was drawn on.",
            )
        if 0 <= row < len(result):
            planes[row].append(_filled(index[:, :2], result.shape[1:]))
    for row, filled in planes.items():
        result[row] = np.logical_xor.reduce(filled) if exclusive else _nested(filled)
    return result


def _nested(filled: Iterable[np.ndarray]) -> np.ndarray:
    """Union of filled contours (rows, columns) less the holes in them."""
    masks: list[np.ndarray] = []
    for mask in sorted(filled, key=np.count_nonzero, reverse=True):
        again = next((other for other in masks if _is_same_contour(mask, other)), None)
        if again is None:
            masks.append(mask)
        else:
            again |= mask
    within = [
        {k for k, other in enumerate(masks) if k != place and not (mask & ~other).any()}
        for place, mask in enumerate(masks)
    ]
    outermost = [place for place, around in enumerate(within) if not around]
    return np.logical_or.reduce([_solid(place, masks, within) for place in outermost])


def _solid(place: int, masks: list[np.ndarray], within: list[set[int]]) -> np.ndarray:
    """A contour less its holes, with what is filled again in these.

    :param within: the contours around each one.
    """
    result = masks[place].copy()
    holes = _directly_inside(place, within)
    for hole in holes:
        result &= ~masks[hole]
    for hole in holes:
        for island in _directly_inside(hole, within):
            result |= _solid(island, masks, within)
    return result


def _directly_inside(place: int, within: list[set[int]]) -> list[int]:
    inside = {k for k, around in enumerate(within) if place in around}
    return [k for k in inside if not within[k] & inside]


def _is_same_contour(mask: np.ndarray, other: np.ndarray) -> bool:
    """True if two filled contours differ by less than a rim that could have been meant."""
    edge = np.count_nonzero(other & ~ndimage.binary_erosion(other))
    return bool(np.count_nonzero(mask ^ other) <= _THINNEST_RIM * edge)


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


def _named(structures: StructureSet, name: str) -> list[Roi]:
    return [roi for roi in structures.rois if roi.name.casefold() == name.casefold()]


def _drawn(structures: StructureSet, rois: Sequence[Roi], name: str) -> list[Roi]:
    """:raises StructureSetError: if there is no region, or none that has a contour."""
    if not rois:
        raise StructureSetError(f"There is no region {name}; there are: {_listed(structures)}.")
    drawn = [roi for roi in rois if roi.drawn]
    if not drawn:
        raise StructureSetError(f"The region {name} has no closed contour.", "Draw it, or name another one.")
    return drawn


def _listed(structures: StructureSet) -> str:
    return ", ".join(roi.name for roi in structures.rois) or "none"


def _contours(dataset: Any) -> dict[int, list[tuple[np.ndarray, str]]]:
    """Region number -> closed contours (n, 3) with their type."""
    contours: dict[int, list[tuple[np.ndarray, str]]] = defaultdict(list)
    for item in dataset.get("ROIContourSequence") or []:
        for contour in item.get("ContourSequence") or []:
            points = np.array(contour.get("ContourData") or [], float).reshape(-1, 3)
            kind = str(contour.get("ContourGeometricType", ""))
            if kind in (_CLOSED, _EXCLUSIVE) and len(points) > 2:
                contours[int(item.ReferencedROINumber)].append((points, kind))
    return contours


def _read(path: Path) -> Any:
    pydicom = pydicom_module()
    try:
        with path.open("rb") as file:
            whole = file.read(132)[128:] == b"DICM"
        dataset = pydicom.dcmread(path, force=not whole)
        named = "Modality" in dataset or "StructureSetROISequence" in dataset
    # Damaged bytes make pydicom fail in many ways.
    except Exception as error:
        raise StructureSetError("The RTSTRUCT cannot be read.", "Export it again.") from error
    if not named:
        raise StructureSetError("The RTSTRUCT cannot be read.", "Export it again.")
    return dataset
