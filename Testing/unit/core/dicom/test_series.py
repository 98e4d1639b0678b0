import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import phantoms
import pydicom
import pytest
import SimpleITK as sitk
from fake_dicom import change, remove_preamble, write_enhanced, write_series
from GBMResponseCore.dicom.series import is_inverted, read_series
from GBMResponseCore.dicom.tree import scan_tree
from GBMResponseCore.errors import DicomSeriesError, MissingPackageError

REPOSITORY = Path(__file__).resolve().parents[4]
DATA = Path(os.environ.get("GBMRESPONSE_SHARED", REPOSITORY.parent / "shared")) / "data"

GRID = ((32, 36, 8), (4.4, 4.4, 9.0))


@pytest.fixture(scope="module")
def image() -> sitk.Image:
    return phantoms.head(*GRID, direction=phantoms.rotation("x", 12) @ phantoms.rotation("z", -7))


@pytest.fixture
def folder(tmp_path, image):
    write_series(tmp_path / "P1" / "a", image)
    return tmp_path / "P1" / "a"


def only_series(folder):
    (series,) = scan_tree(folder.parent.parent).series
    return series


def message(folder) -> str:
    with pytest.raises(DicomSeriesError) as caught:
        read_series(only_series(folder))
    return caught.value.message


def test_an_oblique_series_is_the_image(folder, image):
    read = read_series(only_series(folder))
    assert np.array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(image))
    for name in ("Origin", "Spacing", "Direction"):
        assert getattr(read, f"Get{name}")() == pytest.approx(getattr(image, f"Get{name}")(), abs=1e-5)


def test_a_real_oblique_series_is_what_simpleitk_reads():
    source = DATA / "oblique-dicom"
    if not source.is_dir():
        pytest.skip(f"oblique-dicom is not in the shared data folder {DATA}")
    read = read_series(scan_tree(source).series[0])
    other = sitk.ReadImage(sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(source)))
    assert np.array_equal(sitk.GetArrayViewFromImage(read), sitk.GetArrayViewFromImage(other))
    assert read.GetDirection() == pytest.approx(other.GetDirection(), abs=1e-6)
    assert read.GetSpacing() == pytest.approx(other.GetSpacing(), abs=1e-6)
    assert read.GetOrigin() == pytest.approx(other.GetOrigin(), abs=1e-6)


def test_headers(folder):
    series = only_series(folder)
    assert (series.patient_id, series.study_date, series.modality) == ("P1", "20200101", "MR")
    assert (series.description, series.number, len(series.slices)) == ("T1 MPRAGE +C", "5", 8)
    assert str(series) == "5 'T1 MPRAGE +C' (MR, 8 files)"


def test_files_that_are_no_dicom_are_passed_over(folder):
    (folder / "notes.txt").write_text("see DICOMDIR")
    (folder / "empty.dcm").touch()
    assert len(only_series(folder).slices) == 8


def test_the_same_object_twice_counts_once(folder):
    shutil.copytree(folder, folder.parent / "copy")
    assert len(only_series(folder).slices) == 8


def test_folders_of_patients_are_kept_apart(tmp_path, image):
    for name in ("P1", "P2"):
        write_series(tmp_path / name, image, uid="1.2.3")
    assert sorted(series.folder for series in scan_tree(tmp_path).series) == ["P1", "P2"]


@pytest.mark.parametrize("missing", [1, 4, 6])
def test_a_missing_slice(tmp_path, image, missing):
    write_series(tmp_path / "P1" / "a", image, leave_out=[missing])
    text = message(tmp_path / "P1" / "a")
    assert "9.00 mm apart, but 18.00 mm" in text
    assert f"between slice {missing} and {missing + 1}" in text


def test_two_volumes_in_one_series(folder, image):
    header = pydicom.dcmread(next(folder.iterdir()))
    write_series(folder.parent / "b", image, uid=header.SeriesInstanceUID)
    assert "several volumes" in message(folder)


def test_a_localizer(folder):
    change(folder, 3, ImageOrientationPatient=[0, 1, 0, 0, 0, -1])
    assert "different directions" in message(folder)


def test_mixed_pixel_sizes(folder):
    change(folder, 3, PixelSpacing=[1, 1])
    assert "pixel sizes" in message(folder)


def test_gantry_tilt(tmp_path, image):
    folder = tmp_path / "P1" / "a"
    write_series(folder, image)
    for number in range(8):
        dataset = pydicom.dcmread(sorted(folder.iterdir())[number])
        x, y, z = dataset.ImagePositionPatient
        change(folder, number, ImagePositionPatient=[x + 2 * dataset.InstanceNumber, y, z])
    assert "tilted" in message(folder)


def test_wrong_modality(tmp_path, image):
    write_series(tmp_path / "P1" / "a", image, modality="CT")
    assert "no MR" in message(tmp_path / "P1" / "a")


def test_enhanced_multi_frame(folder):
    change(folder, 0, NumberOfFrames=20)
    assert "several slices in one file" in message(folder)


def test_a_single_slice(tmp_path, image):
    write_series(tmp_path / "P1" / "a", image, leave_out=range(1, 8))
    assert "single slice" in message(tmp_path / "P1" / "a")


@pytest.mark.parametrize("tag", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
def test_missing_geometry(folder, tag):
    change(folder, 2, **{tag: None})
    assert "lacks the position" in message(folder)


def test_damaged_pixels(folder):
    path = sorted(folder.iterdir())[4]
    path.write_bytes(path.read_bytes()[:-900])
    assert "cannot be read: a file is cut off" in message(folder)


def test_without_pydicom(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(MissingPackageError, match="pip install"):
        scan_tree(tmp_path)


# What is not as it should be


@pytest.mark.parametrize("which", [[0], range(8)], ids=["one slice", "all slices"])
def test_slices_without_a_preamble_are_read(folder, image, which):
    for number in which:
        remove_preamble(folder, number)
    read = read_series(only_series(folder))
    assert np.array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(image))


@pytest.mark.parametrize("length", [140, 200, 400, 600])
def test_a_slice_whose_header_is_cut_off_is_not_passed_over(folder, length):
    path = sorted(folder.iterdir())[0]
    path.write_bytes(path.read_bytes()[:length])
    tree = scan_tree(folder.parent.parent)
    assert tree.unreadable == (path,)
    assert f"1 DICOM files that cannot be read, such as {path.name}" in message(folder)


@pytest.mark.parametrize("name", ["IM.dcm", "IM.IMA"])
def test_a_file_that_is_dicom_by_its_name_alone_may_be_a_lost_slice(folder, name):
    (folder / name).write_bytes(b"nothing of the kind")
    assert "slices may be missing" in message(folder)


def test_files_of_macos_and_files_that_begin_like_dicom_are_no_slices(folder):
    (folder / "._IM0001.dcm").write_bytes(b"\x00\x05\x16\x07")
    (folder / "table").write_bytes(b"\x08\x00 is how this begins, but it is something else")
    assert sitk.GetArrayFromImage(read_series(only_series(folder))).shape[0] == 8


def test_slices_that_share_a_uid_are_all_kept(folder, image):
    for number in range(8):
        change(folder, number, SOPInstanceUID="1.2.3")
    read = read_series(only_series(folder))
    assert np.array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(image))


def test_the_lowest_slice_without_its_matrix_is_not_passed_over(folder):
    change(folder, 0, Rows=None)
    assert "cannot be read" in message(folder)


def test_dates_with_dots_are_dates(folder):
    for number in range(8):
        change(folder, number, StudyDate="2020.05.01")
    assert only_series(folder).study_date == "20200501"


def invert(folder, **more):
    for number in range(8):
        path = sorted(folder.iterdir())[number]
        dataset = pydicom.dcmread(path)
        voxels = 1200 - dataset.pixel_array
        change(
            folder, number, PhotometricInterpretation="MONOCHROME1", PixelData=voxels.astype("int16").tobytes(), **more
        )


def test_a_series_with_bright_air_is_turned_around(folder, image):
    invert(folder)
    series = only_series(folder)
    assert is_inverted(series)
    voxels = sitk.GetArrayFromImage(image)
    assert np.array_equal(sitk.GetArrayFromImage(read_series(series)), voxels - voxels.min())


def test_an_ordinary_series_is_not_turned_around(folder):
    assert not is_inverted(only_series(folder))


def test_a_series_with_bright_air_and_a_scale_for_each_slice_is_refused(folder):
    invert(folder, RescaleIntercept=0)
    change(folder, 2, RescaleSlope=2, RescaleIntercept=0)
    assert "a scale of its own" in message(folder)


def test_slices_with_bright_and_with_dark_air_are_refused(folder):
    change(folder, 2, PhotometricInterpretation="MONOCHROME1")
    assert "bright and with dark air" in message(folder)


def test_reading_dicom_needs_no_network_library():
    code = (
        "import sys, GBMResponseCore.dicom.series, GBMResponseCore.dicom.rtstruct\n"
        "print(sorted({'torch', 'pydicom', 'diffusers'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Objects of many frames, and scales of their own


@pytest.mark.parametrize("order", [range(8), [3, 0, 7, 1, 2, 6, 5, 4]], ids=["in order", "shuffled"])
def test_frames_are_put_where_they_lie(tmp_path, image, order):
    write_enhanced(tmp_path / "P1" / "a" / "enhanced.dcm", image, list(order))
    series = only_series(tmp_path / "P1" / "a")
    assert str(series) == "5 'T1 MPRAGE +C' (MR, 8 frames)"
    read = read_series(series)
    assert np.array_equal(sitk.GetArrayFromImage(read), sitk.GetArrayFromImage(image))
    assert read.GetPixelID() == sitk.sitkInt16
    for name in ("Origin", "Spacing", "Direction"):
        assert getattr(read, f"Get{name}")() == pytest.approx(getattr(image, f"Get{name}")(), abs=1e-5)


def test_each_frame_has_its_own_scale(tmp_path, image):
    slopes = [0.5 + 0.25 * k for k in range(8)]
    write_enhanced(tmp_path / "P1" / "a" / "enhanced.dcm", image, [7, 6, 5, 4, 3, 2, 1, 0], slopes)
    read = sitk.GetArrayFromImage(read_series(only_series(tmp_path / "P1" / "a")))
    assert np.allclose(read, sitk.GetArrayFromImage(image) * np.array(slopes)[:, None, None])


def test_inverted_frames_are_turned_around(tmp_path, image):
    write_enhanced(tmp_path / "P1" / "a" / "e.dcm", image, range(8), PhotometricInterpretation="MONOCHROME1")
    voxels = sitk.GetArrayFromImage(image)
    read = sitk.GetArrayFromImage(read_series(only_series(tmp_path / "P1" / "a")))
    assert np.array_equal(read, voxels.max() - voxels)


def test_a_missing_frame(tmp_path, image):
    write_enhanced(tmp_path / "P1" / "a" / "enhanced.dcm", image, [0, 1, 2, 4, 5, 6, 7])
    assert "slices are missing" in message(tmp_path / "P1" / "a")


def test_two_volumes_in_one_object(tmp_path, image):
    write_enhanced(tmp_path / "P1" / "a" / "enhanced.dcm", image, [*range(8), *range(8)])
    assert "several volumes" in message(tmp_path / "P1" / "a")


def test_frames_without_their_places(tmp_path, image):
    path = tmp_path / "P1" / "a" / "enhanced.dcm"
    write_enhanced(path, image, range(8))
    change(path.parent, 0, PerFrameFunctionalGroupsSequence=[])
    assert "without their places" in message(path.parent)


def test_compressed_frames_without_a_plugin_say_what_is_missing(tmp_path, image, monkeypatch):
    path = tmp_path / "P1" / "a" / "enhanced.dcm"
    write_enhanced(path, image, range(8))
    dataset = pydicom.dcmread(path)
    frames = [dataset.PixelData[k * 64 : k * 64 + 64] for k in range(8)]  # no image: nothing gets as far as that
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.HTJ2KLossless
    dataset.PixelData = pydicom.encaps.encapsulate(frames)
    dataset["PixelData"].VR = "OB"
    dataset.save_as(path)
    with pytest.raises(DicomSeriesError, match=r"compressed .*High-Throughput") as caught:
        read_series(only_series(path.parent))
    assert "pip install" in caught.value.remedy


def test_slices_with_scales_of_their_own_keep_their_fractions(folder, image):
    voxels = sitk.GetArrayFromImage(image).astype(float)
    for number in range(8):
        header = pydicom.dcmread(sorted(folder.iterdir())[number])
        k = header.InstanceNumber - 1
        change(folder, number, RescaleSlope=1 + 0.125 * k, RescaleIntercept=k)
        voxels[k] = voxels[k] * (1 + 0.125 * k) + k
    read = read_series(only_series(folder))
    assert read.GetPixelID() == sitk.sitkFloat32
    assert np.allclose(sitk.GetArrayFromImage(read), voxels)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80"], ids=["RLE", "JPEG-LS"])
def test_compressed_slices_are_read_exactly(folder, image, syntax):
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.compress(syntax)
        dataset.save_as(path)
    assert np.array_equal(sitk.GetArrayFromImage(read_series(only_series(folder))), sitk.GetArrayFromImage(image))
