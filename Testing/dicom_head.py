"""A head as a DICOM series, with its GTV, for the tests of what is read and written."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import phantoms
import SimpleITK as sitk
from GBMResponseCore.dicom.series import read_series
from GBMResponseCore.dicom.source import Source, read_source
from GBMResponseCore.dicom.tree import scan_tree
from pydicom.dataset import Dataset

GRID = ((40, 44, 8), (4.4, 4.0, 9.0))
DIRECTION = phantoms.rotation("x", 12) @ phantoms.rotation("z", -7)


@dataclass
class Head:
    """:param image: as the series holds it.

    :param header: of a slice.
    """

    folder: Path
    header: Dataset
    image: sitk.Image
    gtv: sitk.Image
    source: Source


def head_of(folder: Path, header: Dataset) -> Head:
    (series,) = scan_tree(folder).series
    image = read_series(series)
    gtv = phantoms.gtv(*GRID, direction=DIRECTION, radius_mm=18)
    gtv.CopyInformation(image)
    return Head(folder, header, image, gtv, read_source(series))


def voxels(image: sitk.Image) -> np.ndarray:
    return sitk.GetArrayFromImage(image)
