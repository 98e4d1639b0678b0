"""A run is scored against a real follow-up, at once or in another session; wrong things are refused before any work."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
from GBMResponseCore.measure.score_log import ScoreLog
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.inputs.SceneExporter import segmentOnGrid
from GBMResponseLib.results.ResultNodes import findRuns

from host.panel_driver import WAIT_S, snapshot

COPIES = {"Samples": "samples", "Expected": "expected_image", "Copy": "copy_of_the_input"}


@pytest.fixture
def scored(ready, case, tmp_path, monkeypatch):
    """A run with four samples, a log that is not made yet, a later image in which more enhances, the section open."""
    section = ready.widget.panel._results.scoringSection
    log = tmp_path / "department.sqlite"
    monkeypatch.setattr(section, "_askLog", lambda: str(log))
    monkeypatch.setattr(section, "_askRunFolder", lambda: "")
    collapsed, ready.ui.scoringSection.collapsed = ready.ui.scoringSection.collapsed, False
    ready.parameters.samples = 4
    run = ready.run()
    later = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, ready.parameters.inputVolume, "month 3")
    voxels = slicer.util.arrayFromVolume(later)
    voxels[slicer.util.arrayFromVolume(segmentOnGrid(case.segmentation, case.segmentID, case.volume)) > 0] += 200
    slicer.util.arrayFromVolumeModified(later)
    ready.settle()
    yield SimpleNamespace(driver=ready, ui=ready.ui, run=run, later=later, log=log, section=section, scene=tmp_path)
    section._setLog("")
    ready.ui.scoringSection.collapsed = collapsed


def score(scored, volume) -> None:
    """Choose a follow-up, click and wait for the end."""
    scored.ui.scoringFollowUpSelector.setCurrentNode(volume)
    scored.driver.click("scoringButton")
    scored.driver.session.until(lambda: not scored.section._scoring.isActive, WAIT_S)
    scored.driver.settle()


def cells(table) -> dict[str, dict[str, str]]:
    titles = [table.GetColumnName(column) for column in range(1, table.GetNumberOfColumns())]
    rows = range(table.GetNumberOfRows())
    return {
        table.GetCellText(row, 0): {
            title: table.GetCellText(row, column) for column, title in enumerate(titles, start=1)
        }
        for row in rows
    }


def test_a_run_is_scored_beside_both_copies_and_kept_in_the_log(scored):
    driver, ui = scored.driver, scored.ui
    driver.click("scoringLogButton")
    assert ui.scoringLogButton.text == "department.sqlite (new)" and not ui.scoringLogPageButton.enabled
    ui.scoringCaseEdit.text = "board 7"
    before = snapshot()
    score(scored, scored.later)
    (run,) = findRuns(slicer.mrmlScene)
    assert run.scores is not None, ui.scoringLabel.text
    after = snapshot()
    assert set(after) - set(before) == {run.scores.GetID()}  # one table, and nothing of the scene was changed
    assert {name: after[name] for name in before} == before
    record = json.loads((scored.run.manifest.folder / "score.json").read_text("utf-8"))
    (entry,) = record["classes"].values()
    found = cells(run.scores)
    assert len(found) == 9 and list(found["MSE in the GTV"]) == [*COPIES, "Blurred copy", "Skill"]
    for title, name in COPIES.items():
        assert found["MSE in the GTV"][title] == f"{entry['forecasts'][name]['mse_local']:.4f}"
        if "enhancement_dice" in entry["forecasts"][name]:
            shown = found["Overlap of the enhancement (Dice)"][title]
            assert shown == f"{entry['forecasts'][name]['enhancement_dice']:.2f}"
    assert found["Overlap of the enhancement (Dice)"]["Expected"] == "–"
    assert found["MSE in the GTV"]["Skill"] == f"{entry['skill']['samples']['mse_local']['value']:+.2f}"
    assert ui.scoringTable.isVisibleTo(ui.scoringSection) and ui.scoringTable.rowCount == 9
    skills = [values["value"] for values in entry["skill"]["samples"].values()]
    worse = f"In {sum(value < 0 for value in skills)} of {len(skills)} measures a copy of the input is closer"
    assert worse in ui.scoringLabel.text and "month 3" in ui.scoringLabel.text
    assert "The score is in the log department.sqlite." in ui.scoringLabel.text
    assert NodeRoles.isSynthetic(run.scores) and "SYNTHETIC" in run.scores.GetName()
    (row,) = ScoreLog(scored.log).rows()
    assert (row.case_label, row.record["true_volume_ml"]) == ("board 7", record["true_volume_ml"])
    assert ui.scoringLogPageButton.enabled and ui.scoringLogButton.text == "department.sqlite"
    opened = []
    scored.section._openFile = opened.append
    driver.click("scoringLogPageButton")
    assert opened == [scored.log.with_suffix(".html")] and "board 7" in opened[0].read_text("utf-8")
    score(scored, scored.later)  # once more: it replaces what was there
    assert len(ScoreLog(scored.log).rows()) == 1
    assert [table.GetAttribute(NodeRoles.ROLE) for table in slicer.util.getNodesByClass("vtkMRMLTableNode")].count(
        NodeRoles.SCORES
    ) == 1


def test_what_is_no_real_follow_up_is_refused_before_any_work(scored):
    ui, logic = scored.ui, slicer.modules.volumes.logic()
    (run,) = findRuns(slicer.mrmlScene)
    sent = []
    transport = scored.driver.controller._client._transport
    original, transport.send = transport.send, lambda message: (sent.append(message), original(message))
    try:
        assert not ui.scoringButton.enabled and "No real follow-up is chosen" in ui.scoringButton.toolTip
        aligned = logic.CloneVolume(slicer.mrmlScene, scored.later, "aligned")
        aligned.SetAttribute(NodeRoles.ROLE, NodeRoles.REGISTERED)
        copied = logic.CloneVolume(slicer.mrmlScene, run.node(NodeRoles.PREDICTED), "innocent name")
        empty = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
        refused = {
            run.inputVolume: "is the image that the run was predicted from",
            run.node(NodeRoles.EXPECTED): "is a synthetic image",
            copied: "is a synthetic image",
            aligned: "is a copy that a run has aligned",
            empty: "has no voxels",
        }
        for volume, sentence in refused.items():
            ui.scoringFollowUpSelector.setCurrentNode(volume)
            assert not ui.scoringButton.enabled and sentence in ui.scoringButton.toolTip
            assert sentence in ui.scoringLabel.text
        twin = logic.CloneVolume(slicer.mrmlScene, run.inputVolume, "twin")
        score(scored, twin)
        assert "twin is the image that the run was predicted from" in ui.scoringLabel.text
        slicer.mrmlScene.RemoveNode(scored.driver.parameters.gtvSegmentation)
        scored.driver.widget.panel.refreshRuns()
        ui.scoringFollowUpSelector.setCurrentNode(scored.later)
        assert "not in the scene" in ui.scoringLabel.text and not ui.scoringButton.enabled
    finally:
        transport.send = original
    assert sent == [] and not (scored.run.manifest.folder / "score.json").exists()


def test_a_follow_up_of_another_head_is_a_sentence_and_leaves_no_score(scored):
    scored.driver.click("scoringLogButton")
    other = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, scored.later, "another head")
    voxels = slicer.util.arrayFromVolume(other)
    voxels[:] = np.random.default_rng(0).integers(0, 900, voxels.shape)
    slicer.util.arrayFromVolumeModified(other)
    score(scored, other)
    assert "There is no true follow-up that shows the same head." in scored.ui.scoringLabel.text
    assert "font-weight: bold" in scored.ui.scoringLabel.styleSheet
    assert findRuns(slicer.mrmlScene)[0].scores is None and not scored.log.exists()
    scored.ui.scoringFollowUpSelector.setCurrentNode(scored.later)
    assert "same head" not in scored.ui.scoringLabel.text and scored.ui.scoringButton.enabled


def test_a_run_of_a_loaded_scene_is_scored_in_the_folder_that_it_was_saved_to(scored):
    driver, ui = scored.driver, scored.ui
    panel = driver.widget.panel
    places = {name: scored.scene / name for name in ("saved", "other")}
    for place in places.values():
        place.mkdir()
    saved = panel._results._saver.save(scored.run.nodes, scored.run.manifest, places["saved"])
    slicer.util.saveScene(str(scored.scene / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(scored.scene / "scene.mrb"))
    driver.settle()
    later = slicer.util.getNode("month 3")
    score(scored, later)  # the question is answered by nothing
    assert ui.scoringLabel.text == "" and findRuns(slicer.mrmlScene)[0].scores is None
    scored.section._askRunFolder = lambda: str(places["other"])
    score(scored, later)
    assert "The folder other does not hold this run." in ui.scoringLabel.text
    scored.section._askRunFolder = lambda: str(saved)
    score(scored, later)
    assert "Scored against month 3" in ui.scoringLabel.text
    assert "No log is chosen" in ui.scoringLabel.text
    assert json.loads((saved / "score.json").read_text("utf-8"))["synthetic"]
    slicer.util.saveScene(str(scored.scene / "again.mrb"))
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(scored.scene / "again.mrb"))
    driver.settle()
    assert ui.scoringTable.isVisibleTo(ui.scoringSection) and "Scored against month 3" in ui.scoringLabel.text


@pytest.mark.parametrize("when", ["exporting", "sent"])
def test_a_cancelled_score_leaves_nothing(scored, when):
    driver, ui = scored.driver, scored.ui
    driver.click("scoringLogButton")
    ui.scoringFollowUpSelector.setCurrentNode(scored.later)
    driver.click("scoringButton")
    scoring = scored.section._scoring
    assert ui.scoringButton.text == "Cancel"
    if when == "sent":
        driver.session.until(lambda: scoring._score.isSent)
    driver.click("scoringButton")
    driver.session.until(lambda: not scoring.isActive, WAIT_S)
    assert ui.scoringLabel.text == "Cancelled: nothing was scored." and ui.scoringButton.text == "Score"
    assert findRuns(slicer.mrmlScene)[0].scores is None and not scored.log.exists()
    assert not (scored.run.manifest.folder / "score.json").exists()
    assert not list(scored.run.manifest.folder.parent.glob("in-*"))


def test_a_scene_that_is_closed_meanwhile_gets_no_scores(scored):
    scored.ui.scoringFollowUpSelector.setCurrentNode(scored.later)
    scored.driver.click("scoringButton")
    scoring = scored.section._scoring
    scored.driver.session.until(lambda: scoring._score.isSent)
    slicer.mrmlScene.Clear(False)
    assert not scoring.isActive and not scored.driver.controller._client.isBusy
    scored.driver.settle()
    assert not slicer.util.getNodesByClass("vtkMRMLTableNode")


def test_a_score_and_a_prediction_wait_for_each_other(scored):
    driver, ui = scored.driver, scored.ui
    ui.scoringFollowUpSelector.setCurrentNode(scored.later)
    driver.click("scoringButton")
    driver.predict()
    assert "A run is being scored." in driver.status and not driver.controller.isActive
    driver.session.until(lambda: not scored.section._scoring.isActive, WAIT_S)
    driver.predict()
    driver.click("scoringButton")
    assert "A prediction or a score is being made." in ui.scoringLabel.text
    driver.wait()


def test_what_ifs_that_are_asked_for_before_and_during_a_score_are_answered_after_it(scored):
    driver, ui, answers = scored.driver, scored.ui, []
    driver.widget.logic.engine.whatIf.answered.connect(lambda wish, path, seconds: answers.append(wish["weight"]))
    ui.scoringFollowUpSelector.setCurrentNode(scored.later)
    ui.whatIfWeightSlider.value = 0.9  # not asked for yet when the score begins
    driver.click("scoringButton")
    scoring = scored.section._scoring
    driver.session.until(lambda: scoring._score is None or scoring._score.isSent, WAIT_S)
    assert scoring.isActive
    ui.whatIfWeightSlider.value = 0.2
    assert "computed afterwards" in ui.whatIfLabel.text
    driver.session.until(lambda: not scoring.isActive, WAIT_S)
    assert "Scored against month 3" in ui.scoringLabel.text
    driver.session.until(lambda: 0.2 in answers, WAIT_S)
    assert "80% short, 20% long" in ui.whatIfLabel.text


def test_a_run_without_its_model_is_refused(scored):
    (run,) = findRuns(slicer.mrmlScene)
    predicted = run.node(NodeRoles.PREDICTED)
    record = json.loads(predicted.GetAttribute(NodeRoles.PROVENANCE))
    record["bundle"]["bundle_json_sha256"] = "0" * 64
    predicted.SetAttribute(NodeRoles.PROVENANCE, json.dumps(record))
    score(scored, scored.later)
    assert "The model that this run was predicted with is not in the list" in scored.ui.scoringLabel.text


def test_scores_go_and_come_with_their_run(scored):
    score(scored, scored.later)
    scored.driver.click("deleteRunButton")
    assert not slicer.util.getNodesByClass("vtkMRMLTableNode")
    scored.driver.click("restoreRunButton")
    (run,) = findRuns(slicer.mrmlScene)
    assert run.scores is not None and Path(scored.run.manifest.folder / "score.json").is_file()
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    items = [hierarchy.GetItemByDataNode(node) for node in (run.scores, run.node(NodeRoles.PREDICTED))]
    assert hierarchy.GetItemParent(items[0]) == hierarchy.GetItemParent(items[1])
