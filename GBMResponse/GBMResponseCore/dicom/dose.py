"""RTDOSE -> a volume of dose, on the grid of the plan."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from ..errors import DoseError, FrameOfReferenceError
from .tree import Series, damage_is_typed, pydicom_module

_EVEN_MM = 0.01


def read_dose(path: Path, series: Series | None = None) -> sitk.Image:
    """Read the dose of a plan.

    Source: DICOM PS3.3 C.8.8.3; offsets of frames may be relative, or positions along z.

    :param series: whose coordinate system it must be in; None: any.
    :return: float32 in Gy, 3-D, in LPS mm; absolute doses alone.
    :raises DoseError: the file is no such dose, damaged, relative, or its frames are unevenly spaced.
    :raises FrameOfReferenceError: it is in another coordinate system, or in none that is known.
    :raises MissingPackageError: without pydicom.
    """
    pydicom = pydicom_module()
    with damage_is_typed("The RTDOSE", DoseError):
        dataset = pydicom.dcmread(path, force=True)
        if dataset.Modality != "RTDOSE":
            raise DoseError(f"The file {path.name} is no RTDOSE.")
        if str(dataset.DoseUnits).upper() != "GY":
            raise DoseError("The dose is relative.", "Export it in Gy.")
        frame = str(dataset.get("FrameOfReferenceUID") or "")
        values = dataset.pixel_array.astype(np.float64) * float(dataset.DoseGridScaling)
        values = values.reshape(-1, *values.shape[-2:])
        offsets = np.array(dataset.GridFrameOffsetVector, float)
        directions = np.array(dataset.ImageOrientationPatient, float).reshape(2, 3)
        position = np.array(dataset.ImagePositionPatient, float)
        down, across = (float(mm) for mm in dataset.PixelSpacing)
        normal = np.cross(*directions)
        if offsets[0] != 0:  # positions along z, which only axial frames have
            offsets = (offsets - offsets[0]) * normal[2]
        steps = np.diff(offsets)
        if len(offsets) != len(values) or len(values) < 2 or np.ptp(steps) > _EVEN_MM or steps[0] == 0:
            raise DoseError("The frames of the RTDOSE are unevenly spaced, or are not as many as their offsets.")
        if steps[0] < 0:
            values, position = values[::-1], position + offsets[-1] * normal
        image = sitk.GetImageFromArray(np.ascontiguousarray(values, np.float32))
        image.SetSpacing((across, down, abs(float(steps.mean()))))
        image.SetOrigin(position.tolist())
        image.SetDirection(np.stack([*directions, normal], axis=1).ravel().tolist())
    if series is not None and (not frame or frame != series.frame_of_reference):
        raise FrameOfReferenceError("The dose is not in the frame of reference of the series, or states none.")
    return image
