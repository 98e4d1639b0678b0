"""A generated volume -> a new MR series, one object for each slice of the source, where that slice lies."""

from collections.abc import Iterable, Iterator

import numpy as np
import SimpleITK as sitk

from ..setting import decided
from .source import Making, Source, coded, describe, new_object, to_bytes
from .tree import pydicom_module

_LEVELS = 65535


def mr_series(
    source: Source, making: Making, image: sitk.Image, what: str, number: int, burned_in: bool = False
) -> Iterator[bytes]:
    """Make the files of a series.

    Whole values of 16 bits are stored as they are. Others are stored in 65,536 steps between the lowest and the
    highest, with the slope and intercept that give them back within half a step.

    :param image: on the grid of the source, as it was read.
    :param what: it is, for the description of the series.
    :param number: of the series.
    :param burned_in: whether the pixels themselves say that they are synthetic.
    """
    from pydicom.sr.codedict import codes

    pydicom = pydicom_module()
    voxels = sitk.GetArrayFromImage(image)
    stored, scale = _stored(voxels)
    window = source.window() or _window(voxels)
    series_uid = making.uid()
    for place, pixels in enumerate(stored):
        first = source.slices[place]
        dataset = new_object(source, making, pydicom.uid.MRImageStorage, "MR")
        dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.SeriesDescription = series_uid, number, describe(what)
        dataset.InstanceNumber = place + 1
        dataset.ImageType = ["DERIVED", "SECONDARY", "OTHER", "SYNTHETIC"]
        dataset.setdefault("PatientPosition", "")
        # Nothing was acquired: RM is "research mode", and times have no meaning.
        dataset.ScanningSequence, dataset.SequenceVariant = "RM", "NONE"
        dataset.ScanOptions = dataset.MRAcquisitionType = dataset.EchoTime = dataset.EchoTrainLength = None
        dataset.RepetitionTime = None
        dataset.DerivationDescription = making.description[:1024]
        dataset.DerivationCodeSequence = [coded(codes.DCM.ArtificialIntelligence)]
        reference = source.reference(place)
        if reference is not None:
            reference.PurposeOfReferenceCodeSequence = [coded(codes.DCM.SourceImageForImageProcessingOperation)]
            dataset.SourceImageSequence = [reference]
        dataset.ContentQualification = "RESEARCH"
        dataset.BurnedInAnnotation = "YES" if burned_in else "NO"
        dataset.ImagePositionPatient = decimals(first.position)
        dataset.ImageOrientationPatient = decimals(first.directions)
        dataset.PixelSpacing = decimals(first.pixel_mm)
        dataset.SliceThickness = dataset.SpacingBetweenSlices = decimals([source.slice_mm])[0]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = pixels.shape
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, int(pixels.dtype.kind == "i")
        if scale is not None:
            dataset.RescaleSlope, dataset.RescaleIntercept = scale
            dataset.RescaleType = "US"
        dataset.WindowCenter, dataset.WindowWidth = decimals(window)
        dataset.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        yield to_bytes(dataset, making)


def decimals(values: Iterable[float] | None) -> list[str]:
    """Numbers as DICOM's decimal strings, with all the digits that 16 letters hold."""
    from pydicom.valuerep import format_number_as_ds

    return [format_number_as_ds(float(value)) for value in decided(values)]


def _stored(voxels: np.ndarray) -> tuple[np.ndarray, tuple[str, str] | None]:
    """Pixels to store, and slope and intercept if they have some."""
    low, high = float(voxels.min()), float(voxels.max())
    for name in ("int16", "uint16"):
        limits = np.iinfo(name)
        if np.issubdtype(voxels.dtype, np.integer) and limits.min <= low and high <= limits.max:
            return voxels.astype(name), None
    slope, intercept = decimals([max((high - low) / _LEVELS, float(np.finfo(np.float32).tiny)), low])
    levels = np.rint((voxels.astype(np.float64) - float(intercept)) / float(slope))
    return np.clip(levels, 0, _LEVELS).astype(np.uint16), (slope, intercept)


def _window(voxels: np.ndarray) -> tuple[float, float]:
    """From black to what hardly any voxel is above."""
    low, high = np.percentile(voxels, (1, 99.5))
    return float(low + high) / 2, max(float(high - low), 1.0)
