import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_head import voxels
from fake_dicom import ball_contours, write_dose, write_structures
from GBMResponseCore.dicom.dose import read_dose
from GBMResponseCore.errors import DoseError, FrameOfReferenceError, StructureSetError
from GBMResponseCore.inputs.grid import StackGrid
from GBMResponseCore.inputs.preprocessing import InPlaneRule
from GBMResponseCore.measure.planning import PlanFiles

DOSE = sitk.GetImageFromArray(np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6))
DOSE.SetSpacing((2.5, 2.0, 3.0))
DOSE.SetOrigin((-10.0, 4.0, 7.5))


@pytest.mark.parametrize("absolute", [False, True], ids=["offsets", "positions"])
@pytest.mark.parametrize("downwards", [False, True], ids=["upwards", "downwards"])
def test_a_dose_is_read_where_it_lies_in_gray(tmp_path, absolute, downwards):
    write_dose(tmp_path / "dose.dcm", DOSE, scaling=0.5, absolute=absolute, downwards=downwards)
    image = read_dose(tmp_path / "dose.dcm")
    assert np.array_equal(voxels(image), voxels(DOSE))
    for name in ("Origin", "Spacing", "Direction"):
        assert getattr(image, f"Get{name}")() == pytest.approx(getattr(DOSE, f"Get{name}")())


def test_a_dose_of_another_frame_of_reference_is_refused(tmp_path, head):
    write_dose(tmp_path / "dose.dcm", DOSE, FrameOfReferenceUID=head.header.FrameOfReferenceUID)
    assert read_dose(tmp_path / "dose.dcm", head.source.series).GetSize() == (6, 5, 4)
    for frame in ("1.2.3", ""):
        write_dose(tmp_path / "dose.dcm", DOSE, FrameOfReferenceUID=frame)
        with pytest.raises(FrameOfReferenceError):
            read_dose(tmp_path / "dose.dcm", head.source.series)


@pytest.mark.parametrize(
    "tags, says",
    [
        ({"DoseUnits": "RELATIVE"}, "relative"),
        ({"Modality": "RTPLAN"}, "no RTDOSE"),
        ({"GridFrameOffsetVector": [0, 3, 6, 10]}, "unevenly spaced"),
        ({"GridFrameOffsetVector": [0, 3, 6]}, "not as many"),
        ({"PixelData": b"short"}, "impossible value"),
    ],
)
def test_what_is_no_regular_dose_is_refused(tmp_path, tags, says):
    write_dose(tmp_path / "dose.dcm", DOSE, **tags)
    with pytest.raises(DoseError, match=says):
        read_dose(tmp_path / "dose.dcm")


def test_a_file_that_is_something_else_is_refused(tmp_path):
    (tmp_path / "dose.dcm").write_bytes(b"hello" * 100)
    with pytest.raises(DoseError):
        read_dose(tmp_path / "dose.dcm")
    pydicom.Dataset().save_as(tmp_path / "empty.dcm", implicit_vr=True, little_endian=True)
    with pytest.raises(DoseError):
        read_dose(tmp_path / "empty.dcm")


# Plans


def test_the_contours_and_the_dose_of_a_plan_may_be_dicom(tmp_path, head):
    circles = {"GTV": ball_contours(head.image, (0, 0, 0), 9), "CTV": ball_contours(head.image, (0, 0, 0), 25)}
    path = write_structures(tmp_path / "RS.dcm", head.header, circles)
    whole = sitk.GetImageFromArray(np.full((60, 60, 60), 59.5, np.float32))
    whole.SetSpacing((5, 5, 5))
    whole.SetOrigin((-150, -150, -150))
    write_dose(tmp_path / "dose.dcm", whole, scaling=0.5, FrameOfReferenceUID=head.header.FrameOfReferenceUID)
    grid = StackGrid.for_image(head.image, InPlaneRule())
    plan = PlanFiles({"CTV": path}, tmp_path / "dose.dcm").on(grid, head.source.series)
    volume = plan.contours["CTV"].sum() * np.prod(grid.spacing)
    assert volume == pytest.approx(4 / 3 * np.pi * 25**3, rel=0.15)
    assert np.median(plan.dose[plan.contours["CTV"]]) == pytest.approx(59.5)
    with pytest.raises(StructureSetError, match="no region PTV"):
        PlanFiles({"PTV": path}).on(grid, head.source.series)


def test_a_plan_of_dicom_is_refused_for_an_image_whose_coordinate_system_is_not_known(tmp_path, head):
    path = write_structures(tmp_path / "RS.dcm", head.header, {"CTV": ball_contours(head.image, (0, 0, 0), 25)})
    write_dose(tmp_path / "dose.dcm", DOSE)
    grid = StackGrid.for_image(head.image, InPlaneRule())
    for plan in (PlanFiles({"CTV": path}), PlanFiles({}, tmp_path / "dose.dcm")):
        with pytest.raises(FrameOfReferenceError, match="nothing says"):
            plan.on(grid)
