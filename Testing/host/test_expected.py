"""The expected image is seen while samples are drawn, and Stop makes a result of what is there."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import slicer
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.results.ResultNodes import findRuns
from GBMResponseLib.settings.Choices import ClassMode
from GBMResponseLib.views.LayoutDescription import isOwnLayout, viewName

from host.panel_driver import isMarked, snapshot

RED_ONLY = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
SLOW = {"steps": 30, "sliceBatch": 1}
"""Settings that leave time to interrupt; the slices are sampled one by one."""


@pytest.fixture
def drawing(ready, layout):
    """A run that has its expected image and draws samples; the user had one view."""
    layout.setLayout(RED_ONLY)
    for name, value in SLOW.items():
        setattr(ready.parameters, name, value)
    ready.settle()
    ready.before = snapshot()
    ready.predict()
    ready.session.until(lambda: ready.controller.run.hasExpected or not ready.controller.isActive)
    assert ready.controller.isActive, ready.status
    ready.session.until(lambda: not ready.widget.panel._turns.arePending)
    yield ready
    if ready.controller.isActive:
        ready.controller.cancel()
        ready.wait()
    layout.setLayout(RED_ONLY)


def voxels(node) -> np.ndarray:
    return slicer.util.arrayFromVolume(node).copy()


def preview(layout):
    """The volume that the second view shows over the first."""
    composite = layout.sliceWidget(viewName(1)).mrmlSliceCompositeNode()
    return slicer.mrmlScene.GetNodeByID(composite.GetForegroundVolumeID())


def untilSample(driver) -> None:
    driver.session.until(lambda: "sample" in driver.controller.progress.details or not driver.controller.isActive)


def test_the_expected_image_is_shown_and_explained_before_the_samples_are_there(drawing, layout):
    assert isOwnLayout(layout.layout)
    volume = preview(layout)
    assert "expected image" in volume.GetName() and volume.GetName().startswith("SYNTHETIC")
    assert volume.GetAttribute(NodeRoles.SYNTHETIC) == "1" and not volume.GetSaveWithScene()
    assert layout.sliceWidget(viewName(1)).mrmlSliceNode().GetLayoutLabel() == "Expected (average)"
    assert isMarked(viewName(1))
    assert "average: it fades what is uncertain" in drawing.status
    assert not findRuns(slicer.mrmlScene)
    early = voxels(volume)
    drawing.wait()
    (run,) = findRuns(slicer.mrmlScene)
    np.testing.assert_array_equal(voxels(run.node(NodeRoles.EXPECTED)), early)
    assert preview(layout) is run.node(NodeRoles.EXPECTED)
    assert volume.GetScene() is None


def test_stop_makes_a_result_of_the_expected_image_and_the_complete_samples(drawing, layout):
    ui = drawing.ui
    drawing.session.until(lambda: ui.predictButton.enabled)
    assert ui.predictButton.text == "Stop"
    untilSample(drawing)
    drawing.click("predictButton")
    assert not ui.predictButton.enabled  # a second click would do something else
    drawing.wait()
    run = drawing.controller.run
    assert run.state.name == "done", drawing.status
    provenance = json.loads(run.nodes.node(NodeRoles.PREDICTED).GetAttribute(NodeRoles.PROVENANCE))
    assert provenance["samples_asked"] == 4 and provenance["samples"] < 4
    assert f"after {provenance['samples']} of 4 samples" in drawing.status
    assert len(run.nodes.sampleNodes(run.nodes.classes[0])) == provenance["samples"]
    assert preview(layout) is run.nodes.node(NodeRoles.EXPECTED)
    assert ui.predictButton.text == "Predict"


def test_a_run_that_is_cancelled_meanwhile_leaves_nothing_and_gives_the_layout_back(drawing, layout):
    untilSample(drawing)
    drawing.controller.cancel()
    drawing.wait()
    display = drawing.parameters.gtvSegmentation.GetDisplayNode()  # was drawn as an outline meanwhile
    after = snapshot()
    assert {name for name in after if after[name] != drawing.before.get(name)} <= {display.GetID()}
    assert set(after) == set(drawing.before) and display.GetVisibility2DFill()
    assert layout.layout == RED_ONLY
    assert "kept" in drawing.status


def test_closing_the_scene_meanwhile_leaves_nothing(drawing, layout):
    slicer.mrmlScene.Clear(False)
    drawing.session.until(lambda: not drawing.controller.isActive)
    drawing.settle()
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert not isOwnLayout(layout.layout)


def test_a_saved_scene_holds_no_preview(drawing, tmp_path):
    assert slicer.util.saveScene(str(tmp_path / "scene.mrml"))
    text = Path(tmp_path / "scene.mrml").read_text("utf-8")
    assert len(re.findall(r"<Volume[ \n]", text)) == 1  # the input
    assert len(re.findall(r"<VolumeDisplay[ \n]", text)) == 1


def test_the_expected_images_of_all_classes_come_one_by_one(ready, layout):
    ready.parameters.classMode = ClassMode.compareAll
    ready.parameters.samples = 0
    taken, shown, panel = [], [], ready.widget.panel
    results = panel._results

    def count(name, _path):
        taken.append((name, list(results._previewed.byClass)))
        panel._turns.add(lambda: shown.append(len(results._views.contents())))

    ready.controller.expectedReady.connect(count)
    run = ready.run()
    ready.controller.expectedReady.disconnect(count)
    assert taken == [("short", ["short"]), ("long", ["short", "long"])]
    assert set(shown) <= {2, 3} and shown[-1] == 3
    assert run.nodes.classes == ["short", "long"]
    layout.setLayout(RED_ONLY)


def test_instant_offers_no_stop(ready, layout):
    ready.parameters.samples = 0
    ready.settle()
    texts = set()
    ready.controller.progressChanged.connect(lambda _progress: texts.add(ready.ui.predictButton.text))
    ready.run()
    assert "Stop" not in texts
    layout.setLayout(RED_ONLY)
