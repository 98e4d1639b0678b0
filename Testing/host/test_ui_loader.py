"""The loader builds .ui files as Slicer does and refuses what would only fail there."""

import pytest
import slicer

HEAD = '<ui version="4.0"><class>Panel</class>'
CUSTOM = (
    "<customwidgets><customwidget><class>qMRMLWidget</class><extends>QWidget</extends></customwidget>"
    "<customwidget><class>qMRMLNodeComboBox</class><extends>QWidget</extends></customwidget></customwidgets>"
)
SELECTOR = '<widget class="qMRMLNodeComboBox" name="selector">{}</widget>'
PANEL = '<widget class="qMRMLWidget" name="Panel"><layout class="QVBoxLayout"><item>{}</item></layout></widget>'
CONNECTIONS = (
    "<connections><connection><sender>Panel</sender><signal>mrmlSceneChanged(vtkMRMLScene*)</signal>"
    "<receiver>{}</receiver><slot>setMRMLScene(vtkMRMLScene*)</slot></connection></connections>"
)


@pytest.fixture
def load(tmp_path):
    def load(widget: str, connections: str = "", custom: str = CUSTOM):
        path = tmp_path / "panel.ui"
        path.write_text(f"{HEAD}{PANEL.format(widget)}{custom}{connections}</ui>", encoding="utf-8")
        return slicer.util.loadUI(str(path))

    return load


def test_properties_are_set(load):
    listed = '<property name="nodeTypes"><stringlist><string>vtkMRMLScalarVolumeNode</string></stringlist></property>'
    ui = slicer.util.childWidgetVariables(load(SELECTOR.format(listed)))
    assert list(ui.selector.nodeTypes) == ["vtkMRMLScalarVolumeNode"]


def test_dynamic_properties_are_attributes(load):
    text = '<property name="SlicerParameterName" stdset="0"><string>volume</string></property>'
    ui = slicer.util.childWidgetVariables(load(SELECTOR.format(text)))
    assert ui.selector.SlicerParameterName == "volume"


def test_connections_hand_the_scene_on(load):
    panel = load(SELECTOR.format(""), CONNECTIONS.format("selector"))
    panel.setMRMLScene(slicer.mrmlScene)
    selector = slicer.util.childWidgetVariables(panel).selector
    assert selector.mrmlScene() is slicer.mrmlScene
    panel.setMRMLScene(None)


def test_a_forgotten_connection_leaves_the_selector_disabled(load):
    panel = load(SELECTOR.format(""))
    panel.setMRMLScene(slicer.mrmlScene)
    assert not slicer.util.childWidgetVariables(panel).selector.enabled


@pytest.mark.parametrize(
    "widget, connections, custom, message",
    [
        ('<widget class="qMRMLNodeBox" name="a"/>', "", CUSTOM, "no widget class"),
        (SELECTOR.format('<property name="nodeType"><string>a</string></property>'), "", CUSTOM, "no property"),
        (SELECTOR.format(""), CONNECTIONS.format("nobody"), CUSTOM, "no widget 'nobody'"),
        (SELECTOR.format(""), "", "", "customwidgets"),
    ],
    ids=["class", "property", "receiver", "undeclared"],
)
def test_mistakes_raise(load, widget, connections, custom, message):
    with pytest.raises(RuntimeError, match=message):
        load(widget, connections, custom)
