import gzip
import json
import os
import struct

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore import files
from GBMResponseCore.errors import EmptyFileError, MissingFileError, OptionError, OutputFolderError, UnreadableFileError
from small_file_limit import small_file_limit


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


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_full_disk_never_leaves_a_part_of_a_volume(tmp_path, image, suffix):
    path = files.write_image(image, tmp_path / f"whole{suffix}")
    whole = path.stat().st_size
    for size in {0, 1, 100, 352, 4096, whole // 4, whole // 2, whole - 4096, whole - 100, *range(whole - 9, whole)}:
        before = path.read_bytes()
        with small_file_limit(size), pytest.raises(OutputFolderError):
            files.write_image(sitk.Add(image, 1), path)
        assert os.listdir(tmp_path) == [path.name], size
        assert path.read_bytes() == before


@pytest.mark.parametrize("kept", [0.0, 0.5, 0.999])
def test_a_full_disk_never_leaves_a_part_of_any_other_file(tmp_path, kept):
    content = os.urandom(5_000_000)
    for name, write in {
        "a.png": lambda path: files.write_bytes(content, path),
        "a.json": lambda path: files.write_json({"values": content.hex()}, path),
        "a.csv": lambda path: files.write_csv([[content.hex()]], path, ["values"]),
    }.items():
        path = tmp_path / name
        whole = write(path).stat().st_size
        path.write_text("older")
        with small_file_limit(int(kept * whole)), pytest.raises(OutputFolderError):
            write(path)
        assert path.read_text() == "older"
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "a.json", "a.png"]


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_voxels_that_a_disk_has_changed_are_noticed(tmp_path, image, suffix, monkeypatch):
    write = sitk.WriteImage

    def flip_a_voxel(volume, *arguments, **options):
        volume = sitk.Image(volume)
        volume[1, 2, 3] = 7_777
        write(volume, *arguments, **options)

    monkeypatch.setattr(sitk, "WriteImage", flip_a_voxel)
    with pytest.raises(OutputFolderError, match="does not hold what was written"):
        files.write_image(image, tmp_path / f"a{suffix}")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("cut", [1, 4, 8, 9, 5000])
def test_a_compression_that_ends_early_is_noticed(tmp_path, image, cut, monkeypatch):
    original = files.shutil.copyfileobj

    def shorten(source, target, length):
        original(source, target, length)
        target.close()
        name = target.fileobj.name if target.fileobj else next(tmp_path.glob("*.partial.nii.gz"))
        monkeypatch.setattr(files.gzip.GzipFile, "close", lambda self: None)
        os.truncate(name, os.path.getsize(name) - cut)

    monkeypatch.setattr(files.shutil, "copyfileobj", shorten)
    with pytest.raises(OutputFolderError):
        files.write_image(image, tmp_path / "a.nii.gz")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
@pytest.mark.parametrize("pixel_type", [sitk.sitkUInt8, sitk.sitkInt16, sitk.sitkFloat32, sitk.sitkFloat64])
def test_every_type_and_an_oblique_geometry_come_back(tmp_path, image, suffix, pixel_type):
    volume = sitk.Cast(image, pixel_type)
    volume.SetOrigin((-1234.5, 0.25, 777.125))
    turn = sitk.Euler3DTransform()
    turn.SetRotation(0.3, -0.2, 3.1)
    volume.SetDirection(turn.GetMatrix())
    again = sitk.ReadImage(str(files.write_image(volume, tmp_path / f"a{suffix}")))
    assert again.GetPixelID() == pixel_type
    assert np.array_equal(sitk.GetArrayViewFromImage(again), sitk.GetArrayViewFromImage(volume))
    assert np.allclose(again.GetDirection(), volume.GetDirection(), atol=1e-5)


def test_not_a_number_is_a_voxel_as_any_other(tmp_path, image):
    volume = sitk.Cast(image, sitk.sitkFloat32)
    volume[0, 0, 0] = float("nan")
    assert np.isnan(sitk.ReadImage(str(files.write_image(volume, tmp_path / "a.nrrd")))[0, 0, 0])


def test_a_geometry_that_a_format_cannot_hold_is_refused(tmp_path, image):
    image.SetDirection((1, 0.5, 0, 0, 1, 0, 0, 0, 1))
    with pytest.raises(OutputFolderError):
        files.write_image(image, tmp_path / "a.nii.gz")
    assert not os.listdir(tmp_path)


def test_a_file_written_by_a_library_appears_complete_or_not_at_all(tmp_path):
    path = files.write_file(tmp_path / "a.ckpt", lambda temporary: temporary.write_text("first"))

    def fail(temporary):
        temporary.write_text("half")
        raise RuntimeError("PytorchStreamWriter failed writing file")

    with pytest.raises(OutputFolderError, match="PytorchStreamWriter"):
        files.write_file(path, fail)
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a.ckpt"]


def test_partial_files_of_a_killed_process_are_swept_and_nothing_else(tmp_path):
    for name in (f".{'0a' * 16}.partial.nii.gz", f".{'0a' * 16}.partial", ".mine.partial.nii", "a.partial", ".keep"):
        (tmp_path / name).touch()
    files.sweep_partial_files(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".keep", ".mine.partial.nii", "a.partial"]


def test_no_cell_of_a_table_is_a_formula(tmp_path):
    cells = ["=1+1", "+A1", "-cmd", "@SUM(A1)", "\t=1", "-3.5", "-", -3.5, None, "a=b"]
    path = files.write_csv([cells], tmp_path / "a.csv", [f"c{k}" for k in range(len(cells))])
    assert path.read_bytes().endswith(b"\n'=1+1,'+A1,'-cmd,'@SUM(A1),'\t=1,-3.5,-,-3.5,,a=b\n")


def test_rows_of_a_table_may_be_mappings(tmp_path):
    path = files.write_csv([{"b": 2, "a": 1, "other": 3}, {"a": "x;y"}], tmp_path / "a.csv", ["a", "b"], ";", "\r\n")
    assert path.read_bytes() == b'a;b\r\n1;2\r\n"x;y";\r\n'


def test_images_are_known_by_voxels_and_geometry_and_not_by_their_file(tmp_path, image):
    hashes = {files.sha256_of_image(sitk.ReadImage(str(files.write_image(image, tmp_path / f"a{suffix}"))))
              for suffix in (".nrrd", ".mha")}  # fmt: skip
    assert hashes == {files.sha256_of_image(image)}
    moved, brighter = sitk.Image(image), sitk.Image(image)
    moved.SetOrigin((0.1, 0, 0))
    brighter[0, 0, 0] += 1
    others = {files.sha256_of_image(entry) for entry in (moved, brighter, sitk.Cast(image, sitk.sitkInt32))}
    assert len(others | hashes) == 4


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
