import gzip
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore.errors import EmptyFileError, MissingFileError, UnreadableFileError
from GBMResponseCore.files import write_image
from GBMResponseCore.inputs.reading import read_image


@pytest.fixture
def image() -> sitk.Image:
    voxels = np.random.default_rng(0).integers(0, 1000, (10, 40, 50)).astype(np.int16)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.9, 0.9, 6))
    return image


def test_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"T1-Gd file nothing\.nii\.gz does not exist"):
        read_image(tmp_path / "nothing.nii.gz", "T1-Gd")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(MissingFileError):
        read_image(tmp_path)


def test_empty_file(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(EmptyFileError, match="Export"):
        read_image(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_garbage(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"<html>Not found</html>" * 30)
    with pytest.raises(UnreadableFileError):
        read_image(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("kept", [0.5, 0.99, 0.001])
def test_a_cut_off_file(tmp_path, image, suffix, kept):
    path = write_image(image, tmp_path / f"a{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UnreadableFileError):
        read_image(path)


def test_a_damaged_gzip(tmp_path, image):
    path = write_image(image, tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match="damaged"):
        read_image(path)


def test_big_endian_nifti_is_measured_with_its_own_byte_order(tmp_path):
    header = bytearray(352)
    struct.pack_into(">i", header, 0, 348)
    struct.pack_into(">8h", header, 40, 3, 40, 40, 10, 1, 1, 1, 1)
    struct.pack_into(">2h", header, 70, 4, 16)
    struct.pack_into(">4f", header, 76, 1, 1, 1, 5)
    struct.pack_into(">f", header, 108, 352)
    header[344:348] = b"n+1\0"
    whole, part = tmp_path / "whole.nii", tmp_path / "part.nii"
    whole.write_bytes(header + bytes(40 * 40 * 10 * 2))
    part.write_bytes(header + bytes(40 * 40 * 10))
    assert read_image(whole).GetSize() == (40, 40, 10)
    with pytest.raises(UnreadableFileError):
        read_image(part)


def test_sheared_axes_have_their_own_remedy(tmp_path, image):
    path = write_image(image, tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<2h", content, 252, 0, 1)
    struct.pack_into("<4f", content, 280, -1, 0.3, 0, 0)
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match="Resample"):
        read_image(path)


def test_messages_do_not_name_the_folder(tmp_path):
    folder = tmp_path / "Miller"
    folder.mkdir()
    (folder / "a.nii.gz").write_bytes(gzip.compress(b"x" * 500))
    with pytest.raises(UnreadableFileError) as caught:
        read_image(folder / "a.nii.gz")
    assert "Miller" not in str(caught.value)
