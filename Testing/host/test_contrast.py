"""One contrast for all images that are compared, fixed scales of overlays with a legend, and layers that stay."""

import numpy as np
import pytest
import slicer
from GBMResponseLib.common import NodeRoles
from GBMResponseLib.views.LayoutDescription import viewName

BEFORE, EXPECTED, SAMPLE, LAST = (viewName(number) for number in range(4))


def window(node) -> tuple[float, float]:
    return node.GetDisplayNode().GetWindow(), node.GetDisplayNode().GetLevel()


def drag(layout, name: str, foreground: bool, window: float, level: float) -> None:
    """What vtkMRMLWindowLevelWidget does while the mouse is dragged in a view."""
    logic = layout.sliceWidget(name).sliceLogic()
    (logic.SetForegroundWindowLevel if foreground else logic.SetBackgroundWindowLevel)(window, level)


def images(nodes) -> list:
    (samples,) = nodes.samples.values()
    return [nodes.inputVolume, nodes.node(NodeRoles.EXPECTED), nodes.node(NodeRoles.PREDICTED), *samples]


def test_a_drag_in_one_view_changes_the_contrast_of_all_images(ready, shown, layout):
    began = window(shown.inputVolume)
    drag(layout, BEFORE, False, 400.0, 150.0)
    assert {window(node) for node in images(shown)} == {(400.0, 150.0)}
    drag(layout, SAMPLE, True, 300.0, 120.0)
    assert {window(node) for node in images(shown)} == {(300.0, 120.0)}
    ready.click("contrastButton")
    assert {window(node) for node in images(shown)} == {began}


def test_a_drag_over_an_overlay_leaves_its_scale(ready, shown, layout):
    for name, role in (("differenceButton", NodeRoles.DIFFERENCE), ("spreadButton", NodeRoles.SPREAD)):
        ready.click(name)
        scale = window(shown.node(role))
        drag(layout, LAST, True, 1.0, 5.0)
        assert window(shown.node(role)) == scale


def test_overlays_have_a_legend_with_their_scale(ready, shown, views):
    ready.click("differenceButton")
    difference = shown.node(NodeRoles.DIFFERENCE)
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(difference)
    assert legend.GetPrimaryDisplayNode() is difference.GetDisplayNode()
    assert legend.GetTitleText() == "change, image units"
    with_legend = views(LAST)
    legend.SetVisibility(False)
    columns = (with_legend != views(LAST)).any(-1).any(0)
    assert columns[-len(columns) // 3 :].any() and not columns[: len(columns) // 5].any()


def test_the_legend_is_there_from_the_beginning(shown, views, session):
    legend = slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(shown.node(NodeRoles.ENHANCEMENT))
    others = [slicer.vtkSlicerColorLogic.GetColorLegendDisplayNode(node) for node in shown.overlays()]
    assert [other.GetVisibility() for other in others] == [other is legend for other in others]
    views(LAST)
    session.spin(0.1)
    drawn = views(LAST)
    legend.SetVisibility(False)
    assert (drawn != views(LAST)).any(-1).sum() > 100


def test_a_follow_up_in_other_units_gets_the_same_contrast_and_its_own_back(ready, layout, case, case_files):
    followUp = slicer.util.loadVolume(str(case_files["follow_up"]), {"name": "later"})
    slicer.util.updateVolumeFromArray(followUp, slicer.util.arrayFromVolume(case.volume).astype(np.float32) * 4)
    followUp.GetDisplayNode().SetAutoWindowLevel(False)
    followUp.GetDisplayNode().SetWindowLevel(999.0, 111.0)
    ready.parameters.followUpVolume, ready.parameters.registerFollowUp = followUp, False
    ready.settle()
    ready.run()
    ready.settle()
    drag(layout, BEFORE, False, 400.0, 150.0)
    assert window(followUp) == pytest.approx((1600.0, 600.0))
    ready.click("compareButton")
    assert window(followUp) == (999.0, 111.0)


def test_a_layer_chosen_in_one_linked_view_stays_in_that_view(shown, layout):
    Composite = slicer.vtkMRMLSliceCompositeNode
    composites = [layout.sliceWidget(viewName(number)).mrmlSliceCompositeNode() for number in range(4)]
    before = [(node.GetForegroundVolumeID(), node.GetForegroundOpacity()) for node in composites]
    logic = layout.sliceWidget(SAMPLE).sliceLogic()
    other = shown.node(NodeRoles.SPREAD)
    logic.StartSliceCompositeNodeInteraction(Composite.ForegroundVolumeFlag | Composite.ForegroundOpacityFlag)
    composites[2].SetForegroundVolumeID(other.GetID())
    composites[2].SetForegroundOpacity(0.3)
    logic.EndSliceCompositeNodeInteraction()
    after = [(node.GetForegroundVolumeID(), node.GetForegroundOpacity()) for node in composites]
    assert after == [before[0], before[1], (other.GetID(), 0.3), before[3]]


def test_a_volume_that_is_loaded_meanwhile_does_not_replace_what_is_compared(shown, layout, case_files):
    before = [layout.sliceWidget(viewName(number)).mrmlSliceCompositeNode() for number in range(4)]
    layers = [(node.GetBackgroundVolumeID(), node.GetForegroundVolumeID()) for node in before]
    other = slicer.util.loadVolume(str(case_files["follow_up"]), {"name": "other"})
    slicer.util.setSliceViewerLayers(background=other, foreground=None)
    assert [(node.GetBackgroundVolumeID(), node.GetForegroundVolumeID()) for node in before] == layers


def luminance(color) -> float:
    """Relative luminance of an sRGB color of 0 to 255 (WCAG 2.2)."""
    parts = np.asarray(color) / 255.0
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


def ratio(first, second) -> float:
    high, low = sorted((luminance(first), luminance(second)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def outlined(shown, views):
    """Pixels of a view, and which of them the outline of the tumor changes."""
    display = shown.segmentation.GetDisplayNode()
    drawn = views(BEFORE).astype(int)
    display.SetVisibility(False)
    plain = views(BEFORE)
    display.SetVisibility(True)
    return drawn, (drawn != plain).any(-1)


def near(mask, pixels: int):
    """Pixels with one of the mask within so many rows and columns."""
    reach = range(-pixels, pixels + 1)
    return np.any([np.roll(mask, (row, column), (0, 1)) for row in reach for column in reach], axis=0)


@pytest.mark.parametrize("level", (-10000.0, 100.0, 10000.0))  # a white, a usual and a black picture
def test_the_outline_of_the_tumor_is_seen_on_every_gray(shown, views, layout, level):
    drag(layout, BEFORE, False, 200.0, level)
    drawn, changed = outlined(shown, views)
    line, rim = (drawn == (255, 255, 0)).all(-1), (drawn == (0, 0, 0)).all(-1)
    assert line.sum() > 30 and (changed <= (line | rim)).all()  # nothing else is drawn, and both hide what is below
    assert near(rim, 2)[line].mean() > 0.9  # beside the line, all along
    for gray in range(256):
        assert max(ratio(color, (gray,) * 3) for color in ((255, 255, 0), (0, 0, 0))) >= 3
    assert ratio((255, 255, 0), (0, 0, 0)) >= 3


def test_the_outline_follows_the_tumor(shown, views):
    segmentation = shown.segmentation
    _drawn, changed = outlined(shown, views)
    display = segmentation.GetDisplayNode()
    display.SetSegmentVisibility(shown.segmentID, False)
    hidden = views(BEFORE)
    assert not ((hidden == (255, 255, 0)).all(-1) & changed).any()
    display.SetSegmentVisibility(shown.segmentID, True)
    voxels = slicer.util.arrayFromSegmentBinaryLabelmap(segmentation, shown.segmentID, shown.inputVolume)
    half = voxels.copy()
    half[..., : int(np.argwhere(voxels).mean(0)[2])] = 0
    slicer.util.updateSegmentBinaryLabelmapFromArray(half, segmentation, shown.segmentID, shown.inputVolume)
    segmentation.GetSegmentation().AddEmptySegment("other")
    _drawn, smaller = outlined(shown, views)
    columns = np.flatnonzero(changed.any(0)), np.flatnonzero(smaller.any(0))
    assert 0 < np.ptp(columns[1]) < 0.75 * np.ptp(columns[0])
    slicer.mrmlScene.RemoveNode(segmentation)
    assert not (views(BEFORE) == (255, 255, 0)).all(-1).any()
    assert not slicer.util.getNodesByClass("vtkMRMLSegmentationNode")


def test_the_tumor_is_drawn_as_before_afterwards(ready, shown):
    display, segment = shown.segmentation.GetDisplayNode(), shown.segmentID
    assert not display.GetVisibility2DFill()
    assert [node for node in slicer.util.getNodesByClass("vtkMRMLSegmentationNode") if not node.GetHideFromEditors()]
    ready.click("compareButton")
    assert slicer.util.getNodesByClass("vtkMRMLSegmentationNode") == [shown.segmentation]
    assert display.GetVisibility2DFill() and display.GetSliceIntersectionThickness() == 1
    assert display.GetSegmentOverrideColor(segment)[0] < 0  # none
