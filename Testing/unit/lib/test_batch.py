"""The cases of a batch and their process, with a scripted engine in place of the process."""

import json
import subprocess
import sys

import pytest
from GBMResponseCore.cohort.status import write_status
from GBMResponseLib.batch import BatchCases as module
from GBMResponseLib.batch.BatchCases import BatchCases, CaseState
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.common.Signal import Signal
from GBMResponseLib.results.ResultManifest import ResultManifest
from GBMResponseLib.run.BatchRun import CASES, INPUTS, REPORT, SCAN, BatchRun
from GBMResponseLib.settings.Choices import ClassMode, SamplerPreset
from GBMResponseLib.settings.PredictionSettings import PredictionSettings

STATES = ("first", "second", "third", "lost")


class Clock:
    """Time that stands until the test moves it."""

    now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    return clock


@pytest.fixture
def table(tmp_path):
    lines = ["id,image,gtv,unusable,found", *(f"{name},a.nrrd,b.nrrd,,3 volumes" for name in STATES[:3])]
    path = tmp_path / "cases.csv"
    path.write_text("\n".join([*lines, "lost,,,No GTV was found.,1 volume"]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def cases(table, tmp_path):
    return BatchCases(table, tmp_path / "out")


def states(cases):
    return [case.state.value for case in cases.all]


def tell(cases, name, status, **fields):
    return cases.take({"type": "case", "id": name, "status": status, **fields})


def test_before_the_start_cases_are_as_an_earlier_one_left_them(table, tmp_path):
    out = tmp_path / "out"
    write_status(out / "first", {"status": "done", "classes": "short (chosen)", "seconds": 3.21})
    write_status(out / "second", {"status": "failed", "message": "It is dark.", "remedy": "Switch it on."})
    cases = BatchCases(table, out)
    assert states(cases) == ["before", "failed", "waiting", "unusable"]
    details = [case.details for case in cases.all]
    assert details == [
        "3.2 s, class short (chosen)",
        "It is dark. Switch it on.",
        "3 volumes",
        "No GTV was found. (1 volume)",
    ]
    assert cases.isBegun and not BatchCases(table, None).isBegun
    assert cases.begin() == [1] and states(cases) == ["before", "waiting", "waiting", "unusable"]


def test_what_the_engine_tells_is_what_is_shown(cases):
    assert tell(cases, "second", "running") == 1
    assert cases.progress({"fraction": 0.25}) == 1 and cases.all[1].details == "25%"
    assert cases.progress({"fraction": 0.1}) == 1 and cases.all[1].details == "25%"
    tell(cases, "second", "done", classes="none", seconds=2.0)
    tell(cases, "first", "done", classes="none", seconds=9.0, again=True)
    tell(cases, "third", "elsewhere")
    tell(cases, "lost", "failed", message="No GTV was found.", remedy="Correct the row.")
    assert states(cases) == ["before", "done", "elsewhere", "unusable"]
    assert cases.count(CaseState.done, CaseState.before) == 2
    assert tell(cases, "nobody", "done") is None and cases.progress({"fraction": 0.5}) is None


def test_a_case_that_was_running_when_the_process_ended_waits_again(cases):
    tell(cases, "first", "running")
    assert cases.stopped() == 0 and states(cases)[0] == "waiting"
    assert cases.stopped() is None


def test_time_left_comes_from_the_cases_that_were_run(cases, clock):
    assert cases.secondsLeft() is None
    tell(cases, "first", "running")
    clock.now += 10
    cases.progress({"fraction": 0.1})
    assert cases.secondsLeft() is None, "too early to say"
    cases.progress({"fraction": 0.5})
    assert cases.secondsLeft() == pytest.approx(10 + 2 * 20)
    tell(cases, "first", "done", seconds=20.0)
    tell(cases, "second", "done", seconds=0.0, again=True)
    assert cases.secondsLeft() == pytest.approx(20), "neither those done before nor unusable ones take time"
    tell(cases, "third", "running")
    cases.progress({"fraction": 0.75})
    assert cases.secondsLeft() == pytest.approx(5)


def test_a_table_that_cannot_be_read_is_a_failure(tmp_path):
    (tmp_path / "cases.csv").write_text("id\nfirst\n", encoding="utf-8")
    with pytest.raises(Failure) as caught:
        BatchCases(tmp_path / "cases.csv", None)
    assert caught.value.code == "case-table"


class Process:
    """What a test sees of the engine's process, and how it answers."""

    def __init__(self, arguments):
        self.messageReceived, self.logReceived, self.stopped = Signal(), Signal(), Signal()
        self.arguments, self.sent, self.started, self.closedAfter = arguments, [], False, None

    def start(self):
        self.started = True

    def send(self, message):
        self.sent.append(message)

    def close(self, graceMs):
        self.closedAfter = graceMs


class Dependencies:
    """All packages are there, unless a test says no."""

    failure = None

    def ensure(self):
        if self.failure:
            raise self.failure
        return False


@pytest.fixture
def made():
    return []


@pytest.fixture
def batch(made, tiny_bundle):
    class Catalog:
        def describe(self, folder):
            from GBMResponseLib.model.ModelDescription import ModelDescription

            return ModelDescription.read(tiny_bundle)

    batch = BatchRun(lambda arguments: made.append(Process(arguments)) or made[-1], Catalog(), Dependencies())
    batch.ends, batch.events, batch.lines = [], [], []
    batch.finished.connect(lambda *end: batch.ends.append(end))
    batch.told.connect(batch.events.append)
    batch.logged.connect(batch.lines.append)
    return batch


def begin(batch, made, **settings):
    batch.start("cases.csv", "out", PredictionSettings(**settings))
    return made[-1]


def test_the_command_is_that_of_the_command_line(batch, made, tiny_bundle):
    process = begin(batch, made, samples=2, steps=5, seed=9, classMode=ClassMode.chosen, className="short")
    assert process.arguments[:4] == ["cohort", "cases.csv", "--out", "out"] and process.started
    options = ["--steps=5", "--scheme=2-class", "--samples=2", "--seed=9"]
    assert process.arguments[4:] == [f"--bundle={tiny_bundle}", "--devices=auto", *options, "--events"]


def test_options_of_a_preset_are_understood_by_the_command(batch, made):
    arguments = begin(batch, made, samplerPreset=SamplerPreset.paper, samples=1).arguments
    assert {"--sampler=ddim", "--no-compose", "--noise-length=0.0"} <= set(arguments)
    code = (
        "import sys; from GBMResponseCore.cli import _parser, request_of; from pathlib import Path;"
        "given = _parser().parse_args(sys.argv[1:]);"
        "made = request_of(given, image=Path(), gtv=Path(), follow_up=None, device='cpu');"
        "print(made.options.sampler, made.options.compose, made.options.sample_count, made.options.steps)"
    )
    run = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, encoding="utf-8", check=False)
    assert run.stdout.split() == ["ddim", "False", "1", "200"], run.stderr


def test_one_process_at_a_time(batch, made):
    process = begin(batch, made)
    assert batch.kind == CASES and batch.isActive
    with pytest.raises(Failure) as caught:
        batch.writeReport("out")
    assert caught.value.code == "busy"
    process.messageReceived.emit({"type": "finished"})
    process.stopped.emit("exit code 0", False)
    assert batch.ends == [(CASES, {"type": "finished"}, None)]
    batch.writeReport("out")
    assert made[-1].arguments == ["cohort", "report", "out", "--events"] and batch.kind == REPORT


def test_nothing_starts_without_packages(batch, made):
    batch._dependencies.failure = Failure("declined", "no")
    with pytest.raises(Failure):
        begin(batch, made)
    assert not made and not batch.isActive


@pytest.mark.parametrize(
    "last, stopped, code",
    [
        ({"type": "error", "code": "some-cases-failed", "message": "2 of 3"}, False, None),
        ({"type": "error", "code": "bundle", "message": "No model.", "remedy": "Choose one."}, False, "bundle"),
        ({"type": "error", "code": "cancelled", "message": "Cancelled."}, True, None),
        (None, False, "worker-stopped"),
        (None, True, None),
    ],
)
def test_an_end_is_a_failure_unless_all_cases_were_run_or_the_user_stopped_them(batch, made, last, stopped, code):
    process = begin(batch, made)
    if stopped:
        batch.stop()
        batch.stop()
        assert process.sent == [{"type": "stop"}]
    if last:
        process.messageReceived.emit(last)
    process.stopped.emit("exit code 3", False)
    ((kind, _message, failure),) = batch.ends
    assert kind == CASES and (failure.code if failure else None) == code and not batch.isActive


def test_a_process_that_cannot_be_started_is_a_failure(batch, made):
    batch.scan("folder", "new.csv")
    assert made[-1].arguments == ["cohort", "new.csv", "--scan", "folder", "--events"]
    made[-1].stopped.emit("no such program", True)
    ((kind, _message, failure),) = batch.ends
    assert kind == SCAN and failure.code == "worker-start" and failure.details == "no such program"


def test_the_images_of_a_case_are_written_by_the_engine(batch, made):
    batch.writeInputs("cases.csv", "first", "folder")
    assert made[-1].arguments == ["cohort", "inputs", "cases.csv", "--case=first", "--to", "folder", "--events"]
    assert batch.kind == INPUTS


def test_events_of_cases_are_told_and_the_rest_is_for_the_log(batch, made):
    process = begin(batch, made)
    process.messageReceived.emit({"type": "log", "message": "[1/2] first: done"})
    process.messageReceived.emit({"type": "case", "id": "first", "status": "running"})
    process.messageReceived.emit({"type": "progress", "fraction": 0.5})
    process.logReceived.emit("a library speaks")
    assert [event["type"] for event in batch.events] == ["case", "progress"]
    assert batch.lines == ["[1/2] first: done", "a library speaks"]


def test_closing_waits_long_enough_for_a_case_to_stop(batch, made):
    process = begin(batch, made)
    batch.close()
    assert process.closedAfter >= 5000 and not batch.isActive
    batch.close()


@pytest.fixture
def result(tmp_path):
    """A folder of a result as the engine writes it, with two classes."""

    def write(*classes):
        for name in classes:
            folder = tmp_path / name if len(classes) > 1 else tmp_path
            folder.mkdir(exist_ok=True)
            for file in ("predicted.nii.gz", "generated_mask.nii.gz", "sample_01.nii.gz", "sample_02.nii.gz"):
                (folder / file).write_bytes(b"")
        files = ["predicted.nii.gz", "generated_mask.nii.gz", "sample_02.nii.gz", "sample_01.nii.gz", "montage.png"]
        record = {
            name: {
                "class": {"asked": name, "name": name, "source": "chosen", "probabilities": {name: 0.7}},
                "files": files,
                "seconds": {"load": 1.0},
            }
            for name in classes
        }
        whole = {"classes": record, "files": []} if len(classes) > 1 else record[classes[0]]
        (tmp_path / "provenance.json").write_text(json.dumps(whole), encoding="utf-8")
        measured = {"title": "t", "check": {}, "classes": {name: {"withheld": {"volume": ""}} for name in classes}}
        (tmp_path / "measurements.json").write_text(json.dumps(measured), encoding="utf-8")
        return tmp_path

    return write


@pytest.mark.parametrize("classes", [("short",), ("short", "long")])
def test_a_result_is_read_from_its_folder(result, classes):
    folder = result(*classes)
    manifest = ResultManifest.fromFolder(folder)
    assert [entry.name for entry in manifest.classes] == list(classes)
    first = manifest.classes[0]
    place = folder / "short" if len(classes) > 1 else folder
    assert first.volumes["predicted"] == place / "predicted.nii.gz" and first.source == "chosen"
    assert first.samples == [place / "sample_01.nii.gz", place / "sample_02.nii.gz"]
    assert first.volumeIsShown and first.measurements["title"] == "t"
    assert manifest.probabilities == {"short": 0.7} and manifest.report is None


def test_a_folder_without_a_whole_result_is_a_failure(result, tmp_path):
    with pytest.raises(Failure, match="incomplete"):
        ResultManifest.fromFolder(tmp_path / "nowhere")
    (result("short") / "generated_mask.nii.gz").unlink()
    with pytest.raises(Failure, match="generated_mask"):
        ResultManifest.fromFolder(tmp_path)
