"""Many cases: resuming, bad cases among good ones, several processes, and the batch script for Slicer."""

import base64
import csv
import hashlib
import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli
from GBMResponseCore.cohort import commands
from GBMResponseCore.dicom.case import load_case
from GBMResponseCore.run import Runner
from last_rename import code_without_the_last_folder
from rows import nightly

SCRIPT = Path(cli.__file__).resolve().parents[1] / "Scripts" / "GBMResponseBatch.py"


@pytest.fixture
def table(images, tmp_path):
    """Two good cases around a bad one."""
    path = tmp_path / "cases.csv"
    lines = ["id,image,gtv,class"]
    lines += [f"{name},{images / image},{images / 'gtv.nrrd'},{chosen}" for name, image, chosen in (
        ("first", "pre.nrrd", "short"), ("bad", "nowhere.nrrd", ""), ("last", "pre.nrrd", ""),
    )]  # fmt: skip
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def options(tiny_bundle):
    one_sample = ["--samples", "1", "--no-montage", "--no-report"]
    return ["--bundle", str(tiny_bundle), "--precision", "float32", *one_sample]


@pytest.fixture
def run(table, options, tmp_path):
    def call(*extra):
        arguments = ["cohort", str(table), "--out", str(tmp_path / "out"), *options, "--devices", "cpu", *extra]
        return cli.main(arguments)

    return call


def rows(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def repair(table, images):
    table.write_text(table.read_text("utf-8").replace("nowhere", "pre"), "utf-8")


def test_one_bad_case_does_not_stop_the_rest(run, tmp_path):
    assert run() == 3
    summary = rows(tmp_path / "out" / "summary.csv")
    assert [(row["id"], row["status"], row["error_code"]) for row in summary] == [
        ("first", "done", ""),
        ("bad", "failed", "missing-file"),
        ("last", "done", ""),
    ]
    assert summary[0]["classes"] == "short (chosen)"
    assert summary[1]["exit_code"] == "10"
    for name in ("first", "last"):
        assert (tmp_path / "out" / name / "predicted.nii.gz").is_file()


def test_measurements_of_all_cases_are_in_one_table(run, tmp_path):
    run("--samples", "4")
    measured = rows(tmp_path / "out" / "measurements.csv")
    assert [row["id"] for row in measured] == ["first"] * 4 + ["last"] * 4  # samples
    assert all(row["synthetic"] == "True" and (row["category_by_volume"] or row["withheld_volume"]) for row in measured)


def test_a_rerun_does_only_what_is_not_done(run, runs, table, images, tmp_path, capsys):
    assert run() == 3
    repair(table, images)
    runs.clear()
    assert run() == 0
    assert runs == ["bad"]
    assert capsys.readouterr().out.count("was done before") == 2
    runs.clear()
    assert run() == 0
    assert runs == []


def test_other_options_or_a_changed_file_run_a_case_again(run, runs, table, images):
    repair(table, images)
    assert run() == 0
    runs.clear()
    assert run("--seed", "2") == 0
    assert runs == ["first", "bad", "last"]


def test_a_missing_result_is_made_again(run, runs, table, images, tmp_path):
    repair(table, images)
    assert run() == 0
    (tmp_path / "out" / "last" / "provenance.json").unlink()
    runs.clear()
    assert run() == 0
    assert runs == ["last"]


def test_an_unexpected_error_stops_one_case_only(run, table, images, tmp_path, monkeypatch):
    repair(table, images)
    original = load_case

    def fail_for_bad(*files):
        if not (tmp_path / "out" / "first" / "status.json").is_file():
            raise KeyError("inside a library")
        return original(*files)

    monkeypatch.setattr("GBMResponseCore.run.load_case", fail_for_bad)
    assert run() == 3
    assert [row["status"] for row in rows(tmp_path / "out" / "summary.csv")] == ["failed", "done", "done"]


def test_an_interrupted_cohort_continues(run, table, images, tmp_path, monkeypatch):
    repair(table, images)
    original = Runner.run

    def interrupt(self, request, listener=None):
        if request.out.parent.name == "bad":
            raise KeyboardInterrupt
        return original(self, request, listener)

    with monkeypatch.context() as patch:
        patch.setattr(Runner, "run", interrupt)
        assert run() == 130
    assert [row["status"] for row in rows(tmp_path / "out" / "summary.csv")] == ["done", "waiting", "waiting"]
    assert run() == 0


def test_a_cohort_gives_the_voxels_of_single_predictions(run, images, options, tmp_path):
    run()
    alone = ["predict", "--image", str(images / "pre.nrrd"), "--gtv", str(images / "gtv.nrrd"), "--class", "short"]
    assert cli.main([*alone, "--out", str(tmp_path / "alone"), "--device", "cpu", *options]) == 0
    first, second = (
        sitk.GetArrayFromImage(sitk.ReadImage(str(folder / "predicted.nii.gz")))
        for folder in (tmp_path / "out" / "first", tmp_path / "alone")
    )
    assert np.array_equal(first, second)


@pytest.mark.parametrize(("extra", "code"), [(["--bundle", "nowhere"], 30), (["--devices", "cuda:42"], 35)])
def test_what_no_case_could_survive_ends_at_once(run, runs, extra, code):
    assert run(*extra) == code
    assert runs == []


def test_a_bad_table_ends_in_its_exit_code(run, table, capsys):
    table.write_text("id,image\np1,i\n", encoding="utf-8")
    assert run() == 23
    assert "gtv" in capsys.readouterr().err


@pytest.fixture
def batch():
    spec = importlib.util.spec_from_file_location("GBMResponseBatch", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@nightly
def test_the_batch_script_runs_the_cohort_on_two_devices(batch, table, options, tmp_path, capsys):
    arguments = ["--cases", str(table), "--out", str(tmp_path / "out"), *options, "--devices", "cpu", "cpu"]
    assert batch.main(arguments) == 3
    assert [row["status"] for row in rows(tmp_path / "out" / "summary.csv")] == ["done", "failed", "done"]
    printed = capsys.readouterr().out
    assert "first: done" in printed
    assert "missing-file" in printed


@pytest.mark.parametrize("arguments", [[], ["--cases", "x.csv"]])
def test_the_batch_script_returns_wrong_usage(batch, arguments, capsys):
    assert batch.main(arguments) == 2
    assert "usage" in capsys.readouterr().err


def test_the_batch_script_ends_with_the_commands_exit_code(tmp_path):
    command = [sys.executable, str(SCRIPT), "--cases", str(tmp_path / "nowhere.csv"), "--out", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 10
    assert "nowhere.csv" in done.stdout


def test_the_batch_script_runs_the_way_slicer_executes_files(tmp_path, monkeypatch, capsys):
    # ctkAbstractPythonManager::executeFile: the text, read in the system's encoding, in the globals of __main__
    monkeypatch.setitem(sys.modules, "slicer", None)  # the test host may have put its own there
    monkeypatch.setattr(sys, "argv", ["", "--cases", str(tmp_path / "nowhere.csv"), "--out", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        exec(SCRIPT.read_text(encoding="ascii"), {"__name__": "__main__", "__file__": str(SCRIPT)})
    assert ended.value.code == 10
    assert "nowhere.csv" in capsys.readouterr().out


def test_the_batch_script_leaves_slicer_by_its_own_way(batch, monkeypatch):
    codes = []
    monkeypatch.setattr(batch, "slicerApp", object())
    monkeypatch.setattr(batch, "leaveSlicer", codes.append)
    batch.leave(3)
    assert codes == [3]


def test_the_batch_script_says_when_slicers_python_is_missing(batch, monkeypatch, capsys):
    monkeypatch.setattr(batch, "slicerApp", object())
    monkeypatch.setenv("PATH", "")
    assert batch.main(["--cases", "x.csv", "--out", "y"]) == 1
    assert "PythonSlicer" in capsys.readouterr().err


def test_status_files_name_what_was_done(run, tmp_path):
    run("--samples", "4")
    status = json.loads((tmp_path / "out" / "first" / "status.json").read_text("utf-8"))
    assert (status["status"], status["samples"]) == ("done", 4)
    assert len(status["key"]) == 64


def test_the_report_shows_every_case_its_skill_and_the_reasons_of_failures(run, tmp_path, capsys):
    run()
    out = tmp_path / "out"
    record = json.loads((out / "first" / "measurements.json").read_text("utf-8"))
    errors = {"prediction": 0.1, "input": 0.4, "blurred_copy": 0.2}
    record["classes"]["short"]["score"] = {who: {"mean_absolute_difference_gtv": e} for who, e in errors.items()}
    (out / "first" / "measurements.json").write_text(json.dumps(record), "utf-8")
    assert cli.main(["cohort", "report", str(out)]) == 0
    assert "contact_sheet_01.png" in capsys.readouterr().out
    page = (out / "cohort.html").read_text("utf-8")
    assert page.count("data:image/jpeg") == 2, "of the two cases that are done"
    assert "0.5 against the blurred copy" in page
    assert "3 cases: 2 done, 1 not." in page
    assert "<td>1</td><td>missing-file</td><td>bad: The image file nowhere.nrrd does not exist.</td>" in page
    assert "synthetic" in page and "http:" not in page
    script, digest = re.search(r"<script>(.*)</script>", page, re.DOTALL)[1], re.search(r"'sha256-(.+?)'", page)[1]
    assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() == digest, "else no browser would run it"
    picture = sitk.GetArrayFromImage(sitk.ReadImage(str(out / "contact_sheet_01.png")))
    assert picture[20:130, 10:110].std() > 10


def test_a_folder_without_a_cohort_has_no_report(tmp_path):
    assert cli.main(["cohort", "report", str(tmp_path)]) == 68


def test_the_images_of_a_case_are_written_as_a_prediction_reads_them(images, tmp_path, capsys):
    """Only the label that the table names is the GTV."""
    gtv = sitk.ReadImage(str(images / "gtv.nrrd"))
    two = gtv + sitk.Cast(sitk.BinaryDilate(gtv != 0, (2, 2, 0)), gtv.GetPixelID())
    sitk.WriteImage(two, str(tmp_path / "labels.nrrd"))
    line = f"{images / 'pre.nrrd'},{tmp_path / 'labels.nrrd'},2"
    (tmp_path / "cases.csv").write_text(f"id,image,gtv,gtv_roi\nfirst,{line}\n", encoding="utf-8")
    command = ["cohort", "inputs", str(tmp_path / "cases.csv"), "--to", str(tmp_path / "case")]
    assert cli.main([*command, "--case", "first"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "case" / f"{name}.nrrd") for name in ("image", "gtv")]
    case = load_case(images / "pre.nrrd", tmp_path / "labels.nrrd", gtv_labels=("2",))
    for name, image in (("image", case.image), ("gtv", case.gtv)):
        written = sitk.ReadImage(str(tmp_path / "case" / f"{name}.nrrd"))
        assert np.array_equal(*map(sitk.GetArrayViewFromImage, (written, image)))
        assert written.GetOrigin() == pytest.approx(image.GetOrigin())
    assert cli.main([*command, "--case", "second"]) == 23
    assert "no usable case 'second'" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["cohort", "report", "inputs", "scan"])
def test_a_folder_that_is_gone_at_the_end_is_an_error(images, options, tmp_path, monkeypatch, capsys, command):
    def call(word):
        folder, cases = tmp_path / word, tmp_path / word / "tables" / "cases.csv"
        cases.parent.mkdir(parents=True)
        cases.write_text(f"id,image,gtv\nfirst,{images / 'pre.nrrd'},{images / 'gtv.nrrd'}\n", encoding="utf-8")
        run = ["cohort", str(cases), "--out", str(folder / "out"), *options, "--devices", "cpu"]
        if command == "report":
            shutil.copytree(done, folder / "out")
        return cli.main({
            "cohort": run,
            "report": ["cohort", "report", str(folder / "out")],
            "inputs": ["cohort", "inputs", str(cases), "--case", "first", "--to", str(folder / "case")],
            "scan": ["cohort", str(folder / "tables" / "new.csv"), "--scan", str(images)],
        }[command])  # fmt: skip

    if command == "report":
        command = "cohort"
        assert call("done") == 0
        command, done = "report", tmp_path / "done" / "out"
    told = []
    monkeypatch.setattr(commands, "_voices", lambda _, say: (say, lambda kind, **fields: told.append(kind)))
    assert code_without_the_last_folder(monkeypatch, call) == 21
    assert told.count("finished") == 1, "of the first call alone"
    assert "was written and is not there any more" in capsys.readouterr().err
