"""The reader study page on a run of the scene: blinded, by keyboard, saved after every answer, continued."""

import csv

import numpy as np
import pytest
import qt
import slicer
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.readerStudy.ReaderStudyImages import ReaderStudyImages
from GBMResponseLib.readerStudy.ReaderStudyPlan import REAL
from GBMResponseLib.views.LayoutDescription import READER_LAYOUT, READER_VIEW
from GBMResponseLib.views.SyntheticMark import SyntheticMark
from PySide6.QtTest import QTest

from host.panel_driver import isMarked

RED_ONLY = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
KEYS = {str(digit): getattr(qt.Qt, f"Key_{digit}") for digit in range(10)}


@pytest.fixture
def study(ready, layout, tmp_path, monkeypatch):
    """The page with a file for the scores, a run in the scene, and the user's layout."""
    ready.run()
    ready.ui.compareButton.click()
    layout.setLayout(RED_ONLY)
    path = tmp_path / "scores.csv"
    monkeypatch.setattr(ready.widget.readerPanel, "_askScoresFile", lambda: str(path))
    ready.ui.tabWidget.currentIndex = 1
    ready.widget.parent.show()
    ready.widget.parent.activateWindow()  # keys go to the active window only
    ready.session.until(lambda: ready.widget.parent.isActiveWindow)
    ready.click("readerFileButton")
    ready.ui.readerNameEdit.text = "Reader 1"
    ready.path = path
    yield ready
    ready.widget.readerPanel.close()
    ready.widget.readerPanel._scoresFile = ""
    ready.ui.tabWidget.currentIndex = 0


def press(study, key) -> None:
    QTest.keyClick(study.ui.readerPage, key)
    study.session.spin(0.02)


def rows(path) -> list[dict]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_it_says_what_is_missing(study):
    study.widget.readerPanel._scoresFile = ""
    study.click("readerStartButton")
    assert "Choose a file for the scores" in study.ui.readerStatusLabel.text


def test_slices_are_shown_alone_and_say_nothing_about_their_source(study, layout, views):
    study.click("readerStartButton")
    assert layout.layout == READER_LAYOUT
    assert np.ptp(views(READER_VIEW)) > 50
    assert isMarked(READER_VIEW)
    text = study.ui.readerQuestionLabel.text + layout.sliceWidget(READER_VIEW).mrmlSliceNode().GetLayoutLabel()
    assert "real:" not in text and "tiny" not in text
    press(study, qt.Qt.Key_Right)
    assert isMarked(READER_VIEW)  # real or not


def test_scores_by_keyboard_are_in_the_file_at_once(study):
    study.click("readerStartButton")
    total = len(study.widget.readerPanel.session.plan.items)
    press(study, KEYS["7"])
    (row,) = rows(study.path)
    assert (row["score"], row["reader"], row["number"]) == ("7", "Reader 1", "1")
    study.ui.readerCommentEdit.text = "blurred"
    press(study, qt.Qt.Key_T)
    assert [row["score"] for row in rows(study.path)] == ["7", "10"]
    assert rows(study.path)[1]["comment"] == "blurred"
    assert total == 2 and study.widget.readerPanel.session is None


def test_a_finished_study_is_summed_up_by_source_and_the_layout_comes_back(study, layout):
    study.click("readerStartButton")
    press(study, KEYS["3"])
    press(study, KEYS["9"])
    table = study.ui.readerSummaryTable
    cells = {table.item(row, 0).text(): table.item(row, 2).text() for row in range(table.rowCount)}
    assert set(cells.values()) == {"3.00", "9.00"}
    assert "real" in cells
    assert layout.layout == RED_ONLY
    assert not slicer.mrmlScene.GetNodesByName("Reader study image").GetNumberOfItems()
    assert not isMarked("Red")


def test_a_stopped_study_goes_on_where_it_was(study):
    study.ui.readerModeComboBox.currentIndex = 1
    study.click("readerStartButton")
    press(study, KEYS["4"])
    press(study, KEYS["5"])
    study.click("readerEndButton")
    assert "2 of" in study.ui.readerStatusLabel.text
    study.click("readerStartButton")
    session = study.widget.readerPanel.session
    assert [answer.score for answer in session.answers.values()] == [4, 5]
    assert session.current.number == 3
    study.ui.readerModeComboBox.currentIndex = 0


def test_the_file_of_another_study_is_refused(study):
    study.path.write_text("plan,reader,number,patient,source,slice,score,comment,scored_utc\nx,a,1,b,c,1,5,,\n")
    study.click("readerStartButton")
    assert "another study" in study.ui.readerStatusLabel.text


def test_without_a_run_there_is_nothing_to_judge(study):
    slicer.mrmlScene.Clear(False)
    study.click("readerStartButton")
    assert "no slices to judge" in study.ui.readerStatusLabel.text


def test_closing_the_scene_ends_the_study(study, layout):
    study.click("readerStartButton")
    slicer.mrmlScene.Clear(False)
    assert study.widget.readerPanel.session is None
    assert layout.layout != READER_LAYOUT


def test_values_window_and_place_are_the_same_for_every_source(study):
    study.click("readerStartButton")
    volume = study.widget.readerPanel._view.volume
    seen = set()
    for _item in range(2):
        image, display = volume.GetImageData(), volume.GetDisplayNode()
        bounds = [0.0] * 6
        volume.GetRASBounds(bounds)
        middle = tuple(round((bounds[2 * axis] + bounds[2 * axis + 1]) / 2, 3) + 0.0 for axis in range(3))
        seen.add((image.GetScalarTypeAsString(), display.GetWindow(), display.GetLevel(), middle, volume.GetName()))
        press(study, qt.Qt.Key_Right)
    assert seen == {("unsigned char", 255.0, 127.5, (0.0, 0.0, -10000.0), "Reader study image")}


def test_no_contour_of_the_scene_lies_on_a_slice(study):
    study.click("readerStartButton")
    image, contour = [0.0] * 6, [0.0] * 6
    study.widget.readerPanel._view.volume.GetRASBounds(image)
    slicer.mrmlScene.GetFirstNodeByClass("vtkMRMLSegmentationNode").GetRASBounds(contour)
    assert image[5] < contour[4]


def test_a_real_image_is_judged_once_however_many_runs_there_are(ready, layout):
    voxels = slicer.util.arrayFromVolume(ready.parameters.inputVolume)
    for seed in (1, 2):
        ready.parameters.seed = seed
        aligned = slicer.util.addVolumeFromArray(voxels, name=f"aligned for seed {seed}")
        aligned.SetAttribute(NodeRoles.RUN, ready.run().nodes.run)
        aligned.SetAttribute(NodeRoles.ROLE, NodeRoles.REGISTERED)
    sources = [volume.source for volume in ReaderStudyImages().volumesOfScene()]
    assert len(sources) == 3 and sources.count(REAL) == 1
    layout.setLayout(RED_ONLY)


def test_reloading_during_a_study_leaves_one_mark(study):
    study.click("readerStartButton")
    try:
        study.widget.onReload()
        study.widget = slicer.modules.GBMResponseWidget
        assert SyntheticMark.installed() is None  # that of the old library
    finally:
        study.reopen()
