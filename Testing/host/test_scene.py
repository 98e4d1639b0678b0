"""Scene, files, subject hierarchy and views of the host are Slicer's own, and they draw."""

from pathlib import Path

import numpy as np
import pytest
import slicer
import vtk

SAMPLE = Path(__file__).resolve().parents[2] / "GBMResponse" / "Resources" / "SampleData"


@pytest.fixture
def volume():
    return slicer.util.loadVolume(str(SAMPLE / "btp05_pre_t1gd.nii.gz"))


def oblique(name: str = "oblique"):
    matrix = vtk.vtkMatrix4x4()
    transform = vtk.vtkTransform()
    transform.RotateX(12)
    transform.RotateZ(-7)
    transform.Scale(1.1, 0.9, 1.5)
    transform.GetMatrix(matrix)
    voxels = np.random.default_rng(0).normal(100, 20, (20, 30, 40)).astype(np.float32)
    return slicer.util.addVolumeFromArray(voxels, slicer.util.arrayFromVTKMatrix(matrix), name)


def test_nifti_geometry_agrees_with_simpleitk(volume):
    import SimpleITK

    image = SimpleITK.ReadImage(str(SAMPLE / "btp05_pre_t1gd.nii.gz"))
    matrix = vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    corner = matrix.MultiplyPoint((3, 5, 7, 1))[:3]
    x, y, z = image.TransformContinuousIndexToPhysicalPoint((3, 5, 7))
    np.testing.assert_allclose(corner, (-x, -y, z), atol=1e-4)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(volume), SimpleITK.GetArrayFromImage(image))


def test_a_missing_file_raises():
    with pytest.raises(RuntimeError, match="no such file"):
        slicer.util.loadVolume("nowhere.nrrd")


@pytest.mark.parametrize("name", ["scene.mrb", "scene.mrml"])
def test_a_saved_scene_comes_back(tmp_path, name):
    node = oblique()
    node.SetAttribute("Key", "value")
    expected = slicer.util.arrayFromVolume(node).copy()
    if name.endswith(".mrml"):  # such a file names the data files, it does not hold them
        slicer.util.saveNode(node, str(tmp_path / "oblique.nrrd"))
    assert slicer.util.saveScene(str(tmp_path / name))
    slicer.mrmlScene.Clear(False)
    assert not slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    slicer.util.loadScene(str(tmp_path / name))
    node = slicer.util.getNode("oblique")
    assert node.GetAttribute("Key") == "value"
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(node), expected)


def test_nodes_get_and_lose_their_subject_hierarchy_item():
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "a")
    item = hierarchy.GetItemByDataNode(node)
    assert hierarchy.GetItemName(item) == "a"
    slicer.mrmlScene.RemoveNode(node)
    assert not hierarchy.GetItemName(item)


def test_without_main_window_there_is_no_layout_manager(layout, session):
    assert slicer.app.layoutManager() is layout
    session.useNoMainWindow()
    assert slicer.app.layoutManager() is None
    session.useMainWindow()


def test_unknown_application_attributes_raise():
    with pytest.raises(AttributeError):
        slicer.app.slicerHomePath  # noqa: B018


def test_the_overlay_is_drawn(layout, views, volume):
    overlay = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, volume, "overlay")
    overlay.GetDisplayNode().SetAndObserveColorNodeID("vtkMRMLColorTableNodeRed")
    slicer.util.setSliceViewerLayers(background=volume, foreground=overlay, foregroundOpacity=0, fit=True)
    gray = views("Red")
    assert np.ptp(gray) > 100
    assert not colored(gray)
    slicer.util.setSliceViewerLayers(foregroundOpacity=0.7)
    assert colored(views("Red")) > 500


def colored(pixels: np.ndarray) -> int:
    return int((np.ptp(pixels.astype(int), axis=-1) > 20).sum())


def test_a_custom_layout_makes_its_own_views(layout, views, volume):
    description = "".join(
        f'<item><view class="vtkMRMLSliceNode" singletontag="Host{number}">'
        '<property name="orientation" action="default">Axial</property>'
        f'<property name="viewlabel" action="default">{number}</property></view></item>'
        for number in (1, 2)
    )
    node, before = layout.layoutLogic().GetLayoutNode(), layout.layout
    node.AddLayoutDescription(971, f'<layout type="horizontal">{description}</layout>')
    seen = []
    layout.connect("layoutChanged(int)", seen.append)
    layout.setLayout(971)
    assert seen == [971]
    assert {"Host1", "Host2"} <= set(layout.sliceViewNames())
    layout.sliceWidget("Host2").mrmlSliceCompositeNode().SetBackgroundVolumeID(volume.GetID())
    layout.sliceWidget("Host2").sliceLogic().FitSliceToBackground()
    assert np.ptp(views("Host2")) > 100
    layout.layout = before
    assert seen == [971, before]
    layout.disconnect("layoutChanged(int)", seen.append)


def test_segments_are_drawn_and_exported(layout, views, volume):
    mask = slicer.util.loadSegmentation(str(SAMPLE / "btp05_pre_gtv.nii.gz"))
    identifier = mask.GetSegmentation().GetNthSegmentID(0)
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(mask, identifier, volume)
    assert 0 < voxels.sum() < voxels.size
    slicer.util.setSliceViewerLayers(background=volume, fit=True)
    slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *mask.GetSegmentCenterRAS(identifier), 1)
    shown = views("Red")
    mask.GetDisplayNode().SetVisibility(False)
    assert (shown != views("Red")).any(-1).sum() > 50
