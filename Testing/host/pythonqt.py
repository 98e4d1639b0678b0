"""PythonQt's view of Qt on top of PySide6: `install()` puts a strict module `qt` into sys.modules.

In PythonQt a Q_PROPERTY is an attribute (`label.text = "x"`), signals are connected by their C++ signature
(`button.connect("clicked(bool)", slot)`), and unknown attributes raise. The PySide6 classes are patched in place, once
per process, to behave so.
"""

import functools
import os
import re
import sys
import types

os.environ.setdefault("PYSIDE6_OPTION_PYTHON_ENUM", "0x2")  # before the first import: enums then compare as ints

import shiboken6
from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

QObject = QtCore.QObject
MODULES = (QtCore, QtGui, QtWidgets, QtUiTools)

# Virtual getters would look like overrides and recurse; the static singleShot would vanish behind the property.
LEFT_AS_METHODS = {"sizeHint", "minimumSizeHint", "singleShot"}

# PythonQt converts values on property writes by the C++ type of the property.
CONVERSIONS = {"bool": bool, "int": int, "double": float, "QString": lambda value: "" if value is None else str(value)}


class Building:
    """Counts the loaders at work: while one builds widgets, attributes may be set that PythonQt would refuse."""

    depth = 0

    def __enter__(self):
        Building.depth += 1

    def __exit__(self, *exception):
        Building.depth -= 1


class QtProperty:
    """A Q_PROPERTY as attribute: setX() and isX() stay callable, x() does not, as in PythonQt."""

    def __init__(self, owner: type, meta: QtCore.QMetaProperty):
        title = meta.name()[0].upper() + meta.name()[1:]
        candidates = (getattr(owner, name, None) for name in (meta.name(), "is" + title, "has" + title))
        self.name = meta.name()
        self.writable = meta.isWritable()
        self.getter = next((method for method in candidates if type(method).__name__ == "method_descriptor"), None)
        self.setter = getattr(owner, "set" + title, None)
        self.convert = CONVERSIONS.get(meta.typeName(), lambda value: value)

    def __get__(self, instance, owner=None):
        if instance is None:
            return self
        return self.getter(instance) if self.getter else QObject.property(instance, self.name)

    def __set__(self, instance, value):
        if not self.writable:
            raise AttributeError(f"property '{self.name}' of {type(instance).__name__} is read-only")
        value = self.convert(value)
        if self.setter:
            self.setter(instance, value)
        elif not instance.setProperty(self.name, value):
            raise AttributeError(f"property '{self.name}' of {type(instance).__name__} does not accept {value!r}")


class Connections:
    """What was connected by signature, so that disconnect(signature, slot) finds the wrapper around the slot."""

    def __init__(self, rawConnect, rawDisconnect):
        self.rawConnect, self.rawDisconnect = rawConnect, rawDisconnect
        self.made = {}  # address of the sender -> [(signature, slot, wrapper)]

    def connect(self, sender, signature, *target):
        if not isinstance(signature, str) or signature[:1].isdigit():  # a macro string: PySide6's own signal.connect()
            return rawAttribute(sender, "connect")(signature, *target)
        signature, slot = compact(signature), slotOf(target)
        wrapper = trimmed(slot)
        self._ends(sender, signature)[0](wrapper)
        self._entries(sender).append((signature, slot, wrapper))
        return True

    def disconnect(self, sender, signature, *target):
        if not isinstance(signature, str) or signature[:1].isdigit():
            return rawAttribute(sender, "disconnect")(signature, *target)
        signature = compact(signature)
        entries = self._entries(sender)
        slot = slotOf(target) if target else None
        found = [entry for entry in entries if entry[0] == signature and (not target or entry[1] == slot)]
        for entry in found:
            self._ends(sender, signature)[1](entry[2])
            entries.remove(entry)
        return bool(found)

    def _entries(self, sender) -> list:
        address = shiboken6.getCppPointer(sender)[0]
        if address not in self.made:
            self.made[address] = []
            forget = functools.partial(self.made.pop, address, None)
            self.rawConnect(sender, QtCore.SIGNAL("destroyed()"), forget)
        return self.made[address]

    def _ends(self, sender, signature: str):
        """Return the functions that connect and disconnect; doubles list theirs in cppSignals."""
        for owner in type(sender).__mro__:
            if signature in owner.__dict__.get("cppSignals", {}):
                signal = getattr(sender, owner.cppSignals[signature])
                return signal.connect, signal.disconnect
        # PythonQt only prints a message here and returns False, which no test would see.
        if sender.metaObject().indexOfSignal(signature) < 0:
            raise RuntimeError(f"signal '{signature}' does not exist on {sender.className()}")
        macro = QtCore.SIGNAL(signature)
        return functools.partial(self.rawConnect, sender, macro), functools.partial(self.rawDisconnect, sender, macro)


connections = Connections(QObject.connect, QObject.disconnect)
rawAttribute = QObject.__getattribute__


def compact(signature: str) -> str:
    """Return the signature without blanks, except between two words as in 'unsigned int'."""
    return re.sub(r"\s+(?=\W)|(?<=\W)\s+", "", signature.strip())


def slotOf(target: tuple):
    """Return the callable of connect(signature, callable) or connect(signature, receiver, 'slot()')."""
    if len(target) == 1 and callable(target[0]):
        return target[0]
    if len(target) == 2 and isinstance(target[1], str):
        return getattr(target[0], target[1].split("(")[0])
    raise TypeError(f"not a slot: {target!r}")


def trimmed(slot):
    """Return a callable that drops the arguments which the slot does not take, as PythonQt does for functions."""
    function = slot.__func__ if isinstance(slot, types.MethodType) else slot
    if not isinstance(function, types.FunctionType) or function.__code__.co_flags & 0x04:  # *args
        return functools.partial(slot)  # a new object for each connection
    count = function.__code__.co_argcount - isinstance(slot, types.MethodType)
    return lambda *arguments: slot(*arguments[:count])


def getMissing(self, name):
    """Return a dynamic property such as SlicerParameterName, or raise."""
    value = None if name.startswith("__") else QObject.property(self, name)
    if value is None:
        raise AttributeError(f"{type(self).__name__} has no attribute '{name}'")
    return value


def setAttribute(self, name, value):
    """Set a property; refuse names that the C++ class does not have, as PythonQt does."""
    owner = type(self)
    known = next((vars(base)[name] for base in owner.__mro__ if name in vars(base)), None)
    isCpp = owner.__module__.startswith("PySide6") or "cppName" in vars(owner)  # Python subclasses may add attributes
    if isinstance(known, QtCore.Property):
        if known.fset is None:
            raise AttributeError(f"property '{name}' of {owner.__name__} is read-only")
        known.fset(self, value)
    elif hasattr(type(known), "__set__"):
        known.__set__(self, value)
    elif name.encode() in QObject.dynamicPropertyNames(self):
        self.setProperty(name, value)
    elif not Building.depth and isCpp and not name.startswith("_") and not isinstance(value, QtCore.SignalInstance):
        raise AttributeError(f"'{name}' is a method of {owner.__name__}, or does not exist there and may not be added")
    else:
        self.__dict__[name] = value


def hook(owner: type) -> None:
    """Give one class the three behaviors; connect is resolved below Python, so that assigning it has no effect."""
    original = owner.__getattribute__

    def getAttribute(self, name):
        if name == "connect":
            return functools.partial(connections.connect, self)
        if name == "disconnect":
            return functools.partial(connections.disconnect, self)
        return original(self, name)

    owner.__getattribute__, owner.__getattr__, owner.__setattr__ = getAttribute, getMissing, setAttribute


def allClasses() -> list[type]:
    """Return QObject and the classes derived from it, bases first."""
    classes = [QObject]
    for owner in classes:  # grows while it runs
        found = type.__subclasses__(owner)
        classes += [new for new in found if new.__module__.startswith("PySide6") and new not in classes]
    return classes


def className(self) -> str:
    """Return the C++ class name, which a double states itself."""
    return getattr(type(self), "cppName", None) or self.metaObject().className()


def install() -> types.ModuleType:
    """Patch PySide6 and return the flat module `qt`; later calls return the same module."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    qt = types.ModuleType("qt", "PythonQt's flat module of Qt classes, on PySide6.")
    for module in MODULES:  # PySide6 creates its classes when they are first asked for: all before patching
        vars(qt).update({name: getattr(module, name) for name in dir(module) if not name.startswith("_")})
    classes = allClasses()
    for owner in classes:
        meta = owner.__dict__.get("staticMetaObject")
        for index in range(meta.propertyOffset(), meta.propertyCount()) if meta else ():
            if meta.property(index).name() not in LEFT_AS_METHODS:
                setattr(owner, meta.property(index).name(), QtProperty(owner, meta.property(index)))
    QObject.name = QObject.__dict__["objectName"]
    QObject.className = className
    for owner in reversed(classes):  # derived first, so that each keeps its own original
        hook(owner)
    for owner in (QtWidgets.QDialog, QtWidgets.QMenu, QtWidgets.QApplication, QtCore.QEventLoop):
        owner.exec_ = owner.exec
    sys.modules["qt"] = qt
    return qt
