"""The worker process: its protocol, cancelling and resuming, and what it survives."""

import contextlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore import cli
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions
from rows import share
from worker_session import TIMEOUT_S, WarmWorker, WorkerSession

SIZE, SPACING = (60, 64, 8), (0.95, 0.95, 6.0)
SLOW = {"sampler": "unipc", "steps": 24}
"""Sampling that leaves time to cancel; the slices are sampled one by one."""


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case Jörg Müller")
    image, gtv = folder / "pre.nrrd", folder / "gtv.nrrd"
    sitk.WriteImage(phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER), str(image))
    sitk.WriteImage(phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER), str(gtv))
    return {"image": str(image), "gtv": str(gtv)}


@pytest.fixture(scope="module")
def warm_worker(tmp_path_factory):
    with contextlib.closing(WarmWorker(lambda: WorkerSession(tmp_path_factory.mktemp("worker") / "log.txt"))) as worker:
        yield worker


@pytest.fixture
def worker(warm_worker):
    """One warm worker for all tests that do not end it; one that is out of step after a test is replaced."""
    with warm_worker.lent() as session:
        yield session


@pytest.fixture
def request_of(case, tiny_bundle, tmp_path):
    def build(identifier, **changes):
        message = {"id": identifier, **case, "out": str(tmp_path / identifier), "bundle": str(tiny_bundle)}
        plain = {"device": "cpu", "precision": "float32", "montage": False, "report": False}
        return {**message, **plain, **changes}

    return build


def voxels(path):
    return sitk.GetArrayFromImage(sitk.ReadImage(str(path)))


def predicted(result, number=0):
    return voxels(result["results"][number]["files"]["predicted"])


def test_hello_is_answered_with_the_protocol(worker):
    worker.send(type="hello", protocol=1)
    ready = worker.next()
    assert (ready["type"], ready["protocol"], ready["pid"]) == ("ready", 1, worker.process.pid)


def test_the_transcript_of_a_prediction(worker, request_of):
    before = len(worker.events)
    result = worker.predict(**request_of("transcript", samples=2))
    events = worker.events[before:]
    assert result["type"] == "result"
    assert all(event["id"] == "transcript" for event in events)
    stages = [event["stage"] for event in events if event["type"] == "stage"]
    order = ["load", "prepare", "encode", "classify", "expected", "sample", "assemble", "measure", "write"]
    assert stages == [stage for stage in order if stage in stages]
    assert {"load", "expected", "sample", "write"} <= set(stages)
    progress = [event for event in events if event["type"] == "progress"]
    fractions = [event["fraction"] for event in progress]
    assert fractions == sorted(fractions)
    assert 0 <= fractions[0] < fractions[-1] <= 1
    assert progress[0]["eta_s"] is None
    assert progress[-1]["eta_s"] == 0
    assert list(dict.fromkeys(event["sample"] for event in progress)) == [None, 0, 1]
    classes = next(event for event in events if event["type"] == "classification")["probabilities"]
    assert sum(classes.values()) == pytest.approx(1)


def test_the_files_of_a_result_are_on_disk(worker, request_of):
    result = worker.predict(**request_of("files", samples=2))
    files = result["results"][0]["files"]
    assert {"expected", "predicted", "generated_mask", "spread"} <= set(files)
    assert len(files["samples"]) == 2
    for path in (files["predicted"], files["spread"], *files["samples"], result["provenance"]):
        assert Path(path).stat().st_size > 0
    assert json.loads(Path(result["provenance"]).read_text("utf-8"))["synthetic"] is True
    assert not [path for path in Path(result["out"]).iterdir() if path.name.startswith(".")]


def test_previews_are_pictures_of_the_finished_slices(worker, request_of):
    worker.send(type="predict", **request_of("preview", samples=1, batch_size=1, sampling=SLOW))
    ready = worker.until("slice_ready")
    picture = voxels(ready["path"])
    worker.until("result")
    assert picture.dtype == np.uint8
    assert picture.shape == (64, 64)
    assert np.ptp(picture) > 50
    assert not Path(ready["path"]).exists()


def test_the_expected_image_comes_as_the_first_picture_and_as_a_volume_before_the_samples(worker, request_of, case):
    worker.send(type="predict", **request_of("first", samples=2))
    assert worker.until("slice_ready")["sample"] is None
    event = worker.until("expected_ready")
    early = sitk.ReadImage(event["path"])
    assert worker.until("slice_ready")["sample"] == 0
    result = worker.until("result")
    assert early.GetMetaData("ITK_FileNotes").startswith("SYNTHETIC")
    assert early.GetSize() == sitk.ReadImage(case["image"]).GetSize()
    assert event["class"] == "auto"
    assert np.array_equal(sitk.GetArrayFromImage(early), voxels(result["results"][0]["files"]["expected"]))


def test_worker_command_cohort_and_predictor_give_identical_voxels(worker, request_of, case, tiny_bundle, tmp_path):
    files = worker.predict(**request_of("same", seed=4, classes=["long"], samples=3))["results"][0]["files"]
    words = ["--bundle", str(tiny_bundle), "--seed", "4", "--samples", "3", "--no-montage", "--precision", "float32"]
    arguments = ["predict", "--image", case["image"], "--gtv", case["gtv"], "--class", "long", "--device", "cpu"]
    assert cli.main([*arguments, *words, "--out", str(tmp_path / "cli")]) == 0
    table = tmp_path / "cases.csv"
    table.write_text(f"id,image,gtv,class\none,{case['image']},{case['gtv']},long\n", "utf-8")
    assert cli.main(["cohort", str(table), "--devices", "cpu", *words, "--out", str(tmp_path / "cohort")]) == 0
    options = PredictionOptions(seed=4, classes=("long",), sample_count=3)
    in_process = Predictor(open_bundle(tiny_bundle), "cpu", "float32").predict(
        load_case(case["image"], case["gtv"]), options
    )
    same = {"expected": in_process.expected, "predicted": in_process.samples[0], "spread": in_process.spread}
    same |= {"blend_weight": in_process.weight, "generated_mask": in_process.generated}
    same |= {f"sample_{number:02d}": sample for number, sample in enumerate(in_process.samples, start=1)}
    of_worker = files | {Path(path).name.split(".")[0]: path for path in files["samples"]}
    for name, image in same.items():
        made = sitk.GetArrayFromImage(image)
        for path in (of_worker[name], tmp_path / "cli" / f"{name}.nii.gz", tmp_path / "cohort/one" / f"{name}.nii.gz"):
            assert np.array_equal(voxels(path), made), path


def test_a_follow_up_is_scored_beside_the_copied_input(worker, request_of, case):
    result = worker.predict(**request_of("scored", follow_up=case["image"], montage=True, report=True))
    assert Path(result["report"]).is_file() and (Path(result["out"]) / "montage.png").is_file()
    score = result["results"][0]["measurements"]["score"]
    assert score["copy_of_the_input"]["mean_absolute_difference_gtv"] < 0.05
    assert (
        score["prediction"]["mean_absolute_difference_gtv"] > score["copy_of_the_input"]["mean_absolute_difference_gtv"]
    )


def test_measurements_can_be_left_out(worker, request_of):
    result = worker.predict(**request_of("bare", samples=1, measure=False))
    assert result["results"][0]["measurements"] == {}
    assert (result["measurements"], result["report"]) == (None, None)
    assert {path.name for path in Path(result["out"]).iterdir()} == {
        "expected.nrrd", "predicted.nrrd", "generated_mask.nrrd", "blend_weight.nrrd", "provenance.json",
    }  # fmt: skip


def test_several_classes_share_their_noise(worker, request_of):
    both = worker.predict(**request_of("both", classes=["short", "long"]))
    assert [entry["class"] for entry in both["results"]] == ["short", "long"]
    assert [entry["token_source"] for entry in both["results"]] == ["chosen", "chosen"]
    for number, name in enumerate(["short", "long"]):
        alone = worker.predict(**request_of(f"alone {name}", classes=[name]))
        assert np.array_equal(predicted(both, number), predicted(alone))
    assert not np.array_equal(predicted(both, 0), predicted(both, 1))
    assert set(json.loads(Path(both["provenance"]).read_text("utf-8"))["classes"]) == {"short", "long"}


def test_a_cancelled_prediction_keeps_its_slices_and_continues_to_identical_voxels(worker, request_of):
    whole = worker.predict(**request_of("whole", samples=1, batch_size=1, sampling=SLOW))
    message = request_of("stopped", samples=1, batch_size=1, sampling=SLOW)
    worker.send(type="predict", **message)
    worker.until("slice_ready")
    worker.send(type="cancel", id="stopped")
    cancelled = worker.until("cancelled")
    out = Path(message["out"])
    assert cancelled["kept_slices"] >= 1
    assert [path.name for path in out.iterdir()] == [".unfinished"]
    assert cancelled["kept_slices"] == len(list(out.rglob("*.npy")))
    resumed = worker.predict(**message)
    assert np.array_equal(predicted(resumed), predicted(whole))
    assert not (out / ".unfinished").exists()


def test_slices_that_another_request_has_left_are_not_counted(worker, request_of):
    message = request_of("shared", batch_size=1, sampling=SLOW)
    for seed, wanted in ((1, 2), (2, 1)):
        worker.send(type="predict", **message | {"id": f"seed {seed}", "seed": seed})
        for _ in range(wanted):
            worker.until("slice_ready")
        worker.send(type="cancel", id=f"seed {seed}")
        cancelled = worker.until("cancelled")
    folders = sorted((Path(message["out"]) / ".unfinished").iterdir(), key=lambda folder: folder.stat().st_mtime_ns)
    assert [len(list(folder.glob("*.npy"))) for folder in folders][-1] == cancelled["kept_slices"]
    assert len(list(Path(message["out"]).rglob("*.npy"))) > cancelled["kept_slices"]


def test_a_stop_keeps_the_expected_image_and_the_samples_that_are_complete(worker, request_of):
    request = request_of("stopped", samples=3, batch_size=1, sampling=SLOW)
    worker.send(type="predict", **request)
    while worker.until("slice_ready")["sample"] != 1:
        pass
    worker.send(type="stop", id="stopped")
    stopped = worker.until("result")
    assert [event["code"] for event in worker.events if event["type"] == "warning"][-1] == "stopped"
    record = json.loads(Path(stopped["provenance"]).read_text("utf-8"))
    assert 1 <= record["samples"] < record["samples_asked"] == 3
    whole = worker.predict(**request_of("whole", samples=record["samples"], batch_size=1, sampling=SLOW))
    for name in ("expected", "predicted"):
        np.testing.assert_array_equal(*(voxels(r["results"][0]["files"][name]) for r in (stopped, whole)))
    assert not Path(stopped["out"], ".unfinished").exists()


def test_a_what_if_is_a_slice_of_the_last_prediction(worker, request_of, tmp_path):
    worker.send(type="predict", **request_of("base", samples=0, batch_size=1))
    slices = worker.until("expected_ready")["slices"]
    worker.until("result")
    chosen = slices[len(slices) // 2]
    worker.send(type="what_if", id="w", of="base", out=str(tmp_path / "new"), index=chosen["index"], weight=1.0)
    answer = worker.next()
    assert (answer["type"], answer["id"], answer["index"], answer["weight"]) == ("what_if", "w", chosen["index"], 1.0)
    assert answer["days"] is None and answer["seconds"] > 0
    slab = sitk.ReadImage(answer["path"])
    assert slab.GetMetaData("ITK_FileNotes").startswith("SYNTHETIC")
    center = slab.TransformPhysicalPointToContinuousIndex(
        [-chosen["center"][0], -chosen["center"][1], chosen["center"][2]]
    )
    assert center[2] == pytest.approx(0, abs=1e-3)
    result = worker.predict(**request_of("long", samples=0, batch_size=1, classes=["long"]))
    expected = sitk.ReadImage(result["results"][0]["files"]["expected"])
    first = expected.TransformPhysicalPointToIndex(slab.GetOrigin())
    part = expected[tuple(slice(a, a + b) for a, b in zip(first, slab.GetSize(), strict=True))]
    np.testing.assert_array_equal(sitk.GetArrayFromImage(slab), sitk.GetArrayFromImage(part))


def test_a_what_if_that_is_not_possible_is_answered(worker, request_of):
    worker.predict(**request_of("base", samples=0))
    for fields, code in (
        ({"index": 3}, "request"),
        ({"out": ".", "index": "3"}, "request"),
        ({"out": ".", "index": 3, "more": 1}, "request"),
        ({"out": ".", "index": 3, "weight": 2}, "option"),
        ({"out": ".", "index": -1}, "option"),
        ({"out": ".", "index": 3, "days": 99}, "option"),
    ):
        worker.send(type="what_if", id="w", of="base", **fields)
        answer = worker.next()
        assert (answer["type"], answer["id"], answer["code"]) == ("error", "w", code), fields


def test_a_what_if_is_never_about_another_prediction_than_was_meant(worker, request_of, tmp_path):
    worker.predict(**request_of("first", samples=0))
    worker.predict(**request_of("second", samples=0))
    worker.send(type="what_if", id="w", of="first", out=str(tmp_path / "new"), index=3, weight=0.5)
    answer = worker.next()
    assert (answer["type"], answer["code"]) == ("error", "nothing-predicted")
    assert not (tmp_path / "new").exists()


def test_a_what_if_before_any_prediction_is_answered(tmp_path):
    with WorkerSession(tmp_path / "log.txt") as worker:
        worker.send(type="what_if", id="w", of="base", out=str(tmp_path), index=3, weight=0.5)
        answer = worker.next()
    assert (answer["id"], answer["code"], answer["exit_code"]) == ("w", "nothing-predicted", 66)


def test_a_waiting_prediction_can_be_cancelled(worker, request_of):
    worker.send(type="predict", **request_of("first", samples=1, batch_size=1, sampling=SLOW))
    worker.send(type="predict", **request_of("waiting"))
    worker.send(type="cancel", id="waiting")
    assert worker.until("result")["id"] == "first"
    assert worker.until("cancelled") == {"type": "cancelled", "id": "waiting", "kept_slices": 0}


def test_cancelling_what_is_finished_is_a_warning_and_does_not_stop_the_next(worker, request_of):
    worker.predict(**request_of("again"))
    worker.send(type="cancel", id="again")
    assert worker.until("warning")["code"] == "nothing-to-cancel"
    assert worker.predict(**request_of("again"))["type"] == "result"


def test_a_model_can_be_loaded_before(worker, tiny_bundle):
    worker.send(type="load", bundle=str(tiny_bundle), device="cpu", precision="float32")
    loaded = worker.until("loaded")
    assert (loaded["name"], loaded["device"]) == ("tiny", "cpu")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b'{"type": "predict", "id": "x"', "request"),
        (b"[1, 2]", "request"),
        (b'{"type": "dance"}', "request"),
        (b'{"type": "predict"}', "request"),
        (b'{"type": "predict", "id": "x", "gtv": "g", "out": "o"}', "request"),
        (b'{"type": "predict", "id": "x", "image": "i", "gtv": "g", "out": 7}', "request"),
        (b'{"type": "predict", "id": "x", "image": "i", "gtv": "g", "out": "o", "color": 1}', "request"),
        (b'{"type": "predict", "id": "x", "image": "i", "gtv": "g", "out": "o", "classes": ["../up"]}', "request"),
        (b'{"type": "predict", "id": "x", "image": "i", "gtv": "g", "out": "o", "sampling": {"eta": "9"}}', "request"),
        (b'{"type": "predict", "id": "x", "image": "i", "gtv": "g", "out": "o", "sampling": {"eta": NaN}}', "request"),
        (b'{"type": "hello", "protocol": 99}', "protocol"),
        (b"[" * 100_000, "request"),
        (b'{"type": "load", "id": ' + b"[" * 900 + b"]" * 900 + b"}", "request"),
        (b'{"type": "load", "device": ' + b"[" * 900 + b"]" * 900 + b"}", "request"),
        (b'{"type": "hello", "protocol": ' + b"[" * 900 + b"]" * 900 + b"}", "protocol"),
        (b'{"type": "predict", "id": "x", "image": "i\\u0000", "gtv": "g", "out": "o"}', "request"),
        (b'{"type": "predict", "id": "x", "image": "", "gtv": "", "out": "", "seed": ' + b"9" * 400 + b"}", "request"),
        (b'{"type": "check", "more": "' + b"x" * (1 << 21) + b'"}', "request"),
        (b"\xff\xfe", "request"),
    ],
)  # fmt: skip
def test_a_bad_request_is_answered_and_survived(worker, line, code):
    worker.send_line(line)
    error = worker.next()
    assert (error["type"], error["code"]) == ("error", code)
    assert error["message"] and error["remedy"] and error["exit_code"] in (36, 37)
    worker.send(type="hello", protocol=1)
    assert worker.next()["type"] == "ready"


@pytest.mark.parametrize(
    ("changes", "code", "exit_code"),
    [
        ({"image": "nowhere.nrrd"}, "missing-file", 10),
        ({"image": __file__}, "unreadable-file", 12),
        ({"bundle": "nowhere"}, "bundle", 30),
        ({"device": "cuda:42"}, "device", 35),
        ({"device": "meta"}, "device", 35),
        ({"device": "c" * 10_000}, "device", 35),
        ({"image": "a" * 300}, "unreadable-file", 12),
        ({"classes": ["short", "medium"]}, "option", 34),
        ({"scheme": "5-class"}, "option", 34),
        ({"sampling": {"steps": 0}}, "option", 34),
    ],
)
def test_a_failed_prediction_names_its_error_and_leaves_no_files(worker, request_of, changes, code, exit_code):
    message = request_of("bad", **changes)
    error = worker.predict(**message)
    assert (error["type"], error["id"], error["code"], error["exit_code"]) == ("error", "bad", code, exit_code)
    assert not Path(message["out"]).is_dir() or not list(Path(message["out"]).iterdir())


def test_a_killed_worker_leaves_no_half_written_output(request_of, tmp_path):
    message = request_of("killed", batch_size=1, sampling=SLOW)
    with WorkerSession(tmp_path / "log.txt") as session:
        session.send(type="predict", **message)
        session.until("slice_ready")
        session.process.kill()
        session.wait_for_end()
    left = {path.name for path in Path(message["out"]).iterdir()}
    assert {name for name in left if not name.startswith(".preview")} <= {".unfinished", ".lock"}
    slices = list((Path(message["out"]) / ".unfinished").rglob("*.npy"))
    assert slices and all(np.load(path).shape == (64, 64) for path in slices)


def test_it_ends_when_its_input_closes_during_a_prediction(request_of, tmp_path):
    with WorkerSession(tmp_path / "log.txt") as session:
        session.send(type="predict", **request_of("orphan", batch_size=1, sampling=SLOW))
        session.until("slice_ready")
        session.process.stdin.close()
        assert session.until("cancelled")["kept_slices"] >= 1
        assert session.wait_for_end() == 0


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends processes without a signal")
@pytest.mark.parametrize("number", share([signal.SIGTERM, signal.SIGINT], 1))
def test_it_keeps_finished_slices_and_nothing_else_when_it_is_ended_by_a_signal(request_of, tmp_path, number):
    message = request_of("signal", batch_size=1, sampling=SLOW)
    with WorkerSession(tmp_path / "log.txt") as session:
        session.send(type="predict", **message)
        session.until("slice_ready")
        session.process.send_signal(number)
        assert session.wait_for_end() == 130
    assert [path.name for path in Path(message["out"]).iterdir()] == [".unfinished"]
    assert "Traceback" not in session.log.read_text("utf-8")


def test_it_ends_when_idle(tmp_path):
    with WorkerSession(tmp_path / "log.txt", "--idle-seconds", "0.3") as session:
        assert session.wait_for_end() == 0
    assert "ends" in session.log.read_text("utf-8")


@pytest.mark.parametrize("ending", ["close", "shutdown"])
def test_it_ends_on_request(tmp_path, ending):
    with WorkerSession(tmp_path / "log.txt") as session:
        session.send(type="hello", protocol=1)
        assert session.next()["type"] == "ready"
        if ending == "close":
            session.process.stdin.close()
        else:
            session.send(type="shutdown")
        assert session.wait_for_end() == 0


NOISY = """
import os, sys
from GBMResponseCore.worker import serve
def describe_environment():
    print("a library says hello")
    os.write(1, b"and so does its C code\\n")
    return {"ok": True}
serve.describe_environment = describe_environment
sys.exit(serve.main([]))
"""


def test_what_libraries_print_goes_to_the_log(tmp_path):
    with WorkerSession(tmp_path / "log.txt", code=NOISY) as session:
        session.send(type="check")
        assert session.next() == {"type": "environment", "ok": True}
    assert "and so does its C code" in session.log.read_text("utf-8")


BROKEN = """
import sys
from GBMResponseCore.worker import serve
class Broken:
    def run(self, request, listener):
        raise KeyError("inside a library")
serve.Worker._runner = Broken()
sys.exit(serve.main([]))
"""


def test_an_unexpected_error_is_reported_and_survived(tmp_path, request_of):
    with WorkerSession(tmp_path / "log.txt", code=BROKEN) as session:
        error = session.predict(**request_of("broken"))
        assert (error["code"], error["id"], error["exit_code"]) == ("error", "broken", 1)
        assert "inside a library" in error["message"]
        session.send(type="hello", protocol=1)
        assert session.next()["type"] == "ready"
    assert "Traceback" in session.log.read_text("utf-8")


def test_a_worker_that_hangs_ends_when_its_caller_is_gone():
    code = (
        "import time; from GBMResponseCore.worker.inbox import Inbox; Inbox(0, 0.2);"
        " print('up', flush=True); time.sleep(3600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline().strip() == b"up"
    output, _errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, output) == (1, b"")


@pytest.fixture
def scored_request(worker, request_of, case, tmp_path):
    """A finished run and the request that scores it against another image of the same head."""
    worker.predict(**request_of("run", samples=4))
    follow_up = tmp_path / "later.nrrd"
    grown = phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER, radius_mm=15.0)
    before = sitk.ReadImage(case["image"])
    sitk.WriteImage(before + 200 * sitk.Cast(grown, before.GetPixelID()), str(follow_up))
    return {**request_of("run"), "id": "score", "follow_up": str(follow_up)}


def test_a_finished_run_is_scored_as_the_command_scores_it(worker, scored_request, tmp_path):
    run, log = Path(scored_request["out"]), tmp_path / "log.sqlite"
    worker.send(type="score", log=str(log), case_id="board 7", **scored_request)
    answer = worker.until("scored")
    assert answer["id"] == "score" and answer["out"] == str(run)
    record = json.loads(Path(answer["score"]).read_text("utf-8"))
    assert Path(answer["log_page"]).is_file() and "board 7" in Path(answer["log_table"]).read_text("utf-8")
    names = {name: scored_request[name] for name in ("image", "gtv", "follow_up", "bundle")}
    words = [word for name, path in names.items() for word in (f"--{name.replace('_', '-')}", path)]
    assert cli.main(["score", str(run), *words, "--device", "cpu", "--precision", "float32"]) == 0
    commanded = json.loads((run / "score.json").read_text("utf-8"))
    assert {**commanded, "scored_utc": ""} == {**record, "scored_utc": ""}


def test_a_score_that_is_not_wanted_any_more_leaves_nothing(worker, request_of, scored_request, tmp_path):
    worker.send(type="predict", **request_of("first", samples=1, batch_size=1, sampling=SLOW))
    worker.send(type="score", log=str(tmp_path / "log.sqlite"), **scored_request)
    worker.send(type="cancel", id="score")
    assert worker.until("result")["id"] == "first"
    assert worker.until("cancelled")["id"] == "score"
    assert not Path(scored_request["out"], "score.json").exists() and not (tmp_path / "log.sqlite").exists()


def test_a_score_that_is_not_possible_is_answered(worker, scored_request):
    wrong = (({"follow_up": None}, "score-log"), ({"out": "nowhere"}, "run-folder"), ({"log": 7}, "request"))
    for changes, code in wrong:
        worker.send(type="score", **{**scored_request, **changes})
        while (answer := worker.next())["type"] not in ("error", "scored"):
            pass
        assert (answer["type"], answer["id"], answer["code"]) == ("error", "score", code), changes
