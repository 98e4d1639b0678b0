"""Contours and dose of a plan: files of volumes, or RTSTRUCT, SEG and RTDOSE in the coordinate system of an image."""

from pathlib import Path

import SimpleITK as sitk

from ..errors import FrameOfReferenceError
from ..files import check_file
from ..inputs.reading import read_image
from .choice import series_drawn_on
from .dose import read_dose
from .rtstruct import check_frame, choose_rois, draw_rois, read_structure_set
from .series import grid_of
from .tree import Series, is_dicom, scan_tree


def read_plan_dose(path: Path, series: Series | None) -> sitk.Image:
    """Read a dose in Gy.

    :param series: of the image, if that is DICOM.
    :raises FrameOfReferenceError: an RTDOSE for an image that is no DICOM, or in another coordinate system.
    :raises GBMResponseError: by the file.
    """
    if not is_dicom(check_file(path, "dose")):
        return read_image(path, "dose")
    return read_dose(path, _known(series, "dose"))


def read_plan_contour(path: Path, name: str, series: Series | None) -> sitk.Image:
    """Read a mask, or the region of this name of an RTSTRUCT or SEG; the series it was drawn on may lie beside it.

    :raises FrameOfReferenceError: a region for an image that is no DICOM, or in another coordinate system.
    :raises StructureSetError: there is no such region.
    :raises GBMResponseError: by the file.
    """
    if not is_dicom(check_file(path, name)):
        return read_image(path, name)
    series = _known(series, name)
    structures = read_structure_set(path)
    rois = choose_rois(structures, names=[name])
    check_frame(rois, series)
    return draw_rois(structures, rois, grid_of(series_drawn_on(structures, series, scan_tree(path.parent))))


def _known(series: Series | None, name: str) -> Series:
    if series is None:
        message = f"The {name} is DICOM and the image is not: nothing says that they share a coordinate system."
        raise FrameOfReferenceError(message, "Give the image as a folder of DICOM files, or all of it as NIfTI.")
    return series
