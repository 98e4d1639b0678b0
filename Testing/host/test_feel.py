"""How the panel feels: every control says what it is, is reached in order, and is seen on every theme and screen."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
import qt
import slicer
from GBMResponseLib.common.ProblemStyle import setProblem
from GBMResponseLib.panel.PreviewStrip import PreviewStrip
from GBMResponseLib.panel.ResultSection import showTable

FORM = Path(__file__).resolve().parents[2] / "GBMResponse" / "Resources" / "UI" / "GBMResponse.ui"
PAGE = 504
"""Pixels of a panel of 520 beside its scroll bar."""
CONTROLS = ("QAbstractButton", "QComboBox", "QAbstractSpinBox", "QLineEdit", "QPlainTextEdit", "QTableWidget")


def controls(ui) -> dict:
    named = {widget.get("name") for widget in ElementTree.parse(FORM).getroot().iter("widget")}
    widgets = {name: widget for name, widget in vars(ui).items() if name in named}
    return {
        name: widget
        for name, widget in widgets.items()
        if any(widget.inherits(kind) for kind in CONTROLS) or "slider" in name.lower() or "selector" in name.lower()
    }


def test_every_control_has_a_tooltip_and_a_name_for_screen_readers(driver):
    found = controls(driver.ui)
    assert len(found) > 60
    buddies = {label.buddy() for label in vars(driver.ui).values() if hasattr(label, "buddy")}
    for name, widget in found.items():
        text = getattr(widget, "text", "")
        named = widget.accessibleName or widget in buddies or (isinstance(text, str) and text.strip(". "))
        assert named, name
        assert widget.toolTip or name.endswith("Section"), name


def test_no_section_is_wider_than_the_panel_whatever_things_are_called(shown, ready):
    name = "GBM-0012_2026-03-31_T1w_Gd_MPRAGE_isotropic_sagittal.nii"
    ui, parameters = ready.ui, ready.parameters
    parameters.inputVolume.SetName(name)
    parameters.gtvSegmentation.SetName(name)
    parameters.followUpVolume = slicer.modules.volumes.logic().CloneVolume(slicer.mrmlScene, shown.inputVolume, name)
    ready.settle()
    ready.widget.panel.refreshRuns()
    assert name in ui.runComboBox.currentText
    ui.modelComboBox.setItemText(0, name)
    for button in ("scoringLogButton", "batchTableButton", "batchOutButton", "readerTableButton", "readerFileButton"):
        getattr(ui, button).text = name
    ui.scoringFollowUpSelector.setCurrentNode(parameters.followUpVolume)
    showTable(ui.scoringTable, shown.measurements)
    for widget in (ui.whatIfWeightWidget, ui.whatIfDaysWidget, ui.sampleWidget, ui.failureButton, ui.progressWidget):
        widget.visible = True
    labels = [label for label in vars(ui).values() if label.inherits("QLabel") and label.wordWrap]
    said = [label.text for label in labels]
    for label in labels:
        label.text, label.visible = "What a sentence says in many words. " * 8, True
    sections = [widget for key, widget in vars(ui).items() if key.endswith("Section")]
    kept = [(section.visible, section.collapsed) for section in sections]
    for section in sections:
        section.visible, section.collapsed = True, False
    for widget in vars(ui).values():
        if widget.inherits("QComboBox"):
            widget.setStyleSheet("QComboBox {}")  # forgets how wide it was at its first show
    panel = ready.widget.parent
    wasVisible = panel.visible
    try:
        panel.show()
        ready.session.spin(0.3)
        widths = {section.objectName: section.minimumSizeHint().width() for section in sections}
        assert len(widths) >= 11 and min(widths.values()) > 0
        assert panel.minimumSizeHint().width() <= PAGE, widths
    finally:
        panel.visible = wasVisible
        for label, text in zip(labels, said, strict=True):
            label.text = text
        for section, (visible, collapsed) in zip(sections, kept, strict=True):
            section.visible, section.collapsed = visible, collapsed


def test_mnemonics_of_the_page_are_unique(driver):
    texts = [label.text for label in vars(driver.ui).values() if hasattr(label, "buddy") and label.buddy()]
    letters = [text[text.index("&") + 1].lower() for text in texts if "&" in text]
    assert len(letters) >= 7 and len(set(letters)) == len(letters)


def test_tab_goes_through_the_controls_from_top_to_bottom():
    """Qt's order is that in which a form makes its widgets, unless it names tab stops."""
    form = ElementTree.parse(FORM).getroot()
    assert form.find("tabstops") is None
    made = [widget.get("name") for widget in form.iter("widget")]
    names = ["inputVolumeSelector", "segmentationSelector", "segmentSelector", "followUpSelector", "modelComboBox"]
    names += ["classModeComboBox", "samplesSpinBox", "presetComboBox", "predictButton", "runComboBox", "compareButton"]
    names += ["runNameEdit", "otherRunComboBox", "fadeSlider", "sampleSlider", "differenceButton", "saveButton"]
    places = [made.index(name) for name in names]
    assert places == sorted(places)


def test_a_shortcut_predicts_and_cancels(ready):
    shortcut = ready.widget.panel._shortcut
    assert "Ctrl+Return" in ready.ui.predictButton.toolTip
    shortcut.activated.emit()
    assert ready.controller.isActive
    ready.session.until(lambda: ready.ui.predictButton.enabled)
    shortcut.activated.emit()
    ready.wait()
    assert not ready.controller.isActive


def luminance(color) -> float:
    parts = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in color]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("background", ["#ffffff", "#efefef", "#353535", "#1e1e1e"])
def test_a_problem_can_be_read_on_light_and_dark_themes(session, background):
    label = qt.QLabel("problem")
    palette = label.palette
    palette.setColor(label.backgroundRole(), qt.QColor(background))
    label.setPalette(palette)
    setProblem(label, True)
    color = qt.QColor(label.styleSheet.split("color: ")[1].split(";")[0])
    levels = sorted(luminance((c.redF(), c.greenF(), c.blueF())) for c in (color, qt.QColor(background)))
    assert (levels[1] + 0.05) / (levels[0] + 0.05) >= 4.5


def test_previews_are_sharp_on_fine_screens(session, tmp_path, monkeypatch):
    path = tmp_path / "slice.png"
    pixmap = qt.QPixmap(400, 400)
    pixmap.fill(qt.QColor("#808080"))
    pixmap.save(str(path))
    box = qt.QWidget()
    qt.QHBoxLayout(box)
    monkeypatch.setattr(type(box), "devicePixelRatioF", lambda self: 2.0, raising=False)
    strip = PreviewStrip(box)
    assert strip.add(str(path))
    shown = strip._labels[0].pixmap
    shown = shown() if callable(shown) else shown
    assert (shown.height(), shown.devicePixelRatio()) == (192, 2.0)


def test_a_model_that_was_added_can_be_forgotten(ready, tiny_bundle):
    ui = ready.ui
    assert ready.parameters.bundleFolder == str(tiny_bundle) and ui.forgetModelButton.enabled
    count = ui.modelComboBox.count
    ready.click("forgetModelButton")
    ready.settle()
    assert ready.parameters.bundleFolder == "" and ui.modelComboBox.count == count - 1
    assert not ui.forgetModelButton.enabled and (tiny_bundle / "bundle.json").is_file()


def test_inputs_make_room_for_the_result_and_come_back_with_one_click(ready, layout):
    ready.run()
    ui = ready.ui
    assert all(getattr(ui, name).collapsed for name in ("inputsSection", "modelSection", "survivalSection"))
    assert ui.editInputsButton.isVisibleTo(ui.predictPage)
    ready.click("editInputsButton")
    assert not ui.inputsSection.collapsed and not ui.editInputsButton.isVisibleTo(ui.predictPage)
    ui.inputsSection.collapsed = True
    slicer.mrmlScene.Clear(False)
    assert not ui.inputsSection.collapsed
