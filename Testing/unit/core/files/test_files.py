import gzip
import json
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore import files
from GBMResponseCore.errors import OptionError, OutputFolderError, UnreadableFileError
from GBMResponseCore.inputs.reading import read_image, sha256_of_image
from GBMResponseCore.outputs.folder import folder_in_use
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

    monkeypatch.setattr(os, "replace", fail)
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
        "a.csv": lambda path: files.write_csv(["values"], [[content.hex()]], path),
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
    original = shutil.copyfileobj

    def shorten(source, target, length):
        original(source, target, length)
        target.close()
        name = target.fileobj.name if target.fileobj else next(tmp_path.glob("*.partial.nii.gz"))
        monkeypatch.setattr(gzip.GzipFile, "close", lambda self: None)
        os.truncate(name, os.path.getsize(name) - cut)

    monkeypatch.setattr(shutil, "copyfileobj", shorten)
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


@pytest.mark.parametrize(
    ("error", "seen"), [(OSError("disk full"), OutputFolderError), (RuntimeError("mine"), RuntimeError)]
)
def test_a_file_that_a_function_writes_appears_complete_or_not_at_all(tmp_path, error, seen):
    path = files.write_file(tmp_path / "a.ckpt", lambda temporary: temporary.write_text("first"))

    def fail(temporary):
        temporary.write_text("half")
        raise error

    with pytest.raises(seen, match=str(error)):
        files.write_file(path, fail)
    assert path.read_text() == "first"
    assert os.listdir(tmp_path) == ["a.ckpt"]


def test_partial_files_of_a_killed_process_are_swept_and_nothing_else(tmp_path):
    for name in (f".{'0a' * 16}.partial.nii.gz", f".{'0a' * 16}.partial", ".mine.partial.nii", "a.partial", ".keep"):
        (tmp_path / name).touch()
    files.sweep_partial_files(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".keep", ".mine.partial.nii", "a.partial"]


def test_no_cell_of_a_table_is_a_formula(tmp_path):
    cells = ["=1+1", "+A1", "-cmd", "@SUM(A1)", "\t=1", "-3.5", -3.5, None, "a=b"]
    path = files.write_csv([f"c{k}" for k in range(len(cells))], [cells], tmp_path / "a.csv")
    assert path.read_bytes().endswith(b"\n'=1+1,'+A1,'-cmd,'@SUM(A1),'\t=1,-3.5,-3.5,,a=b\n")
    assert files.plain_cell("'=1+1") == "=1+1"


def test_rows_of_a_table_may_be_mappings(tmp_path):
    rows = [{"b": 2, "a": 1, "other": 3}, {"a": "x;y"}]
    path = files.write_csv(["a", "b"], rows, tmp_path / "a.csv", ";", "\r\n")
    assert path.read_bytes() == b'a;b\r\n1;2\r\n"x;y";\r\n'


def test_images_are_known_by_voxels_and_geometry_and_not_by_their_file(tmp_path, image):
    hashes = {sha256_of_image(sitk.ReadImage(str(files.write_image(image, tmp_path / f"a{suffix}"))))
              for suffix in (".nrrd", ".mha")}  # fmt: skip
    assert hashes == {sha256_of_image(image)}
    moved, brighter = sitk.Image(image), sitk.Image(image)
    moved.SetOrigin((0.1, 0, 0))
    brighter[0, 0, 0] += 1
    others = {sha256_of_image(entry) for entry in (moved, brighter, sitk.Cast(image, sitk.sitkInt32))}
    assert len(others | hashes) == 4


def test_temporary_names_do_not_carry_the_target_name(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "replace", lambda source, target: seen.append(source.name))
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

    monkeypatch.setattr(Path, "write_bytes", refuse)
    with pytest.raises(OutputFolderError, match="Permission denied"):
        files.ensure_output_folder(tmp_path)


def test_sha256(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256_of_file(tmp_path / "a").startswith("ba7816bf8f01cfea414140de5dae2223b00361a3")


@pytest.mark.parametrize(("name", "error"), [("a" * 300, UnreadableFileError), ("a\0b", UnreadableFileError)])
def test_a_name_that_no_file_can_have_is_refused(tmp_path, name, error):
    with pytest.raises(error):
        files.check_file(tmp_path / name)
    with pytest.raises(OutputFolderError):
        files.ensure_output_folder(tmp_path / name)


def test_letters_that_the_system_cannot_write_are_refused_with_a_remedy(tmp_path, monkeypatch):
    path = files.write_text("x", tmp_path / "Müller.nii")
    assert files.check_file(path) == path
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "iso8859-1")
    with pytest.raises(UnreadableFileError, match=r"iso8859-1.*PYTHONUTF8"):
        files.check_file(path)
    with pytest.raises(OutputFolderError, match="PYTHONUTF8"):
        files.ensure_output_folder(tmp_path / "Müller")
    assert files.check_file(files.write_text("x", tmp_path / "Miller.nii")).name == "Miller.nii"


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match="not UTF-8"):
        files.check_file(tmp_path / "M\udcfcller.nii")


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path, image):
    (tmp_path / "folder").write_text("not a folder")
    with pytest.raises(OutputFolderError, match="folder"):
        files.write_text("text", tmp_path / "folder" / "a.txt")
    with pytest.raises(OutputFolderError, match="folder"):
        files.write_image(image, tmp_path / "folder" / "a.nrrd")


def test_an_interrupt_while_a_temporary_file_is_taken_away_does_not_leave_it(tmp_path, monkeypatch):
    path = tmp_path / "temporary"
    path.touch()
    original, calls = Path.unlink, []

    def interrupted(self, *arguments, **options):
        calls.append(self)
        if len(calls) == 1:
            raise KeyboardInterrupt
        original(self, *arguments, **options)

    monkeypatch.setattr(Path, "unlink", interrupted)
    with pytest.raises(KeyboardInterrupt):
        files.discard(path)
    assert calls == [path, path] and not path.exists()


def test_a_folder_that_goes_while_it_is_swept_is_no_surprise(tmp_path, monkeypatch):
    def gone(folder, pattern):
        raise FileNotFoundError(folder)

    monkeypatch.setattr(Path, "glob", gone)
    files.sweep_partial_files(tmp_path)
    with folder_in_use(tmp_path):
        pass
