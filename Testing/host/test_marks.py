"""The mark stays: in every layer, in 3-D views, and on what other modules make of a generated image."""

from types import SimpleNamespace

import numpy as np
import pytest
import slicer
import vtk
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.common.NodeRoles import isSynthetic
from GBMResponseLib.results.ResultNodes import findRuns
from GBMResponseLib.views.SyntheticMark import SyntheticMark

from host.panel_driver import isMarked


@pytest.fixture
def mark(layout):
    SyntheticMark.uninstall()
    yield SyntheticMark.install()
    SyntheticMark.uninstall()
    SyntheticMark.install()


def volume(name: str, **attributes):
    node = slicer.util.addVolumeFromArray(np.arange(8**3, dtype=np.int16).reshape(8, 8, 8), name=name)
    node.CreateDefaultDisplayNodes()
    for key, value in attributes.items():
        node.SetAttribute(getattr(NodeRoles, key), value)
    return node


def test_a_further_layer_is_marked(mark, layout):
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    composite = layout.sliceWidget("Red").mrmlSliceCompositeNode()
    composite.SetBackgroundVolumeID(volume("real").GetID())
    assert not isMarked("Red")
    composite.SetNthLayerVolumeID(composite.Layer_Last, volume("made", SYNTHETIC="1").GetID())
    composite.SetNthLayerOpacity(composite.Layer_Last, 0.5)
    assert isMarked("Red")
    composite.SetNthLayerOpacity(composite.Layer_Last, 0.0)
    assert not isMarked("Red")
    composite.SetNthLayerVolumeID(composite.Layer_Last, None)


class ThreeD:
    """The layout manager with one 3-D view."""

    def __init__(self, manager):
        self._manager = manager
        self.window, self.renderer = vtk.vtkRenderWindow(), vtk.vtkRenderer()
        self.window.AddRenderer(self.renderer)
        self.view = SimpleNamespace(renderWindow=lambda: self.window, scheduleRender=lambda: None)
        self.threeDViewCount = 1

    def threeDWidget(self, number):
        return SimpleNamespace(threeDView=lambda: self.view)

    def texts(self) -> list[str]:
        props = self.renderer.GetViewProps()
        actors = [props.GetItemAsObject(number) for number in range(props.GetNumberOfItems())]
        return [actor.GetInput() for actor in actors if actor.IsA("vtkTextActor") and actor.GetVisibility()]

    def __getattr__(self, name):
        return getattr(self._manager, name)


def test_a_slice_shown_in_a_3d_view_is_marked(layout):
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    views = ThreeD(layout)
    mark = SyntheticMark(views)
    widget = layout.sliceWidget("Red")
    widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(volume("made", SYNTHETIC="1").GetID())
    assert views.texts() == []
    widget.mrmlSliceNode().SetSliceVisible(True)
    assert views.texts() == ["SYNTHETIC - research use only"]
    widget.mrmlSliceCompositeNode().SetBackgroundVolumeID(volume("real").GetID())
    assert views.texts() == []
    mark.setBlinded(True)
    assert views.texts() == ["MAY BE SYNTHETIC"]
    mark.close()
    assert views.texts() == []
    widget.mrmlSliceNode().SetSliceVisible(False)


def test_a_clone_is_marked_but_no_part_of_the_run(mark):
    original = volume("SYNTHETIC prediction", SYNTHETIC="1", RUN="r", ROLE="predicted", CLASS="a", NOTICE="synthetic")
    clone = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, original, "copy")
    assert isSynthetic(clone) and clone.GetAttribute(NodeRoles.NOTICE) == "synthetic"
    (run,) = findRuns(slicer.mrmlScene)
    assert run.allNodes() == [original]


def test_samples_of_earlier_versions_stay_in_their_run(mark):
    volume("SYNTHETIC prediction", SYNTHETIC="1", RUN="r", ROLE="predicted", CLASS="a")
    samples = [
        volume(f"SYNTHETIC sample {number}", SYNTHETIC="1", RUN="r", ROLE="sample", CLASS="a") for number in (1, 2)
    ]
    (run,) = findRuns(slicer.mrmlScene)
    assert run.sampleNodes("a") == samples


def test_crop_volume_hands_the_mark_on(mark, session):
    source, output = volume("made", SYNTHETIC="1", NOTICE="synthetic"), volume("Volume")
    parameters = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLCropVolumeParametersNode")
    parameters.SetInputVolumeNodeID(volume("real").GetID())
    parameters.SetOutputVolumeNodeID(output.GetID())
    assert not isSynthetic(output)
    parameters.SetInputVolumeNodeID(source.GetID())
    assert isSynthetic(output) and output.GetAttribute(NodeRoles.NOTICE) == "synthetic"


class CommandLineNode:
    """A vtkMRMLCommandLineModuleNode; real ones need a registered module, which the wheel has none of."""

    def __init__(self, *parameters):
        self.parameters = parameters  # name, tag, channel, value

    def IsA(self, className):
        return className == "vtkMRMLCommandLineModuleNode"

    def GetNumberOfParameterGroups(self):
        return 1

    def GetNumberOfParametersInGroup(self, group):
        return len(self.parameters)

    def GetParameterName(self, group, number):
        return self.parameters[number][0]

    def GetParameterTag(self, group, number):
        return self.parameters[number][1]

    def GetParameterChannel(self, group, number):
        return self.parameters[number][2]

    def GetParameterAsString(self, name):
        return next(value for key, _tag, _channel, value in self.parameters if key == name)


def test_a_command_line_module_hands_the_mark_on(mark):
    source, real, output, table = volume("made", SYNTHETIC="1"), volume("real"), volume("Volume"), volume("transform")
    ends = ("outputVolume", "image", "output", output.GetID()), ("other", "transform", "output", table.GetID())
    mark._heirs._onModified(CommandLineNode(("inputVolume", "image", "input", real.GetID()), *ends), "")
    assert not isSynthetic(output)
    sources = f"{real.GetID()},{source.GetID()}"
    mark._heirs._onModified(CommandLineNode(("inputVolumes", "image", "input", sources), *ends), "")
    assert isSynthetic(output) and not isSynthetic(table)


def test_a_name_that_says_synthetic_is_believed(mark, session):
    assert isSynthetic(volume("SYNTHETIC expected image - T1 cropped"))
    later = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    later.SetName("Resampled SYNTHETIC prediction")
    session.spin(0.05)
    assert isSynthetic(later)
    assert not isSynthetic(volume("real"))


def test_a_scene_that_is_imported_twice_has_its_run_once(mark, session, tmp_path):
    volume("SYNTHETIC prediction", SYNTHETIC="1", RUN="r", ROLE="predicted", CLASS="a")
    volume("SYNTHETIC sample 1", SYNTHETIC="1", RUN="r", ROLE="sample", CLASS="a", SAMPLE_NUMBER="1")
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    for _time in range(2):
        slicer.util.loadScene(str(tmp_path / "scene.mrb"))
        session.spin(0.05)
    (run,) = findRuns(slicer.mrmlScene)
    assert [node.GetName() for node in run.allNodes()] == ["SYNTHETIC prediction", "SYNTHETIC sample 1"]
    volumes = slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
    assert len(volumes) == 4 and all(isSynthetic(node) for node in volumes)
