"""Sliders compute the slice in view again; nothing of it is kept until it is applied."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import vtk
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.results.ResultNodes import findRuns
from GBMResponseLib.settings.Choices import ClassMode
from GBMResponseLib.views.LayoutDescription import viewName
from tiny_bundle import write_tiny_bundle

from host.panel_driver import isMarked, snapshot

RED_ONLY = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


@pytest.fixture
def asked(ready, layout, exact):
    """A run that is shown, without samples and slice by slice, so that all its slices are reproduced exactly."""
    layout.setLayout(RED_ONLY)
    ready.parameters.samples, ready.parameters.sliceBatch = 0, 1
    run = ready.run()
    ready.settle()
    answers = []
    ready.widget.logic.engine.whatIf.answered.connect(lambda wish, path, seconds: answers.append(wish))
    yield SimpleNamespace(driver=ready, ui=ready.ui, run=run, answers=answers, layout=layout)
    layout.setLayout(RED_ONLY)


def move(asked, weight) -> None:
    """Move the slider and wait for the answer."""
    if asked.ui.whatIfWeightSlider.value == weight:  # that of the run: nothing moves
        asked.ui.whatIfWeightSlider.value = 0.5
    asked.ui.whatIfWeightSlider.value = weight
    asked.driver.session.until(lambda: asked.answers and asked.answers[-1]["weight"] == weight, 60)


def view(asked):
    return asked.layout.sliceWidget(viewName(1))


def preview(asked):
    node = slicer.mrmlScene.GetNodeByID(view(asked).mrmlSliceCompositeNode().GetForegroundVolumeID())
    return node if "what-if" in node.GetName() else None


def slab(volume, part) -> np.ndarray:
    """The voxels of a volume where a part of it is."""
    matrix, inverse = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    part.GetIJKToRASMatrix(matrix)
    volume.GetRASToIJKMatrix(inverse)
    first = [round(v) for v in inverse.MultiplyPoint(matrix.MultiplyPoint((0, 0, 0, 1)))[:3]]
    size = part.GetImageData().GetDimensions()
    columns, rows, slices = (slice(a, a + b) for a, b in zip(first, size, strict=True))
    return slicer.util.arrayFromVolume(volume)[slices, rows, columns]


def test_the_end_of_the_slider_is_the_expected_image_of_that_class(asked):
    move(asked, 1.0)
    shown = preview(asked)
    voxels = slicer.util.arrayFromVolume(shown).copy()
    assert view(asked).mrmlSliceNode().GetLayoutLabel() == "What if: 0% short, 100% long (preview)"
    assert shown.GetName().startswith("SYNTHETIC") and shown.GetAttribute(NodeRoles.SYNTHETIC) == "1"
    assert not shown.GetSaveWithScene()
    assert isMarked(viewName(1))
    expected = asked.run.nodes.node(NodeRoles.EXPECTED)
    assert view(asked).mrmlSliceCompositeNode().GetBackgroundVolumeID() == expected.GetID()
    matrix = slicer.vtkMRMLScalarVolumeNode()
    matrix.CopyOrientation(shown)
    parameters = asked.driver.parameters
    parameters.classMode, parameters.className = ClassMode.chosen, "long"
    asked.driver.settle()
    run = asked.driver.run()
    assert preview(asked) is None  # a new run takes it away
    where = SimpleNamespace(
        GetIJKToRASMatrix=matrix.GetIJKToRASMatrix,
        GetImageData=lambda: SimpleNamespace(GetDimensions=lambda: voxels.shape[::-1]),
    )
    np.testing.assert_array_equal(slab(run.nodes.node(NodeRoles.EXPECTED), where), voxels)


def test_the_pixels_of_the_view_follow_the_slider(asked, views):
    asked.run.nodes.segmentation.GetDisplayNode().SetVisibility(False)
    pictures = []
    for weight in (0.0, 0.5, 1.0):
        move(asked, weight)
        pictures.append(views(viewName(1))[40:].astype(int))
    assert (pictures[0] != pictures[1]).any() and (pictures[1] != pictures[2]).any()
    asked.driver.click("whatIfCloseButton")
    assert preview(asked) is None
    assert view(asked).mrmlSliceNode().GetLayoutLabel() == "Expected (average)"


def test_of_many_moves_the_newest_counts_and_few_are_asked(asked):
    slider = asked.ui.whatIfWeightSlider
    for step in range(21):
        slider.value = step / 20
    asked.driver.session.until(lambda: asked.answers and asked.answers[-1]["weight"] == 1.0, 60)
    assert len(asked.answers) <= 2
    for step in range(20, -1, -1):
        slider.value = step / 20
        asked.driver.session.spin(0.01)
    asked.driver.session.until(lambda: asked.answers[-1]["weight"] == 0.0, 60)
    weights = [wish["weight"] for wish in asked.answers]
    assert len(weights) < 23 and weights[2:] == sorted(weights[2:], reverse=True)


def test_another_slice_is_computed_when_it_is_looked_at(asked):
    node, slices = view(asked).mrmlSliceNode(), asked.run.slices
    node.JumpSliceByOffsetting(*slices[1]["center"])
    move(asked, 0.3)
    assert asked.answers[-1]["index"] == slices[1]["index"]
    for number in (2, 0):
        node.JumpSliceByOffsetting(*slices[number]["center"])
        asked.driver.session.until(lambda number=number: asked.answers[-1]["index"] == slices[number]["index"], 60)
    assert asked.answers[-1]["weight"] == 0.3
    count = len(asked.answers)
    node.JumpSliceByOffsetting(0, 0, slices[-1]["center"][2] + 300)
    assert "no tumor" in asked.ui.whatIfLabel.text
    asked.driver.session.spin(0.2)
    assert len(asked.answers) == count


def test_applying_makes_a_run_with_the_weight(asked):
    move(asked, 0.25)
    voxels = slicer.util.arrayFromVolume(preview(asked)).copy()
    where = slicer.vtkMRMLScalarVolumeNode()
    where.Copy(preview(asked))
    asked.driver.click("whatIfApplyButton")
    run = asked.driver.controller.run
    asked.driver.wait()
    assert run.state.name == "done", asked.driver.status
    provenance = json.loads(run.nodes.node(NodeRoles.PREDICTED).GetAttribute(NodeRoles.PROVENANCE))
    assert (provenance["class_weight"], provenance["class"]["name"]) == (0.25, "75% short, 25% long")
    np.testing.assert_array_equal(slab(run.nodes.node(NodeRoles.EXPECTED), where), voxels)
    assert asked.ui.whatIfWeightSlider.value == 0.25
    assert len(findRuns(slicer.mrmlScene)) == 2


def test_a_preview_leaves_no_node(asked):
    before = set(snapshot())
    move(asked, 0.9)
    assert len(set(snapshot()) - before) == 2  # volume and display
    hidden = [node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if node.GetHideFromEditors()]
    outline = {item.GetID() for node in hidden for item in (node, node.GetDisplayNode())}
    asked.driver.click("compareButton")
    assert len(outline) == 4 and set(snapshot()) == before - outline
    assert not asked.ui.whatIfApplyButton.enabled


def test_days_are_offered_where_the_model_knows_them(asked, tmp_path):
    assert not asked.ui.whatIfDaysWidget.isVisibleTo(asked.ui.whatIfSection)
    asked.driver.parameters.bundleFolder = str(write_tiny_bundle(tmp_path / "days", days_since_rt=120.0))
    asked.driver.settle()
    run = asked.driver.run()
    assert asked.ui.whatIfDaysWidget.isVisibleTo(asked.ui.whatIfSection)
    assert asked.ui.whatIfDaysSlider.value == 120
    asked.ui.whatIfDaysSlider.value = 400
    asked.driver.session.until(lambda: asked.answers, 60)
    assert (asked.answers[-1]["days"], asked.answers[-1]["weight"]) == (400.0, None)
    assert "day 400" in view(asked).mrmlSliceNode().GetLayoutLabel()
    asked.driver.click("whatIfApplyButton")
    run = asked.driver.controller.run
    asked.driver.wait()
    provenance = json.loads(run.nodes.node(NodeRoles.PREDICTED).GetAttribute(NodeRoles.PROVENANCE))
    assert provenance["days_since_rt"] == 400.0 and provenance["class_weight"] is None


def test_without_the_process_it_is_said_what_to_do(asked):
    asked.driver.widget.logic.engine.process.kill()
    asked.driver.session.until(lambda: not asked.driver.controller.isWarm)
    asked.ui.whatIfWeightSlider.value = 0.7
    asked.driver.session.until(lambda: "Press Predict again" in asked.ui.whatIfLabel.text)


def test_nothing_is_offered_before_a_run_and_after_the_scene(asked):
    assert asked.ui.whatIfSection.isVisibleTo(asked.ui.predictPage)
    move(asked, 0.9)
    slicer.mrmlScene.Clear(False)
    asked.driver.settle()
    assert not asked.ui.whatIfSection.isVisibleTo(asked.ui.predictPage)
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
