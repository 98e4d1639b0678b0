"""Finished runs looked at again: `gbmresponse measure`, `report` and `score` say what the run itself said."""

import json
import shutil
import sqlite3

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli
from GBMResponseCore.errors import MissingFileError, OptionError, OutputFolderError, RunFolderError, ScoreLogError
from GBMResponseCore.outputs.folder import result_files
from GBMResponseCore.outputs.read import read_records
from last_rename import code_without_the_last_folder
from rows import share
from tiny_bundle import write_tiny_bundle

SIZE, SPACING = (60, 64, 8), (0.95, 0.95, 6.0)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, tiny_bundle):
    """Words of the inputs, by name; the follow-up is the input itself."""
    folder = tmp_path_factory.mktemp("Jörg Müller")
    image = phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER)
    sitk.WriteImage(image, str(folder / "pre.nrrd"))
    sitk.WriteImage(phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER), str(folder / "gtv.nrrd"))
    return {"image": folder / "pre.nrrd", "gtv": folder / "gtv.nrrd", "bundle": tiny_bundle}


def words(**options):
    return [str(word) for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value)]


def finished(inputs, folder, *extra):
    assert cli.main(["predict", *words(**inputs), "--out", str(folder), *extra]) == 0
    return folder


@pytest.fixture(scope="module")
def finished_run(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return finished(inputs, folder, "--follow-up", str(inputs["image"]), "--format", ".nrrd")


@pytest.fixture
def run(finished_run, tmp_path):
    return shutil.copytree(finished_run, tmp_path / "run")


def again(command, run, inputs, *extra):
    return cli.main([command, str(run), *words(**inputs), *extra])


def content(folder, name):
    return json.loads((folder / name).read_text("utf-8"))


def test_measured_again_a_run_says_the_same(run, inputs):
    before = content(run, "measurements.json"), (run / "measurements.csv").read_bytes()
    (run / "measurements.json").unlink()
    assert again("measure", run, inputs, "--follow-up", str(inputs["image"])) == 0
    assert (content(run, "measurements.json"), (run / "measurements.csv").read_bytes()) == before


def test_reported_again_a_run_says_the_same(run, inputs):
    twin, page = content(run, "report.json"), (run / "report.html").read_text("utf-8")
    (run / "report.html").unlink()
    assert again("report", run, inputs, "--follow-up", str(inputs["image"])) == 0
    assert content(run, "report.json") == twin
    assert (run / "report.html").read_text("utf-8") == page


def test_a_report_written_later_says_what_is_known_by_then(run, inputs):
    assert again("report", run, inputs, "--case-id", "board 7", "--scan-date", "2026-01-02") == 0
    page = (run / "report.html").read_text("utf-8")
    assert "board 7" in page and "2026-01-02" in page
    assert "true follow-up, coronal" not in page


def test_several_classes_one_sample_and_whole_slices_are_read_as_they_were_written(inputs, tmp_path):
    folder = finished(inputs, tmp_path / "two", "--class", "short", "long", "--samples", "1", "--no-compose")
    before = content(folder, "measurements.json")
    assert list(read_records(folder)) == ["short", "long"]
    assert again("measure", folder, inputs) == 0
    assert content(folder, "measurements.json") == before


def outline(folder, name, radius_mm=12.0, move=None):
    mask = phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER, radius_mm=radius_mm)
    if move is not None:
        mask.SetOrigin([place + mm for place, mm in zip(mask.GetOrigin(), move, strict=True)])
    sitk.WriteImage(mask, str(folder / f"{name}.nrrd"))
    return f"{name}={folder / f'{name}.nrrd'}", float(sitk.GetArrayFromImage(mask).sum()) * np.prod(SPACING) / 1000


def test_own_segments_take_the_place_of_the_threshold(run, inputs, tmp_path, capsys):
    """Before and in all samples; volumes are those of the masks, and the report says who outlined them."""
    before, volume = outline(tmp_path, "before", 14.0)
    own = ["--enhancement", before]
    for number in range(1, 5):
        mask, smaller = outline(tmp_path, f"sample_{number:02d}", 9.0)
        own += ["--enhancement", mask]
    assert again("measure", run, inputs, *own) == 0
    assert (
        "Note (own-segments): What enhances was outlined by the user in: before, sample_01" in capsys.readouterr().out
    )
    record = content(run, "measurements.json")
    assert record["outlined_by_the_user"] == ["before", *(f"sample_{number:02d}" for number in range(1, 5))]
    (entry,) = record["classes"].values()
    assert entry["withheld"] == {"volume": None, "area": None}
    assert entry["volume_before_ml"] == pytest.approx(volume, rel=0.02)
    assert entry["volume_after_ml"]["mean"] == pytest.approx(smaller, rel=0.02)
    assert again("report", run, inputs, *own) == 0
    assert "outlined by the user" in (run / "report.html").read_text("utf-8")


def test_own_segments_of_one_image_alone_withhold_what_mixing_spoils(run, inputs, tmp_path):
    """The threshold finds something else in the unchanged image than the hand: that would be read as a change."""
    before, _volume = outline(tmp_path, "before", 16.0)
    assert again("measure", run, inputs, "--enhancement", before) == 0
    (entry,) = content(run, "measurements.json")["classes"].values()
    assert "nothing changed would already show a volume change" in entry["withheld"]["volume"]
    assert entry["volume_after_ml"] is None


def test_own_segments_of_the_follow_up_are_scored_against(run, inputs, tmp_path):
    mask, volume = outline(tmp_path, "follow_up", 11.0)
    follow_up = ("--follow-up", str(inputs["image"]))
    assert again("score", run, inputs, *follow_up, "--enhancement", mask) == 0
    assert content(run, "score.json")["true_volume_ml"] == pytest.approx(volume, rel=0.05)


@pytest.mark.parametrize("name", ["sample_99", "follow_up", "after"])
def test_own_segments_of_an_image_that_is_not_there_are_refused(run, inputs, tmp_path, capsys, name):
    mask, _volume = outline(tmp_path, name)
    assert again("measure", run, inputs, "--enhancement", mask) == OptionError.exit_code
    assert "Choose one of: before, sample_01" in capsys.readouterr().err


def test_a_contour_without_a_name_is_refused(run, inputs):
    assert again("measure", run, inputs, "--contour", "ctv.nrrd") == OptionError.exit_code


def test_a_contour_that_is_not_there_is_refused(run, inputs):
    assert again("measure", run, inputs, "--contour", "CTV=none.nrrd") == MissingFileError.exit_code


def test_a_score_is_kept_in_the_log_without_names(run, inputs, tmp_path):
    log = tmp_path / "department.sqlite"
    extra = ("--follow-up", str(inputs["image"]), "--log", str(log))
    assert again("score", run, inputs, *extra) == 0
    record = content(run, "score.json")
    assert record["synthetic"] is True
    copy = record["classes"]["auto"]["forecasts"]["copy_of_the_input"]
    assert copy["mse"] == 0 and copy["enhancement_dice"] == 1
    connection = sqlite3.connect(log)
    (row,) = connection.execute("SELECT case_label, model FROM scores").fetchall()
    connection.close()
    assert row[0].startswith("CASE ") and row[1] == "tiny 0"
    for name in ("department.html", "department.csv"):
        assert row[0] in (tmp_path / name).read_text("utf-8")
    assert "Müller" not in log.read_bytes().decode("utf-8", "replace")
    assert again("score", run, inputs, *extra, "--case-id", "K-17") == 0
    assert "K-17" in (tmp_path / "department.csv").read_text("utf-8")


def test_a_score_without_a_follow_up_is_refused(run, inputs):
    assert again("score", run, inputs) == ScoreLogError.exit_code
    assert not (run / "score.json").exists()


def test_another_image_or_gtv_is_refused(run, inputs, tmp_path):
    other = tmp_path / "other.nrrd"
    sitk.WriteImage(sitk.ReadImage(str(inputs["image"])) + 1, str(other))
    assert again("report", run, {**inputs, "image": other}) == RunFolderError.exit_code
    sitk.WriteImage(sitk.BinaryDilate(sitk.ReadImage(str(inputs["gtv"])), [1, 1, 0]), str(other))
    assert again("report", run, {**inputs, "gtv": other}) == RunFolderError.exit_code


def test_another_model_is_refused(run, inputs, tmp_path):
    other = write_tiny_bundle(tmp_path / "other", version="1")
    assert again("measure", run, {**inputs, "bundle": other}) == RunFolderError.exit_code


@pytest.mark.parametrize("damage", ["no folder", "no provenance", "no JSON", "other JSON", "no sample", "other grid"])
def test_a_folder_that_is_no_finished_run_is_refused(run, inputs, damage, tmp_path):
    provenance, folder = run / "provenance.json", run
    if damage == "no folder":
        folder = tmp_path / "nothing"
    elif damage == "no provenance":
        provenance.unlink()
    elif damage == "no JSON":
        provenance.write_text("{", "utf-8")
    elif damage == "other JSON":
        provenance.write_text("[]", "utf-8")
    elif damage == "no sample":
        (run / "sample_02.nrrd").unlink()
    else:
        image = sitk.ReadImage(str(run / "sample_02.nrrd"))
        image.SetOrigin([value + 5 for value in image.GetOrigin()])
        sitk.WriteImage(image, str(run / "sample_02.nrrd"))
    before = {path: path.read_bytes() for path in run.iterdir()}
    assert again("measure", folder, inputs) == RunFolderError.exit_code
    assert {path: path.read_bytes() for path in run.iterdir()} == before


def test_what_is_written_later_goes_when_the_folder_gets_another_run(run, inputs):
    assert again("score", run, inputs, "--follow-up", str(inputs["image"])) == 0
    assert run / "score.json" in result_files([run])
    finished(inputs, run, "--no-report", "--samples", "2")
    assert not (run / "score.json").exists() and not (run / "report.json").exists()


@pytest.mark.parametrize("command", share(["measure", "report", "score", "log"], 2))
def test_a_folder_that_is_gone_at_the_end_is_an_error(finished_run, inputs, tmp_path, monkeypatch, capsys, command):
    """The last file of `log` is a table beside the department's log."""

    def revisit(word):
        copy = shutil.copytree(finished_run, tmp_path / word / "run")
        (tmp_path / word / "log").mkdir()
        kept = ["--log", str(tmp_path / word / "log" / "scores.sqlite")] if command == "log" else []
        name = "score" if command == "log" else command
        return again(name, copy, inputs, "--follow-up", str(inputs["image"]), *kept)

    assert code_without_the_last_folder(monkeypatch, revisit) == OutputFolderError.exit_code
    assert "was written and is not there any more" in capsys.readouterr().err
