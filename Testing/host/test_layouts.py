"""The user's layout comes back: from comparison and study, after Slicer was closed, and in scenes saved meanwhile."""

import gc
import types
from collections import Counter

import pytest
import slicer
from GBMResponseLib.views.LayoutDescription import READER_LAYOUT, isOwnLayout
from GBMResponseLib.views.SyntheticMark import SyntheticMark
from GBMResponseLib.views.UserLayout import restoreAfterStart

from host.panel_driver import isMarked

TWO = slicer.vtkMRMLLayoutNode.SlicerLayoutTwoOverTwoView
CONVENTIONAL = slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView


def test_closing_slicer_in_the_middle_of_a_comparison_keeps_the_users_layout(ready, layout):
    layout.setLayout(TWO)
    ready.run()
    assert isOwnLayout(layout.layout)  # which Slicer writes into its settings now, and knows no more at its next start
    layout.setLayout(layout.layout)
    kept = slicer.app.settings().value("GBMResponse/UserLayout")
    assert kept == str(int(TWO))
    layout.layoutLogic().GetLayoutNode().SetViewArrangement(CONVENTIONAL)  # the next start
    slicer.app.settings().setValue("GBMResponse/UserLayout", kept)
    restoreAfterStart(layout)
    assert layout.layout == TWO
    assert slicer.app.settings().value("GBMResponse/UserLayout") is None


def test_a_layout_that_the_user_chose_meanwhile_is_left_alone(ready, layout):
    layout.setLayout(TWO)
    ready.run()
    layout.setLayout(CONVENTIONAL)
    assert slicer.app.settings().value("GBMResponse/UserLayout") is None
    restoreAfterStart(layout)
    assert layout.layout == CONVENTIONAL


def test_a_scene_saved_in_a_comparison_knows_the_users_layout(ready, layout, tmp_path):
    layout.setLayout(TWO)
    ready.run()
    ready.settle()
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    layout.setLayout(CONVENTIONAL)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    ready.widget.enter()
    ready.settle()
    assert isOwnLayout(layout.layout)
    ready.click("compareButton")
    assert layout.layout == TWO
    (segmentation,) = slicer.util.getNodesByClass("vtkMRMLSegmentationNode")  # what draws the outline is not saved
    assert segmentation.GetDisplayNode().GetVisibility2DFill()


@pytest.fixture
def study(ready, layout, tmp_path):
    """A study of a run that is under way; the user had another layout."""
    layout.setLayout(TWO)
    ready.run()
    ready.click("compareButton")
    reader = ready.widget.readerPanel
    reader._scoresFile = str(tmp_path / "scores.csv")
    reader.start()
    assert reader.session is not None, ready.ui.readerStatusLabel.text
    yield reader
    reader.close()


def test_a_scene_saved_during_a_study_opens_with_the_users_layout(ready, study, layout, tmp_path):
    assert layout.layout == READER_LAYOUT
    slicer.util.saveScene(str(tmp_path / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    slicer.util.loadScene(str(tmp_path / "scene.mrb"))
    ready.settle()
    assert layout.layout == TWO


def test_a_study_started_in_its_own_layout_is_blinded(ready, study, layout, tmp_path):
    study.close()
    layout.setLayout(READER_LAYOUT)  # as a scene from elsewhere may bring it
    study.start()
    mark = SyntheticMark.install()
    assert mark._blinded and isMarked("GBMResponseReader")
    study.close()
    assert not mark._blinded and layout.layout in (TWO, CONVENTIONAL)


def test_keys_of_a_study_work_wherever_the_focus_is(study):
    import qt

    assert {shortcut.context for shortcut in study._shortcuts} == {qt.Qt.ApplicationShortcut}
    assert all(shortcut.enabled for shortcut in study._shortcuts)


def callbacks() -> Counter:
    """Our methods and closures that MRML nodes, timers and widgets hold now, and what the event broker observes.

    VTK keeps the callable of each observer (vtkPythonCommand), so that one observer more is one callable more.
    """
    gc.collect()
    found = Counter(broker=slicer.vtkEventBroker.GetInstance().GetNumberOfObservations())
    for thing in gc.get_objects():
        isCallable = type(thing) in (types.MethodType, types.FunctionType)
        if isCallable and (thing.__module__ or "").startswith("GBMResponse"):
            found[thing.__qualname__] += 1
    return found


def test_entering_the_module_fifty_times_adds_no_observer(ready, shown):
    widget = ready.widget
    widget.enter()
    ready.settle()
    before, kept = callbacks(), len(widget._VTKObservationMixin__observations)
    assert before["broker"] > 50 and before["PredictionPanel.refreshLater"] > 3  # observers are counted
    for _turn in range(50):
        widget.exit()
        widget.enter()
    ready.settle()
    assert callbacks() == before
    assert len(widget._VTKObservationMixin__observations) == kept
    tag = shown.inputVolume.AddObserver("ModifiedEvent", widget.panel.refreshLater)
    assert callbacks() - before == Counter({"PredictionPanel.refreshLater": 1})
    shown.inputVolume.RemoveObserver(tag)
