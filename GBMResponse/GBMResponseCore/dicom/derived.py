"""Maps and masks of a prediction as DICOM objects of many frames, and its report as a document."""

from inspect import signature
from typing import Any

import numpy as np
import SimpleITK as sitk

from .. import __version__
from ..inputs.resampling import image_like
from ..setting import decided
from .mr_series import decimals
from .segmentation import highdicom_module
from .source import LONGEST_DESCRIPTION, Making, Source, copy_study, describe, mark, new_object, to_bytes
from .tree import MAKER, Slice, pydicom_module

_LABEL = "SYNTHETIC"
_LIKELY = 0.5


def likely_region(chances: sitk.Image) -> sitk.Image | None:
    """Where a probability is at least one half, as a mask, uint8 0/1; None if nowhere."""
    mask = sitk.GetArrayViewFromImage(chances) >= _LIKELY
    return image_like(chances, mask.astype(np.uint8)) if mask.any() else None


def segmentation(source: Source, making: Making, mask: sitk.Image, what: str, number: int) -> bytes:
    """Make the file of a SEG with one segment.

    :param mask: uint8 0/1 on the grid of the source, not empty.
    :raises MissingPackageError: without highdicom.
    """
    from pydicom.sr.codedict import codes

    highdicom = highdicom_module()
    algorithm = highdicom.AlgorithmIdentificationSequence(
        MAKER, codes.DCM.ArtificialIntelligence, f"{__version__}, {making.model}"[:LONGEST_DESCRIPTION]
    )
    segment = highdicom.seg.SegmentDescription(
        segment_number=1,
        segment_label=describe(what),
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Lesion,
        algorithm_type=highdicom.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=algorithm,
    )
    dataset = highdicom.seg.Segmentation(
        _images(source),
        _volume(source, sitk.GetArrayFromImage(mask)),
        highdicom.seg.SegmentationTypeValues.BINARY,
        [segment],
        series_description=describe(what),
        content_label=_LABEL,
        content_description=describe(what),
        **_identity(making, number),
    )
    return _finished(source, making, dataset)


def parametric_map(source: Source, making: Making, image: sitk.Image, what: str, unit: Any, number: int) -> bytes:
    """Make the file of a parametric map, whose values are kept in single precision.

    :param unit: code of what the values are measured in.
    :raises MissingPackageError: without highdicom.
    """
    highdicom = highdicom_module()
    values = sitk.GetArrayFromImage(image).astype(np.float32)
    low, high = float(values.min()), float(values.max())
    mapping = highdicom.pm.RealWorldValueMapping(
        lut_label=_LABEL, lut_explanation=describe(what), unit=unit, value_range=[low, high], slope=1.0, intercept=0.0
    )
    positions = [highdicom.PlanePositionSequence("PATIENT", decimals(item.position)) for item in source.slices]
    dataset = highdicom.pm.ParametricMap(
        _images(source),
        values,
        plane_positions=positions,
        contains_recognizable_visual_features=False,
        real_world_value_mappings=[mapping],
        **_window((low + high) / 2, max(high - low, float(np.finfo(np.float32).eps))),
        series_description=describe(what),
        content_label=_LABEL,
        content_description=describe(what),
        **_identity(making, number),
    )
    groups = dataset.SharedFunctionalGroupsSequence[0]
    groups.FrameVOILUTSequence[0].VOILUTFunction = "LINEAR_EXACT"  # else a width below 1 is not allowed
    return _finished(source, making, dataset)


def _window(center: float, width: float) -> dict[str, Any]:
    """Gray levels of a map, as this version of highdicom asks for them; 3D Slicer 5.12 brings 0.27."""
    highdicom = highdicom_module()
    if "voi_lut_transformations" not in signature(highdicom.pm.ParametricMap.__init__).parameters:
        return {"window_center": center, "window_width": width}
    return {"voi_lut_transformations": [highdicom.VOILUTTransformation(window_center=center, window_width=width)]}


def document(source: Source, making: Making, pdf: bytes, what: str, number: int) -> bytes:
    """Make the file of an encapsulated PDF."""
    pydicom = pydicom_module()
    dataset = new_object(source, making, pydicom.uid.EncapsulatedPDFStorage, "DOC")
    for name in ("FrameOfReferenceUID", "PositionReferenceIndicator", "PatientPosition", "BodyPartExamined"):
        if name in dataset:
            del dataset[name]
    dataset.SeriesInstanceUID, dataset.SeriesNumber, dataset.SeriesDescription = making.uid(), number, describe(what)
    dataset.InstanceNumber, dataset.DocumentTitle = 1, describe(what)
    dataset.ConversionType, dataset.BurnedInAnnotation = "WSD", "NO"
    dataset.AcquisitionDateTime = ""
    dataset.ConceptNameCodeSequence = []
    dataset.MIMETypeOfEncapsulatedDocument = "application/pdf"
    dataset.SourceInstanceSequence = [source.reference(0)]
    dataset.EncapsulatedDocumentLength = len(pdf)
    dataset.EncapsulatedDocument = pdf + b"\0" * (len(pdf) % 2)
    return to_bytes(dataset, making)


def _identity(making: Making, number: int) -> dict[str, Any]:
    return {
        "series_instance_uid": making.uid(),
        "series_number": number,
        "sop_instance_uid": making.uid(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "software_versions": __version__,
        "device_serial_number": making.model_hash[:LONGEST_DESCRIPTION],
    }


def _images(source: Source) -> list[Any]:
    """What highdicom needs to know of the source's objects, and nothing else of their headers."""
    images = []
    for header, first in zip(source.headers, source.slices, strict=False):
        image = pydicom_module().Dataset()
        copy_study(source, image)
        image.SOPClassUID, image.SOPInstanceUID = header.SOPClassUID, header.SOPInstanceUID
        image.SeriesInstanceUID, image.FrameOfReferenceUID = source.series.uid, source.series.frame_of_reference
        image.Modality, image.PositionReferenceIndicator = source.series.modality, ""
        image.Rows, image.Columns = first.matrix
        if first.frame is None:
            for group in (_position(first), _orientation(first), _measures(source)):
                image.update(group)
        else:
            _add_frames(source, image)
        images.append(image)
    return images


def _add_frames(source: Source, image: Any) -> None:
    dataset = pydicom_module().Dataset
    image.NumberOfFrames = len(source.slices)
    shared = dataset()
    shared.PlaneOrientationSequence = [_orientation(source.slices[0])]
    shared.PixelMeasuresSequence = [_measures(source)]
    image.SharedFunctionalGroupsSequence = [shared]
    image.PerFrameFunctionalGroupsSequence = []
    for item in sorted(source.slices, key=lambda item: decided(item.frame)):
        frame = dataset()
        frame.PlanePositionSequence = [_position(item)]
        image.PerFrameFunctionalGroupsSequence.append(frame)


def _position(item: Slice) -> Any:
    group = pydicom_module().Dataset()
    group.ImagePositionPatient = decimals(item.position)
    return group


def _orientation(item: Slice) -> Any:
    group = pydicom_module().Dataset()
    group.ImageOrientationPatient = decimals(item.directions)
    return group


def _measures(source: Source) -> Any:
    group = pydicom_module().Dataset()
    group.PixelSpacing = decimals(source.slices[0].pixel_mm)
    group.SliceThickness = group.SpacingBetweenSlices = decimals([source.slice_mm])[0]
    return group


def _volume(source: Source, array: np.ndarray) -> Any:
    return highdicom_module().Volume(
        array, source.affine, coordinate_system="PATIENT", frame_of_reference_uid=source.series.frame_of_reference
    )


def _finished(source: Source, making: Making, dataset: Any) -> bytes:
    copy_study(source, dataset)
    mark(dataset, making)
    if not dataset.get("BodyPartExamined"):
        dataset.BodyPartExamined = source.header.get("BodyPartExamined") or "BRAIN"
    return to_bytes(dataset, making)
