"""A mask -> RTSTRUCT, whose contours follow the edges of the pixels, so that they give back the mask exactly.

A hole is joined to the contour around it by a channel without width (a keyhole, PS3.3 C.8.8.6.3), which every planning
system fills right, whatever it makes of contours inside others.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from .. import SYNTHETIC_NOTICE
from .mr_series import decimals
from .source import Making, Source, describe, new_object, to_bytes
from .tree import pydicom_module

REGION = "SYNTHETIC predicted enhancement"
"""Name of the region of what is predicted to enhance."""
_YELLOW = [255, 255, 0]


def structure_set(source: Source, making: Making, masks: Mapping[str, sitk.Image], what: str, number: int) -> bytes:
    """Make the file of an RTSTRUCT that refers to the source's series.

    :param masks: name of each region -> uint8 0/1 on the grid of the source.
    """
    pydicom = pydicom_module()
    dataset = new_object(source, making, pydicom.uid.RTStructureSetStorage, "RTSTRUCT")
    dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.SeriesDescription = making.uid(), number, describe(what)
    for name in ("ContentDate", "ContentTime", "BodyPartExamined"):
        del dataset[name]
    dataset.OperatorsName = ""
    dataset.InstanceNumber = 1
    dataset.StructureSetLabel, dataset.StructureSetName = "SYNTHETIC", describe(what)
    dataset.StructureSetDescription = SYNTHETIC_NOTICE
    dataset.StructureSetDate, dataset.StructureSetTime = dataset.SeriesDate, dataset.SeriesTime
    dataset.ApprovalStatus = "UNAPPROVED"
    dataset.ReferencedFrameOfReferenceSequence = [_frame(source)]
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    dataset.RTROIObservationsSequence = []
    for roi, (name, mask) in enumerate(masks.items(), start=1):
        region, drawn, observed = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        region.ROINumber, region.ROIName = roi, name
        region.ReferencedFrameOfReferenceUID = source.series.frame_of_reference
        region.ROIDescription, region.ROIGenerationAlgorithm = SYNTHETIC_NOTICE[:64], "AUTOMATIC"
        drawn.ROIDisplayColor, drawn.ReferencedROINumber = _YELLOW, roi
        contours = _contours(source, mask)
        if contours:
            drawn.ContourSequence = contours
        observed.ObservationNumber = observed.ReferencedROINumber = roi
        observed.RTROIInterpretedType, observed.ROIInterpreter = "", ""  # no target: nothing plans on it by itself
        dataset.StructureSetROISequence.append(region)
        dataset.ROIContourSequence.append(drawn)
        dataset.RTROIObservationsSequence.append(observed)
    return to_bytes(dataset, making)


def outlines(mask: np.ndarray) -> list[np.ndarray]:
    """Closed polygons along the edges of the pixels of a mask (rows, columns), each hole joined by a keyhole.

    :return: points (n, 2), column and row; pixel centers are whole numbers, so that all points lie between them.
    """
    labels, count = ndimage.label(mask)
    polygons = []
    for part in range(1, count + 1):
        loops = _loops(labels == part)
        outer = max(loops, key=lambda loop: np.ptp(loop[:, 0]) * np.ptp(loop[:, 1]))
        holes = [loop for loop in loops if loop is not outer]
        # From the left, so that the way to the left of a hole's first point meets what is joined already.
        for hole in sorted(holes, key=lambda loop: loop[:, 0].min()):
            outer = _joined(outer, hole)
        polygons.append(outer - 0.5)
    return polygons


def _loops(part: np.ndarray) -> list[np.ndarray]:
    """Closed paths of corners (column, row) around a part and its holes, the part on their right."""
    padded = np.pad(part, 1).astype(np.int8)
    following: dict[tuple[int, int], list[tuple[int, int]]] = defaultdict(list)
    down = np.diff(padded, axis=0)[:, 1:-1]
    across = np.diff(padded, axis=1)[1:-1]
    for row, column in np.argwhere(down == 1):
        following[column, row].append((column + 1, row))
    for row, column in np.argwhere(down == -1):
        following[column + 1, row].append((column, row))
    for row, column in np.argwhere(across == -1):
        following[column, row].append((column, row + 1))
    for row, column in np.argwhere(across == 1):
        following[column, row + 1].append((column, row))
    loops = []
    while following:
        start = next(iter(following))
        path, before = [start], None
        while True:
            ways = following[path[-1]]
            way = _turn(path[-1], before, ways)
            ways.remove(way)
            if not ways:
                del following[path[-1]]
            before = path[-1]
            path.append(way)
            if way == start:
                break
        loops.append(_corners(np.array(path, float)))
    return loops


def _turn(here: tuple[int, int], before: tuple[int, int] | None, ways: list[tuple[int, int]]) -> tuple[int, int]:
    """Of two ways, where pixels touch by a corner, the one to the right: it stays at the same pixel."""
    if before is None or len(ways) == 1:
        return ways[0]
    right = (here[0] - (here[1] - before[1]), here[1] + (here[0] - before[0]))
    return right if right in ways else ways[0]


def _corners(path: np.ndarray) -> np.ndarray:
    """The points of a closed path at which it turns."""
    path = path[:-1]
    before, after = path - np.roll(path, 1, axis=0), np.roll(path, -1, axis=0) - path
    return path[(before * after).sum(axis=1) == 0]


def _joined(outer: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """A polygon with a hole joined by a channel without width, straight to the left."""
    start = np.lexsort((hole[:, 1], hole[:, 0]))[0]
    hole = np.roll(hole, -start, axis=0)
    column, row = hole[0]
    x, y = outer.T
    next_x, next_y = np.roll(x, -1), np.roll(y, -1)
    upright = (x == next_x) & (np.minimum(y, next_y) <= row) & (row <= np.maximum(y, next_y)) & (x < column)
    edge = np.flatnonzero(upright)[x[upright].argmax()]
    meeting = np.array([[x[edge], row]])
    return np.concatenate([outer[: edge + 1], meeting, hole, hole[:1], meeting, outer[edge + 1 :]])


def contours_lps(source: Source, mask: sitk.Image) -> Iterator[tuple[np.ndarray, int]]:
    """The outlines of a mask on the source's grid, points (n, 3) in LPS mm, each with the place of its slice."""
    for place, plane in enumerate(sitk.GetArrayFromImage(mask) > 0):
        for polygon in outlines(plane):
            points = np.insert(polygon[:, ::-1], 0, place, axis=1)  # slice, row, column
            yield points @ source.affine[:3, :3].T + source.affine[:3, 3], place


def _contours(source: Source, mask: sitk.Image) -> list[Any]:
    pydicom = pydicom_module()
    items = []
    for points, place in contours_lps(source, mask):
        contour = pydicom.Dataset()
        contour.ContourImageSequence = [source.reference(place)]
        contour.ContourGeometricType = "CLOSED_PLANAR"
        contour.NumberOfContourPoints = len(points)
        contour.ContourData = decimals(points.ravel())
        items.append(contour)
    return items


def _frame(source: Source) -> Any:
    """Item that says on which series of which study the contours lie."""
    pydicom = pydicom_module()
    series, study, frame = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    series.SeriesInstanceUID = source.series.uid
    series.ContourImageSequence = [source.reference(place) for place in range(len(source.slices))]
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"  # Detached Study Management, as the standard asks for
    study.ReferencedSOPInstanceUID = source.header.StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID = source.series.frame_of_reference
    frame.RTReferencedStudySequence = [study]
    return frame
