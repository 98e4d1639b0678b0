"""The module as Slicer loads it: metadata, sample data, panel without GUI work at start, reload, saving, model card."""

import gc
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
import slicer
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.common.QtTimers import startTimer
from GBMResponseLib.model.ModelDescription import ModelDescription
from rows import nightly
from small_file_limit import small_file_limit
from tiny_bundle import write_tiny_bundle

MODULE = Path(__file__).resolve().parents[2] / "GBMResponse"


def test_metadata_is_complete(driver):
    module = slicer.modules.gbmresponse
    for name in ("title", "categories", "contributors", "helpText", "acknowledgementText"):
        assert getattr(module, name), name
    assert module.categories == ["Image Synthesis"]
    assert not module.icon.isNull()


def test_opening_the_panel_starts_no_process_and_loads_no_heavy_package(session):
    code = (
        "import sys, host; session = host.start(); session.useMainWindow(); widget = session.loadModule();"
        "print(sorted({name.split('.')[0] for name in sys.modules} & {'torch', 'monai', 'diffusers', 'SimpleITK'}),"
        " widget.logic.engine.process.isRunning()); session.unloadModule()"
    )
    import subprocess

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(MODULE), str(MODULE.parent / "Testing")])}
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[] False"


def test_every_widget_with_a_parameter_is_bound(driver):
    names = {widget.property("SlicerParameterName") for widget in vars(driver.ui).values()} - {None}
    assert names <= set(driver.parameters.allParameters)
    assert {"inputVolume", "gtvSegmentation", "samples", "seed", "guidanceScale", "device", "fade"} <= names


def test_all_texts_for_people_are_free_of_placeholders(driver):
    for widget in vars(driver.ui).values():
        for name in ("text", "toolTip", "title"):
            text = getattr(widget, name, "")
            assert not (isinstance(text, str) and ("{" in text or "TODO" in text)), (widget.name, text)


def test_the_sample_case_is_offered_and_chosen(driver):
    import SampleData

    volume, segmentation, followUp = SampleData.SampleDataLogic().downloadSamples("GBMResponseBTP05")
    (source,) = slicer.modules.sampleDataSources["GBMResponse"]
    assert Path(source.thumbnailFileName).is_file()
    driver.widget.initializeParameterNode()
    driver.settle()
    assert driver.parameters.inputVolume is volume
    assert driver.parameters.gtvSegmentation is segmentation
    assert followUp.GetImageData().GetDimensions() == volume.GetImageData().GetDimensions()
    assert driver.ui.predictButton.enabled, driver.ui.predictButton.toolTip


def test_registering_the_sample_twice_changes_nothing(driver):
    import GBMResponse

    GBMResponse.onStartupCompleted()
    assert len(slicer.modules.sampleDataSources["GBMResponse"]) == 1


def test_parameters_come_back_with_the_scene(ready, tmp_path):
    ready.parameters.samples, ready.parameters.seed = 5, 77
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    ready.settle()
    assert ready.ui.samplesSpinBox.value == 4
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    ready.settle()
    assert (ready.ui.samplesSpinBox.value, ready.ui.seedSpinBox.value) == (5, 77)
    assert ready.ui.inputVolumeSelector.currentNode().GetName() == "pre"


def test_parameters_of_older_scenes_are_taken_over(case, tiny_bundle):
    """Earlier versions kept sampler, steps and guidance as numbers of their own, never as what the model recommends."""
    from GBMResponseLib.settings.ParameterNode import ParameterNode

    stored = {
        "gtvSegmentID": "Segment_1", "registerFollowUp": "False", "bundleFolder": str(tiny_bundle),
        "classMode": "chosen", "classScheme": "2-class", "className": "long", "samples": "3", "guidanceScale": "3.5",
        "samplerPreset": "balanced", "steps": "20", "seed": "7", "device": "cpu", "sliceBatch": "2", "fade": "0.25",
    }  # fmt: skip
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    for name, value in stored.items():
        node.SetParameter(name, value)
    parameters = ParameterNode(node)
    assert {name: node.GetParameter(name) for name in stored} == stored
    assert (parameters.gtvSegmentID, parameters.fade) == ("Segment_1", 0.25)
    model = ModelDescription.read(tiny_bundle)
    request = parameters.copy().request(model, {}, Path("out"), "id")
    assert request["sampling"] == {"steps": 20, "guidance_scale": 3.5, "guidance_form": "standard"}
    expected = {"classes": ["long"], "scheme": "2-class", "samples": 3, "seed": 7, "device": "cpu", "batch_size": 2}
    assert {name: request[name] for name in expected} == expected


@pytest.mark.parametrize(
    "stored, loaded", [("model", "balanced"), ("fast", "balanced"), ("balanced", "balanced"), ("paper", "paper")]
)
def test_presets_of_older_scenes_are_shown_as_the_nearest_of_today(ready, stored, loaded):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    node.SetParameter("samplerPreset", stored)
    node.SetParameter("samples", "3")
    from GBMResponseLib.settings.ParameterNode import ParameterNode

    before = ready.parameters
    ready.widget.setParameterNode(ParameterNode(node))
    ready.settle()
    assert (ready.parameters.samplerPreset.value, ready.parameters.samples) == (loaded, 3)
    assert ready.ui.presetComboBox.currentText.lower().startswith(loaded)
    ready.widget.setParameterNode(before)


def test_automatic_values_say_what_they_are_and_ask_the_model(ready, tmp_path):
    ui, parameters = ready.ui, ready.parameters
    assert (ui.stepsSpinBox.text, ui.guidanceSpinBox.text) == ("Automatic (2)", "Automatic (2.0)")
    assert parameters.copy().request(ready.widget.panel._model, {}, Path("out"), "id")["sampling"] == {}
    assert (ui.presetComboBox.count, ui.presetComboBox.currentIndex) == (3, 1)
    ui.presetComboBox.currentIndex = 0
    ready.settle()
    assert ui.samplesSpinBox.value == 0
    ui.presetComboBox.currentIndex = 2
    ready.settle()
    assert (ui.stepsSpinBox.text, ui.samplesSpinBox.value) == ("Automatic (200)", 1)
    ui.stepsSpinBox.value, ui.guidanceSpinBox.value = 50, 1.5
    ready.settle()
    assert (parameters.steps, parameters.guidanceScale) == (50, 1.5)
    ui.presetComboBox.currentIndex = 1
    ui.guidanceSpinBox.value = ui.guidanceSpinBox.minimum
    ready.settle()
    assert (ui.stepsSpinBox.text, ui.guidanceSpinBox.text) == ("Automatic (2)", "Automatic (2.0)")
    assert parameters.copy().request(ready.widget.panel._model, {}, Path("out"), "id")["sampling"] == {}
    ui.guidanceSpinBox.value = -0.05
    ready.settle()
    assert ui.guidanceSpinBox.text == "Automatic (2.0)"
    ready.parameters.bundleFolder = str(write_tiny_bundle(tmp_path / "undropped", label_dropout=0.0))
    ready.settle()
    assert ui.guidanceSpinBox.text == "Automatic (1.0)"
    assert ui.predictButton.enabled, ui.predictButton.toolTip


def test_leaving_and_entering_the_module_keeps_everything(ready):
    ready.parameters.seed = 5
    ready.widget.parent.exit()
    ready.widget.parent.enter()
    ready.settle()
    assert ready.ui.seedSpinBox.value == 5
    assert ready.ui.predictButton.enabled


def test_a_renamed_segment_is_followed(ready, case):
    case.segmentation.GetSegmentation().GetSegment(case.segmentID).SetName("renamed")
    ready.settle()
    assert ready.ui.segmentSelector.currentSegmentID() == case.segmentID


def test_the_harden_button_hardens(ready, case):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    case.volume.SetAndObserveTransformNodeID(node.GetID())
    ready.settle()
    ready.widget.panel._findingsList.fixButtons()["transform"].click()
    assert case.volume.GetParentTransformNode() is None


def test_a_labelmap_becomes_a_segmentation_with_one_click(ready, case, case_files):
    slicer.mrmlScene.RemoveNode(case.segmentation)
    slicer.util.loadLabelVolume(str(case_files["gtv"]), {"name": "tumor mask"})
    ready.settle()
    ready.widget.panel.refresh()
    ready.widget.panel._findingsList.fixButtons()["no-segmentation"].click()
    ready.settle()
    assert ready.parameters.gtvSegmentation.GetName().startswith("tumor mask")
    assert ready.ui.predictButton.enabled, ready.ui.predictButton.toolTip


def test_the_model_card_is_shown(ready):
    ready.click("modelCardButton")
    assert ready.ui.modelCardButton.checked
    assert "tiny" in ready.ui.modelCardLabel.text
    ready.click("modelCardButton")


def test_the_model_is_verified_and_damage_is_found(ready, tiny_bundle, tmp_path):
    import shutil

    ready.click("verifyModelButton")
    ready.session.until(lambda: ready.ui.verifyModelButton.text == "Verify files")
    assert "as they should be" in ready.status
    damaged = Path(shutil.copytree(tiny_bundle, tmp_path / "damaged"))
    weights = next(damaged.glob("denoiser/*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    ready.parameters.bundleFolder = str(damaged)
    ready.settle()
    ready.click("verifyModelButton")
    ready.session.until(lambda: ready.ui.verifyModelButton.text == "Verify files")
    assert "diffusion_pytorch_model.safetensors" in ready.status


def test_a_run_is_saved_as_files(ready, tmp_path, monkeypatch):
    nodes = ready.run().nodes
    monkeypatch.setattr(ready.widget.panel._results, "_chooseFolder", lambda: str(tmp_path))
    ready.click("saveButton")
    (folder,) = tmp_path.iterdir()
    assert (folder / "predicted.nrrd").is_file()
    assert "synthetic" in json.loads((folder / "provenance.json").read_text("utf-8"))["notice"].lower()
    assert folder.name in ready.status
    slicer.mrmlScene.RemoveNode(nodes.node(NodeRoles.MASK))


def forgetFiles(driver) -> None:
    """As if the run had come with a scene."""
    driver.widget.panel._results._manifests.clear()


def test_a_run_of_a_loaded_scene_is_saved_with_the_voxels_of_its_nodes(ready, tmp_path, monkeypatch):
    nodes = ready.run().nodes
    forgetFiles(ready)
    monkeypatch.setattr(ready.widget.panel._results, "_chooseFolder", lambda: str(tmp_path))
    ready.click("saveButton")
    (folder,) = tmp_path.iterdir()
    saved = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(folder / "predicted.nrrd")))
    np.testing.assert_array_equal(saved, slicer.util.arrayFromVolume(nodes.node(NodeRoles.PREDICTED)))


@pytest.mark.parametrize("loaded", [False, True])
def test_a_full_disk_leaves_no_saved_run(ready, tmp_path, monkeypatch, loaded):
    ready.run()
    if loaded:
        forgetFiles(ready)
    monkeypatch.setattr(ready.widget.panel._results, "_chooseFolder", lambda: str(tmp_path))
    with small_file_limit(20_000):
        ready.click("saveButton")
    assert list(tmp_path.iterdir()) == []
    assert "cannot be saved" in ready.status


def test_the_report_is_opened(ready, monkeypatch):
    opened = []
    monkeypatch.setattr(ready.widget.panel._results, "_openFile", opened.append)
    ready.run()
    ready.click("reportButton")
    (path,) = opened
    assert "synthetic" in path.read_text("utf-8").lower()


def test_a_follow_up_stands_beside_the_prediction(ready, case_files, layout):
    followUp = slicer.util.loadVolume(str(case_files["follow_up"]), {"name": "later"})
    ready.ui.followUpSelector.setCurrentNode(followUp)
    ready.settle()
    nodes = ready.run().nodes
    assert nodes.node(NodeRoles.PREDICTED).GetNodeReference(NodeRoles.FOLLOW_UP) is followUp
    titles = [view.title for view in ready.widget.panel._results._views.contents()]
    assert any("follow-up" in title for title in titles)


def test_reloading_ends_the_worker_and_the_new_panel_works(ready, case, tiny_bundle):
    ready.predict()
    ready.session.until(lambda: ready.controller.isWarm)
    process = ready.widget.logic.engine.process
    try:
        ready.widget.onReload()
        ready.widget = slicer.modules.GBMResponseWidget
        assert not process.isRunning()
        ready.settle()
        assert ready.parameters.inputVolume is case.volume
        ready.choose(case, tiny_bundle)
        assert ready.run().state.name == "done"
    finally:
        ready.reopen()


@nightly
def test_the_self_test_of_the_module_passes(driver):
    import GBMResponse

    slicer.mrmlScene.Clear(False)
    GBMResponse.GBMResponseTest().runTest()


def test_an_empty_scene_is_offered_the_sample_case(driver, layout):
    driver.widget.panel.refresh()
    driver.widget.panel._findingsList.fixButtons()["no-volume"].click()
    driver.settle()
    assert driver.parameters.inputVolume.GetName() == "BTP05 pre T1-Gd"
    assert driver.ui.predictButton.enabled, driver.ui.predictButton.toolTip


def test_a_slicer_that_runs_from_its_build_folder_finds_its_python(session, monkeypatch):
    import GBMResponse

    home = Path(slicer.app.slicerHome)
    assert Path(GBMResponse.defaultWorkerCommand()[0]).parent == home / "bin"
    elsewhere = home.parent / f"{home.name}-python"
    (home / "bin").rename(elsewhere)
    monkeypatch.setenv("PATH", str(elsewhere), prepend=os.pathsep)
    try:
        assert Path(GBMResponse.defaultWorkerCommand()[0]).parent == elsewhere
    finally:
        elsewhere.rename(home / "bin")


def test_a_timer_outlives_its_own_call(session):
    happened, kept = [], {}

    def call():
        kept.clear()  # the last reference: PythonQt would delete a timer without a parent here, inside its signal
        happened.append("called")

    kept["timer"] = startTimer(0, call)
    kept["timer"]._timer.connect("destroyed()", lambda: happened.append("destroyed"))
    session.until(lambda: len(happened) == 2)
    assert happened == ["called", "destroyed"]


def test_temporary_files_are_gone_when_the_panel_is(ready):
    ready.predict()
    ready.untilSampling()
    root = ready.widget.logic.engine.folders._root
    assert any(root.rglob("image.nrrd"))
    try:
        ready.widget.logic.close()
        assert not root.exists()
    finally:
        ready.reopen()


def test_without_a_volume_a_script_is_told_so(ready, case):
    with pytest.raises(Failure, match="There is no volume"):
        ready.widget.logic.predict(None, case.segmentation, case.segmentID, waitForCompletion=True)


def test_a_closed_scene_leaves_no_volume_in_memory(ready, layout):
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    voxels = np.zeros((40, 40, 40), np.float32)
    volume = slicer.util.addVolumeFromArray(voxels, name="watched")
    ready.ui.inputVolumeSelector.setCurrentNode(volume)
    ready.settle()
    freed = []
    volume.GetImageData().AddObserver("DeleteEvent", lambda caller, event: freed.append(event))
    del volume
    slicer.mrmlScene.Clear(False)
    ready.settle()
    gc.collect()
    assert freed
