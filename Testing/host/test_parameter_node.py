"""The host's parameterNodeWrapper stores values as Slicer does, because scenes travel, and binds them to widgets."""

import enum
from typing import Annotated

import ctk
import pytest
import qt
import slicer
from slicer.parameterNodeWrapper import Default, WithinRange, parameterNodeWrapper


class Color(enum.Enum):
    RED = "r"
    BLUE = "b"

    def label(self):
        return self.name.title()


@parameterNodeWrapper
class Parameters:
    volume: slicer.vtkMRMLScalarVolumeNode
    count: Annotated[int, WithinRange(1, 9)] = 2
    ratio: Annotated[float, WithinRange(0.0, 1.0), Default(0.5)]
    flag: bool
    text: str = "t"
    color: Color = Color.BLUE


@pytest.fixture
def node():
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")


def test_defaults_are_stored_as_slicer_stores_them(node):
    Parameters(node)
    stored = {name: node.GetParameter(name) for name in node.GetParameterNames()}
    assert stored == {
        "volume": "",
        "count": "2",
        "ratio": "0.5",
        "flag": "False",
        "text": "t",
        "color": "BLUE",
    }


def test_nodes_are_references(node):
    parameters = Parameters(node)
    parameters.volume = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode")
    assert node.GetNodeReferenceID("volume") == parameters.volume.GetID()
    slicer.mrmlScene.RemoveNode(parameters.volume)
    assert parameters.volume is None


def test_values_outside_the_range_are_refused(node):
    parameters = Parameters(node)
    with pytest.raises(ValueError, match="within"):
        parameters.count = 10
    assert parameters.count == 2


@pytest.mark.parametrize("name, value", [("count", 1.5), ("flag", 1), ("text", 2), ("color", "RED")])
def test_values_of_other_types_are_refused(node, name, value):
    with pytest.raises(TypeError):
        setattr(Parameters(node), name, value)


def test_reserved_names_are_refused():
    with pytest.raises(ValueError, match="reserved"):

        @parameterNodeWrapper
        class Wrong:
            default: int


def test_unknown_parameters_are_refused(node):
    with pytest.raises(ValueError, match="Cannot find"):
        Parameters(node).getValue("other")


def test_widgets_follow_and_set_the_values(node):
    parameters = Parameters(node)
    parts = {
        "count": qt.QSpinBox(),
        "ratio": ctk.ctkSliderWidget(),
        "flag": qt.QCheckBox(),
        "text": qt.QLineEdit(),
        "color": qt.QComboBox(),
    }
    tag = parameters.connectParametersToGui(parts)
    assert (parts["count"].value, parts["ratio"].value, parts["color"].currentText) == (2, 0.5, "Blue")
    assert (parts["count"].minimum, parts["count"].maximum) == (1, 9)
    parts["count"].value = 7
    parts["color"].currentIndex = 0
    parts["flag"].checked = True
    parameters.text = "new"
    assert (parameters.count, parameters.color, parameters.flag, parts["text"].text) == (7, Color.RED, True, "new")
    parameters.disconnectGui(tag)
    parts["count"].value = 3
    assert parameters.count == 7


def test_pairs_that_slicer_does_not_connect_raise(node):
    with pytest.raises(RuntimeError, match="Unable to create GUI connector"):
        Parameters(node).connectParametersToGui({"flag": qt.QLineEdit()})


def test_two_wrappers_of_one_node_agree(node):
    first, second = Parameters(node), Parameters(node)
    first.count = 5
    assert second.count == 5
