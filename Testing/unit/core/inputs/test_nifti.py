"""NIfTI headers and voxels: as ITK for what is not contradictory, and orientations that written files keep."""

import gzip
import struct

import hard_cases
import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import errors
from GBMResponseCore.files import write_image
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.inputs.nifti import read_nifti
from GBMResponseCore.inputs.reading import read_volume
from hard_cases import affine, write_nifti


def orientation(path) -> dict:
    """What another program sees in a NIfTI-1 header."""
    content = path.read_bytes()
    header = (gzip.decompress(content) if path.suffix == ".gz" else content)[:348]
    return {
        "codes": struct.unpack_from("<2h", header, 252),
        "quaternion and offset": struct.unpack_from("<6f", header, 256),
        "sform": struct.unpack_from("<12f", header, 280),
        "pixdim": struct.unpack_from("<4f", header, 76),
        "unit": header[123] & 7,
    }


@pytest.mark.parametrize("seed", range(12))
def test_place_type_and_voxels_are_those_of_itk_bit_for_bit(tmp_path, seed):
    random = np.random.default_rng(seed)
    turns = [phantoms.rotation(axis, angle) for axis, angle in zip("xyz", random.uniform(-180, 180, 3), strict=True)]
    direction = (turns[0] @ turns[1] @ turns[2])[:, random.permutation(3)] * random.choice([-1, 1], 3)
    pixel = [sitk.sitkInt16, sitk.sitkUInt8, sitk.sitkFloat32, sitk.sitkFloat64][seed % 4]
    image = phantoms.empty((20, 31, 42), random.uniform(0.5, 6, 3), direction, random.uniform(-50, 50, 3), pixel)
    image = sitk.AdditiveGaussianNoise(image, 9.0, 5.0, seed)
    path = tmp_path / ("a.nii" if seed % 3 else "a.nii.gz")
    sitk.WriteImage(image, path)
    if seed % 2:  # the qform alone
        content = bytearray(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        struct.pack_into("<2h", content, 252, 1, 0)
        path.write_bytes(content)
        path = path.rename(tmp_path / "b.nii")
    ours, theirs = read_volume(path), sitk.ReadImage(path)
    assert ours.notes == []
    assert ours.image.GetPixelID() == theirs.GetPixelID()
    for grid in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(ours.image, grid)() == getattr(theirs, grid)()
    assert np.array_equal(sitk.GetArrayViewFromImage(ours.image), sitk.GetArrayViewFromImage(theirs))


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("scaling", [(1, 0), (2, 0), (0.1, 3), (1, 7), (2, np.nan)])
def test_scaled_voxels_are_those_of_itk(tmp_path, dtype, scaling):
    path = write_nifti(tmp_path / "a.nii", np.indices(hard_cases.SHAPE)[0], dtype, scaling=scaling)
    ours, theirs = (sitk.GetArrayFromImage(i) for i in (read_volume(path).image, sitk.ReadImage(path)))
    assert ours.dtype == theirs.dtype
    assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_both_versions_and_byte_orders_hold_the_same(tmp_path, version, order):
    path = write_nifti(tmp_path / "a.nii.gz", hard_cases.head(), version=version, order=order)
    header, voxels = read_nifti(path, "image")
    assert (header.version, header.qform_code, header.sform_code) == (version, 1, 1)
    assert np.array_equal(voxels.T, hard_cases.head())
    assert header.sform().distance(header.qform(), hard_cases.SHAPE) < 1e-4


def test_a_zipped_file_in_several_streams_is_read(tmp_path):
    path = write_nifti(tmp_path / "a.nii", hard_cases.head())
    content = path.read_bytes()
    path.write_bytes(b"".join(gzip.compress(content[start : start + 9999]) for start in range(0, len(content), 9999)))
    assert np.array_equal(read_nifti(path, "image")[1].T, hard_cases.head())


@pytest.mark.parametrize(
    ("offset", "form", "value"),
    [(40, "h", 9), (40, "h", -1), (42, "h", -5), (42, "h", 0), (70, "h", 1234), (108, "f", np.inf)],
)
def test_impossible_headers_are_damage(tmp_path, offset, form, value):
    path = write_nifti(tmp_path / "a.nii", hard_cases.head())
    content = bytearray(path.read_bytes())
    struct.pack_into("<" + form, content, offset, value)
    path.write_bytes(content)
    with pytest.raises(errors.UnreadableFileError):
        read_volume(path)


@pytest.mark.parametrize("datatype", [128, 2304])
def test_colors_are_refused(tmp_path, datatype):
    path = write_nifti(tmp_path / "a.nii", hard_cases.head())
    content = bytearray(path.read_bytes())
    struct.pack_into("<h", content, 70, datatype)
    path.write_bytes(content)
    with pytest.raises(errors.ColorImageError):
        read_volume(path)


def test_vectors_are_refused(tmp_path):
    vectors = np.stack([hard_cases.head()] * 3, axis=-1)[:, :, :, None]
    with pytest.raises(errors.ColorImageError):
        read_volume(write_nifti(tmp_path / "a.nii", vectors))


def test_a_series_is_a_series_and_a_single_frame_is_not(tmp_path):
    frames = np.stack([hard_cases.head()] * 2, axis=-1)
    write_nifti(tmp_path / "gtv.nii", hard_cases.gtv(), "uint8")
    assert (
        load_case(write_nifti(tmp_path / "a.nii", frames[..., :1]), tmp_path / "gtv.nii").notes[0].code
        == "single-frame"
    )
    for move in ((0, 0, 0), (12, 0, 10)):
        with pytest.raises(errors.ImageDimensionError, match="2 volumes"):
            load_case(write_nifti(tmp_path / "a.nii", frames, sform=affine(move)), tmp_path / "gtv.nii")


# What outputs keep


def written(tmp_path, suffix: str = ".nii.gz", **header):
    """A case read from a file with this header, and its image written as an output."""
    source = write_nifti(tmp_path / "image.nii", hard_cases.head(), **header)
    write_nifti(tmp_path / "gtv.nii", hard_cases.gtv(), "uint8", **header)
    case = load_case(source, tmp_path / "gtv.nii")
    return source, case, write_image(case.image, tmp_path / f"predicted{suffix}", case.keep_orientation)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii"])
@pytest.mark.parametrize("codes", [(1, 2), (2, 1), (1, 0), (0, 4), (0, 0)])
@pytest.mark.parametrize("move", [(0, 0, 0), (12, 0, 10)], ids=["agreeing", "disagreeing"])
def test_outputs_keep_qform_sform_codes_and_pixdim_exactly(tmp_path, suffix, codes, move):
    source, case, path = written(tmp_path, suffix, sform=affine(move), codes=codes)
    assert orientation(path) == orientation(source)
    again = read_volume(path)
    assert again.image.GetOrigin() == case.image.GetOrigin()
    assert np.array_equal(sitk.GetArrayViewFromImage(again.image), sitk.GetArrayViewFromImage(case.image))


def test_outputs_of_nifti_2_hold_its_orientation_in_single_precision(tmp_path):
    _, _, path = written(tmp_path, sform=affine((12, 0, 10)), codes=(1, 2), version=2)
    plain = write_nifti(tmp_path / "plain.nii", hard_cases.head(), sform=affine((12, 0, 10)), codes=(1, 2))
    assert orientation(path) == orientation(plain)


def test_a_unit_in_the_header_stays_with_its_numbers(tmp_path):
    source, _, path = written(tmp_path, units=3)
    assert orientation(path) == orientation(source)
    assert [note.code for note in read_volume(path).notes] == ["unit"]


def test_a_wrong_pixdim_beside_a_right_sform_is_not_handed_on(tmp_path):
    source, _, path = written(tmp_path, codes=(0, 1), pixdim=(1, 1, 1))
    assert orientation(path)["pixdim"][1:] == pytest.approx(hard_cases.SPACING)
    assert {**orientation(path), "pixdim": None} == {**orientation(source), "pixdim": None}
    assert sitk.ReadImage(path).GetSpacing() == pytest.approx(hard_cases.SPACING)


@pytest.mark.parametrize("suffix", [".nrrd", ".mha"])
def test_outputs_in_other_formats_claim_no_orientation_that_the_input_does_not_have(tmp_path, suffix):
    _, case, path = written(tmp_path, suffix, codes=(0, 0))
    again = read_volume(path)
    assert not again.oriented
    assert np.array_equal(sitk.GetArrayViewFromImage(again.image), sitk.GetArrayViewFromImage(case.image))
    _, _, path = written(tmp_path, suffix)
    assert read_volume(path).oriented
