"""What the worker reports: progress in words, results checked, measurements in a table."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from GBMResponseCore.model.environment import search_path
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.results.MeasurementsTable import columnTitles, measurementRows
from GBMResponseLib.results.ResultManifest import ClassResult, ResultManifest
from GBMResponseLib.run.ProgressText import ProgressState, progressState, timeLeft
from GBMResponseLib.run.RunFolders import RunFolders


@pytest.fixture
def message(tmp_path):
    for name in ("predicted.nrrd", "generated_mask.nrrd", "provenance.json"):
        (tmp_path / name).write_text("x")
    files = {"predicted": "predicted.nrrd", "generated_mask": "generated_mask.nrrd"}
    entry = {
        "class": "short",
        "token_source": "predicted",
        "files": {**{role: str(tmp_path / name) for role, name in files.items()}, "samples": []},
        "measurements": {},
    }
    return {
        "type": "result",
        "out": str(tmp_path),
        "seconds": {"load": 1.0},
        "class_choice": {"probabilities": {"short": 0.6}},
        "results": [entry],
        "provenance": str(tmp_path / "provenance.json"),
        "report": None,
    }


def test_result_is_read(message):
    manifest = ResultManifest.fromMessage(message)
    assert [result.name for result in manifest.classes] == ["short"]
    assert manifest.probabilities == {"short": 0.6} and manifest.report is None


@pytest.mark.parametrize(
    ("measurements", "shown"),
    [
        ({}, False),
        ({"withheld": {"volume": None, "area": "Why."}}, True),
        ({"withheld": {"volume": "Why.", "area": "Why."}}, False),
    ],
)
def test_volumes_are_shown_if_they_were_measured_and_not_withheld(message, measurements, shown):
    message["results"][0]["measurements"] = measurements
    assert ResultManifest.fromMessage(message).classes[0].volumeIsShown is shown


def test_missing_file_is_a_failure(message, tmp_path):
    (tmp_path / "predicted.nrrd").unlink()
    with pytest.raises(Failure, match=r"predicted\.nrrd"):
        ResultManifest.fromMessage(message)


@pytest.mark.parametrize("field", ["out", "results", "provenance"])
def test_incomplete_result_is_a_failure(message, field):
    del message[field]
    with pytest.raises(Failure) as caught:
        ResultManifest.fromMessage(message)
    assert caught.value.code == "result"


def test_report_that_is_gone_is_no_failure(message, tmp_path):
    message["report"] = str(tmp_path / "report.html")
    assert ResultManifest.fromMessage(message).report is None


def test_progress_names_slice_step_and_time():
    event = {"type": "progress", "fraction": 0.4, "slice": 2, "slices": 6, "sample": 0, "samples": 3, "eta_s": 12.3}
    event |= {"class": "predicted", "step": 5, "steps": 10}
    state = progressState(event, ProgressState(""))
    assert state.details == "2 of 6 slices done, sample 1 of 3, step 5 of 10, about 12 s left"
    assert (state.stage, state.fraction) == ("Generating slices", 0.4)


def test_progress_never_goes_back():
    before = ProgressState("", 0.5)
    assert progressState({"type": "progress", "fraction": 0.4}, before).fraction == 0.5


def test_stage_keeps_the_fraction():
    state = progressState({"type": "stage", "stage": "write", "class": None}, ProgressState("", 0.9))
    assert state == ProgressState("Writing the results", 0.9)


def test_progress_of_the_expected_image_names_it():
    event = {"type": "progress", "fraction": 0.1, "slice": 2, "slices": 6, "sample": None, "samples": 4, "eta_s": None}
    state = progressState(event, ProgressState("", None))
    assert state == ProgressState("Computing the expected image", 0.1, "2 of 6 slices done")


def test_other_events_change_nothing():
    before = ProgressState("x", 0.5, "y")
    assert progressState({"type": "classification"}, before) is before


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "about a second left"), (65, "about 65 s left"), (600, "about 10 min left")]
)
def test_time_left_in_words(seconds, text):
    assert timeLeft(seconds) == text


MEASURED = {
    "samples": 4,
    "volume_before_ml": 10.0,
    "volume_after_ml": {"mean": 7.0, "p10": 5.0, "p90": 9.0},
    "volume_change": -0.3,
    "area_before_mm2": None,
    "check": {"gtv_dice": 0.62, "fewest_samples": 4},
    "withheld": {"volume": None, "area": None},
    "by_volume": {
        "category": "SD", "probabilities": {"SD": 0.75}, "possible_within_noise": ["SD", "PR"], "noise_band": 0.05,
        "indeterminate": True,
    },
    "score": {"prediction": {"enhancement_dice": 0.2}, "copy_of_the_input": {"enhancement_dice": 0.3}},
}  # fmt: skip


def rows(*measurements):
    classes = [ClassResult(f"c{number}", "chosen", {}, [], entry) for number, entry in enumerate(measurements)]
    return {row.name: row.values for row in measurementRows(classes)}


def test_table_shows_mean_and_range():
    assert rows(MEASURED)["Enhancing volume predicted"] == ("7.0 (5.0 to 9.0) ml",)


def test_table_shows_how_many_samples_agree():
    assert rows(MEASURED)["Size category by volume (RANO-style)"] == ("SD (75%)",)


def test_one_sample_has_no_interval_and_no_certain_category():
    one = {**MEASURED, "samples": 1, "volume_after_ml": {"mean": 7.6, "p10": None, "p90": None}}
    assert rows(one)["Enhancing volume predicted"] == ("7.6 ml",)
    text = "SD, indeterminate: 1 sample(s), at least 4 are needed"
    assert rows(one)["Size category by volume (RANO-style)"] == (text,)


def test_a_change_within_the_noise_says_so():
    assert rows({**MEASURED, "volume_change": 0.02})["Change of volume"] == ("+2%, within the noise of ±5%",)


def test_overlap_with_the_gtv_is_shown():
    assert rows(MEASURED)["Overlap of the enhancement with the GTV before"] == ("0.62",)


def test_what_is_withheld_is_left_out_and_says_why():
    names = ("volume_before_ml", "volume_after_ml", "volume_change", "by_volume", "area_before_mm2", "by_area")
    withheld = {"volume": "No tumor was found.", "area": "No tumor was found."}
    found = rows({**MEASURED, **dict.fromkeys(names), "withheld": withheld, "score": None})
    assert found == {
        "Overlap of the enhancement with the GTV before": ("0.62",),
        "Withheld": ("Volumes and areas. No tumor was found.",),
    }
    assert rows({**MEASURED, "withheld": {"volume": None, "area": "Why."}})["Withheld"] == ("Areas. Why.",)
    assert "Withheld" not in rows(MEASURED)


def test_score_stands_beside_the_baseline():
    assert rows(MEASURED)["Overlap with the true enhancement"] == ("0.20; copy of the input 0.30",)


def test_what_was_not_measured_has_no_row():
    assert "Area before" not in rows(MEASURED)


def test_classes_stand_side_by_side():
    found = rows(MEASURED, {**MEASURED, "volume_change": 0.1})
    assert found["Change of volume"] == ("-30%", "+10%")
    classes = [ClassResult(name, "chosen", {}) for name in ("short", "long")]
    assert columnTitles(classes) == ["short", "long"]


def test_nothing_measured_nothing_shown():
    assert rows({}) == {}


def test_table_reads_what_the_engine_measures(tmp_path):
    import phantoms
    from GBMResponseCore.inputs.case import make_case
    from GBMResponseCore.measure.measurements import measure
    from GBMResponseCore.run import Runner
    from tiny_bundle import write_tiny_bundle

    size, spacing = (128, 128, 24), (1.6, 1.6, 4.0)
    case = make_case(phantoms.head(size, spacing), phantoms.gtv(size, spacing))
    predictor = Runner().predictor(write_tiny_bundle(tmp_path / "tiny"))
    measured = measure(predictor.read_slices(case), {"predicted": predictor.predict(case)})
    found = rows(json.loads(json.dumps(measured.of_class("predicted"))))
    assert {"Enhancing volume before", "Enhancing volume predicted", "Size category by volume (RANO-style)"} <= set(
        found
    )


def test_same_request_finds_its_folder(tmp_path):
    folders = RunFolders(tmp_path)
    assert folders.results("key") == folders.results("key") != folders.results("other")


def test_nothing_is_left_behind(tmp_path):
    folders = RunFolders(tmp_path)
    (folders.inputs() / "image.nrrd").write_text("x")
    folders.results("key")
    folders.removeAll()
    assert list(tmp_path.iterdir()) == []


def test_what_a_crashed_session_has_left_is_removed_after_a_week(tmp_path):
    crashed, other = RunFolders(tmp_path), RunFolders(tmp_path)
    for folders in (crashed, other):
        (folders.inputs() / "image.nrrd").write_text("x")
    (tmp_path / "of another program").mkdir()
    crashed._lock.close()  # as the system does when a process ends
    for path in (crashed._root, tmp_path / "of another program"):
        os.utime(path, (0, 0))
    mine = RunFolders(tmp_path).inputs()
    assert set(tmp_path.iterdir()) == {other._root, mine.parent, tmp_path / "of another program"}


def test_a_session_that_lasts_for_weeks_keeps_its_folder(tmp_path):
    lasting = RunFolders(tmp_path)
    (lasting.inputs() / "image.nrrd").write_text("x")
    code = "import sys, time; from pathlib import Path; from GBMResponseLib.run.RunFolders import RunFolders;"
    code += "folders = RunFolders(Path(sys.argv[1])); print(folders.inputs().parent, flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, tmp_path],
        env=os.environ | {"PYTHONPATH": search_path()},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    ) as another:
        elsewhere = Path(another.stdout.readline().strip())
        assert elsewhere.parent == tmp_path
        for root in (lasting._root, elsewhere):
            os.utime(root, (0, 0))
        RunFolders(tmp_path).inputs()
        assert lasting._root.is_dir() and elsewhere.is_dir()
        another.kill()
    os.utime(elsewhere, (0, 0))
    RunFolders(tmp_path).inputs()
    assert lasting._root.is_dir() and not elsewhere.is_dir()


@pytest.mark.skipif(os.name == "nt", reason="folders have no such modes there")
def test_nobody_else_may_look_into_the_folders(tmp_path):
    folders = RunFolders(tmp_path)
    inside = [folders.inputs(), folders.results("key")]
    assert {folder.stat().st_mode & 0o777 for folder in (folders._root, *inside)} == {0o700}


def test_temporary_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Failure) as caught:
        RunFolders(tmp_path / "file").inputs()
    assert caught.value.code == "output-folder"


@pytest.mark.parametrize("aligned", [True, False])
def test_follow_up_that_could_not_be_aligned_is_not_called_so(message, tmp_path, aligned):
    (tmp_path / "registered_follow_up.nrrd").write_text("x")
    (tmp_path / "measurements.json").write_text(json.dumps({"true_follow_up": {"registered": aligned}}))
    message["registered_follow_up"] = str(tmp_path / "registered_follow_up.nrrd")
    message["measurements"] = str(tmp_path / "measurements.json")
    assert (ResultManifest.fromMessage(message).registeredFollowUp is not None) == aligned
