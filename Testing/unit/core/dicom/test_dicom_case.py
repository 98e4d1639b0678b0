import shutil

import numpy as np
import phantoms
import pydicom
import pytest
import SimpleITK as sitk
from dicom_head import DIRECTION, GRID, head_of, voxels
from fake_dicom import ball_contours, change, write_enhanced, write_series, write_structures
from GBMResponseCore.dicom.case import load_case
from GBMResponseCore.dicom.derived import segmentation
from GBMResponseCore.errors import DicomSeriesError, FrameOfReferenceError, GBMResponseError, StructureSetError
from GBMResponseCore.inputs import case as inputs

CENTER, RADIUS = phantoms.GTV_CENTER, 18


@pytest.fixture
def export(head):
    """The head with an RTSTRUCT, and a series that is no T1-Gd."""
    folder = head.folder.parent
    write_series(folder / "flair", head.image, description="FLAIR", number=6, study=head.header.StudyInstanceUID)
    write_structures(folder / "RS.dcm", head.header, {"GTV": ball_contours(head.image, CENTER, RADIUS), "Brain": []})
    return folder


def codes(case) -> list[str]:
    return [note.code for note in case.notes]


def test_a_folder_is_the_case_that_its_volumes_are(export, head, tmp_path):
    case = load_case(export, export)
    sitk.WriteImage(head.image, tmp_path / "image.nii.gz")
    sitk.WriteImage(case.gtv, tmp_path / "gtv.nii.gz")
    other = inputs.load_case(tmp_path / "image.nii.gz", tmp_path / "gtv.nii.gz")
    assert np.array_equal(voxels(case.image), voxels(other.image))
    assert case.gtv_volume_ml == pytest.approx(other.gtv_volume_ml)
    assert case.gtv_volume_ml == pytest.approx(4 / 3 * np.pi * (RADIUS / 10) ** 3, rel=0.1)
    assert case.origin.series.description == "T1 MPRAGE +C"
    assert codes(case)[:2] == ["dicom-series", "dicom-gtv"]
    assert "Read of 2 series: 5 'T1 MPRAGE +C' (MR, 8 files), because:" in case.notes[0].sentence


def test_an_rtstruct_may_lie_elsewhere_and_its_region_be_named(export, head, tmp_path):
    circles = {"Tumor": ball_contours(head.image, CENTER, RADIUS), "GTV": ball_contours(head.image, CENTER, 12)}
    path = write_structures(tmp_path / "other" / "RS.dcm", head.header, circles)
    assert load_case(export, path, gtv_labels=["tumor"]).gtv_volume_ml > 2 * load_case(export, path).gtv_volume_ml
    with pytest.raises(StructureSetError, match="no region Edema; there are: Tumor, GTV"):
        load_case(export, path, gtv_labels=["Edema"])


def test_a_mask_may_be_the_gtv_of_a_series(export, head, tmp_path):
    sitk.WriteImage(head.gtv, tmp_path / "gtv.nrrd")
    assert np.array_equal(voxels(load_case(export, tmp_path / "gtv.nrrd").gtv), voxels(head.gtv))


def test_a_segmentation_may_be_the_gtv(export, head, tmp_path, making):
    path = tmp_path / "seg.dcm"
    path.write_bytes(segmentation(head.source, making, head.gtv, "GTV", 1))
    case = load_case(export, path, gtv_labels=["SYNTHETIC GTV"])
    assert np.array_equal(voxels(case.gtv), voxels(head.gtv))


@pytest.mark.parametrize("kind", ["FRACTIONAL", "LABELMAP"])
def test_a_segmentation_may_be_of_any_kind(export, head, tmp_path, kind):
    import highdicom
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    labels = [
        SegmentDescription(k + 1, name, codes.SCT.Lesion, codes.SCT.Lesion, SegmentAlgorithmTypeValues.MANUAL)
        for k, name in enumerate(["GTV", "Edema"][: 1 if kind == "FRACTIONAL" else 2])
    ]
    mask = voxels(head.gtv)
    inside = mask * 0.8 if kind == "FRACTIONAL" else mask + 2 * (np.roll(mask, 9, axis=2) & ~mask & 1)
    files = [pydicom.dcmread(item.path) for item in head.source.slices]
    for dataset in files:
        dataset.PatientBirthDate = dataset.PatientSex = dataset.StudyTime = dataset.StudyID = ""
        dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.PositionReferenceIndicator = ""
    highdicom.seg.Segmentation(
        files, inside if kind == "FRACTIONAL" else inside.astype(np.uint8), kind, labels, "1.2.3", 1, "1.2.3.4", 1,
        "hospital", "x", "1", "1",
    ).save_as(tmp_path / "seg.dcm")  # fmt: skip
    assert np.array_equal(voxels(load_case(export, tmp_path / "seg.dcm").gtv), mask)


def test_a_keyhole_is_a_hole(export, head, tmp_path):
    """Outer square, a channel without width, and inner square, in one contour."""
    index = [(10, 12), (28, 12), (28, 30), (10, 30), (10, 20), (16, 20), (16, 24), (22, 24), (22, 18), (16, 18)]
    index += [(16, 20), (10, 20)]
    points = [head.image.TransformContinuousIndexToPhysicalPoint((x + 0.5, y + 0.5, 4.0)) for x, y in index]
    path = write_structures(tmp_path / "RS.dcm", head.header, {"GTV": [np.array(points)]})
    mask = voxels(load_case(export, path).gtv)
    assert mask[4].sum() == 18 * 18 - 6 * 6
    assert mask.sum() == mask[4].sum()


def test_contours_on_a_ct_in_the_same_frame_of_reference_are_brought_onto_the_mr(export, head, tmp_path):
    """As planning systems export them: the MR was registered to the planning CT, on which was drawn."""
    ct = phantoms.empty((80, 88, 30), (2.5, 2.5, 4.0))
    header = write_series(
        export / "ct", ct, modality="CT", description="Planning", frame=head.header.FrameOfReferenceUID
    )
    path = write_structures(export / "RS.dcm", header, {"GTV": ball_contours(ct, CENTER, RADIUS)})
    case = load_case(export, path)
    assert case.origin.series.modality == "MR"
    assert "gtv-grid" in codes(case)
    wanted = 4 / 3 * np.pi * (RADIUS / 10) ** 3
    assert case.gtv_volume_ml == pytest.approx(wanted, rel=0.1)
    middle = np.argwhere(voxels(case.gtv)).mean(axis=0)[::-1].tolist()
    assert np.allclose(case.image.TransformContinuousIndexToPhysicalPoint(middle), CENTER, atol=3)


def test_contours_of_another_frame_of_reference_are_refused(export, head):
    write_structures(export / "RS.dcm", head.header, {"GTV": ball_contours(head.image, CENTER, 9)}, frame="1.2.3")
    with pytest.raises(FrameOfReferenceError):
        load_case(export, export)


@pytest.mark.parametrize("frame", ["", None])
def test_two_frames_of_reference_that_are_not_stated_are_not_one(export, head, frame):
    for number in range(8):
        change(head.folder, number, FrameOfReferenceUID=frame)
    dataset = pydicom.dcmread(export / "RS.dcm")
    dataset.ReferencedFrameOfReferenceSequence[0].FrameOfReferenceUID = ""
    dataset.StructureSetROISequence[0].ReferencedFrameOfReferenceUID = ""
    dataset.save_as(export / "RS.dcm")
    with pytest.raises(FrameOfReferenceError, match="not stated"):
        load_case(export, export)


def test_an_enhanced_object_is_a_case(tmp_path, making):
    image = phantoms.head(*GRID, direction=DIRECTION)
    header = write_enhanced(tmp_path / "export" / "a.dcm", image, [5, 1, 0, 7, 2, 3, 6, 4])
    write_structures(tmp_path / "export" / "RS.dcm", header, {"GTV": ball_contours(image, CENTER, RADIUS)})
    case = load_case(tmp_path / "export", tmp_path / "export")
    assert np.array_equal(voxels(case.image), voxels(image))
    read = head_of(tmp_path / "export", header)
    assert read.source.reference(0).ReferencedFrameNumber == 3


def test_the_follow_up_may_be_a_folder(export, head, tmp_path):
    later = phantoms.head(*GRID, direction=DIRECTION)
    write_series(tmp_path / "later" / "t1", later + 3, date="20200601")
    case = load_case(export, export, tmp_path / "later")
    assert np.array_equal(voxels(case.follow_up), voxels(later) + 3)
    shutil.copytree(head.folder, tmp_path / "same")
    with pytest.raises(DicomSeriesError, match="series of the image itself"):
        load_case(export, export, tmp_path / "same")


def test_a_folder_without_dicom_or_without_structures_says_so(export, tmp_path):
    (tmp_path / "none").mkdir()
    with pytest.raises(DicomSeriesError, match="no DICOM image"):
        load_case(tmp_path / "none", export)
    (export / "RS.dcm").unlink()
    with pytest.raises(StructureSetError, match="no RTSTRUCT or SEG"):
        load_case(export, export)


def test_a_damaged_segmentation_is_refused(export, head, making):
    content = segmentation(head.source, making, head.gtv, "GTV", 1)
    path = export.parent / "seg.dcm"
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(GBMResponseError):
        load_case(export, path, gtv_labels=["SYNTHETIC GTV"])
