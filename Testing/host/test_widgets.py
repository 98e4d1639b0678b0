"""The doubles of qMRML and ctk widgets behave as the real ones, on the real scene."""

import ctk
import pytest
import qt
import slicer


@pytest.fixture
def selector():
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setMRMLScene(slicer.mrmlScene)
    yield selector
    selector.setMRMLScene(None)


def addVolume(name: str):
    return slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)


def addSegmentation(*segments: str):
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "Segmentation")
    for name in segments:
        node.GetSegmentation().AddEmptySegment(name, name)
    return node


def test_a_selector_without_scene_is_disabled():
    selector = slicer.qMRMLNodeComboBox()
    assert not selector.enabled
    selector.setMRMLScene(slicer.mrmlScene)
    assert selector.enabled
    selector.setMRMLScene(None)


def test_a_selector_with_actions_selects_nothing_by_itself(selector):
    addVolume("a")
    assert selector.currentNode() is None


def test_a_selector_of_nodes_only_selects_the_first(selector):
    selector.addEnabled = selector.removeEnabled = False
    first = addVolume("a")
    addVolume("b")
    assert selector.currentNode() is first


def test_a_selector_with_none_starts_with_none(selector):
    selector.addEnabled = selector.removeEnabled = False
    selector.noneEnabled = True
    addVolume("a")
    assert selector.currentNode() is None


def test_hidden_and_other_nodes_are_not_listed(selector):
    addVolume("a").SetHideFromEditors(True)
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLModelNode")
    assert selector.nodeCount() == 0


def test_derived_types_are_listed_unless_excluded(selector):
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
    assert selector.nodeCount() == 1
    selector.showChildNodeTypes = False
    assert selector.nodeCount() == 0


def test_attributes_filter(selector):
    addVolume("a")
    addVolume("b").SetAttribute("Kind", "x")
    selector.addAttribute("vtkMRMLScalarVolumeNode", "Kind", "x")
    assert selector.nodeCount() == 1


def test_selection_emits_all_overloads_once(selector):
    seen = []
    selector.connect("currentNodeChanged(vtkMRMLNode*)", seen.append)
    selector.connect("currentNodeChanged(bool)", seen.append)
    selector.connect("currentNodeIDChanged(QString)", seen.append)
    node = addVolume("a")
    selector.setCurrentNode(node)
    selector.setCurrentNode(node)
    assert seen == [node, True, node.GetID()]


def test_removal_falls_back_to_none_or_a_neighbor(selector):
    first, second = addVolume("a"), addVolume("b")
    selector.setCurrentNode(second)
    slicer.mrmlScene.RemoveNode(second)
    assert selector.currentNode() is first
    selector.noneEnabled = True
    addVolume("c")
    slicer.mrmlScene.RemoveNode(first)
    assert selector.currentNode() is None


def test_closing_the_scene_empties_the_selector(selector):
    selector.setCurrentNode(addVolume("a"))
    seen = []
    selector.connect("currentNodeChanged(bool)", seen.append)
    slicer.mrmlScene.Clear(0)
    assert (selector.currentNode(), seen) == (None, [False])


def test_a_node_set_before_the_scene_is_selected_with_it():
    node = addVolume("a")
    selector = slicer.qMRMLNodeComboBox()
    selector.nodeTypes = ["vtkMRMLScalarVolumeNode"]
    selector.setCurrentNodeID(node.GetID())
    selector.setMRMLScene(slicer.mrmlScene)
    assert selector.currentNode() is node
    selector.setMRMLScene(None)


def test_the_segment_selector_follows_the_segments():
    node = addSegmentation("gtv")
    selector = slicer.qMRMLSegmentSelectorWidget()
    seen = []
    selector.connect("currentSegmentChanged(QString)", seen.append)
    selector.setMRMLScene(slicer.mrmlScene)
    selector.setCurrentNode(node)
    assert (selector.currentSegmentID(), seen) == ("gtv", ["gtv"])
    node.GetSegmentation().AddEmptySegment("other", "other")
    selector.setCurrentSegmentID("other")
    node.GetSegmentation().RemoveSegment("other")
    assert (selector.currentSegmentID(), seen) == ("gtv", ["gtv", "other", "gtv"])
    selector.setMRMLScene(None)


@pytest.fixture
def button():
    """A shown collapsible button with two labels; before it is shown, the real one does nothing to its children."""
    button = ctk.ctkCollapsibleButton("Title")
    layout = qt.QVBoxLayout(button)
    labels = [qt.QLabel(text) for text in "ab"]
    for label in labels:
        layout.addWidget(label)
    button.show()
    return button, *labels


def test_a_collapsible_button_hides_its_children(button):
    button, label, hidden = button
    hidden.visible = False
    seen = []
    button.connect("contentsCollapsed(bool)", seen.append)
    button.collapsed = True
    assert (label.visible, button.checked, seen) == (False, False, [True])
    button.collapsed = False
    assert (label.visible, hidden.visible, seen) == (True, False, [True, False])


def test_children_shown_while_collapsed_appear_when_it_opens(button):
    button, label, _other = button
    label.visible = False
    button.collapsed = True
    label.visible = True
    assert not label.visible
    button.collapsed = False
    assert label.visible


def test_a_slider_widget_clamps_and_rounds():
    slider, seen = ctk.ctkSliderWidget(), []
    slider.connect("valueChanged(double)", seen.append)
    slider.minimum, slider.maximum, slider.decimals, slider.singleStep = 0, 1, 2, 0.01
    slider.value = 0.123
    slider.value = 7
    assert (slider.value, seen) == (1.0, [0.12, 1.0])


@pytest.mark.parametrize("name", ["vale", "setVale", "nodeTypes"])
def test_doubles_refuse_unknown_attributes(name):
    with pytest.raises(AttributeError):
        setattr(ctk.ctkSliderWidget(), name, 1)
