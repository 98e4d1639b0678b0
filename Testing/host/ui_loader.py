"""Loader of .ui files: unknown classes and properties are errors, and <connections> are made, as in Slicer."""

import re
import xml.etree.ElementTree as ElementTree

from PySide6 import QtCore, QtUiTools, QtWidgets

from host.doubles import DOUBLES
from host.pythonqt import Building, QtProperty

# Qt Designer's own: they are no Q_PROPERTY of the class that carries them.
DESIGNER_PROPERTIES = {"QLabel": {"buddy"}, "Line": {"orientation"}}


def widgetClass(className: str) -> type:
    """Return the class, or raise: a typing error, or a widget that needs a double."""
    if className == "Line":
        return QtWidgets.QFrame
    found = DOUBLES.get(className) or getattr(QtWidgets, className, None)
    if found is None:
        raise RuntimeError(f"there is no widget class '{className}': a typing error, or it needs a double")
    return found


def check(root: ElementTree.Element) -> None:
    """Raise for what QUiLoader loses: exceptions in createWidget(), misspelt properties, senders and receivers."""
    declared = {element.findtext("class") for element in root.iterfind("customwidgets/customwidget")}
    for element in root.iter("widget"):
        className, name = element.get("class"), element.get("name")
        cls = widgetClass(className)
        if className in DOUBLES and className not in declared:
            raise RuntimeError(f"{className} '{name}' is not in <customwidgets>")
        for key in (part.get("name") for part in element.findall("property") if part.get("stdset") != "0"):
            known = isinstance(getattr(cls, key, None), (QtCore.Property, QtProperty))
            if not known and key not in DESIGNER_PROPERTIES.get(className, ()):
                raise RuntimeError(f"{className} '{name}' has no property '{key}'")
    names = [element.get("name") for kind in ("widget", "action") for element in root.iter(kind)]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise RuntimeError(f"two widgets are called {sorted(twice)}")
    for connection in root.iterfind("connections/connection"):
        for end in ("sender", "receiver"):
            if connection.findtext(end) not in names:
                raise RuntimeError(f"<connections>: there is no widget '{connection.findtext(end)}'")


class UiLoader(QtUiTools.QUiLoader):
    """What `qt.QUiLoader` is on the host."""

    def createWidget(self, className, parent=None, name=""):
        if className not in DOUBLES:
            return super().createWidget(className, parent, name)
        widget = DOUBLES[className](parent)
        widget.setObjectName(name)
        return widget

    def load(self, device, parent=None):
        root = ElementTree.fromstring(bytes(device.readAll().data()))
        check(root)
        wanted = [{part.tag: part.text for part in item} for item in root.iterfind("connections/connection")]
        for element in root.findall("connections") + root.findall("customwidgets"):
            root.remove(element)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(root))
        buffer.open(QtCore.QIODevice.ReadOnly)
        with Building():
            widget = super().load(buffer, parent)
        if widget is None:
            return None
        objects = {item.objectName: item for item in (widget, *QtCore.QObject.findChildren(widget, QtCore.QObject))}
        for item in wanted:
            slot = getattr(objects[item["receiver"]], re.match(r"\w+", item["slot"])[0])
            objects[item["sender"]].connect(item["signal"], slot)
        return widget
