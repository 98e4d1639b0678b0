"""The model part of the panel: list, description, card, verification."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..common.Failure import Failure, engineErrors
from ..common.QtTimers import startTimer
from ..common.Signal import Signal
from ..common.Steps import Later
from ..common.Translation import tr as _
from ..model.ModelCatalog import ModelCatalog
from ..model.ModelDescription import ModelDescription


class ModelSection:
    """Lets the user choose a model.

    Signals: `chosen(folder: str)` when the user chooses one, `said(sentence, isProblem)`.

    :param chooseFolder: asks the user for a folder; empty if they changed their mind.
    """

    def __init__(self, ui: Any, catalog: ModelCatalog, chooseFolder: Callable[[], str]) -> None:
        self.chosen, self.said = Signal(), Signal()
        self._ui = ui
        self._catalog = catalog
        self._chooseFolder = chooseFolder
        self._listed: list[str] = []
        self._model: ModelDescription | Failure | None = None
        self._shown: Path | None = None
        self._steps: Iterator[float] | None = None
        self._later = Later(startTimer)
        ui.modelComboBox.connect("activated(int)", self._onActivated)
        ui.modelFolderButton.connect("clicked()", self._onFolderButton)
        ui.forgetModelButton.connect("clicked()", self._onForgetButton)
        ui.modelCardButton.connect("toggled(bool)", self._onCardButton)
        ui.verifyModelButton.connect("clicked()", self._onVerifyButton)

    def show(self, bundleFolder: str) -> ModelDescription | Failure:
        """Show a model (empty: the default one) and return its description, or why there is none."""
        folder = Path(bundleFolder) if bundleFolder else self._catalog.default()
        known = isinstance(self._model, ModelDescription) and self._model.folder == folder and folder.is_dir()
        if not known:
            self._model = self._read(folder)
        self._shown = folder
        self._fillList(folder)
        self._ui.forgetModelButton.enabled = folder is not None and self._catalog.isAdded(folder)
        self._describe()
        return self._model

    def close(self) -> None:
        """End a verification that is under way."""
        self._steps = None
        self._later.stop()

    def _read(self, folder: Path | None) -> ModelDescription | Failure:
        try:
            return self._catalog.describe("") if folder is None else self._catalog.add(folder)
        except Failure as failure:
            return failure

    def _fillList(self, current: Path | None) -> None:
        models = self._catalog.models()
        folders = [str(model.folder) for model in models]
        names = [f"{model.name} {model.version}" for model in models]
        if current is not None and str(current) not in folders:
            folders.append(str(current))
            names.append(_("{name} (not usable)").format(name=current.name))
        combo = self._ui.modelComboBox
        if folders != self._listed:
            combo.clear()
            for name, folder in zip(names, folders, strict=True):
                combo.addItem(name, folder)
            self._listed = folders
        combo.setCurrentIndex(folders.index(str(current)) if current is not None else -1)

    def _describe(self) -> None:
        usable = isinstance(self._model, ModelDescription)
        self._ui.modelDescriptionLabel.text = self._model.description["description"] if usable else str(self._model)
        self._ui.modelCardLabel.text = self._model.card() if usable else ""
        self._ui.modelCardButton.enabled = usable
        self._ui.verifyModelButton.enabled = usable and self._steps is None

    def _onActivated(self, index: int) -> None:
        if 0 <= index < len(self._listed):
            self.chosen.emit(self._listed[index])

    def _onFolderButton(self) -> None:
        folder = self._chooseFolder()
        if not folder:
            return
        try:
            model = self._catalog.add(folder)
        except Failure as failure:
            self.said.emit(str(failure), True)
        else:
            self.chosen.emit(str(model.folder))

    def _onForgetButton(self) -> None:
        if self._shown is not None and self._catalog.isAdded(self._shown):
            self._catalog.forget(self._shown)
            self.said.emit(_("The model {name} is not offered any more.").format(name=self._shown.name), False)
            self.chosen.emit("")

    def _onCardButton(self, checked: bool) -> None:
        self._ui.modelCardLabel.visible = checked

    def _onVerifyButton(self) -> None:
        if isinstance(self._model, ModelDescription) and self._steps is None:
            self._steps = self._model.verification_steps()
            self._ui.verifyModelButton.enabled = False
            self._verifyStep()

    def _verifyStep(self) -> None:
        try:
            with engineErrors():
                fraction = next(self._steps, None)
        except Failure as failure:
            self._endVerification(str(failure), True)
            return
        if fraction is None:
            self._endVerification(_("All files of the model are as they should be."), False)
        else:
            self._ui.verifyModelButton.text = _("Verifying: {percent} %").format(percent=round(100 * fraction))
            self._later.call(self._verifyStep)

    def _endVerification(self, sentence: str, isProblem: bool) -> None:
        self._steps = None
        self._ui.verifyModelButton.text = _("Verify files")
        self._ui.verifyModelButton.enabled = True
        self.said.emit(sentence, isProblem)
