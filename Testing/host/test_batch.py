"""The page Batch: a table or a folder, what becomes of each case, stop and continue, a result into the scene."""

import json
import os
import signal
from pathlib import Path

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
import slicer
from fake_dicom import ball_contours, write_series, write_structures
from GBMResponseLib.batch.BatchCases import BatchCases, CaseState
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.results.ResultNodes import findRuns
from GBMResponseLib.views.LayoutDescription import viewName
from PySide6.QtWidgets import QTableWidget
from rows import share

WAIT_S = 600
HEAD = "id,image,gtv,follow_up,unusable,found"


class BatchDriver:
    """What a user does with the page."""

    def __init__(self, ready, folder: Path):
        self.ready, self.session, self.folder = ready, ready.session, folder
        self.out, self.table = folder / "out", folder / "cases.csv"
        self.opened: list[Path] = []
        self.panel._openFile = self.opened.append
        self.panel._asks = {"table": lambda: str(self.table), "out": lambda: str(self.out)}

    @property
    def panel(self):
        return self.ready.widget.batchPanel

    @property
    def ui(self):
        return self.ready.ui

    @property
    def run(self):
        return self.ready.widget.logic.engine.batch

    @property
    def status(self) -> str:
        return self.ui.batchStatusLabel.text

    def choose(self, *lines: str) -> None:
        """Choose a table of these lines, and the folder for the results."""
        self.table.write_text("\n".join([HEAD, *lines]) + "\n", encoding="utf-8")
        self.ready.click("batchTableButton")
        self.ready.click("batchOutButton")

    def rows(self) -> list[tuple[str, str]]:
        """Case and status of all rows, as they are shown."""
        table = self.ui.batchCasesTable
        return [(table.item(row, 0).text(), table.item(row, 1).text()) for row in range(table.rowCount)]

    def details(self, row: int) -> str:
        return self.ui.batchCasesTable.item(row, 2).text()

    def start(self) -> None:
        self.ready.click("batchStartButton")

    def wait(self) -> None:
        self.session.until(lambda: not self.run.isActive, WAIT_S)

    def untilWorking(self) -> None:
        """Wait until a slice of a case is made."""
        self.session.until(
            lambda: "%" in "".join(map(self.details, range(len(self.rows())))) or not self.run.kind, WAIT_S
        )
        assert self.run.kind, self.status

    def staged(self) -> list[Path]:
        """Finished slices of the first case."""
        return list(self.out.glob("first/.staged-*/**/*.npy"))

    def open(self, row: int) -> None:
        """Open the result of a row and wait until it is in the scene."""
        self.ui.batchCasesTable.setCurrentCell(row, 0)
        self.ready.click("batchOpenButton")
        self.session.until(lambda: not self.status.startswith("Loading"), WAIT_S)
        self.ready.settle()

    def slow(self) -> None:
        """Let each case take some seconds."""
        self.ready.parameters.steps, self.ready.parameters.samples = 250, 1

    def claims(self) -> list[Path]:
        return list(self.out.glob("*/.running*"))


@pytest.fixture
def batch(ready, tmp_path):
    """The page, on a folder of its own; cheap predictions."""
    ready.parameters.samples, ready.parameters.steps = 1, 2
    ready.ui.tabWidget.currentIndex = 2
    driver = BatchDriver(ready, tmp_path)
    yield driver
    ready.reopen()


@pytest.fixture
def good(case_files):
    """What a table says of a case that works."""
    return lambda name: f"{name},{case_files['pre']},{case_files['gtv']},{case_files['follow_up']},,"


def test_each_case_shows_what_became_of_it_and_a_result_opens_in_the_scene(batch, good, views):
    batch.choose(
        good("first"), "lost,,,,No GTV was found.,2 volumes", "gone,nowhere.nrrd,nowhere.nrrd,,,", good("last")
    )
    assert batch.rows() == [("first", "Waiting"), ("lost", "Unusable"), ("gone", "Waiting"), ("last", "Waiting")]
    assert batch.details(1) == "No GTV was found. (2 volumes)"
    assert not batch.out.exists() and not batch.ui.batchReportButton.enabled
    batch.ready.parameters.samples = 2
    seen = set()
    batch.run.told.connect(lambda event: seen.update(batch.rows()))
    batch.start()
    assert not batch.ui.batchTableButton.enabled and not batch.ui.batchStartButton.enabled
    batch.wait()
    assert {("first", "Running"), ("last", "Running")} <= seen
    assert batch.rows() == [("first", "Done"), ("lost", "Unusable"), ("gone", "Failed"), ("last", "Done")]
    assert "does not exist" in batch.details(2) and "No GTV was found." in batch.details(1)
    assert "1 failed" in batch.status
    assert batch.ui.batchProgressLabel.text == "2 of 4 done, 1 failed, 1 unusable"
    options = json.loads((batch.out / "first" / "provenance.json").read_text("utf-8"))
    assert (options["steps"], options["samples"], options["bundle"]["name"]) == (2, 2, "tiny")

    batch.ui.batchCasesTable.setCurrentCell(2, 0)
    assert not batch.ui.batchOpenButton.enabled
    batch.open(0)
    (nodes,) = findRuns(slicer.mrmlScene)
    predicted, before = nodes.node(NodeRoles.PREDICTED), nodes.inputVolume
    assert NodeRoles.isSynthetic(predicted) and "SYNTHETIC" in predicted.GetName() and before.GetName() == "first"
    assert nodes.followUp.GetName() == "first follow-up" and nodes.segmentation.GetName() == "first GTV"
    generated = slicer.util.arrayFromVolume(nodes.node(NodeRoles.MASK)) > 0
    after, input_ = slicer.util.arrayFromVolume(predicted), slicer.util.arrayFromVolume(before)
    assert (after[~generated] == input_[~generated]).all() and (after[generated] != input_[generated]).any()
    samples = nodes.sampleNodes(nodes.classes[0])
    for number, sample in enumerate(samples, start=1):
        written = sitk.ReadImage(str(batch.out / "first" / f"sample_{number:02d}.nii.gz"))
        assert (slicer.util.arrayFromVolume(sample) == sitk.GetArrayFromImage(written)).all()
    assert len(samples) == 2
    assert np.ptp(views(viewName(0))) > 50 and batch.ui.compareButton.checked
    assert "first is shown" in batch.status
    batch.open(0)
    assert len(findRuns(slicer.mrmlScene)) == 1, "it is not loaded twice"
    batch.open(3)
    runs = findRuns(slicer.mrmlScene)
    assert {run.inputVolume.GetName() for run in runs} == {"first"}, "the same image is loaded once"

    batch.ready.click("batchReportButton")
    batch.wait()
    assert batch.opened == [batch.out / "cohort.html"] and batch.opened[0].is_file()


def test_a_folder_becomes_a_table_that_is_shown_before_anything_starts(batch, case_files):
    tree = batch.folder / "patients"
    for patient, roles in (("p1", ("pre", "gtv")), ("p2", ("pre",))):
        (tree / patient).mkdir(parents=True)
        for role in roles:
            name = {"pre": "t1gd", "gtv": "gtv"}[role]
            (tree / patient / f"{name}.nrrd").write_bytes(case_files[role].read_bytes())
    table = batch.folder / "new.csv"
    batch.panel._asks |= {"folder": lambda: str(tree), "newTable": lambda: str(table)}
    batch.ready.click("batchFolderButton")
    batch.wait()
    assert batch.rows() == [("p1", "Waiting"), ("p2", "Unusable")] and table.is_file()
    assert batch.details(0) == "2 volumes" and batch.details(1) == "No GTV was found. (1 volumes)"
    assert "Look through them" in batch.status
    assert not batch.ui.batchStartButton.enabled, "there is no folder for the results"
    batch.ready.click("batchOutButton")
    assert batch.ui.batchStartButton.enabled and not batch.out.exists()
    batch.ready.click("batchFolderButton")
    batch.wait()
    assert "is there already" in batch.status, "a table is never replaced"


def test_a_batch_that_is_stopped_goes_on_where_it_was(batch, good):
    batch.slow()
    batch.choose(good("first"), good("last"))
    batch.start()
    batch.untilWorking()
    batch.session.until(batch.staged, WAIT_S)
    batch.ready.click("batchStopButton")
    assert not batch.ui.batchStopButton.enabled
    batch.wait()
    assert batch.rows() == [("first", "Waiting"), ("last", "Waiting")] and not batch.claims()
    assert batch.status.startswith("Stopped.") and not batch.panel.failure
    assert batch.ui.batchStartButton.text == "Continue" and not batch.ui.batchReportButton.enabled
    assert batch.staged(), "finished slices are kept"
    batch.ready.parameters.steps = 2
    batch.start()
    batch.wait()
    assert batch.rows() == [("first", "Done"), ("last", "Done")]
    assert batch.status.startswith("All cases are done")
    assert batch.ui.batchStartButton.text == "Continue"
    batch.start()
    batch.wait()
    assert batch.rows() == [("first", "Done before"), ("last", "Done before")]


@pytest.mark.parametrize("how", share(["closed", "killed"], 1))
def test_a_process_that_ends_with_slicer_or_by_itself_loses_no_case(batch, good, how):
    batch.slow()
    batch.choose(good("first"))
    batch.start()
    batch.untilWorking()
    worker = batch.run._process._worker
    if how == "closed":
        batch.ready.reopen()
        batch.panel._asks = {"table": lambda: str(batch.table), "out": lambda: str(batch.out)}
        batch.ready.parameters.samples = 1
        assert not batch.claims()
    else:
        os.kill(worker, getattr(signal, "SIGKILL", signal.SIGTERM))
        batch.wait()
        assert "stopped unexpectedly" in batch.status and "Press Continue" in batch.status
        assert batch.rows() == [("first", "Waiting")]
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    batch.choose(good("first"))
    batch.ready.parameters.steps = 2
    batch.start()
    batch.wait()
    assert batch.rows() == [("first", "Done")], batch.status


def test_what_is_wrong_with_a_table_or_an_option_is_a_sentence_and_nothing_starts(batch, good, tmp_path):
    batch.table.write_text("id,image\nfirst,a.nrrd\n", encoding="utf-8")
    batch.ready.click("batchTableButton")
    assert "lacks the column 'gtv'" in batch.status and not batch.ui.batchStartButton.enabled
    batch.choose(good("first"))
    assert not batch.status
    batch.ready.parameters.bundleFolder = str(tmp_path / "nowhere")
    batch.start()
    assert batch.status and batch.panel.failure is not None and not batch.run.isActive
    assert not batch.out.exists()


def test_a_case_of_dicom_files_opens_as_the_engine_reads_it(batch, case_files):
    """The images come by way of temporary files that are gone when the case is shown."""
    image = sitk.Cast(sitk.ReadImage(str(case_files["pre"])), sitk.sitkInt16)
    export = batch.folder / "export"
    header = write_series(export / "t1", image)
    write_structures(export / "RS.dcm", header, {"GTV": ball_contours(image, phantoms.GTV_CENTER, 12)})
    batch.choose(f"first,{export},{export},,,")
    batch.start()
    batch.wait()
    assert batch.rows() == [("first", "Done")], batch.details(0)
    batch.open(0)
    assert "is shown" in batch.status
    (nodes,) = findRuns(slicer.mrmlScene)
    before = nodes.inputVolume
    assert before.GetName() == "first" and before.GetStorageNode() is None, "it is saved with the scene"
    assert (slicer.util.arrayFromVolume(before) == sitk.GetArrayFromImage(image)).all()
    generated = slicer.util.arrayFromVolume(nodes.node(NodeRoles.MASK)) > 0
    after = slicer.util.arrayFromVolume(nodes.node(NodeRoles.PREDICTED))
    assert (after[~generated] == slicer.util.arrayFromVolume(before)[~generated]).all() and generated.any()
    outlined = slicer.util.arrayFromSegmentBinaryLabelmap(nodes.segmentation, nodes.segmentID, before)
    assert outlined.any() and not list(Path(slicer.app.temporaryPath).rglob("in-*/image.nrrd"))


def test_the_scene_may_be_closed_while_cases_run(batch, good):
    batch.choose(good("first"))
    batch.start()
    slicer.mrmlScene.Clear(False)
    batch.wait()
    assert batch.rows() == [("first", "Done")]
    batch.open(0)
    slicer.mrmlScene.Clear(False)
    batch.open(0)
    assert len(findRuns(slicer.mrmlScene)) == 1


def test_the_page_says_which_model_and_options_the_cases_get(batch):
    batch.ready.parameters.seed = 77
    batch.ui.tabWidget.currentIndex = 0
    batch.ui.tabWidget.currentIndex = 2
    assert "tiny" in batch.ui.batchSettingsLabel.text and "seed 77" in batch.ui.batchSettingsLabel.text


def test_thousand_cases_are_shown_without_a_pause_for_each(batch, good):
    batch.choose(*(good(f"case{number:04d}") for number in range(1000)))
    assert isinstance(batch.ui.batchCasesTable, QTableWidget) and batch.ui.batchCasesTable.rowCount == 1000
    calls = []
    batch.panel._showCase = calls.append
    batch.run.told.emit({"type": "case", "id": "case0500", "status": "running"})
    assert calls == [500], "an event touches its own row alone"
    assert BatchCases(batch.table, batch.out).count(CaseState.waiting) == 1000
