import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_head import voxels
from fake_dicom import write_dose
from GBMResponseCore.dicom.dose import read_dose
from GBMResponseCore.errors import DoseError, FrameOfReferenceError

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
