"""Cohorts among trouble: cases that end the process, locked tables, two cohorts at once, a parent that is killed."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import SimpleITK as sitk
from GBMResponseCore import cli, files
from GBMResponseCore.cohort import tables
from GBMResponseCore.files import writing
from GBMResponseCore.outputs.folder import folder_in_use
from worker_session import wait_until


@pytest.fixture
def write_table(images, tmp_path):
    def call(*rows, path=tmp_path / "cases.csv"):
        lines = [
            f"{name},{image or images / 'pre.nrrd'},{images / 'gtv.nrrd'},{chosen}" for name, image, chosen in rows
        ]
        path.write_text("\n".join(["id,image,gtv,class", *lines]) + "\n", encoding="utf-8")
        return path

    return call


@pytest.fixture
def arguments(tiny_bundle, tmp_path):
    def call(table, *extra):
        options = ["--bundle", str(tiny_bundle), "--precision", "float32", "--samples", "1", "--devices", "cpu"]
        return ["cohort", str(table), "--out", str(tmp_path / "out"), *options, "--no-montage", "--no-report", *extra]

    return call


def summary(tmp_path, name="summary.csv"):
    with open(tmp_path / "out" / name, encoding="utf-8", newline="") as file:
        return {row["id"]: row for row in csv.DictReader(file)}


def test_everything_of_a_case_is_inside_its_own_guard(write_table, arguments, tmp_path):
    table = write_table(
        ("twice", "", "short+short"), ("slash", "", "a/b"), ("name", "n" * 300, ""),
        ("folder", "", "x" * 300 + "+short"), ("good", "", ""),
    )  # fmt: skip
    assert cli.main(arguments(table)) == 3
    rows = summary(tmp_path)
    assert {name: row["status"] for name, row in rows.items()} == {
        "twice": "failed", "slash": "failed", "name": "failed", "folder": "failed", "good": "done",
    }  # fmt: skip
    assert [rows[name]["error_code"] for name in ("twice", "slash", "name")] == [
        "request",
        "request",
        "unreadable-file",
    ]
    assert not list((tmp_path / "out").rglob(".running*"))


DEADLY = """
import os, sys
from GBMResponseCore import cli, run
original = run.load_case
def load_case(image, *others):
    if "second" in str(image):
        os.abort()
    return original(image, *others)
run.load_case = load_case
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_case_that_has_ended_the_process_is_reported_and_the_others_are_run(
    write_table, arguments, images, tmp_path, runs
):
    second = files.write_bytes((images / "pre.nrrd").read_bytes(), tmp_path / "second.nrrd")
    table = write_table(("first", "", ""), ("second", second, ""), ("third", "", ""))
    ended = subprocess.run([sys.executable, "-c", DEADLY, *arguments(table)], capture_output=True, check=False)
    assert ended.returncode not in (0, 1, 3)
    assert cli.main(arguments(table)) == 3
    assert runs == ["third"]
    row = summary(tmp_path)["second"]
    assert (row["status"], row["error_code"], row["exit_code"]) == ("failed", "process-ended", "25")
    assert cli.main(arguments(table)) == 0
    assert runs == ["third", "second"], "a case that was reported is tried again by the next run"


def test_a_case_that_has_ended_the_process_is_tried_with_another_file(write_table, arguments, images, tmp_path, runs):
    second = files.write_bytes((images / "pre.nrrd").read_bytes(), tmp_path / "second.nrrd")
    table = write_table(("second", second, ""))
    subprocess.run([sys.executable, "-c", DEADLY, *arguments(table)], capture_output=True, check=False)
    assert (tmp_path / "out" / "second" / ".running.1").is_file()
    os.utime(second, (1, 1))
    assert cli.main(arguments(table)) == 0
    assert runs == ["second"]


def test_a_summary_that_a_spreadsheet_keeps_locked_is_written_beside_it(
    write_table, arguments, tmp_path, monkeypatch, capsys
):
    table = write_table(("first", "", ""))
    replace, locked = os.replace, True

    def refuse(source, target):
        if locked and Path(target).name == "summary.csv":
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        replace(source, target)

    monkeypatch.setattr(writing.os, "replace", refuse)
    monkeypatch.setattr(tables, "_BETWEEN_TRIES_S", 0.01)
    assert cli.main(arguments(table)) == 0
    assert summary(tmp_path, "summary-1.csv")["first"]["status"] == "done"
    assert "summary-1.csv" in capsys.readouterr().out
    locked = False
    assert cli.main(arguments(table)) == 0
    assert summary(tmp_path)["first"]["status"] == "done"
    assert not (tmp_path / "out" / "summary-1.csv").exists()


def test_a_summary_that_is_locked_for_a_moment_waits(write_table, arguments, tmp_path, monkeypatch):
    table = write_table(("first", "nowhere.nrrd", ""))
    replace, refused = os.replace, []

    def refuse_twice(source, target):
        if Path(target).name == "summary.csv" and len(refused) < 2:
            refused.append(target)
            raise PermissionError(13, "Permission denied")
        replace(source, target)

    monkeypatch.setattr(writing.os, "replace", refuse_twice)
    monkeypatch.setattr(tables, "_BETWEEN_TRIES_S", 0.01)
    assert cli.main(arguments(table)) == 3
    assert len(refused) == 2
    assert [path.name for path in (tmp_path / "out").glob("*.csv")] == ["summary.csv"]


def test_a_second_cohort_on_the_same_folder_is_refused(write_table, arguments, tmp_path, runs, capsys):
    table = write_table(("first", "", ""))
    with folder_in_use(tmp_path / "out"):
        assert cli.main(arguments(table)) == 21
    assert "Another run" in capsys.readouterr().err
    assert runs == []
    assert not list((tmp_path / "out").iterdir())


def test_a_table_that_is_the_summary_itself_is_refused(write_table, arguments, tmp_path, runs, capsys):
    (tmp_path / "out").mkdir()
    table = write_table(("first", "", ""), path=tmp_path / "out" / "summary.csv")
    before = table.read_bytes()
    assert cli.main(arguments(table)) == 21
    assert "The case table is the file summary.csv" in capsys.readouterr().err
    assert (table.read_bytes(), runs, list((tmp_path / "out").iterdir())) == (before, [], [table])


def test_an_image_that_is_the_result_of_another_case_is_refused(write_table, arguments, images, tmp_path, runs, capsys):
    result = tmp_path / "out" / "first" / "predicted.nii.gz"
    result.parent.mkdir(parents=True)
    result.write_bytes(b"x")
    assert cli.main(arguments(write_table(("first", "", ""), ("second", result, "")))) == 21
    assert "image of second" in capsys.readouterr().err
    assert (result.read_bytes(), runs) == (b"x", [])


def test_other_voxels_behind_the_same_header_run_a_case_again(write_table, arguments, images, tmp_path, runs):
    image = sitk.ReadImage(str(images / "pre.nrrd"))
    sitk.WriteImage(sitk.ShiftScale(image, 0.0, 1.0), str(tmp_path / "pre.mhd"))
    table = write_table(("first", tmp_path / "pre.mhd", ""))
    assert cli.main(arguments(table)) == 0
    header = (tmp_path / "pre.mhd").read_bytes()
    sitk.WriteImage(sitk.ShiftScale(image, 100.0, 1.0), str(tmp_path / "pre.mhd"))
    assert (tmp_path / "pre.mhd").read_bytes() == header
    assert cli.main(arguments(table)) == 0
    assert cli.main(arguments(table)) == 0
    assert runs == ["first", "first"]


def test_the_same_voxels_in_another_file_do_not_run_a_case_again(write_table, arguments, images, tmp_path, runs):
    assert cli.main(arguments(write_table(("first", "", "")))) == 0
    sitk.WriteImage(sitk.ReadImage(str(images / "pre.nrrd")), str(tmp_path / "copy.mha"))
    assert cli.main(arguments(write_table(("first", tmp_path / "copy.mha", "")))) == 0
    assert runs == ["first"]


def test_measurements_of_an_earlier_run_are_not_in_the_table(write_table, arguments, tmp_path):
    table = write_table(("first", "", ""))
    assert cli.main(arguments(table)) == 0
    assert (tmp_path / "out" / "measurements.csv").is_file()
    assert cli.main(arguments(table, "--no-measurements")) == 0
    assert not (tmp_path / "out" / "measurements.csv").exists()


def test_an_unexpected_error_leaves_details_without_paths(write_table, arguments, images, tmp_path, monkeypatch):
    def fail(*_):
        raise KeyError(str(images))

    monkeypatch.setattr("GBMResponseCore.run.load_case", fail)
    assert cli.main(arguments(write_table(("first", "", "")))) == 3
    status = json.loads((tmp_path / "out" / "first" / "status.json").read_text("utf-8"))
    (details,) = (tmp_path / "out" / "first").glob("gbmresponse-diagnostics-*.txt")
    assert details.name in status["remedy"]
    text = details.read_text("utf-8")
    assert "builtins.KeyError" in text
    assert "GBMResponseCore/run.py:" in text
    assert str(images) not in text
    assert str(Path(cli.__file__).parents[2]) not in text


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="children are found by Linux' /proc")
def test_children_end_with_a_parent_that_is_killed_and_their_cases_continue(write_table, arguments, tmp_path):
    table = write_table(*[(f"case{k}", "", "") for k in range(4)])
    slow = ["--sampler", "unipc", "--steps", "999", "--batch-size", "1", "--devices", "cpu", "cpu"]
    with open(tmp_path / "log.txt", "wb") as log:
        parent = subprocess.Popen(
            [sys.executable, "-m", "GBMResponseCore", *arguments(table, *slow)], stdout=log, stderr=log
        )
    try:
        assert wait_until(lambda: len(list((tmp_path / "out").glob("*/.staged-*/.lock"))) == 2)
        claims = [json.loads(path.read_text("utf-8")) for path in (tmp_path / "out").glob("*/.running.1")]
        children = [claim["pid"] for claim in claims]
        assert len(children) == 2
    finally:
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    assert wait_until(lambda: not any(Path(f"/proc/{child}").exists() for child in children))
    assert not list((tmp_path / "out").glob("*/*.nii.gz")), "no part of a result is where results are"
    assert cli.main(arguments(table, "--samples", "0")) == 0, "the claims of the killed are taken over"
    assert not list((tmp_path / "out").glob("*/.[!l]*"))
