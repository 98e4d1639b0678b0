"""DICOM series and structure sets that a test makes up, as a PACS exports them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import (
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    RTDoseStorage,
    RTStructureSetStorage,
    generate_uid,
)


def write_series(
    folder: Path,
    image: sitk.Image,
    *,
    patient: str = "P1",
    date: str = "20200101",
    description: str = "T1 MPRAGE +C",
    number: int = 5,
    modality: str = "MR",
    frame: str | None = None,
    uid: str | None = None,
    leave_out: Sequence[int] = (),
    study: str | None = None,
    **tags,
) -> Dataset:
    """Write an int16 image slice by slice, in an order and under names that do not follow its position.

    :param leave_out: slices that are not written.
    :param tags: further ones of every slice.
    :return: header of the first slice.
    """
    folder.mkdir(parents=True, exist_ok=True)
    frame, uid, study = frame or generate_uid(), uid or generate_uid(), study or generate_uid()
    voxels = sitk.GetArrayFromImage(image).astype(np.int16)
    direction = np.reshape(image.GetDirection(), (3, 3))
    headers = []
    for k in range(len(voxels)):
        if k in leave_out:
            continue
        dataset = _dataset(MRImageStorage)
        dataset.PatientID, dataset.PatientName, dataset.StudyDate, dataset.Modality = (
            patient,
            "Doe^Jane",
            date,
            modality,
        )
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = study, uid, frame
        dataset.SeriesDescription, dataset.SeriesNumber, dataset.InstanceNumber = description, number, k + 1
        dataset.ImagePositionPatient = list(image.TransformIndexToPhysicalPoint((0, 0, k)))
        dataset.ImageOrientationPatient = [*direction[:, 0], *direction[:, 1]]
        dataset.PixelSpacing = [image.GetSpacing()[1], image.GetSpacing()[0]]
        dataset.SliceThickness = image.GetSpacing()[2]
        dataset.Rows, dataset.Columns = voxels.shape[1:]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.PixelData = voxels[k].tobytes()
        for name, value in tags.items():
            setattr(dataset, name, value)
        dataset.save_as(folder / f"IM{(k * 7) % 97:04d}_{number}", enforce_file_format=True)
        headers.append(dataset)
    return headers[0]


def write_enhanced(
    path: Path, image: sitk.Image, order: Sequence[int], slopes: Sequence[float] = (), **tags
) -> Dataset:
    """Write an int16 image as one object of many frames.

    :param order: which slice each frame is.
    :param slopes: of the values of each slice.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = sitk.GetArrayFromImage(image).astype(np.int16)
    direction = np.reshape(image.GetDirection(), (3, 3))
    dataset = _dataset(EnhancedMRImageStorage)
    dataset.PatientID, dataset.PatientName, dataset.StudyDate, dataset.Modality = "P1", "Doe^Jane", "20200101", "MR"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = (generate_uid() for _ in "abc")
    dataset.SeriesDescription, dataset.SeriesNumber, dataset.InstanceNumber = "T1 MPRAGE +C", 5, 1
    dataset.Rows, dataset.Columns = voxels.shape[1:]
    dataset.NumberOfFrames = len(order)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 16
    dataset.HighBit, dataset.PixelRepresentation = 15, 1
    shared, orientation, measures = Dataset(), Dataset(), Dataset()
    orientation.ImageOrientationPatient = [*direction[:, 0], *direction[:, 1]]
    measures.PixelSpacing = [image.GetSpacing()[1], image.GetSpacing()[0]]
    measures.SliceThickness = image.GetSpacing()[2]
    shared.PlaneOrientationSequence, shared.PixelMeasuresSequence = [orientation], [measures]
    dataset.SharedFunctionalGroupsSequence = [shared]
    dataset.PerFrameFunctionalGroupsSequence = []
    for k in order:
        frame, position, content = Dataset(), Dataset(), Dataset()
        position.ImagePositionPatient = list(image.TransformIndexToPhysicalPoint((0, 0, int(k))))
        content.DimensionIndexValues = [int(k) + 1]
        frame.PlanePositionSequence, frame.FrameContentSequence = [position], [content]
        if slopes:
            transformation = Dataset()
            transformation.RescaleSlope, transformation.RescaleIntercept = slopes[k], 0
            transformation.RescaleType = "US"
            frame.PixelValueTransformationSequence = [transformation]
        dataset.PerFrameFunctionalGroupsSequence.append(frame)
    dataset.PixelData = np.ascontiguousarray(voxels[list(order)]).tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)
    return dataset


def write_dose(
    path: Path, dose: sitk.Image, *, scaling: float = 1.0, absolute: bool = False, downwards: bool = False, **tags
) -> None:
    """Write an axial dose in Gy whose values are whole multiples of the scaling.

    :param absolute: offsets of the frames are their positions along z.
    :param downwards: from the highest frame on.
    """
    dataset = _dataset(RTDoseStorage)
    dataset.Modality, dataset.DoseUnits, dataset.DoseType = "RTDOSE", "GY", "PHYSICAL"
    dataset.FrameOfReferenceUID, dataset.DoseGridScaling = generate_uid(), scaling
    voxels = np.rint(sitk.GetArrayFromImage(dose) / scaling).astype(np.uint32)
    x, y, z = dose.GetOrigin()
    positions = z + dose.GetSpacing()[2] * np.arange(len(voxels))
    if downwards:
        voxels, positions = voxels[::-1], positions[::-1]
    dataset.ImagePositionPatient, dataset.ImageOrientationPatient = [x, y, positions[0]], [1, 0, 0, 0, 1, 0]
    dataset.GridFrameOffsetVector = list(positions if absolute else positions - positions[0])
    dataset.PixelSpacing = [dose.GetSpacing()[1], dose.GetSpacing()[0]]
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = voxels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation, dataset.PixelRepresentation = 1, "MONOCHROME2", 0
    dataset.BitsAllocated = dataset.BitsStored = 32
    dataset.HighBit = 31
    dataset.PixelData = np.ascontiguousarray(voxels).tobytes()
    for name, value in tags.items():
        setattr(dataset, name, value)
    dataset.save_as(path, enforce_file_format=True)


def write_structures(
    path: Path, reference: Dataset, rois: Mapping[str, Sequence[np.ndarray]], *, frame=None, time="20200102", kind=None
) -> Path:
    """Write an RTSTRUCT drawn on a series.

    :param reference: a header of the series.
    :param rois: name -> contours, points (n, 3) in LPS mm.
    :param frame: frame of reference of the regions, if not the series'.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    dataset = _dataset(RTStructureSetStorage)
    dataset.PatientID, dataset.Modality = reference.PatientID, "RTSTRUCT"
    dataset.StudyDate, dataset.SeriesInstanceUID = reference.StudyDate, generate_uid()
    dataset.StudyInstanceUID = reference.StudyInstanceUID
    dataset.StructureSetDate, dataset.StructureSetTime = time, "120000"
    series, study, referenced = Dataset(), Dataset(), Dataset()
    series.SeriesInstanceUID = reference.SeriesInstanceUID
    study.RTReferencedSeriesSequence = DicomSequence([series])
    referenced.FrameOfReferenceUID = frame or reference.FrameOfReferenceUID
    referenced.RTReferencedStudySequence = DicomSequence([study])
    dataset.ReferencedFrameOfReferenceSequence = DicomSequence([referenced])
    regions, contours = [], []
    for roi_number, (name, polygons) in enumerate(rois.items(), start=1):
        region, drawn = Dataset(), Dataset()
        region.ROINumber, region.ROIName = roi_number, name
        region.ReferencedFrameOfReferenceUID = referenced.FrameOfReferenceUID
        regions.append(region)
        drawn.ReferencedROINumber = roi_number
        drawn.ContourSequence = DicomSequence([_contour(points, kind) for points in polygons])
        contours.append(drawn)
    dataset.StructureSetROISequence, dataset.ROIContourSequence = DicomSequence(regions), DicomSequence(contours)
    dataset.save_as(path, enforce_file_format=True)
    return path


def ball_contours(image: sitk.Image, center, radius_mm: float, points: int = 72) -> list[np.ndarray]:
    """Circles around a ball, one in each slice of an image that cuts it; LPS mm."""
    direction = np.reshape(image.GetDirection(), (3, 3))
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)[:, None]
    circles = []
    for k in range(image.GetSize()[2]):
        origin = np.array(image.TransformIndexToPhysicalPoint((0, 0, k)))
        distance = float(direction[:, 2] @ (origin - np.asarray(center)))
        if abs(distance) < radius_mm:
            middle = np.asarray(center) + distance * direction[:, 2]
            radius = (radius_mm**2 - distance**2) ** 0.5
            circles.append(middle + radius * (np.cos(angle) * direction[:, 0] + np.sin(angle) * direction[:, 1]))
    return circles


def _contour(points: np.ndarray, kind: str | None) -> Dataset:
    contour = Dataset()
    contour.ContourGeometricType = kind or "CLOSED_PLANAR"
    contour.NumberOfContourPoints = len(points)
    contour.ContourData = [f"{value:.4f}" for value in np.ravel(points)]
    return contour


def _dataset(kind: str) -> FileDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = kind, generate_uid()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, meta.MediaStorageSOPInstanceUID
    return dataset


def change(folder: Path, number: int, **values) -> None:
    """Change tags of the n-th file of a folder."""
    path = sorted(path for path in folder.iterdir() if path.is_file())[number]
    dataset = pydicom.dcmread(path)
    for name, value in values.items():
        setattr(dataset, name, value)
    dataset.save_as(path)


def remove_preamble(folder: Path, number: int) -> Path:
    """Write the n-th file of a folder as older planning systems do: implicit VR, without preamble and group 2."""
    path = sorted(path for path in folder.iterdir() if path.is_file())[number]
    elements = Dataset({element.tag: element for element in pydicom.dcmread(path)})
    pydicom.dcmwrite(path, elements, implicit_vr=True, little_endian=True, enforce_file_format=False)
    return path
