"""What is seen after a prediction. Pixels are compared with each other, never with fixed values: drivers differ."""

import numpy as np
import phantoms
import pytest
import qt
import SimpleITK
import slicer
import vtk
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.inputs.HeadBox import findHead
from GBMResponseLib.settings.Choices import ClassMode
from GBMResponseLib.views.Curtain import Curtain
from GBMResponseLib.views.LayoutDescription import isOwnLayout, layoutIdentifier, ownLayouts, registerLayouts, viewName

from host.panel_driver import isMarked

RED_ONLY = slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView
BEFORE, EXPECTED, SAMPLE, LAST = (viewName(number) for number in range(4))
MARK_ROWS = 40
"""Height of the strip at the top of a view that may hold the mark."""


def colored(pixels: np.ndarray) -> int:
    return int((np.ptp(pixels[MARK_ROWS:].astype(int), axis=-1) > 20).sum())


def hideOutline(nodes) -> None:
    nodes.segmentation.GetDisplayNode().SetVisibility(False)


def titles(layout, count) -> list[str]:
    return [layout.sliceWidget(viewName(number)).mrmlSliceNode().GetLayoutLabel() for number in range(count)]


def foregrounds(layout, count) -> list[str]:
    views = [layout.sliceWidget(viewName(number)) for number in range(count)]
    return [view.mrmlSliceCompositeNode().GetForegroundVolumeID() for view in views]


def test_the_views_are_before_expected_sample_and_enhancement(shown, layout):
    assert isOwnLayout(layout.layout)
    assert titles(layout, 4) == ["Before", "Expected (average)", "Sample 1 of 4", "Enhancement"]
    composites = [layout.sliceWidget(viewName(number)).mrmlSliceCompositeNode() for number in range(4)]
    (samples,) = shown.samples.values()
    nodes = [shown.node(NodeRoles.EXPECTED), samples[0], shown.node(NodeRoles.ENHANCEMENT)]
    assert {composite.GetBackgroundVolumeID() for composite in composites} == {shown.inputVolume.GetID()}
    assert foregrounds(layout, 4) == [None, *(node.GetID() for node in nodes)]
    assert all(composite.GetLinkedControl() for composite in composites)


def test_samples_are_browsed_with_the_slider(ready, shown, layout):
    (samples,) = shown.samples.values()
    slider = ready.ui.sampleSlider
    assert (slider.minimum, slider.maximum, slider.value) == (1, 4, 1)
    slider.value = 3
    assert foregrounds(layout, 3)[2] == samples[2].GetID()
    assert titles(layout, 3)[2] == "Sample 3 of 4"
    slider.value = 1
    assert foregrounds(layout, 3)[2] == samples[0].GetID()


@pytest.mark.parametrize(
    "count, expected",
    [
        (0, ["Before", "Expected (average)", "Difference"]),
        (1, ["Before", "Expected (average)", "Sample 1 of 1", "Difference"]),
    ],
)
def test_a_view_of_a_sample_is_there_only_if_there_is_one(ready, layout, count, expected):
    ready.parameters.samples = count
    nodes = ready.run().nodes
    ready.settle()
    assert len(nodes.sampleNodes(nodes.classes[0])) == count
    assert titles(layout, len(expected)) == expected
    assert ready.ui.sampleWidget.isVisibleTo(ready.ui.resultsSection) == bool(count)
    layout.setLayout(RED_ONLY)


def test_the_fade_slider_goes_from_before_to_the_pictures(ready, shown, views):
    hideOutline(shown)
    ready.ui.fadeSlider.value = 0
    before = views(BEFORE)[MARK_ROWS:]
    for name in (EXPECTED, SAMPLE):
        np.testing.assert_array_equal(views(name)[MARK_ROWS:], before)
    ready.ui.fadeSlider.value = 1
    for name in (EXPECTED, SAMPLE):
        assert (views(name)[MARK_ROWS:] != before).any(-1).mean() > 0.05
        assert not colored(views(name))
    assert (views(EXPECTED)[MARK_ROWS:] != views(SAMPLE)[MARK_ROWS:]).any()


def test_the_difference_is_colored_over_the_anatomy(ready, shown, views):
    hideOutline(shown)
    ready.click("differenceButton")
    assert colored(views(LAST)) > 200
    assert not colored(views(BEFORE))


def test_window_and_level_are_those_of_the_input(shown):
    windows = [
        (node.GetDisplayNode().GetWindow(), node.GetDisplayNode().GetLevel())
        for node in (shown.inputVolume, shown.node(NodeRoles.PREDICTED))
    ]
    assert windows[0] == windows[1]


def test_synthetic_images_are_marked_in_the_picture(ready, shown, views):
    assert [isMarked(name) for name in (BEFORE, EXPECTED, SAMPLE, LAST)] == [False, True, True, True]
    marked = views(EXPECTED)[:MARK_ROWS]
    ready.ui.fadeSlider.value = 0
    assert not isMarked(EXPECTED)
    assert (views(EXPECTED)[:MARK_ROWS] != marked).any(-1).sum() > 100
    ready.ui.fadeSlider.value = 1
    assert isMarked(EXPECTED)


def test_the_users_own_views_are_marked_too(shown, layout, views):
    layout.setLayout(RED_ONLY)
    assert not isMarked("Red")
    slicer.util.setSliceViewerLayers(background=shown.node(NodeRoles.PREDICTED))
    assert isMarked("Red")


def test_the_mark_survives_saving(shown, layout, tmp_path):
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    assert not any(isMarked(name) for name in layout.sliceViewNames())
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    predicted = next(
        node
        for node in slicer.util.getNodesByClass("vtkMRMLScalarVolumeNode")
        if node.GetAttribute(NodeRoles.ROLE) == NodeRoles.PREDICTED
    )
    slicer.util.setSliceViewerLayers(background=predicted)
    assert isMarked("Red")


def test_a_view_of_a_loaded_scene_is_marked_by_itself(ready, shown, layout, tmp_path):
    layout.setLayout(RED_ONLY)
    slicer.util.setSliceViewerLayers(background=shown.node(NodeRoles.PREDICTED))
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    ready.settle()
    assert not isMarked("Red")
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    ready.settle()
    assert layout.sliceWidget("Red").mrmlSliceCompositeNode().GetBackgroundVolumeID()
    assert isMarked("Red")


def test_views_are_followed_after_the_scene_was_closed(ready, shown, layout):
    layout.setLayout(RED_ONLY)
    slicer.mrmlScene.Clear(False)
    ready.settle()
    volume = slicer.util.addVolumeFromArray(np.ones((8, 8, 8), np.float32))
    volume.SetAttribute(NodeRoles.SYNTHETIC, "1")
    slicer.util.setSliceViewerLayers(background=volume)
    assert isMarked("Red")


def test_a_scene_saved_during_the_comparison_opens_with_it_and_can_leave_it(ready, shown, layout, tmp_path):
    assert slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    ready.settle()
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    ready.settle()
    assert isOwnLayout(layout.layout)
    assert isMarked(EXPECTED)
    assert ready.ui.compareButton.checked
    ready.ui.fadeSlider.value = 0.25
    assert layout.sliceWidget(EXPECTED).mrmlSliceCompositeNode().GetForegroundOpacity() == 0.25
    ready.ui.fadeSlider.value = 1
    ready.click("compareButton")
    assert not isOwnLayout(layout.layout)


def test_all_layouts_are_known_before_the_module_is_used(driver, layout):
    import GBMResponse

    node = layout.layoutLogic().GetLayoutNode()
    GBMResponse.onStartupCompleted()
    assert all(node.IsLayoutDescription(identifier) for identifier in ownLayouts())


def test_a_scene_that_was_loaded_before_gets_its_views():
    node = slicer.vtkMRMLLayoutNode()
    node.SetViewArrangement(layoutIdentifier(3))
    registerLayouts(node)
    assert node.GetCurrentLayoutDescription() == ownLayouts()[layoutIdentifier(3)]


def test_all_views_show_the_middle_of_the_tumor(ready, shown, layout):
    center = np.array(shown.segmentation.GetSegmentCenterRAS(shown.segmentID))
    for number in range(3):
        widget = layout.sliceWidget(viewName(number))
        widget.mrmlSliceNode().JumpSliceByOffsetting(0, 0, center[2] + 18)
    ready.click("jumpButton")
    spacing = shown.inputVolume.GetSpacing()[2]
    for number in range(3):
        node = layout.sliceWidget(viewName(number)).mrmlSliceNode()
        matrix = node.GetSliceToRAS()
        assert abs(matrix.GetElement(2, 3) - center[2]) <= spacing


def test_side_by_side_brings_the_users_layout_back(ready, shown, layout):
    ready.click("compareButton")
    assert layout.layout == RED_ONLY
    ready.click("compareButton")
    assert isOwnLayout(layout.layout)


def test_a_layout_chosen_meanwhile_stays(ready, shown, layout):
    layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView)
    ready.widget.panel._results._views.hide()
    assert layout.layout == slicer.vtkMRMLLayoutNode.SlicerLayoutFourUpView
    layout.setLayout(RED_ONLY)


def test_blinking_switches_and_stops_when_the_panel_is_left(ready, shown, layout):
    seen = set()
    composite = layout.sliceWidget(EXPECTED).mrmlSliceCompositeNode()
    tag = composite.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *event: seen.add(composite.GetForegroundOpacity()))
    ready.ui.blinkButton.checked = True
    ready.session.until(lambda: {0.0, 1.0} <= seen)
    ready.widget.parent.exit()
    assert not ready.ui.blinkButton.checked
    seen.clear()
    ready.session.spin(1.0)
    assert not seen
    assert composite.GetForegroundOpacity() == 1.0
    composite.RemoveObserver(tag)
    ready.widget.parent.enter()


def test_spread_replaces_the_difference(ready, layout):
    ready.parameters.samples = 3
    nodes = ready.run().nodes
    ready.settle()
    ready.click("spreadButton")
    composite = layout.sliceWidget(LAST).mrmlSliceCompositeNode()
    assert composite.GetForegroundVolumeID() == nodes.node(NodeRoles.SPREAD).GetID()
    assert not ready.ui.differenceButton.checked
    ready.click("differenceButton")
    assert composite.GetForegroundVolumeID() == nodes.node(NodeRoles.DIFFERENCE).GetID()
    layout.setLayout(RED_ONLY)


def test_every_class_has_its_view(ready, layout, views):
    ready.parameters.classMode = ClassMode.compareAll
    nodes = ready.run().nodes
    ready.settle()
    names = [layout.sliceWidget(viewName(number)).mrmlSliceNode().GetLayoutLabel() for number in range(3)]
    assert [name.split()[-1] for name in names[1:]] == nodes.classes
    hideOutline(nodes)
    first, second = (views(viewName(number))[MARK_ROWS:] for number in (1, 2))
    assert (first != second).any()
    layout.setLayout(RED_ONLY)


def test_four_classes_have_their_views_and_their_difference(ready, layout):
    ready.parameters.classMode = ClassMode.compareAll
    ready.parameters.classScheme = "4-class"
    nodes = ready.run().nodes
    ready.settle()
    assert len(nodes.classes) == 4
    names = [layout.sliceWidget(viewName(number)).mrmlSliceNode().GetLayoutLabel() for number in range(6)]
    assert [name.split()[-1] for name in names[1:5]] == nodes.classes
    assert names[5] == f"{nodes.classes[-1]} minus {nodes.classes[0]}"
    layout.setLayout(RED_ONLY)


def test_without_main_window_a_prediction_shows_nothing_and_works(ready, session):
    session.useNoMainWindow()
    assert ready.run().nodes.node(NodeRoles.PREDICTED) is not None
    session.useMainWindow()


@pytest.fixture(scope="module")
def wholeHead(tmp_path_factory):
    """File of a whole phantom head: half axes of 72, 92 and 78 mm around a point that is not the volume's middle."""
    image = phantoms.head((100, 110, 60), (2.0, 2.0, 3.0), center=(12, -9, 4))
    path = tmp_path_factory.mktemp("head") / "head.nrrd"
    SimpleITK.WriteImage(image, str(path))
    return path


def test_the_head_is_found(wholeHead):
    box = findHead(slicer.util.loadVolume(str(wholeHead)))
    np.testing.assert_allclose(box.center, (0, 0, 0), atol=6)
    np.testing.assert_allclose(box.size, (144, 184, 156), rtol=0.12)


def test_the_head_is_found_where_the_transform_puts_it(wholeHead):
    volume = slicer.util.loadVolume(str(wholeHead))
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = np.eye(4)
    matrix[:3, 3] = (30, -20, 10)
    slicer.util.updateTransformMatrixFromArray(node, matrix)
    volume.SetAndObserveTransformNodeID(node.GetID())
    np.testing.assert_allclose(findHead(volume).center, (30, -20, 10), atol=6)


def test_a_volume_without_a_head_has_no_box():
    volume = slicer.util.addVolumeFromArray(np.zeros((20, 20, 20), np.int16))
    assert findHead(volume) is None


@pytest.fixture
def seen(layout):
    """The views are shown."""
    layout.viewport().resize(900, 600)
    layout.viewport().show()
    yield
    layout.viewport().hide()


@pytest.fixture
def turns(session):
    """Function that returns the number of the turn of the event loop."""
    count = [0]
    timer = qt.QTimer()
    timer.setInterval(0)
    timer.connect("timeout()", lambda: count.__setitem__(0, count[0] + 1))
    timer.start()
    yield lambda: count[0]
    timer.stop()


def test_views_are_drawn_one_per_turn_of_the_event_loop(ready, shown, layout, seen, turns, monkeypatch):
    views = ready.widget.panel._results._views
    names = [viewName(number) for number in range(4)]
    widgets = [layout.sliceWidget(name) for name in names]
    opened = []
    original = views._curtain._openNext
    monkeypatch.setattr(views._curtain, "_openNext", lambda drawn: (opened.append(turns()), original(drawn)))
    views.show(shown)
    assert not any(widget.updatesEnabled for widget in widgets)
    assert all(widget.sliceView().isRenderPaused() for widget in widgets)
    ready.session.until(lambda: len(opened) >= 4)
    assert len(set(opened[:4])) == 4
    ready.settle()
    assert all(widget.updatesEnabled and not widget.sliceView().isRenderPaused() for widget in widgets)
    for widget in widgets:  # what is seen is what there is
        np.testing.assert_array_equal(widget.sliceView()._pixels, widget.sliceView().array())


def test_a_closed_view_is_drawn_once_when_it_opens(ready, shown, layout, seen, monkeypatch):
    view = layout.sliceWidget(viewName(0)).sliceView()
    ready.settle()
    drawn, original = [], type(view).array
    monkeypatch.setattr(
        type(view), "array", lambda self: (drawn.append(1) if self is view else None, original(self))[1]
    )
    curtain = Curtain()
    curtain.close([viewName(0), "a view that is gone"])
    curtain.close([viewName(0)])
    for _ in range(3):
        view.scheduleRender()
        ready.session.spin(0.05)
    assert drawn == []
    curtain.open()
    ready.session.until(lambda: drawn)
    ready.session.spin(0.05)
    assert drawn == [1] and not view.isRenderPaused()
    curtain.close([viewName(0)])
    view.scheduleRender()
    ready.session.spin(0.05)
    curtain.finish()
    assert drawn == [1, 1] and layout.sliceWidget(viewName(0)).updatesEnabled


@pytest.mark.parametrize("leave", ["side by side", "layout menu", "scene closed"])
def test_no_view_stays_closed_when_the_comparison_is_left_at_once(ready, shown, layout, seen, leave):
    views = ready.widget.panel._results._views
    widgets = [layout.sliceWidget(viewName(number)) for number in range(4)]
    views.show(shown)
    if leave == "side by side":
        views.hide()
    elif leave == "layout menu":
        layout.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView)
    else:
        slicer.mrmlScene.Clear(False)
    assert all(widget.updatesEnabled and not widget.sliceView().isRenderPaused() for widget in widgets)
