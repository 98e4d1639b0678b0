"""The panel predicts with a real worker process and a real, tiny bundle."""

import json

import numpy as np
import pytest
import SimpleITK
import slicer
import vtk
from GBMResponseCore.cli import main
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.common.QtTimers import startTimer
from GBMResponseLib.results import ResultImporter
from GBMResponseLib.results.ResultNodes import findRuns
from GBMResponseLib.settings.Choices import ClassMode
from tiny_bundle import write_tiny_bundle

from host.panel_driver import hierarchyItems, snapshot

SLOW = {"steps": 30, "sliceBatch": 1, "samples": 2}
"""Settings that leave time to interrupt; the slices are sampled one by one."""


def voxels(node) -> np.ndarray:
    return slicer.util.arrayFromVolume(node).copy()


def nodesOfTheUser() -> set[str]:
    """Color tables of the module are made once and stay."""
    return {identifier for identifier in snapshot() if "ColorTable" not in identifier}


def geometry(node) -> np.ndarray:
    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def test_inputs_are_chosen_by_themselves(driver, case, tiny_bundle):
    case.segmentation.GetSegmentation().AddEmptySegment("a", "brainstem")
    driver.widget.initializeParameterNode()
    driver.settle()
    parameters = driver.parameters
    assert parameters.inputVolume is case.volume
    assert parameters.gtvSegmentation is case.segmentation
    assert parameters.gtvSegmentID == case.segmentID
    assert driver.ui.segmentSelector.currentSegmentID() == case.segmentID


def test_a_result_is_on_the_grid_of_its_input(ready, case):
    before = voxels(case.volume)
    nodes = ready.run().nodes
    predicted, mask = nodes.node(NodeRoles.PREDICTED), nodes.node(NodeRoles.MASK)
    np.testing.assert_array_equal(geometry(predicted), geometry(case.volume))
    generated = voxels(mask) > 0
    assert generated.any() and not generated.all()
    assert (voxels(predicted)[generated] != before[generated]).any()
    np.testing.assert_array_equal(voxels(predicted)[~generated], before[~generated])
    np.testing.assert_array_equal(voxels(case.volume), before)


def test_panel_command_and_predictor_give_identical_voxels(ready, case_files, tiny_bundle, tmp_path):
    ready.parameters.classMode, ready.parameters.classScheme = ClassMode.chosen, "2-class"
    ready.settle()
    ready.parameters.className, ready.parameters.seed = "long", 4
    ready.settle()
    nodes = ready.run().nodes
    fromPanel, precision = voxels(nodes.node(NodeRoles.PREDICTED)), nodes.record()["precision"]  # chosen by timing
    files = ["--image", str(case_files["pre"]), "--gtv", str(case_files["gtv"]), "--out", str(tmp_path)]
    options = ["--bundle", str(tiny_bundle), "--class", "long", "--seed", "4", "--no-montage"]
    options += ["--precision", precision]
    assert main(["predict", *files, *options]) == 0
    fromCommand = voxels(slicer.util.loadVolume(str(tmp_path / "predicted.nii.gz")))
    np.testing.assert_array_equal(fromPanel, fromCommand)
    options = PredictionOptions(seed=4, classes=("long",))
    case = load_case(case_files["pre"], case_files["gtv"])
    prediction = Predictor(open_bundle(tiny_bundle), "auto", precision).predict(case, options)
    np.testing.assert_array_equal(fromPanel, SimpleITK.GetArrayFromImage(prediction.samples[0]))


def test_a_run_is_a_group_of_marked_nodes(ready, case):
    before = set(snapshot())
    nodes = ready.run().nodes
    predicted = nodes.node(NodeRoles.PREDICTED)
    assert predicted.GetName().startswith("SYNTHETIC")
    for node in nodes.allNodes():
        assert node.GetAttribute(NodeRoles.SYNTHETIC) == "1"
        assert node.GetAttribute(NodeRoles.RUN) == nodes.run
    assert predicted.GetNodeReference(NodeRoles.INPUT_VOLUME) is case.volume
    assert predicted.GetNodeReference(NodeRoles.SEGMENTATION) is case.segmentation
    provenance = json.loads(predicted.GetAttribute(NodeRoles.PROVENANCE))
    assert "synthetic" in provenance["notice"].lower()
    assert provenance["seed"] == ready.parameters.seed
    items = hierarchyItems()
    folder = next(number for number, name in enumerate(items) if name.startswith("SYNTHETIC prediction"))
    assert f"  {predicted.GetName()}" in items[folder + 1 :]
    assert before <= set(snapshot())


def test_a_run_stands_beside_its_volume_under_patient_and_study(ready, case):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    study = hierarchy.CreateStudyItem(hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "P1"), "S1")
    hierarchy.SetItemParent(hierarchy.GetItemByDataNode(case.volume), study)
    nodes = ready.run().nodes
    folders = {hierarchy.GetItemParent(hierarchy.GetItemByDataNode(node)) for node in nodes.allNodes()}
    assert [hierarchy.GetItemParent(folder) for folder in folders] == [study]
    assert hierarchy.GetItemParent(hierarchy.GetItemByDataNode(case.volume)) == study


def test_the_users_nodes_are_not_modified(ready, case):
    display = case.segmentation.GetDisplayNode()
    before, filled = snapshot(), display.GetVisibility2DFill()
    ready.run()
    after = snapshot()
    # While results are compared the tumor is drawn as outline; that is taken back.
    changed = {nodeID for nodeID in before if after[nodeID] != before[nodeID]}
    assert changed <= {display.GetID()}
    ready.ui.compareButton.click()
    assert display.GetVisibility2DFill() == filled


def test_progress_is_shown_and_never_goes_back(ready):
    seen = []
    ready.controller.progressChanged.connect(seen.append)
    ready.predict()
    assert ready.ui.progressWidget.visible or not ready.widget.parent.visible
    assert not ready.ui.inputsSection.enabled
    ready.wait()
    fractions = [progress.fraction for progress in seen if progress.fraction is not None]
    assert fractions == sorted(fractions)
    assert len(fractions) > 5
    assert any("slice" in f"{progress.stage} {progress.details}".lower() for progress in seen)
    assert ready.ui.predictButton.text == "Predict"
    assert ready.ui.inputsSection.enabled


def test_a_second_run_uses_the_warm_worker_and_is_a_new_group(ready):
    first = ready.run()
    assert ready.controller.isWarm
    pid = workerPid(ready)
    second = ready.run()
    assert workerPid(ready) == pid
    assert len(findRuns(slicer.mrmlScene)) == 2
    assert ready.ui.runComboBox.count == 2
    np.testing.assert_array_equal(
        voxels(first.nodes.node(NodeRoles.PREDICTED)), voxels(second.nodes.node(NodeRoles.PREDICTED))
    )


def workerPid(driver) -> int:
    return driver.widget.logic.engine.process._process.processId()


def test_several_samples_bring_the_expected_image_and_spread(ready):
    ready.parameters.samples = 3
    nodes = ready.run().nodes
    samples = next(iter(nodes.samples.values()))
    assert len(samples) == 3
    expected, predicted = (nodes.node(role) for role in (NodeRoles.EXPECTED, NodeRoles.PREDICTED))
    assert "expected image" in expected.GetName()
    assert (voxels(expected) != voxels(predicted)).any()
    np.testing.assert_array_equal(voxels(predicted), voxels(samples[0]))
    assert voxels(nodes.node(NodeRoles.SPREAD)).max() > 0


def test_comparing_classes_brings_a_result_for_each(ready, views):
    ready.parameters.classMode = ClassMode.compareAll
    run = ready.run()
    assert run.nodes.classes == ["short", "long"]
    shown = [view.title for view in ready.widget.panel._results._views.contents()]
    assert len(shown) >= 3


def test_cancelled_slices_are_kept_and_the_next_run_is_the_same_as_an_uninterrupted_one(ready, exact):
    for name, value in SLOW.items():
        setattr(ready.parameters, name, value)
    ready.settle()
    before = snapshot()
    ready.predict()
    ready.untilSampling()
    ready.controller.cancel()
    ready.wait()
    assert "kept" in ready.status
    assert set(snapshot()) == set(before)
    resumed, whole = ready.run(), ready.run()
    np.testing.assert_array_equal(
        voxels(resumed.nodes.node(NodeRoles.PREDICTED)), voxels(whole.nodes.node(NodeRoles.PREDICTED))
    )


def test_closing_the_scene_ends_the_run_and_imports_nothing(ready, case_files, tiny_bundle):
    for name, value in SLOW.items():
        setattr(ready.parameters, name, value)
    ready.predict()
    ready.untilSampling()
    slicer.mrmlScene.Clear(False)
    ready.session.until(lambda: not ready.controller.isActive)
    assert not findRuns(slicer.mrmlScene)
    assert "closed" in ready.status


def test_the_logic_predicts_without_a_panel(case, tiny_bundle):
    logic = slicer.modules.GBMResponseInstance and __import__("GBMResponse").GBMResponseLogic()
    try:
        run = logic.predict(
            case.volume, case.segmentation, case.segmentID, waitForCompletion=True, bundleFolder=tiny_bundle, steps=2
        )
        assert run.nodes.node(NodeRoles.PREDICTED).GetName().startswith("SYNTHETIC")
    finally:
        logic.close()


def test_the_logic_predicts_with_a_model_that_was_trained_without_label_dropout(case, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "undropped", label_dropout=0.0)
    logic = __import__("GBMResponse").GBMResponseLogic()
    try:
        run = logic.predict(case.volume, case.segmentation, case.segmentID, waitForCompletion=True, bundleFolder=bundle)
        provenance = json.loads(run.nodes.node(NodeRoles.PREDICTED).GetAttribute(NodeRoles.PROVENANCE))
        assert provenance["guidance_scale"] == 1.0
        with pytest.raises(Failure, match="label dropout") as caught:
            logic.predict(
                *(case.volume, case.segmentation, case.segmentID), waitForCompletion=True, bundleFolder=bundle,
                guidanceScale=2.0,
            )  # fmt: skip
        assert caught.value.code == "guidance"
    finally:
        logic.close()


def test_a_saved_scene_brings_the_runs_back(ready, case, tmp_path):
    predicted = ready.run().nodes.node(NodeRoles.PREDICTED)
    expected, name = voxels(predicted), predicted.GetName()
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    ready.session.spin(0.1)
    assert ready.ui.runComboBox.count == 0
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    ready.session.until(lambda: findRuns(slicer.mrmlScene))
    (run,) = findRuns(slicer.mrmlScene)
    predicted = run.node(NodeRoles.PREDICTED)
    assert predicted.GetName() == name
    np.testing.assert_array_equal(voxels(predicted), expected)
    assert run.inputVolume.GetName() == "pre"
    assert run.segmentID == case.segmentID
    assert ready.parameters.inputVolume is run.inputVolume
    assert ready.ui.runComboBox.count == 1


def test_a_transformed_volume_is_predicted_where_it_is_shown(ready, case):

    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = (20, -10, 15)
    slicer.util.updateTransformMatrixFromArray(transform, matrix)
    for node in (case.volume, case.segmentation):
        node.SetAndObserveTransformNodeID(transform.GetID())
    ready.settle()
    assert ready.widget.panel._findingsList.fixButtons()["transform"].text == "Harden"
    predicted = ready.run().nodes.node(NodeRoles.PREDICTED)
    assert predicted.GetParentTransformNode() is None
    np.testing.assert_allclose(geometry(predicted), matrix @ geometry(case.volume), atol=1e-4)
    assert case.volume.GetParentTransformNode() is transform


def test_results_do_not_depend_on_the_users_layout_or_other_nodes(ready, case):
    first = voxels(ready.run().nodes.node(NodeRoles.PREDICTED))
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "something else")
    np.testing.assert_array_equal(voxels(ready.run().nodes.node(NodeRoles.PREDICTED)), first)


@pytest.mark.parametrize(
    "function, end",
    [("_addVolume", "cancel"), ("_addVolume", "close the scene"), ("_addVolume", "fail"), ("_group", "cancel")],
)
def test_a_result_enters_the_scene_whole_or_not_at_all(ready, monkeypatch, function, end):
    """The event loop runs between its nodes: whatever ends the run takes back what is there already."""
    ends = {"cancel": ready.controller.cancel, "close the scene": lambda: slicer.mrmlScene.Clear(False)}
    before, items, reached = nodesOfTheUser(), hierarchyItems(), []
    owner = ResultImporter.ResultImporter if function == "_addVolume" else ResultImporter
    original = getattr(owner, function)

    def replaced(*arguments):
        value = original(*arguments)
        reached.append(nodesOfTheUser() - before)
        if len(reached) == 2 or function == "_group":
            if end == "fail":
                raise OSError("the disk is full")
            startTimer(0, ends[end])
        return value

    monkeypatch.setattr(owner, function, replaced)
    ready.predict()
    run = ready.controller.run
    ready.wait()
    assert reached[-1] and run.state.name == ("failed" if end == "fail" else "cancelled")
    assert findRuns(slicer.mrmlScene) == []
    if end == "close the scene":
        assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    else:
        assert nodesOfTheUser() == before and hierarchyItems() == items


def test_no_run_is_listed_before_all_of_it_is_there(ready, monkeypatch):
    listed, original = [], ResultImporter.ResultImporter._addVolume

    def add(*arguments):
        original(*arguments)
        listed.append(findRuns(slicer.mrmlScene))

    monkeypatch.setattr(ResultImporter.ResultImporter, "_addVolume", add)
    ready.run()
    assert len(listed) >= 4 and not any(listed)
    assert len(findRuns(slicer.mrmlScene)) == 1
