"""Whole runs: named, deleted and brought back, compared with each other."""

import numpy as np
import pytest
import slicer
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.results.ResultNodes import ResultNodes, findRuns, patientOf
from GBMResponseLib.results.RunComparison import differences
from GBMResponseLib.views.LayoutDescription import viewName

from host.panel_driver import hierarchyItems


def cells(table) -> list[list[str]]:
    return [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount)]


@pytest.fixture
def two(ready, layout):
    """Two runs of the same case, the second with another seed and without samples' number; the newer is chosen."""
    ready.parameters.samples = 1
    first = ready.run().nodes
    ready.parameters.seed = 77
    ready.settle()
    second = ready.run().nodes
    ready.settle()
    yield first, second
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)


def test_two_runs_stand_in_two_rows_with_what_differs(ready, two, layout):
    first, second = two
    box = ready.ui.otherRunComboBox
    assert box.count == 2 and box.enabled
    box.setCurrentIndex(1)
    box.activated.emit(1)
    ready.settle()
    titles = [layout.sliceWidget(viewName(number)).mrmlSliceNode().GetLayoutLabel() for number in range(6)]
    assert titles == [
        f"{letter}: {name}" for letter in "AB" for name in ("Expected (average)", "Sample 1 of 1", "Difference")
    ]
    shown = [layout.sliceWidget(viewName(n)).mrmlSliceCompositeNode().GetForegroundVolumeID() for n in range(6)]
    expected = [run.node(role).GetID() for run in (second, first) for role in (NodeRoles.EXPECTED, NodeRoles.PREDICTED)]
    assert [shown[0], shown[1], shown[3], shown[4]] == expected
    table = ready.ui.differencesTable
    assert table.isVisibleTo(ready.ui.resultsSection)
    rows = {name: values for name, *values in cells(table)}
    assert rows["seed"] == ["77", "1"]
    assert "steps" not in rows and "bundle: name" not in rows
    box.setCurrentIndex(0)
    box.activated.emit(0)
    assert not table.isVisibleTo(ready.ui.resultsSection)
    assert layout.sliceWidget(viewName(0)).mrmlSliceNode().GetLayoutLabel() == "Before"


def test_a_run_is_named_and_the_name_travels_with_the_scene(ready, two, tmp_path):
    ready.ui.runNameEdit.text = "90 days"
    ready.ui.runNameEdit.editingFinished.emit()
    assert ready.ui.runComboBox.currentText.endswith(" UTC - 90 days")
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    assert sorted(run.name for run in findRuns(slicer.mrmlScene)) == ["", "90 days"]


def test_a_deleted_run_comes_back_whole(ready, two, layout):
    first, second = two
    names = [node.GetName() for node in second.allNodes()]
    voxels = slicer.util.arrayFromVolume(second.node(NodeRoles.PREDICTED)).copy()
    items = hierarchyItems()
    count = slicer.mrmlScene.GetNumberOfNodes()
    ready.click("deleteRunButton")
    ready.settle()
    assert [run.run for run in findRuns(slicer.mrmlScene)] == [first.run]
    assert not any("SYNTHETIC" in item and item.strip() in names for item in hierarchyItems()[len(items) :])
    assert slicer.mrmlScene.GetNumberOfNodes() < count
    assert ready.ui.restoreRunWidget.isVisibleTo(ready.ui.predictPage)
    ready.click("restoreRunButton")
    ready.settle()
    back = next(run for run in findRuns(slicer.mrmlScene) if run.run == second.run)
    assert sorted(node.GetName() for node in back.allNodes()) == sorted(names)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(back.node(NodeRoles.PREDICTED)), voxels)
    assert back.node(NodeRoles.DIFFERENCE).GetDisplayNode().GetColorNode().GetName() == "GBMResponse difference"
    assert sorted(hierarchyItems()) == sorted(items)
    assert not ready.ui.restoreRunWidget.isVisibleTo(ready.ui.predictPage)
    assert back.inputVolume is second.inputVolume


def test_only_runs_of_the_same_patient_are_compared():
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    patients = [hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), name) for name in ("A", "B")]
    found = []
    for patient in (patients[0], patients[0], patients[1], None):
        volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
        if patient is not None:
            study = hierarchy.CreateStudyItem(patient, "MRI")
            hierarchy.SetItemParent(hierarchy.GetItemByDataNode(volume), study)
        found.append(patientOf(ResultNodes("run", "", volume), hierarchy))
    assert found[0] == found[1] == patients[0] and found[2] == patients[1]
    assert found[3] == volume.GetID()
    assert patientOf(ResultNodes("run", ""), hierarchy) == ""


def test_a_run_of_another_patient_is_not_offered_beside_this_one(ready, two):
    first, _second = two
    assert ready.ui.otherRunComboBox.count == 2
    other = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    first.node(NodeRoles.PREDICTED).SetNodeReferenceID(NodeRoles.INPUT_VOLUME, other.GetID())
    ready.widget.panel.refreshRuns()
    assert ready.ui.otherRunComboBox.count == 1 and not ready.ui.otherRunComboBox.enabled


def test_equal_runs_differ_in_nothing_but_their_time(ready, two):
    first, _second = two
    assert differences(first, first) == []
