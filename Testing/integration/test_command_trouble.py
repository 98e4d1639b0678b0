"""The command `gbmresponse predict` among trouble: full disks, closed pipes, signals, results that are inputs."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli
from GBMResponseCore.outputs.folder import folder_in_use, result_files
from rows import share
from small_file_limit import small_file_limit
from worker_session import TIMEOUT_S, wait_until

PLAIN = ("--no-montage", "--no-report")
SIZE, SPACING = (60, 64, 6), (0.95, 0.95, 8.0)


@pytest.fixture
def case(tmp_path):
    image, gtv = tmp_path / "pre.nii.gz", tmp_path / "gtv.nrrd"
    sitk.WriteImage(phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER), str(image))
    sitk.WriteImage(phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER), str(gtv))
    return image, gtv


@pytest.fixture
def arguments(case, tiny_bundle, tmp_path):
    def call(*extra, image=case[0], gtv=case[1], out=tmp_path / "out"):
        basis = ["predict", "--image", image, "--gtv", gtv, "--out", out, "--bundle", tiny_bundle, *PLAIN]
        return [str(argument) for argument in [*basis, "--device", "cpu", "--precision", "float32", *extra]]

    return call


def start(arguments, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "GBMResponseCore", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options
    )


@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha"])
def test_a_full_disk_ends_in_its_exit_code_and_leaves_no_volume(arguments, tmp_path, suffix):
    first = ["--format", suffix, "--no-report", "--no-measurements"]
    assert cli.main(arguments(*first)) == 0
    path = tmp_path / "out" / f"predicted{suffix}"
    before, whole = path.read_bytes(), path.stat().st_size
    for size in (whole // 2, whole - 600):
        with small_file_limit(size):
            assert cli.main(arguments(*first, "--seed", "2")) == 21
        assert path.read_bytes() == before
        assert not list((tmp_path / "out").glob(".*partial*"))
        assert not (tmp_path / "out" / ".lock").exists()


@pytest.mark.parametrize("kind", ["name", "symbolic", "hard"])
def test_an_input_among_the_results_is_refused_and_stays_as_it_was(arguments, case, tmp_path, capsys, kind):
    out = tmp_path / "out"
    out.mkdir()
    result = out / "predicted.nii.gz"
    result.write_bytes(case[0].read_bytes())
    image = result
    if kind != "name":
        image = tmp_path / "link.nii.gz"
        {"symbolic": Path.symlink_to, "hard": Path.hardlink_to}[kind](image, result)
    assert cli.main(arguments(image=image)) == 21
    assert "would be replaced" in capsys.readouterr().err
    assert list(out.iterdir()) == [result]
    assert result.read_bytes() == case[0].read_bytes()


def test_a_sample_of_an_earlier_run_that_would_be_removed_is_refused_as_an_input(arguments, tmp_path):
    assert cli.main(arguments("--samples", "2")) == 0
    sample = tmp_path / "out" / "sample_02.nii.gz"
    before = {path: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert cli.main(arguments(image=sample)) == 21
    assert {path: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_whatever_a_run_writes_is_known_as_a_result(arguments, case, tmp_path):
    extra = ["--samples", "2", "--follow-up", str(case[0]), "--class", "short", "long"]
    assert cli.main([entry for entry in arguments(*extra) if entry not in PLAIN]) == 0
    folders = [tmp_path / "out", tmp_path / "out" / "short", tmp_path / "out" / "long"]
    written = {path for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert set(result_files(folders)) == written


def test_a_second_run_is_refused_and_the_first_goes_on(arguments, tmp_path, capsys):
    with folder_in_use(tmp_path / "out"):
        assert cli.main(arguments()) == 21
        assert "Another run is writing to the folder out" in capsys.readouterr().err
        assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]
    assert cli.main(arguments()) == 0


def test_files_of_a_killed_run_are_gone_after_the_next(arguments, tmp_path):
    (tmp_path / "out").mkdir()
    partial = tmp_path / "out" / f".{'0123abcd' * 4}.partial.nrrd"
    partial.write_bytes(b"half")
    assert cli.main(arguments("--no-report")) == 0
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


def test_nobody_reading_what_is_said_changes_neither_result_nor_exit_code(arguments, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "GBMResponseCore", *arguments()]
    done = subprocess.run(command, stdout=writing, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 0
    assert (tmp_path / "out" / "provenance.json").is_file()


def test_nobody_reading_what_went_wrong_does_not_change_the_exit_code(arguments, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "GBMResponseCore", *arguments(image=tmp_path / "nowhere.nrrd")]
    done = subprocess.run(command, stdout=writing, stderr=writing, check=False)
    os.close(writing)
    assert done.returncode == 10


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without a signal")
@pytest.mark.parametrize("number", share([signal.SIGTERM, signal.SIGINT, signal.SIGHUP], 1))
def test_a_signal_ends_a_run_as_a_cancel_and_leaves_its_finished_slices_only(arguments, tmp_path, number):
    process = start(arguments("--sampler", "unipc", "--steps", "50", "--batch-size", "1"))
    assert wait_until(lambda: list((tmp_path / "out").glob(".unfinished/*/*.npy")))
    process.send_signal(number)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".unfinished"]
    assert b"Traceback" not in errors


def test_what_nobody_thought_of_ends_in_a_sentence_and_a_file_without_paths(
    arguments, case, tmp_path, monkeypatch, capsys
):
    def fail(*_):
        raise ZeroDivisionError(f"while reading {case[0]}")

    monkeypatch.setattr("GBMResponseCore.run.load_case", fail)
    (tmp_path / "out").mkdir()
    assert cli.main(arguments()) == 1
    said = capsys.readouterr().err
    (details,) = (tmp_path / "out").glob("gbmresponse-diagnostics-*.txt")
    assert "Unexpected error (ZeroDivisionError)" in said
    assert str(details) in said
    assert "Traceback" not in said
    text = details.read_text("utf-8")
    assert "builtins.ZeroDivisionError" in text
    assert "GBMResponseCore/run.py:" in text
    assert "torch " in text
    assert str(tmp_path) not in text


def test_details_go_to_the_temporary_folder_where_there_is_no_other(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("GBMResponseCore.run.load_case", lambda *_: 1 / 0)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cli.main(arguments(out=tmp_path / "nowhere" / "out")) == 1
    (details,) = tmp_path.glob("gbmresponse-diagnostics-*.txt")
    assert str(details) in capsys.readouterr().err
