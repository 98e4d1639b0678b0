import json
import os

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore import files
from GBMResponseCore.errors import OptionError, OutputFolderError
from GBMResponseCore.inputs.reading import read_image


@pytest.fixture
def image() -> sitk.Image:
    voxels = np.random.default_rng(0).integers(0, 1000, (10, 40, 50)).astype(np.int16)
    image = sitk.GetImageFromArray(voxels)
    image.SetSpacing((0.9, 0.9, 6))
    return image


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_images_come_back_as_written(tmp_path, image, suffix):
    path = files.write_image(image, tmp_path / f"Müller v1.2 é{suffix}")
    again = read_image(path)
    assert np.array_equal(sitk.GetArrayViewFromImage(again), sitk.GetArrayViewFromImage(image))
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("name", ["image.mhd", "image.png", "image"])
def test_formats_that_lose_geometry_or_need_two_files_are_refused(tmp_path, image, name):
    with pytest.raises(OptionError, match=r"nii\.gz"):
        files.write_image(image, tmp_path / name)


def test_writing_replaces_an_older_file(tmp_path, image):
    (tmp_path / "image.nrrd").write_text("older")
    files.write_image(image, tmp_path / "image.nrrd")
    assert read_image(tmp_path / "image.nrrd").GetSize() == image.GetSize()


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
