"""What people do wrong ends in a clear sentence and an unchanged scene."""

import json
import os
import shutil
import sys
import time
import types
from pathlib import Path

import numpy as np
import pytest
import qt
import slicer
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.results.ResultNodes import findRuns

from host.panel_driver import hierarchyItems, snapshot

SLOW = {"steps": 30, "sliceBatch": 1, "samples": 2}
WORKER = "from GBMResponseCore.worker.serve import main; sys.exit(main())"


@pytest.fixture
def unchanged():
    """Function that fails when the scene is not as it was when the fixture was first called."""
    kept = {}

    def check():
        now = (snapshot(), hierarchyItems())
        assert kept.setdefault("scene", now) == now

    return check


def emptySegment(case) -> None:
    nothing = np.zeros(slicer.util.arrayFromVolume(case.volume).shape, np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(nothing, case.segmentation, case.segmentID, case.volume)


def setVoxels(case, value) -> None:
    voxels = slicer.util.arrayFromVolume(case.volume).astype(np.float32)
    slicer.util.updateVolumeFromArray(case.volume, np.where(value == value, voxels * 0 + value, np.nan))


def moveAway(case) -> None:
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[0, 3] = 400
    slicer.util.updateTransformMatrixFromArray(node, matrix)
    case.segmentation.SetAndObserveTransformNodeID(node.GetID())


@pytest.mark.parametrize(
    "misuse, sentence",
    [
        (lambda case: slicer.mrmlScene.RemoveNode(case.segmentation), "Choose the segmentation"),
        (lambda case: case.segmentation.GetSegmentation().RemoveAllSegments(), "has no segment"),
        (emptySegment, "is empty"),
        (lambda case: slicer.mrmlScene.RemoveNode(case.volume), "the T1-Gd volume before treatment"),
        (lambda case: setVoxels(case, -1000), "no contrast"),
        (lambda case: setVoxels(case, np.nan), "not numbers"),
        (moveAway, "outside the volume"),
    ],
    ids=["no GTV", "no segment", "empty segment", "no volume", "flat", "not finite", "other patient"],
)
def test_predict_is_disabled_and_says_why(ready, case, misuse, sentence, unchanged):
    misuse(case)
    ready.settle()
    unchanged()
    button = ready.ui.predictButton
    assert not button.enabled
    assert sentence in button.toolTip
    assert any(sentence in label.text for label in ready.ui.findingsWidget.findChildren(qt.QLabel))
    button.click()
    ready.settle()
    assert not ready.controller.isActive
    unchanged()


def test_a_ct_is_refused(ready, case):
    voxels = slicer.util.arrayFromVolume(case.volume).astype(np.int16)
    slicer.util.updateVolumeFromArray(case.volume, voxels - 1000)
    ready.settle()
    assert "looks like a CT" in ready.ui.predictButton.toolTip


def test_a_folder_without_a_model_is_named(ready, tmp_path, unchanged):
    unchanged()
    ready.parameters.bundleFolder = str(tmp_path / "nowhere")
    ready.settle()
    assert "There is no folder 'nowhere'" in ready.ui.predictButton.toolTip
    assert not ready.ui.predictButton.enabled
    ready.widget.panel._findingsList.fixButtons()["bundle"].click()
    ready.settle()
    assert ready.parameters.bundleFolder == ""
    assert ready.ui.predictButton.enabled
    unchanged()


def test_a_damaged_model_is_named_by_the_worker(ready, tiny_bundle, tmp_path, unchanged):
    damaged = Path(shutil.copytree(tiny_bundle, tmp_path / "damaged"))
    weights = next(damaged.glob("denoiser/*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    ready.parameters.bundleFolder = str(damaged)
    ready.settle()
    unchanged()
    ready.predict()
    ready.wait()
    assert "diffusion_pytorch_model.safetensors" in ready.status or "checksum" in ready.status.lower()
    assert not findRuns(slicer.mrmlScene)
    unchanged()


@pytest.fixture
def command(ready, monkeypatch):
    """Function that gives the panel another worker; the old one is ended before and after."""
    process = ready.widget.logic.engine.process

    def end():
        process.kill()
        ready.session.until(lambda: not process.isRunning())

    def use(*arguments: str) -> None:
        end()
        monkeypatch.setattr(process, "_program", arguments[0])
        monkeypatch.setattr(process, "_arguments", list(arguments[1:]))

    yield use
    end()


def test_a_worker_that_cannot_import_torch_says_so(ready, command, unchanged):
    command(sys.executable, "-c", f"import sys; sys.modules['torch'] = None; {WORKER}")
    unchanged()
    ready.predict()
    ready.wait()
    assert "torch" in ready.status.lower()
    assert ready.controller.run.failure.code == "dependency"
    unchanged()


def test_a_run_after_a_closed_scene_does_not_meet_the_worker_that_was_ended_with_it(ready, case, tiny_bundle):
    """The worker is ended in the middle of its start; Qt tells of its end only later."""
    engine = ready.widget.logic.engine
    engine.process.kill()
    ready.session.until(lambda: not engine.process.isRunning(), 20)
    ready.predict()
    ready.session.until(lambda: engine.client.isBusy, 20)
    assert not engine.client.isWarm
    ready.controller.abandon("The scene is closed.")
    run = ready.widget.logic.predict(
        case.volume, case.segmentation, case.segmentID, waitForCompletion=True, bundleFolder=tiny_bundle
    )
    assert run.nodes.node(NodeRoles.PREDICTED) is not None


def test_a_program_that_does_not_exist_is_named(ready, command, unchanged):
    command("/nowhere/PythonSlicer", "-m", "GBMResponseCore.worker")
    unchanged()
    ready.predict()
    ready.wait()
    assert "cannot be started" in ready.status
    unchanged()


def test_a_program_that_is_no_worker_is_named(ready, command, unchanged):
    command(sys.executable, "-c", "print('hello'); import sys; sys.stdin.read()")
    client = ready.widget.logic.engine.client
    unchanged()
    ready.predict()
    ready.session.until(lambda: client.isBusy)
    client._onNotReady()  # what its timer would do after two minutes
    ready.wait()
    assert "does not answer as it should" in ready.status
    unchanged()


@pytest.mark.skipif(sys.platform == "win32", reason="a process is asked about by a signal")
def test_a_worker_behind_a_launcher_is_gone_with_the_panel(ready, monkeypatch, tmp_path):
    pid = tmp_path / "pid"
    child = f"subprocess.Popen([sys.executable, '-c', {'import sys; ' + WORKER!r}])"
    launcher = (
        f"import pathlib, subprocess, sys; child = {child}; pathlib.Path({str(pid)!r}).write_text(str(child.pid));"
    )
    process, folders = ready.widget.logic.engine.process, ready.widget.logic.engine.folders
    process.kill()
    ready.session.until(lambda: not process.isRunning())
    monkeypatch.setattr(process, "_arguments", ["-c", f"{launcher} sys.exit(child.wait())"])  # as PythonSlicer does
    ready.predict()
    ready.untilSampling()
    try:
        ready.widget.logic.close()
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)
        assert not folders._root.exists()
    finally:
        ready.reopen()


@pytest.mark.skipif(sys.platform == "win32", reason="a process is asked about by a signal")
@pytest.mark.parametrize("end", ["kill", "terminate", "close"])
def test_a_worker_that_hangs_behind_its_launcher_is_ended_with_it(tmp_path, end):
    """It does not even notice that its input has closed."""
    from GBMResponseLib.worker.WorkerProcess import WorkerProcess

    hanging = 'import os, time; print(\'{"type": "ready", "pid": %d}\' % os.getpid(), flush=True); time.sleep(600)'
    launcher = f"import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', {hanging!r}]))"
    process = WorkerProcess([sys.executable, "-c", launcher], tmp_path)
    messages = []
    process.messageReceived.connect(messages.append)
    process.start()
    deadline = time.monotonic() + 600
    while not messages and time.monotonic() < deadline:
        process.waitForEvents(100)
    (ready,) = messages
    getattr(process, end)()
    while isRunning(ready["pid"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not isRunning(ready["pid"])
    process.close()


def isRunning(pid: int) -> bool:
    """Whether a process does something: one that ended and was not asked about yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        return not Path("/proc/self/stat").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no limit on the size of files there")
def test_a_full_disk_in_the_worker_is_named(ready, command, unchanged):
    limit = "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))"
    command(sys.executable, "-c", f"{limit}; {WORKER}")
    unchanged()
    ready.predict()
    ready.wait()
    assert ready.controller.run.state.name == "failed"
    assert "write" in ready.status.lower() or "written" in ready.status.lower() or "disk" in ready.status.lower()
    assert not findRuns(slicer.mrmlScene)
    unchanged()


def test_a_full_temporary_folder_is_named(ready, monkeypatch, tmp_path, unchanged):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(ready.widget.logic.engine.folders, "_root", tmp_path / "file")
    unchanged()
    ready.predict()
    ready.wait()
    assert "disk space" in ready.status
    unchanged()


def test_too_little_space_is_said_before(ready, monkeypatch):
    usage = types.SimpleNamespace(free=1_000_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    ready.widget.panel.refresh()
    assert "has 1 MB free" in ready.ui.predictButton.toolTip


def test_a_killed_worker_is_said_once_and_the_next_run_continues(ready, unchanged):
    for name, value in SLOW.items():
        setattr(ready.parameters, name, value)
    ready.settle()
    finished = []
    ready.controller.finished.connect(finished.append)
    unchanged()
    ready.predict()
    ready.untilSampling()
    ready.widget.logic.engine.process._process.kill()
    ready.wait()
    assert "stopped unexpectedly" in ready.status
    assert "Press Predict again" in ready.status
    assert len(finished) == 1
    unchanged()
    assert ready.run().nodes.node(NodeRoles.PREDICTED) is not None


def test_a_second_click_neither_cancels_nor_starts_again(ready, case):
    ready.predict()
    assert not ready.ui.predictButton.enabled  # a double click does not cancel
    ready.ui.predictButton.click()
    with pytest.raises(Failure, match="running already"):
        ready.widget.logic.predict(case.volume, case.segmentation, case.segmentID)
    ready.wait()
    assert ready.controller.run.state.name == "done"
    assert len(findRuns(slicer.mrmlScene)) == 1


def test_inputs_removed_meanwhile_do_not_break_the_import(ready, case):
    for name, value in SLOW.items():
        setattr(ready.parameters, name, value)
    ready.settle()
    ready.predict()
    ready.untilSampling()
    slicer.mrmlScene.RemoveNode(case.volume)
    ready.wait()
    state = ready.controller.run.state.name
    assert state in ("done", "failed")
    if state == "done":
        (run,) = findRuns(slicer.mrmlScene)
        assert run.inputVolume is None


@pytest.mark.parametrize("version", [(5, 10), (4, 13)])
def test_an_old_slicer_gets_one_sentence(session, version, monkeypatch):
    """Nothing is loaded but the sentence; that is tested with the panel class on a parent of its own."""
    import GBMResponse

    monkeypatch.setattr(session.app, "_versionNumbers", version)
    parent = qt.QWidget()
    qt.QVBoxLayout(parent)
    widget = GBMResponse.GBMResponseWidget(parent)
    widget.setup()
    (label,) = parent.findChildren(qt.QLabel)
    assert f"this is {version[0]}.{version[1]}" in label.text
    assert "5.12" in label.text
    assert widget.logic is None
    widget.enter()
    widget.exit()
    widget.cleanup()
    with pytest.raises(Exception, match=r"needs 3D Slicer 5\.12"):
        GBMResponse.GBMResponseLogic().predict(None, None, "")


def test_the_log_holds_what_support_needs(ready, tmp_path):
    ready.parameters.bundleFolder = str(tmp_path)
    ready.settle()
    ready.ui.diagnosticsButton.click()
    text = slicer.app.clipboard().text()
    assert "Slicer 5.12" in text
    assert json.dumps("pre") not in text  # no names of the user's data
