"""Inputs of clinical scenes: what is clear is preselected and shown as such, what is lost is never replaced."""

import numpy as np
import pytest
import qt
import slicer
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.inputs.SceneExporter import segmentOnGrid


def findings(driver) -> list[str]:
    return [finding.code for finding in driver.widget.panel.findings]


def addSegment(case, name: str) -> str:
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(case.segmentation, case.segmentID, case.volume)
    identifier = case.segmentation.GetSegmentation().AddEmptySegment("", name)
    slicer.util.updateSegmentBinaryLabelmapFromArray(
        np.roll(voxels, 3, axis=1), case.segmentation, identifier, case.volume
    )
    return identifier


def removeSegment(case, identifier: str) -> None:
    case.segmentation.GetSegmentation().RemoveSegment(identifier)


def addVolume(case, name: str):
    return slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, case.volume, name)


def test_a_deleted_gtv_leaves_no_other_segment_chosen(ready, case):
    brainstem = addSegment(case, "Brainstem")
    ready.settle()
    removeSegment(case, case.segmentID)
    ready.settle()
    assert ready.parameters.gtvSegmentID == "" and ready.ui.segmentSelector.currentSegmentID() == ""
    assert findings(ready) == ["segment-gone"]
    assert "The segment GTV is gone" in ready.ui.predictButton.toolTip and not ready.ui.predictButton.enabled
    assert "Brainstem" not in ready.ui.inputSummaryLabel.text
    ready.widget.exit()
    ready.widget.enter()  # the module is left and opened again: still nothing is chosen
    ready.settle()
    assert ready.parameters.gtvSegmentID == "" and not ready.ui.predictButton.enabled
    ready.ui.segmentSelector.setCurrentSegmentID(brainstem)  # the user may choose it
    ready.settle()
    assert ready.parameters.gtvSegmentID == brainstem and ready.ui.predictButton.enabled


def test_a_deleted_gtv_may_be_replaced_by_one_click_only(ready, case):
    other = addSegment(case, "GTV 2")
    ready.settle()
    removeSegment(case, case.segmentID)
    ready.settle()
    assert ready.parameters.gtvSegmentID == ""
    ready.widget.panel._findingsList.fixButtons()["segment-gone"].click()
    ready.settle()
    assert ready.parameters.gtvSegmentID == other


def test_a_deleted_volume_is_not_replaced(ready, case):
    addVolume(case, "AX T1 POST GAD")
    ready.settle()
    slicer.mrmlScene.RemoveNode(case.volume)
    ready.settle()
    ready.widget.enter()
    ready.settle()
    assert ready.parameters.inputVolume is None
    assert findings(ready)[0] == "volume-gone" and not ready.ui.predictButton.enabled


@pytest.fixture
def fresh(driver, layout, case):
    """The panel in a scene with the phantom in which nothing was chosen."""
    driver.widget.panel.setParameters(None)
    parameters = driver.widget.logic.getParameterNode()
    parameters.inputVolume = parameters.gtvSegmentation = None
    parameters.gtvSegmentID = ""

    def enter():
        driver.widget.initializeParameterNode()
        driver.settle()
        return driver.parameters

    return enter


def test_pre_contrast_is_not_taken_for_before_treatment(fresh, driver, case):
    case.volume.SetName("AX T1 PRE")
    enhanced = addVolume(case, "AX T1 POST GAD")
    assert fresh().inputVolume is enhanced
    assert "AX T1 POST GAD: T1 with contrast" in driver.ui.inputSummaryLabel.text
    assert "chosen for you" in driver.ui.inputSummaryLabel.text
    driver.ui.inputVolumeSelector.setCurrentNode(case.volume)
    driver.settle()
    assert "pre-contrast" in findings(driver)
    assert "AX T1 PRE" in driver.ui.inputSummaryLabel.text.splitlines()[0]
    assert "chosen for you" not in driver.ui.inputSummaryLabel.text.splitlines()[0]


def test_between_two_candidates_the_user_chooses(fresh, driver, case):
    case.volume.SetName("T1 Gd A")
    addVolume(case, "T1 Gd B")
    assert fresh().inputVolume is None
    assert findings(driver)[0] == "no-volume" and not driver.ui.predictButton.enabled


def test_modality_and_date_come_from_the_subject_hierarchy(fresh, driver, case):
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    study = hierarchy.CreateStudyItem(hierarchy.GetSceneItemID(), "study")
    hierarchy.SetItemAttribute(study, "DICOM.StudyDate", "20190304")
    item = hierarchy.GetItemByDataNode(case.volume)
    hierarchy.SetItemParent(item, study)
    hierarchy.SetItemAttribute(item, "DICOM.Modality", "CT")
    assert fresh().inputVolume is None
    driver.ui.inputVolumeSelector.setCurrentNode(case.volume)
    driver.settle()
    assert "not-mr" in findings(driver)
    assert "CT, 2019-03-04" in driver.ui.inputSummaryLabel.text


def test_size_of_the_tumor_stands_beside_predict(ready, case):
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(case.segmentation, case.segmentID, case.volume)
    voxels[:] = 0
    voxels[2:5, 20:30, 20:30] = 1
    voxels[3, 40:42, 40:42] = 1
    slicer.util.updateSegmentBinaryLabelmapFromArray(voxels, case.segmentation, case.segmentID, case.volume)
    ready.settle()
    ml = int(voxels.sum()) * np.prod(case.volume.GetSpacing()) / 1000
    assert f"Tumor GTV: {ml:.1f} ml, 3 slice(s), 2 part(s)" in ready.ui.inputSummaryLabel.text
    assert "0.95 x 0.95 x 6 mm" in ready.ui.inputSummaryLabel.text


@pytest.fixture
def contours(case):
    """The phantom with its tumor as planar contours alone, as an RTSTRUCT is loaded."""
    import vtk

    sphere = vtk.vtkSphereSource()
    sphere.SetRadius(10.0)
    sphere.Update()
    segment = slicer.vtkSegment()
    segment.SetName("GTV contours")
    name = slicer.vtkSegmentationConverter.GetSegmentationPlanarContourRepresentationName()
    segment.AddRepresentation(name, sphere.GetOutput())
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "RTSTRUCT")
    node.GetSegmentation().SetSourceRepresentationName(name)
    node.GetSegmentation().AddSegment(segment, "GTV")
    return node


def test_contours_without_slicerrt_are_named_with_the_remedy(ready, case, contours):
    ready.ui.segmentationSelector.setCurrentNode(contours)
    ready.settle()
    assert findings(ready) == ["contours-only"]
    assert "SlicerRT" in ready.ui.predictButton.toolTip and "empty" not in ready.ui.predictButton.toolTip
    with pytest.raises(Failure, match="SlicerRT") as caught:
        segmentOnGrid(contours, "GTV", case.volume)
    assert caught.value.code == "contours-only"


def test_the_segment_selector_has_no_second_label(driver):
    assert driver.ui.segmentSelector.horizontalLayout
    labels = [label.text for label in driver.ui.segmentSelector.findChildren(qt.QLabel)]
    assert "Segment: " not in labels
