import gzip
import json
import os
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore import files
from GBMResponseCore.errors import EmptyFileError, MissingFileError, OptionError, OutputFolderError, UnreadableFileError


@pytest.fixture
def image() -> sitk.Image:
    voxels = np.random.default_rng(0).integers(0, 1000, (10, 40, 50)).astype(np.int16)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.9, 0.9, 6))
    return image


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_images_come_back_as_written(tmp_path, image, suffix):
    path = files.write_image(image, tmp_path / f"Müller v1.2 é{suffix}")
    again = files.read_image(path)
    assert np.array_equal(sitk.GetArrayViewFromImage(again), sitk.GetArrayViewFromImage(image))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["image.mhd", "image.png", "image"])
def test_formats_that_lose_geometry_or_need_two_files_are_refused(tmp_path, image, name):
    with pytest.raises(OptionError, match=r"nii\.gz"):
        files.write_image(image, tmp_path / name)


def test_writing_replaces_an_older_file(tmp_path, image):
    (tmp_path / "image.nrrd").write_text("older")
    files.write_image(image, tmp_path / "image.nrrd")
    assert files.read_image(tmp_path / "image.nrrd").GetSize() == image.GetSize()


def test_json_is_indented_utf8(tmp_path):
    path = files.write_json({"name": "Übersicht", "values": [1]}, tmp_path / "a.json")
    assert "Übersicht" in path.read_text("utf-8")
    assert json.loads(path.read_text("utf-8")) == {"name": "Übersicht", "values": [1]}
    assert '\n  "name"' in path.read_text("utf-8")


def test_text_has_line_feeds(tmp_path):
    assert files.write_text("ä\nb\n", tmp_path / "a.txt").read_bytes() == "ä\nb\n".encode()


def test_a_full_disk_leaves_the_older_file_and_no_temporary_one(tmp_path, monkeypatch):
    path = files.write_text("older", tmp_path / "a.txt")

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "replace", fail)
    with pytest.raises(OutputFolderError, match="space"):
        files.write_text("newer", path)
    assert os.listdir(tmp_path) == ["a.txt"]
    assert path.read_text() == "older"


def test_a_failing_image_writer_is_an_output_error(tmp_path, image, monkeypatch):
    def fail(_, path, **__):
        with open(path, "wb") as file:
            file.write(b"half")
        raise RuntimeError("ITK: cannot write")

    monkeypatch.setattr(sitk, "WriteImage", fail)
    with pytest.raises(OutputFolderError):
        files.write_image(image, tmp_path / "a.nrrd")
    assert not os.listdir(tmp_path)


def test_temporary_names_do_not_carry_the_target_name(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(files.os, "replace", lambda source, target: seen.append(source.name))
    files.write_text("x", tmp_path / "Miller.txt")
    assert "Miller" not in seen[0]


def test_a_missing_output_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputFolderError):
        files.write_text("x", tmp_path / "missing" / "a.txt")


def test_output_folder_is_created(tmp_path):
    folder = files.ensure_output_folder(tmp_path / "a" / "b ü")
    assert folder.is_dir()
    assert not os.listdir(folder)


def test_a_file_is_no_output_folder(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputFolderError, match="permission"):
            files.ensure_output_folder(path)


def test_a_read_only_folder_is_an_output_error(tmp_path, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files.Path, "write_bytes", refuse)
    with pytest.raises(OutputFolderError, match="Permission denied"):
        files.ensure_output_folder(tmp_path)


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256_of_file(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")


def test_missing_file(tmp_path):
    with pytest.raises(MissingFileError, match=r"T1-Gd file nothing\.nii\.gz does not exist"):
        files.read_image(tmp_path / "nothing.nii.gz", "T1-Gd")


def test_a_folder_is_not_a_file(tmp_path):
    with pytest.raises(MissingFileError):
        files.read_image(tmp_path)


def test_empty_file(tmp_path):
    (tmp_path / "a.nii.gz").touch()
    with pytest.raises(EmptyFileError, match="Export"):
        files.read_image(tmp_path / "a.nii.gz")


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_garbage(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"<html>Not found</html>" * 30)
    with pytest.raises(UnreadableFileError):
        files.read_image(path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("kept", [0.5, 0.99, 0.001])
def test_a_cut_off_file(tmp_path, image, suffix, kept):
    path = files.write_image(image, tmp_path / f"a{suffix}")
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(UnreadableFileError):
        files.read_image(path)


def test_a_damaged_gzip(tmp_path, image):
    path = files.write_image(image, tmp_path / "a.nii.gz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match="damaged"):
        files.read_image(path)


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
    assert files.read_image(whole).GetSize() == (40, 40, 10)
    with pytest.raises(UnreadableFileError):
        files.read_image(part)


def test_sheared_axes_have_their_own_remedy(tmp_path, image):
    path = files.write_image(image, tmp_path / "a.nii")
    content = bytearray(path.read_bytes())
    struct.pack_into("<2h", content, 252, 0, 1)
    struct.pack_into("<4f", content, 280, -1, 0.3, 0, 0)
    path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match="Resample"):
        files.read_image(path)


def test_messages_do_not_name_the_folder(tmp_path):
    folder = tmp_path / "Miller"
    folder.mkdir()
    (folder / "a.nii.gz").write_bytes(gzip.compress(b"x" * 500))
    with pytest.raises(UnreadableFileError) as caught:
        files.read_image(folder / "a.nii.gz")
    assert "Miller" not in str(caught.value)
