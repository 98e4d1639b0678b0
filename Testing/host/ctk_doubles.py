"""Doubles of the ctk widgets that the panel uses (CTK: Libs/Widgets/<class>.h). Only what is listed here exists."""

import sys
import types

from PySide6 import QtCore, QtWidgets
from PySide6.QtCore import Property, Signal

from host.doubles import DOUBLES, double, stored

UNLIMITED = 16777215  # QWIDGETSIZE_MAX


@double("ctkCollapsibleButton", contentsCollapsed="contentsCollapsed(bool)")
class ctkCollapsibleButton(QtWidgets.QAbstractButton):
    """A button whose children are shown below it while it is checked: checked is the opposite of collapsed."""

    contentsCollapsed = Signal(bool)

    def __init__(self, *arguments):
        text = arguments[0] if arguments and isinstance(arguments[0], str) else ""
        parent = arguments[-1] if arguments and not isinstance(arguments[-1], str) else None
        super().__init__(parent)
        self._collapsed = self._forcing = self._created = False
        self._explicit = {}  # child -> whether it was shown or hidden by somebody else
        self.setText(text)
        self.setCheckable(True)
        self.setChecked(True)
        self.setContentsMargins(0, self._headerHeight(), 0, 0)
        self.setSizePolicy(QtWidgets.QSizePolicy.Minimum, QtWidgets.QSizePolicy.Preferred)
        self.toggled.connect(lambda checked: self._collapse(not checked))

    collapsed = Property(bool, lambda self: self._collapsed, lambda self, value: self.setChecked(not value))
    collapsedHeight = stored(int, "collapsedHeight", 14)
    flat = stored(bool, "flat", False)
    contentsLineWidth = stored(int, "contentsLineWidth", 1)

    def _headerHeight(self) -> int:
        return self.fontMetrics().height() + 8

    def _children(self) -> list:
        return self.findChildren(QtWidgets.QWidget, options=QtCore.Qt.FindDirectChildrenOnly)

    def _collapse(self, collapsed: bool) -> None:
        if collapsed == self._collapsed:
            return
        self._collapsed = collapsed
        self.setMaximumHeight(self.sizeHint().height() if collapsed else UNLIMITED)
        for child in self._children():
            self._showOrHide(child)
        self.updateGeometry()
        self.contentsCollapsed.emit(collapsed)

    def _showOrHide(self, child) -> None:
        """Hide a child while collapsed; else show it, unless somebody else has hidden it."""
        if not self.testAttribute(QtCore.Qt.WA_WState_Created):
            return
        self._forcing = True
        visible = not self._collapsed and self._explicit.get(child, True)
        if child.testAttribute(QtCore.Qt.WA_WState_Created) or not visible:
            child.setVisible(visible)
        if self._explicit.get(child, True):
            child.setAttribute(QtCore.Qt.WA_WState_ExplicitShowHide, False)
        self._forcing = False

    def setVisible(self, visible: bool) -> None:
        self._forcing = True
        super().setVisible(visible)
        self._forcing = False
        if not self._created and self.testAttribute(QtCore.Qt.WA_WState_Created):
            self._created = True
            for child in self._children():
                self._showOrHide(child)

    def childEvent(self, event):
        child = event.child()
        if event.type() == QtCore.QEvent.ChildAdded and child.isWidgetType():
            states = (QtCore.Qt.WA_WState_ExplicitShowHide, QtCore.Qt.WA_WState_Hidden)
            if all(child.testAttribute(state) for state in states):
                self._explicit[child] = False
            child.installEventFilter(self)
            self._showOrHide(child)
        super().childEvent(event)

    def eventFilter(self, child, event):
        if not self._forcing and event.type() == QtCore.QEvent.ShowToParent:
            self._explicit[child] = True
            self._showOrHide(child)
        elif not self._forcing and event.type() == QtCore.QEvent.HideToParent:
            self._explicit[child] = False
        return False

    def _headerSize(self):
        return QtCore.QSize(self.fontMetrics().horizontalAdvance(self.text) + 40, self._headerHeight() + 2)

    def sizeHint(self):
        if self._collapsed:
            return self._headerSize()
        return super().sizeHint().expandedTo(self._headerSize())

    def minimumSizeHint(self):
        if self._collapsed or self.layout() is None:
            return self._headerSize()
        return super().minimumSizeHint().expandedTo(self._headerSize())

    def hitButton(self, position):
        return position.y() < self._headerHeight()

    def paintEvent(self, event):
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionButton()
        option.initFrom(self)
        option.rect = QtCore.QRect(0, 0, self.width, self._headerHeight())
        option.state |= QtWidgets.QStyle.State_Raised
        painter.drawControl(QtWidgets.QStyle.CE_PushButtonBevel, option)
        arrow = QtWidgets.QStyleOption()
        arrow.initFrom(self)
        arrow.rect = QtCore.QRect(6, self._headerHeight() // 2 - 5, 10, 10)
        kind = QtWidgets.QStyle.PE_IndicatorArrowRight if self._collapsed else QtWidgets.QStyle.PE_IndicatorArrowDown
        painter.drawPrimitive(kind, arrow)
        textArea = QtCore.QRect(22, 0, self.width - 22, self._headerHeight())
        painter.drawText(textArea, QtCore.Qt.AlignLeft | QtCore.Qt.AlignVCenter | QtCore.Qt.TextShowMnemonic, self.text)


@double(
    "ctkDoubleSlider",
    valueChanged="valueChanged(double)",
    sliderMoved="sliderMoved(double)",
    sliderPressed="sliderPressed()",
    sliderReleased="sliderReleased()",
    rangeChanged="rangeChanged(double,double)",
)
class ctkDoubleSlider(QtWidgets.QWidget):
    """A slider of real numbers in multiples of its single step."""

    valueChanged = Signal(float)
    sliderMoved = Signal(float)
    sliderPressed = Signal()
    sliderReleased = Signal()
    rangeChanged = Signal(float, float)

    def __init__(self, *arguments):
        orientation = arguments[0] if arguments and isinstance(arguments[0], QtCore.Qt.Orientation) else None
        parent = arguments[-1] if arguments and isinstance(arguments[-1], QtWidgets.QWidget) else None
        super().__init__(parent)
        self._minimum, self._maximum, self._value, self._step = 0.0, 99.0, 0.0, 1.0
        self._slider = QtWidgets.QSlider(orientation or QtCore.Qt.Vertical)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider)
        self._slider.valueChanged.connect(lambda ticks: self._take(self._minimum + ticks * self._step))
        self._slider.sliderMoved.connect(lambda ticks: self.sliderMoved.emit(self._minimum + ticks * self._step))
        self._slider.sliderPressed.connect(self.sliderPressed)
        self._slider.sliderReleased.connect(self.sliderReleased)
        self._adjust()

    def _take(self, value: float) -> None:
        value = min(max(value, self._minimum), self._maximum)
        if abs(value - self._value) > 1e-12:
            self._value = value
            self.valueChanged.emit(value)

    def _write(self, value: float) -> None:
        value = min(max(float(value), self._minimum), self._maximum)
        blocked = self._slider.blockSignals(True)
        self._slider.setValue(round((value - self._minimum) / self._step))
        self._slider.blockSignals(blocked)
        self._take(value)

    def _adjust(self) -> None:
        blocked = self._slider.blockSignals(True)
        self._slider.setRange(0, round((self._maximum - self._minimum) / self._step))
        self._slider.blockSignals(blocked)
        self._write(self._value)

    def setRange(self, minimum: float, maximum: float) -> None:
        self._minimum, self._maximum = float(minimum), max(float(minimum), float(maximum))
        self._adjust()
        self.rangeChanged.emit(self._minimum, self._maximum)

    def _setStep(self, step: float) -> None:
        self._step = float(step)
        self._adjust()

    value = Property(float, lambda self: self._value, _write)
    sliderPosition = Property(float, lambda self: self._value, _write)
    minimum = Property(float, lambda self: self._minimum, lambda self, v: self.setRange(v, max(v, self._maximum)))
    maximum = Property(float, lambda self: self._maximum, lambda self, v: self.setRange(min(v, self._minimum), v))
    singleStep = Property(float, lambda self: self._step, _setStep)
    pageStep = stored(float, "pageStep", 10.0)
    tickInterval = stored(float, "tickInterval", 0.0)
    tracking = stored(bool, "tracking", True)
    handleToolTip = stored(str, "handleToolTip", "")

    def _setOrientation(self, orientation) -> None:
        self._slider.setOrientation(orientation)

    orientation = Property(QtCore.Qt.Orientation, lambda self: self._slider.orientation, _setOrientation)


@double(
    "ctkSliderWidget",
    valueChanged="valueChanged(double)",
    valueIsChanging="valueIsChanging(double)",
    decimalsChanged="decimalsChanged(int)",
)
class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with a spin box; values are clamped to the range and rounded to the decimals."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)
    decimalsChanged = Signal(int)

    def __init__(self, parent=None):
        super().__init__(parent)
        self._spinBox = QtWidgets.QDoubleSpinBox()
        self._spinBox.setRange(0.0, 99.0)
        self._slider = ctkDoubleSlider(QtCore.Qt.Horizontal)
        row = QtWidgets.QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider, 1)
        row.addWidget(self._spinBox)
        self._slider.valueChanged.connect(self._spinBox.setValue)
        self._spinBox.valueChanged.connect(self._spun)

    def _spun(self, value: float) -> None:
        blocked = self._slider.blockSignals(True)
        self._slider.setValue(value)
        self._slider.blockSignals(blocked)
        self.valueChanged.emit(value)

    def setRange(self, minimum: float, maximum: float) -> None:
        self._spinBox.setRange(float(minimum), float(maximum))
        blocked = self._slider.blockSignals(True)
        self._slider.setRange(minimum, maximum)
        self._slider.setValue(self._spinBox.value)
        self._slider.blockSignals(blocked)

    def _setStep(self, step: float) -> None:
        self._spinBox.setSingleStep(step)
        self._slider.singleStep = step

    def _setDecimals(self, decimals: int) -> None:
        self._spinBox.setDecimals(decimals)
        self.decimalsChanged.emit(decimals)

    value = Property(float, lambda self: self._spinBox.value, lambda self, value: self._spinBox.setValue(float(value)))
    minimum = Property(
        float, lambda self: self._spinBox.minimum, lambda self, v: self.setRange(v, max(v, self._spinBox.maximum))
    )
    maximum = Property(
        float, lambda self: self._spinBox.maximum, lambda self, v: self.setRange(min(v, self._spinBox.minimum), v)
    )
    singleStep = Property(float, lambda self: self._spinBox.singleStep, _setStep)
    decimals = Property(int, lambda self: self._spinBox.decimals, _setDecimals)
    prefix = Property(str, lambda self: self._spinBox.prefix, lambda self, value: self._spinBox.setPrefix(value))
    suffix = Property(str, lambda self: self._spinBox.suffix, lambda self, value: self._spinBox.setSuffix(value))
    pageStep = stored(float, "pageStep", 10.0)
    tickInterval = stored(float, "tickInterval", 0.0)
    tracking = stored(bool, "tracking", True)
    spinBoxVisible = Property(
        bool, lambda self: not self._spinBox.isHidden(), lambda self, value: self._spinBox.setVisible(value)
    )
    popupSlider = stored(bool, "popupSlider", False)


@double("ctkComboBox")
class ctkComboBox(QtWidgets.QComboBox):
    """A combo box that shows a default text while nothing is selected."""

    NeverScroll, AlwaysScroll, ScrollWithFocus, ScrollWithNoVScrollBar = range(4)
    defaultText = stored(str, "defaultText", "")
    forceDefault = stored(bool, "forceDefault", False)
    elideMode = stored(QtCore.Qt.TextElideMode, "elideMode", QtCore.Qt.ElideNone)
    scrollWheelEffect = stored(int, "scrollWheelEffect", 1)

    def paintEvent(self, event):
        if self.currentIndex >= 0 and not self.forceDefault:
            super().paintEvent(event)
            return
        painter = QtWidgets.QStylePainter(self)
        option = QtWidgets.QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self.defaultText
        painter.drawComplexControl(QtWidgets.QStyle.CC_ComboBox, option)
        painter.drawControl(QtWidgets.QStyle.CE_ComboBoxLabel, option)


def module() -> types.ModuleType:
    """Return the module `ctk` with the doubles, registered in sys.modules."""
    if "ctk" not in sys.modules:
        ctk = sys.modules["ctk"] = types.ModuleType("ctk", "Doubles of the ctk widgets in use.")
        vars(ctk).update({name: cls for name, cls in DOUBLES.items() if name.startswith("ctk")})
    return sys.modules["ctk"]
