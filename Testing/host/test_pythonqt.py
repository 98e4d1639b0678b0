"""The Qt of the host behaves as PythonQt does, and refuses what PythonQt refuses."""

import pytest
import qt


def test_properties_are_attributes():
    label = qt.QLabel("a")
    label.text = "b"
    label.enabled = False
    assert (label.text, label.enabled, label.isEnabled()) == ("b", False, False)


def test_properties_are_not_callable():
    with pytest.raises(TypeError):
        qt.QLabel("a").text()


@pytest.mark.parametrize("value, text", [(5, "5"), (None, "")])
def test_property_writes_convert(value, text):
    label = qt.QLabel("a")
    label.text = value
    assert label.text == text


@pytest.mark.parametrize(
    "change",
    [
        lambda button: setattr(button, "txt", "a"),
        lambda button: setattr(button, "click", 3),
        lambda button: setattr(button, "width", 3),
        lambda button: button.txt,
    ],
    ids=["unknown", "method", "read-only", "reading"],
)
def test_misspelt_and_read_only_attributes_raise(change):
    with pytest.raises(AttributeError):
        change(qt.QPushButton("a"))


def test_signals_connect_by_signature():
    button, seen = qt.QPushButton("a"), []
    button.checkable = True
    button.connect("toggled(bool)", seen.append)
    button.checked = True
    assert seen == [True]


def test_slots_get_only_the_arguments_they_take():
    button, seen = qt.QPushButton("a"), []
    button.connect("clicked(bool)", lambda: seen.append("clicked"))
    button.click()
    assert seen == ["clicked"]


def test_disconnect_finds_the_slot():
    button, seen = qt.QPushButton("a"), []

    def slot():
        seen.append(1)

    button.connect("clicked()", slot)
    assert button.disconnect("clicked()", slot)
    assert not button.disconnect("clicked()", slot)
    button.click()
    assert not seen


def test_wrong_signatures_raise():
    with pytest.raises(RuntimeError, match="does not exist"):
        qt.QPushButton("a").connect("pressed(bool)", print)


def test_connections_of_a_dead_sender_are_forgotten(session):
    from host.pythonqt import connections

    before = len(connections.made)
    button = qt.QPushButton("a")
    button.connect("clicked()", print)
    assert len(connections.made) == before + 1
    del button
    session.spin(0.01)
    assert len(connections.made) == before


def test_python_subclasses_may_add_attributes():
    class Panel(qt.QWidget):
        pass

    panel = Panel()
    panel.logic = 1
    assert panel.logic == 1


def test_enums_are_integers():
    assert qt.Qt.Checked == 2
    assert qt.QMessageBox.Ok | qt.QMessageBox.Cancel == 0x400400


def test_exceptions_in_slots_are_recorded(session, capfd):
    button = qt.QPushButton("a")
    button.connect("clicked()", lambda: 1 / 0)
    button.click()
    assert [type(error) for error in session.errors] == [ZeroDivisionError]
    session.errors.clear()
