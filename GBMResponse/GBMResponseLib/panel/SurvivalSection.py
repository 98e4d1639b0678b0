"""The survival class part of the panel."""

from typing import Any

from GBMResponseCore.request import NO_CLASS

from ..common.Failure import Failure
from ..common.Signal import Signal
from ..common.Translation import tr as _
from ..model.ModelDescription import ModelDescription, classLabel
from ..settings.Choices import ClassMode


class SurvivalSection:
    """Lets the user choose scheme and class among those of the model.

    Signals: `schemeChosen(str)`, `classChosen(str)` when the user chooses.
    """

    def __init__(self, ui: Any) -> None:
        self.schemeChosen, self.classChosen = Signal(), Signal()
        self._ui = ui
        self._answer = self._doubt = ""
        ui.schemeComboBox.connect("activated(int)", self._onScheme)
        ui.classComboBox.connect("activated(int)", self._onClass)

    def show(self, model: ModelDescription | Failure, mode: ClassMode, scheme: str, className: str) -> None:
        """Offer what the model knows, and say why no class is predicted.

        :param scheme: one of the model's, or `none`.
        """
        usable = isinstance(model, ModelDescription)
        schemes = (
            [(name, _("{count} classes").format(count=len(model.classes(name)))) for name in model.schemes]
            if usable
            else []
        )
        schemes.append((NO_CLASS, _("No class (unconditional)")))
        _fill(self._ui.schemeComboBox, schemes, scheme)
        classes = [(entry.name, classLabel(entry)) for entry in model.classes(scheme)] if usable else []
        _fill(self._ui.classComboBox, classes, className)
        chosen = mode is ClassMode.chosen and bool(classes)
        self._ui.classLabel.visible = chosen
        self._ui.classComboBox.visible = chosen
        self._ui.classModeComboBox.enabled = scheme != NO_CLASS
        automatic = usable and scheme != NO_CLASS and mode is ClassMode.auto
        self._doubt = model.classifier_doubt if automatic else ""
        self._refresh()

    def showProbabilities(self, probabilities: dict[str, float], note: str = "") -> None:
        """Show what the classifier said and what that is worth; nothing without either."""
        parts = [f"{name} {chance:.0%}" for name, chance in probabilities.items()]
        text = _("Classifier: {parts}.").format(parts=", ".join(parts)) if parts else ""
        self._answer = f"{text} {note}".strip()
        self._refresh()

    def _refresh(self) -> None:
        self._ui.probabilitiesLabel.text = self._answer or self._doubt
        self._ui.probabilitiesLabel.visible = bool(self._answer or self._doubt)

    def _onScheme(self, index: int) -> None:
        self.schemeChosen.emit(str(self._ui.schemeComboBox.itemData(index)))

    def _onClass(self, index: int) -> None:
        self.classChosen.emit(str(self._ui.classComboBox.itemData(index)))


def _fill(combo: Any, entries: list[tuple[str, str]], current: str) -> None:
    if [combo.itemData(index) for index in range(combo.count)] != [key for key, _label in entries]:
        combo.clear()
        for key, text in entries:
            combo.addItem(text, key)
    keys = [key for key, _label in entries]
    combo.setCurrentIndex(keys.index(current) if current in keys else -1)
