"""Own parameterNodeWrapper for the types that a panel needs: numbers, text, bool, Enum and nodes.

Values are stored in the vtkMRMLScriptedModuleNode exactly as Slicer stores them, because scenes travel: numbers as
str(value), bool as True or False, enums by member name, nodes as references with an empty parameter of the same name.
"""

import abc
import dataclasses
import enum
import logging
import sys
import types
import typing
import weakref

import ctk
import qt
import slicer
import vtk

PROPERTY_NAME = "SlicerParameterName"


class Default:
    """Annotation: the default value, or a generator of it."""

    def __init__(self, value=None, *, generator=None):
        self._value, self._generator = value, generator

    @property
    def value(self):
        return self._generator() if self._generator else self._value

    def __eq__(self, other):
        return isinstance(other, Default) and vars(self) == vars(other)

    __hash__ = None


@dataclasses.dataclass
class Decimals:
    """Annotation: decimals of the widget."""

    value: int


@dataclasses.dataclass
class SingleStep:
    """Annotation: single step of the widget."""

    value: float


class Validator(abc.ABC):
    """Annotation that refuses values with ValueError when they are written."""

    @abc.abstractmethod
    def validate(self, value) -> None:
        """Raise ValueError for a wrong value."""


class NotNone(Validator):
    """Refuses None."""

    def validate(self, value) -> None:
        if value is None:
            raise ValueError("Value must not be None")


class IsInstance(Validator):
    """Refuses other types, but not None."""

    def __init__(self, classtype):
        self.classtype = classtype

    def validate(self, value) -> None:
        if value is not None and not isinstance(value, self.classtype):
            raise TypeError(f"Value must be of type '{self.classtype}', is '{value!r}'")


class WithinRange(Validator):
    """Refuses values outside [minimum, maximum]."""

    def __init__(self, minimum, maximum):
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within [{self.minimum}, {self.maximum}], is {value}")


class Minimum(Validator):
    """Refuses smaller values."""

    def __init__(self, minimum):
        self.minimum = minimum

    def validate(self, value) -> None:
        if value < self.minimum:
            raise ValueError(f"Value must be at least {self.minimum}, is {value}")


class Maximum(Validator):
    """Refuses larger values."""

    def __init__(self, maximum):
        self.maximum = maximum

    def validate(self, value) -> None:
        if value > self.maximum:
            raise ValueError(f"Value must be at most {self.maximum}, is {value}")


class Choice(Validator):
    """Refuses values that are not in the list."""

    def __init__(self, choices):
        self.choices = choices

    def validate(self, value) -> None:
        if value not in self.choices:
            raise ValueError(f"Value is {value}, but must be one of {self.choices}")


class Serializer:
    """Writes one kind of value into a parameter node and reads it back."""

    def __init__(self, dataType, default, validators, toText=str, fromText=None):
        self.dataType, self.default, self.validators = dataType, default, validators
        self.toText, self.fromText = toText, fromText or dataType

    def isIn(self, node, name: str) -> bool:
        return node.HasParameter(name)

    def write(self, node, name: str, value) -> None:
        for validator in self.validators:
            validator.validate(value)
        node.SetParameter(name, self.toText(value))

    def read(self, node, name: str):
        return self.fromText(node.GetParameter(name))

    def remove(self, node, name: str) -> None:
        node.UnsetParameter(name)


class NodeSerializer(Serializer):
    """A node reference whose role is the name, and an empty parameter that tells None from unset."""

    def write(self, node, name: str, value) -> None:
        for validator in self.validators:
            validator.validate(value)
        node.SetParameter(name, "")
        node.SetNodeReferenceID(name, value.GetID() if value is not None else None)

    def read(self, node, name: str):
        return node.GetNodeReference(name)

    def remove(self, node, name: str) -> None:
        node.UnsetParameter(name)
        node.RemoveNodeReferenceIDs(name)


def split(annotated) -> tuple[typing.Any, list]:
    """Return the bare type and its annotations."""
    if typing.get_origin(annotated) is typing.Annotated:
        return typing.get_args(annotated)[0], list(typing.get_args(annotated)[1:])
    return annotated, []


def isValidator(item) -> bool:
    """Return whether an annotation is a validator, or the class of one."""
    return isinstance(item, Validator) or (isinstance(item, type) and issubclass(item, Validator))


def makeSerializer(annotated) -> Serializer:
    """Return the serializer of a type of the host's list, or raise."""
    dataType, annotations = split(annotated)
    validators = [item for item in annotations if isValidator(item)]
    if dataType is int or dataType is float:
        allowed = (int, float) if dataType is float else int
        return Serializer(dataType, dataType(0), [NotNone(), IsInstance(allowed), *validators])
    if dataType is bool:
        checks = [NotNone(), IsInstance(bool), *validators]
        return Serializer(bool, False, checks, lambda v: "True" if v else "False", lambda text: text == "True")
    if dataType is str:
        return Serializer(str, "", [NotNone(), IsInstance(str), *validators])
    if isinstance(dataType, type) and issubclass(dataType, enum.Enum):
        checks = [IsInstance(dataType), *validators]
        return Serializer(dataType, next(iter(dataType)), checks, lambda v: v.name, lambda key: readEnum(dataType, key))
    if isinstance(dataType, type) and issubclass(dataType, slicer.vtkMRMLNode):
        return NodeSerializer(dataType, None, [IsInstance(dataType), *validators])
    raise TypeError(f"the host's parameterNodeWrapper does not know the type {annotated}")


def readEnum(dataType, key: str):
    """Return the member of that name; ValueError as in Slicer, not KeyError."""
    if key not in dataType.__members__:
        raise ValueError(f"Found {key!r} in parameter node but it is not a name in {dataType!r}")
    return dataType[key]


class Parameter:
    """One value of one wrapper, cached and read again when the node changes."""

    def __init__(self, name: str, serializer: Serializer, default: Default, node):
        self.name, self.serializer, self.default, self.node = name, serializer, default, node
        if not serializer.isIn(node, name):
            serializer.write(node, name, default.value)
        self.value = serializer.read(node, name)
        self.writing = False
        self.observing = weakref.finalize(self, node.RemoveObserver, self._observe(node, weakref.ref(self)))

    @staticmethod
    def _observe(node, reference) -> int:
        return node.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: reference()._onModified())

    def _onModified(self) -> None:
        if not self.writing:
            if not self.serializer.isIn(self.node, self.name):
                self.serializer.write(self.node, self.name, self.default.value)
            self.value = self.serializer.read(self.node, self.name)

    def write(self, value) -> None:
        self.writing = True
        try:
            with slicer.util.NodeModify(self.node):
                self.serializer.write(self.node, self.name, value)
                self.value = self.serializer.read(self.node, self.name)
        finally:
            self.writing = False


class Connector:
    """Ties one widget to one value."""

    def __init__(self, widget, signal: str, read, write):
        self.widget, self.signal, self.read, self.write = widget, signal, read, write
        self.callback = None

    def changed(self, *arguments) -> None:
        if self.callback:
            self.callback()

    def onChanged(self, callback) -> None:
        self.callback = callback
        if self.signal:
            signal = getattr(self.widget, self.signal)
            (signal.connect if callback else signal.disconnect)(self.changed)


def find(annotations: list, kind: type):
    """Return the first annotation of a kind, or None."""
    return next((item for item in annotations if isinstance(item, kind)), None)


def limits(annotations: list) -> tuple:
    """Return minimum and maximum, None where there is none."""
    within = find(annotations, WithinRange)
    if within is not None:
        return within.minimum, within.maximum
    minimum, maximum = find(annotations, Minimum), find(annotations, Maximum)
    return minimum.minimum if minimum else None, maximum.maximum if maximum else None


def numberConnector(widget, dataType, annotations: list) -> Connector:
    """Set the widget's limits from the annotations and return its connector."""
    minimum, maximum = limits(annotations)
    if type(widget) in (qt.QSlider, ctk.ctkSliderWidget) and None in (minimum, maximum):
        raise RuntimeError(f"Cannot connect a {widget.className()} to a number without limits.")
    isInteger = dataType is int
    decimals, step = find(annotations, Decimals), find(annotations, SingleStep)
    if type(widget) not in (qt.QSlider, qt.QSpinBox, ctk.ctkDoubleSlider):
        if isInteger:
            widget.decimals = 0
        elif decimals is not None:
            widget.decimals = decimals.value
    if step is not None:
        widget.singleStep = step.value
    lowest, highest = (
        (-(2**31), 2**31 - 1) if type(widget) in (qt.QSlider, qt.QSpinBox) else (float("-inf"), float("inf"))
    )
    widget.minimum = lowest if minimum is None else minimum
    widget.maximum = highest if maximum is None else maximum

    def write(value):
        widget.value = int(value) if isInteger else value

    return Connector(widget, "valueChanged", lambda: dataType(widget.value), write)


def comboBoxConnector(widget, labels: list[str], values: list) -> Connector:
    """Fill the box with the labels and return its connector."""
    widget.clear()
    for label in labels:
        widget.addItem(label)

    def write(value):
        if value not in values:
            raise ValueError(f"Unable to find value {value} in choices {values}")
        widget.currentIndex = values.index(value)

    return Connector(widget, "currentIndexChanged", lambda: values[widget.currentIndex], write)


def makeConnector(widget, annotated) -> Connector:
    """Return the connector of a widget and a type, or raise for a pair that Slicer does not connect."""
    dataType, annotations = split(annotated)
    kind = type(widget)
    if dataType is bool and kind in (qt.QCheckBox, qt.QPushButton):
        if kind is qt.QPushButton:
            widget.checkable = True
        signal = "toggled" if kind is qt.QPushButton else "stateChanged"
        return Connector(widget, signal, lambda: widget.checked, lambda value: setattr(widget, "checked", value))
    numbers = (qt.QDoubleSpinBox, ctk.ctkSliderWidget, ctk.ctkDoubleSlider)
    if (dataType is int and kind in (qt.QSlider, qt.QSpinBox)) or (dataType in (int, float) and kind in numbers):
        return numberConnector(widget, dataType, annotations)
    if kind in (qt.QComboBox, ctk.ctkComboBox):
        if isinstance(dataType, type) and issubclass(dataType, enum.Enum):
            label = getattr(dataType, "label", lambda member: member.name)
            return comboBoxConnector(widget, [label(member) for member in dataType], list(dataType))
        choice = find(annotations, Choice)
        if dataType in (int, float, str, bool) and choice is not None:
            return comboBoxConnector(widget, [str(item) for item in choice.choices], list(choice.choices))
    if dataType is str and kind is qt.QLineEdit:

        def writeText(value):
            if value != widget.text:  # keeps the cursor where it is
                widget.text = value

        return Connector(widget, "textChanged", lambda: widget.text, writeText)
    if kind is slicer.qMRMLNodeComboBox:
        if isinstance(dataType, type) and issubclass(dataType, slicer.vtkMRMLNode):
            widget.nodeTypes = [dataType().GetClassName()]
            return Connector(widget, "currentNodeChanged", widget.currentNode, widget.setCurrentNode)
    raise RuntimeError(f"Unable to create GUI connector from datatype '{annotated}' to widget type '{kind.__name__}'")


class ParameterInfo(typing.NamedTuple):
    """What a wrapper class knows of one parameter."""

    basename: str
    serializer: Serializer
    default: Default
    unalteredType: typing.Any


class Wrapper:
    """Methods of every wrapper class; the names are reserved there."""

    def __init__(self, parameterNode, prefix: str | None = None):
        self.parameterNode = parameterNode
        self._guis, self._observers, self._nextTag, self._updating = {}, {}, 0, False
        self._parameters = {
            name: Parameter(f"{prefix or ''}{name}", info.serializer, info.default, parameterNode)
            for name, info in self.allParameters.items()
        }

    @classmethod
    def _check(cls, name: str) -> None:
        if name not in cls.allParameters:
            raise ValueError(f"Cannot find a param with the given name: {name}; there are {list(cls.allParameters)}")

    def default(self, name: str) -> Default:
        self._check(name)
        return self.allParameters[name].default

    def isCached(self, name: str) -> bool:
        self._check(name)
        return True  # all types of the host are

    @classmethod
    def dataType(cls, name: str):
        cls._check(name)
        return cls.allParameters[name].unalteredType

    def getValue(self, name: str):
        self._check(name)
        return self._parameters[name].value

    def setValue(self, name: str, value) -> None:
        self._check(name)
        self._parameters[name].write(value)

    def connectGui(self, gui) -> int:
        widgets = gui.findChildren(qt.QWidget) if isinstance(gui, qt.QWidget) else list(vars(gui).values())
        named = ((widget.property(PROPERTY_NAME), widget) for widget in widgets)
        return self.connectParametersToGui({name: widget for name, widget in named if name})

    def connectParametersToGui(self, mapping: dict) -> int:
        for name in mapping:
            self._check(name)
        connectors = {name: makeConnector(widget, self.dataType(name)) for name, widget in mapping.items()}
        tag, self._nextTag = self._nextTag, self._nextTag + 1
        self._guis[tag] = connectors
        for name, connector in connectors.items():
            connector.write(self.getValue(name))
            connector.onChanged(self._fromGui(name, connector))
        self._observers[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: self._toGui())
        return tag

    def disconnectGui(self, tag: int) -> None:
        for connector in self._guis.pop(tag, {}).values():
            connector.onChanged(None)
        if tag in self._observers:
            self.RemoveObserver(self._observers.pop(tag))

    def _fromGui(self, name: str, connector: Connector):
        def callback():
            with slicer.util.NodeModify(self):
                if not self._updating:
                    self.setValue(name, connector.read())

        return callback

    def _toGui(self) -> None:
        if self._updating:
            return
        self._updating = True
        try:
            with slicer.util.NodeModify(self):
                for connectors in self._guis.values():
                    for name, connector in connectors.items():
                        connector.write(self.getValue(name))
        finally:
            self._updating = False

    def StartModify(self):
        return self.parameterNode.StartModify()

    def EndModify(self, wasModifying):
        return self.parameterNode.EndModify(wasModifying)

    def AddObserver(self, event, callback, priority=0.0):
        return self.parameterNode.AddObserver(event, callback, priority)

    def RemoveObserver(self, tag):
        return self.parameterNode.RemoveObserver(tag)

    def Modified(self):
        return self.parameterNode.Modified()


RESERVED = {name for name in vars(Wrapper) if not name.startswith("__")} | {"allParameters", "parameterNode"}


def parameterProperty(name: str) -> property:
    """Return the attribute of one parameter."""
    return property(lambda self: self._parameters[name].value, lambda self, value: self._parameters[name].write(value))


def wrap(cls: type) -> type:
    """Turn a class with typed fields into a parameter node wrapper."""
    hints = typing.get_type_hints(cls, include_extras=True)
    taken = RESERVED & (set(hints) | {name for name in vars(cls) if not name.startswith("__")})
    if taken:
        raise ValueError(f"Cannot use reserved name '{min(taken)}' in a parameterNodeWrapper")
    parameters = {}
    for name, annotated in hints.items():
        annotations = split(annotated)[1]
        serializer = makeSerializer(annotated)
        if hasattr(cls, name):
            default = Default(getattr(cls, name))
        else:
            default = find(annotations, Default) or Default(serializer.default)
        known = (Default, Decimals, SingleStep)
        unused = [item for item in annotations if not isinstance(item, known) and not isValidator(item)]
        if unused:
            logging.warning("Unused annotations: %s", unused)
        parameters[name] = ParameterInfo(name, serializer, default, annotated)
        setattr(cls, name, parameterProperty(name))
    for name, member in vars(Wrapper).items():
        if name == "__init__" or not name.startswith("__"):
            setattr(cls, name, member)
    cls.allParameters = parameters
    cls._is_parameter_node_wrapper = True
    return cls


def parameterNodeWrapper(classtype=None):
    """Class decorator, with or without parentheses."""
    return wrap if classtype is None else wrap(classtype)


def isParameterNodeWrapper(classOrObject) -> bool:
    """Return whether it is one."""
    return getattr(classOrObject, "_is_parameter_node_wrapper", False)


def findChildWidgetForParameter(widget, name: str):
    """Return the child that carries the parameter's name, or None."""
    return next((child for child in widget.findChildren(qt.QWidget) if child.property(PROPERTY_NAME) == name), None)


PUBLIC = (
    parameterNodeWrapper, isParameterNodeWrapper, findChildWidgetForParameter, Default, Decimals, SingleStep,
    Validator, NotNone, IsInstance, WithinRange, Minimum, Maximum, Choice,
)  # fmt: skip


def install() -> None:
    """Put slicer.parameterNodeWrapper into sys.modules."""
    module = sys.modules["slicer.parameterNodeWrapper"] = types.ModuleType("slicer.parameterNodeWrapper")
    vars(module).update({item.__name__: item for item in PUBLIC}, SlicerParameterNamePropertyName=PROPERTY_NAME)
    slicer.parameterNodeWrapper = module
