"""SceneExporter on real nodes: geometry, transforms, segments, and a scene that stays as it is."""

import numpy as np
import pytest
import SimpleITK
import slicer
import vtk
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.inputs.InputFacts import PredictionInputs
from GBMResponseLib.inputs.SceneExporter import SceneExporter


def export(case, folder, followUp=None):
    """Return the exported images by role, and the exporter."""
    exporter = SceneExporter()
    inputs = PredictionInputs(case.volume, case.segmentation, case.segmentID, followUp)
    files = list(exporter.steps(inputs, folder))[-1]
    return {role: SimpleITK.ReadImage(path) for role, path in files.items() if path}, exporter


def rotated(degrees: float, shift=(0.0, 0.0, 0.0)):
    """Add a linear transform to the scene."""
    transform = vtk.vtkTransform()
    transform.Translate(*shift)
    transform.RotateZ(degrees)
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    node.SetMatrixTransformToParent(transform.GetMatrix())
    return node


def worldMatrix(volume) -> np.ndarray:
    """IJK to world RAS, with parent transforms."""
    matrix, toWorld = vtk.vtkMatrix4x4(), vtk.vtkMatrix4x4()
    volume.GetIJKToRASMatrix(matrix)
    if volume.GetParentTransformNode() is not None:
        volume.GetParentTransformNode().GetMatrixTransformToWorld(toWorld)
    vtk.vtkMatrix4x4.Multiply4x4(toWorld, matrix, matrix)
    return slicer.util.arrayFromVTKMatrix(matrix)


def imageMatrix(image) -> np.ndarray:
    """IJK to RAS of a file."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.array(image.GetSpacing())
    matrix[:3, 3] = image.GetOrigin()
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ matrix


def centroid(mask) -> np.ndarray:
    """Middle of a mask in RAS."""
    index = np.argwhere(SimpleITK.GetArrayFromImage(mask) > 0).mean(axis=0)[::-1]
    return (imageMatrix(mask) @ [*index, 1])[:3]


def test_voxels_and_geometry_are_those_of_the_volume(case, tmp_path):
    images, _exporter = export(case, tmp_path)
    np.testing.assert_array_equal(
        SimpleITK.GetArrayFromImage(images["image"]), slicer.util.arrayFromVolume(case.volume)
    )
    np.testing.assert_allclose(imageMatrix(images["image"]), worldMatrix(case.volume), atol=1e-5)
    assert images["gtv"].GetSize() == images["image"].GetSize()


def test_a_linear_transform_moves_the_geometry_only(case, tmp_path):
    before = slicer.util.arrayFromVolume(case.volume).copy()
    case.volume.SetAndObserveTransformNodeID(rotated(20, (5, -3, 2)).GetID())
    images, _exporter = export(case, tmp_path)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(images["image"]), before)
    np.testing.assert_allclose(imageMatrix(images["image"]), worldMatrix(case.volume), atol=1e-4)


def test_a_warping_transform_resamples(case, tmp_path):
    """The middle of the tumor is moved 9 mm, so its dark core is found where its ring was."""
    middle = np.array(case.segmentation.GetSegmentCenterRAS(case.segmentID))
    plain, _exporter = export(case, tmp_path)
    case.volume.SetAndObserveTransformNodeID(bulge(middle, (9.0, 0.0, 0.0)).GetID())
    warped, _exporter = export(case, tmp_path)
    assert warped["image"].GetSize() == warped["gtv"].GetSize()
    ring = np.add(middle, (9, 0, 0))
    assert valueAt(warped["image"], ring) == pytest.approx(valueAt(plain["image"], middle), abs=40)
    assert valueAt(plain["image"], ring) > valueAt(plain["image"], middle) + 100


def bulge(middle, shift):
    """Add a spline transform to the scene that moves one point and leaves a box around it."""
    corners = [np.add(middle, np.multiply(60.0, (x, y, z))) for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
    points = [vtk.vtkPoints(), vtk.vtkPoints()]
    for corner in corners:
        for part in points:
            part.InsertNextPoint(corner)
    points[0].InsertNextPoint(middle)
    points[1].InsertNextPoint(np.add(middle, shift))
    warp = vtk.vtkThinPlateSplineTransform()
    warp.SetSourceLandmarks(points[0])
    warp.SetTargetLandmarks(points[1])
    warp.SetBasisToR()
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLTransformNode")
    node.SetAndObserveTransformToParent(warp)
    return node


def valueAt(image, ras) -> float:
    """Linearly interpolated intensity at a RAS point."""
    return image.EvaluateAtPhysicalPoint((-float(ras[0]), -float(ras[1]), float(ras[2])))


def test_volume_and_segment_may_have_different_transforms(case, tmp_path):
    plain, _exporter = export(case, tmp_path)
    case.volume.SetAndObserveTransformNodeID(rotated(15).GetID())
    case.segmentation.SetAndObserveTransformNodeID(rotated(0, (4.0, 0.0, 0.0)).GetID())
    moved, _exporter = export(case, tmp_path)
    np.testing.assert_allclose(centroid(moved["gtv"]), np.add(centroid(plain["gtv"]), (4, 0, 0)), atol=1.0)


def test_only_the_chosen_segment_is_exported(case, tmp_path):
    segmentation = case.segmentation.GetSegmentation()
    expected, _exporter = export(case, tmp_path)
    other = segmentation.AddEmptySegment("other", "other")
    everywhere = np.ones(slicer.util.arrayFromVolume(case.volume).shape, np.uint8)
    everywhere[:, ::2] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(everywhere, case.segmentation, other, case.volume)
    images, _exporter = export(case, tmp_path)
    np.testing.assert_array_equal(*(SimpleITK.GetArrayFromImage(part["gtv"]) for part in (images, expected)))


def test_segments_in_one_shared_layer_are_told_apart(case, tmp_path):
    shape = slicer.util.arrayFromVolume(case.volume).shape
    labels = np.zeros(shape, np.uint8)
    labels[2:4, 10:20, 10:20], labels[4:6, 30:40, 30:40] = 1, 2
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    slicer.util.updateVolumeFromArray(node, labels)
    node.CopyOrientation(case.volume)
    case.segmentation.GetSegmentation().RemoveAllSegments()
    slicer.modules.segmentations.logic().ImportLabelmapToSegmentationNode(node, case.segmentation)
    assert case.segmentation.GetSegmentation().GetNumberOfLayers() == 1
    case.segmentID = case.segmentation.GetSegmentation().GetNthSegmentID(1)
    images, _exporter = export(case, tmp_path)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(images["gtv"]), labels == 2)


@pytest.mark.parametrize(
    "change, code",
    [
        (lambda case: setattr(case, "segmentID", "nobody"), "no-segment"),
        (lambda case: setattr(case, "segmentation", None), "no-segment"),
        (lambda case: emptySegment(case.segmentation, case.segmentID, case.volume), "empty-gtv"),
        (lambda case: case.segmentation.SetAndObserveTransformNodeID(rotated(0, (500, 0, 0)).GetID()), "no-overlap"),
        (lambda case: case.volume.SetAndObserveImageData(None), "no-volume"),
        (lambda case: setattr(case, "volume", None), "no-volume"),
    ],
    ids=["segment", "segmentation", "empty", "outside", "voxels", "volume"],
)
def test_bad_inputs_are_named(case, tmp_path, change, code):
    change(case)
    with pytest.raises(Failure) as caught:
        export(case, tmp_path)
    assert caught.value.code == code
    assert caught.value.remedy


def emptySegment(segmentation, segmentID, volume) -> None:
    nothing = np.zeros(slicer.util.arrayFromVolume(volume).shape, np.uint8)
    slicer.util.updateSegmentBinaryLabelmapFromArray(nothing, segmentation, segmentID, volume)


def test_a_folder_that_cannot_be_written_is_named(case, tmp_path):
    with pytest.raises(Failure, match="disk space"):
        export(case, tmp_path / "nowhere")


def test_the_scene_stays_as_it_is(case, tmp_path):
    case.volume.SetAndObserveTransformNodeID(rotated(20).GetID())
    nodes = [slicer.mrmlScene.GetNthNode(index) for index in range(slicer.mrmlScene.GetNumberOfNodes())]
    stamps = [(node.GetID(), node.GetMTime()) for node in nodes]
    voxels = slicer.util.arrayFromVolume(case.volume).copy()
    export(case, tmp_path)
    assert [(node.GetID(), node.GetMTime()) for node in nodes] == stamps
    assert slicer.mrmlScene.GetNumberOfNodes() == len(nodes)
    np.testing.assert_array_equal(slicer.util.arrayFromVolume(case.volume), voxels)


def test_the_fingerprint_changes_with_the_content(case, tmp_path):
    _images, exporter = export(case, tmp_path)
    files = {"image": str(tmp_path / "image.nrrd"), "gtv": str(tmp_path / "gtv.nrrd"), "follow_up": None}
    first = exporter.fingerprint(files)
    assert exporter.fingerprint(files) == first
    slicer.util.arrayFromVolume(case.volume)[3, 3, 3] += 1
    slicer.util.arrayFromVolumeModified(case.volume)
    _images, exporter = export(case, tmp_path)
    assert exporter.fingerprint(files) != first
