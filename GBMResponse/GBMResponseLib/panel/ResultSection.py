"""The results part of the panel: which run, how it is shown, its figures, report and copy."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt
import slicer

from ..common import NodeRoles
from ..common.Failure import Failure
from ..common.Signal import Signal
from ..common.Translation import tr as _
from ..results.PreviewNodes import PreviewNodes
from ..results.ResultManifest import ResultManifest
from ..results.ResultNodes import ResultNodes, findRuns
from ..results.ResultSaver import ResultSaver
from ..run.PredictionRun import PredictionRun
from ..views.Blinker import Blinker
from ..views.ResultViews import ResultViews

_FEW_COLUMNS = 4
"""Of a table whose columns share the width."""


class ResultSection:
    """Shows the runs of the scene.

    Signals: `said(sentence, isProblem)`, `described()` when a run was chosen or the list is new, `forgotten()` when
    the scene is closing.

    :param chooseFolder: asks the user for a folder; empty if they changed their mind.
    :param openFile: opens a file in the system's viewer.
    """

    def __init__(
        self,
        ui: Any,
        views: ResultViews,
        saver: ResultSaver,
        chooseFolder: Callable[[], str],
        openFile: Callable[[Path], None],
    ) -> None:
        self.said, self.described, self.forgotten = Signal(), Signal(), Signal()
        self.otherRun: ResultNodes | None = None
        self.runsSection: Any = None
        self.scoringSection: Any = None
        self._ui = ui
        self._views = views
        self._saver = saver
        self._chooseFolder = chooseFolder
        self._openFile = openFile
        self._runs: list[ResultNodes] = []
        self._manifests: dict[str, ResultManifest] = {}
        self._previews = PreviewNodes()
        self._previewed: ResultNodes | None = None
        self._wasShown = False
        self._blinker = Blinker(views.setFade)
        self._overlayButtons = {
            NodeRoles.DIFFERENCE: ui.differenceButton,
            NodeRoles.SPREAD: ui.spreadButton,
            NodeRoles.ENHANCEMENT: ui.enhancementButton,
        }
        views.shownChanged.connect(self._onShownChanged)
        ui.runComboBox.connect("activated(int)", self._onRunActivated)
        ui.compareButton.connect("clicked(bool)", self._onCompareButton)
        ui.fadeSlider.connect("valueChanged(double)", self._onFade)
        ui.sampleSlider.connect("valueChanged(double)", self._onSample)
        ui.blinkButton.connect("toggled(bool)", self._onBlinkButton)
        ui.jumpButton.connect("clicked()", views.jumpToTumor)
        ui.contrastButton.connect("clicked()", views.contrast.reset)
        ui.reportButton.connect("clicked()", self._onReportButton)
        ui.saveButton.connect("clicked()", self._onSaveButton)
        for role, button in self._overlayButtons.items():
            button.connect("clicked()", lambda role=role: self.setOverlay(role))

    @property
    def runs(self) -> list[ResultNodes]:
        """The runs of the scene, in the order of the list."""
        return list(self._runs)

    @property
    def currentRun(self) -> ResultNodes | None:
        """The run that is chosen in the list."""
        index = self._ui.runComboBox.currentIndex
        return self._runs[index] if 0 <= index < len(self._runs) else None

    def refresh(self) -> None:
        """List the runs of the scene and keep the chosen one if it is still there."""
        current = self.currentRun
        self._runs = findRuns(slicer.mrmlScene)
        if self.otherRun is not None:
            self.otherRun = next((run for run in self._runs if run.run == self.otherRun.run), None)
        if not self._views.isShown:
            self._views.restoreFilling()
        combo = self._ui.runComboBox
        combo.clear()
        for run in self._runs:
            combo.addItem(runText(run))
        identifiers = [run.run for run in self._runs]
        if self._runs:
            index = identifiers.index(current.run) if current is not None and current.run in identifiers else 0
            combo.setCurrentIndex(index)
        self._describe()
        self._adoptComparison()

    def takeNew(self, nodes: ResultNodes, manifest: ResultManifest | None) -> None:
        """Choose a run that was just made; `showNew` shows it."""
        if manifest is not None:
            self._manifests[nodes.run] = manifest
        self.refresh()
        identifiers = [run.run for run in self._runs]
        if nodes.run in identifiers:
            self._ui.runComboBox.setCurrentIndex(identifiers.index(nodes.run))
        self._describe()
        self._ui.resultsSection.collapsed = False

    def prepareNew(self) -> None:
        """Make the views for the run that was just made."""
        if self.currentRun is not None:
            self._views.prepare(self.currentRun)

    def showNew(self) -> None:
        """Show the run that was just made."""
        nodes = self.currentRun
        if nodes is None:
            return
        enhances = nodes.node(NodeRoles.ENHANCEMENT) is not None
        self.setOverlay(NodeRoles.ENHANCEMENT if enhances else NodeRoles.DIFFERENCE)
        self._showCurrent()

    def showLoaded(self, nodes: ResultNodes, manifest: ResultManifest) -> None:
        """Choose and show a run whose result was loaded from a folder."""
        self.takeNew(nodes, manifest)
        self.prepareNew()
        self.showNew()

    def takeExpected(self, run: PredictionRun, className: str, path: Path) -> None:
        """Take an expected image while the run goes on; `showExpected` shows it beside its input.

        :raises Failure: it cannot be read.
        """
        inputs = run.inputs
        several = len(run.settings.classes(run.model)) > 1
        name = _("SYNTHETIC expected image (average), preview {name}").format(name=className if several else "")
        volume = self._previews.add(path, name.strip(), inputs.volume, run.image)
        if self._previewed is None:
            self._wasShown = self._views.isShown
            self._previewed = ResultNodes(run.identifier, "", inputs.volume, inputs.segmentation, inputs.segmentID)
        self._previewed.byClass[className] = {NodeRoles.EXPECTED: volume}

    def prepareExpected(self) -> None:
        """Make the views for the expected images that were taken."""
        self._views.prepare(self._previewed)

    def showExpected(self) -> None:
        """Show the expected images that were taken."""
        self._views.fade = self._ui.fadeSlider.value
        self._views.show(self._previewed)
        self._ui.compareButton.checked = self._views.isShown

    def endPreview(self) -> None:
        """The run has ended: its result is shown already, or what was shown before is again."""
        if self._previewed is not None and self._views.nodes is self._previewed:
            if self._wasShown and self.currentRun is not None:
                self._showCurrent()
            else:
                self._views.hide()
                self._views.forget()
        self._previewed = None
        self._previews.clear()

    def compareWith(self, other: ResultNodes | None) -> None:
        """Show another run in the same views; None: only the chosen one."""
        self.otherRun = other
        self._showCurrent()

    def leave(self, run: ResultNodes) -> None:
        """Show a run no more: it is going to be removed."""
        self.stopBlinking()
        if self._views.isShown and self._views.nodes is not None and run.run in self._views.shownRuns():
            self._views.hide()
            self._views.forget()
        self.otherRun = None

    def setOverlay(self, role: str) -> None:
        """Choose what the last view shows: difference, spread or enhancement probability."""
        self._views.setOverlay(role)
        for other, button in self._overlayButtons.items():
            button.checked = other == role

    def stopBlinking(self) -> None:
        """End the blinking, for example because the panel is left."""
        self._ui.blinkButton.checked = False

    def close(self) -> None:
        """The panel is going: give the user's layout back."""
        self.stopBlinking()
        self._views.close()

    def forgetScene(self) -> None:
        """Let go of nodes: the scene is closing."""
        self.stopBlinking()
        self._views.hide()
        self._views.forget()
        self._previewed = None
        self._previews.clear()
        self._runs, self.otherRun = [], None
        self._manifests.clear()
        self.forgotten.emit()
        self._ui.runComboBox.clear()
        self._describe()

    def _showCurrent(self) -> None:
        if self.currentRun is not None:
            self._views.fade = self._ui.fadeSlider.value
            other = self.otherRun if self.otherRun is not None and self.otherRun.run != self.currentRun.run else None
            self._views.show(self.currentRun, other)
            self._ui.compareButton.checked = self._views.isShown
            self._offerSamples()

    def _offerSamples(self) -> None:
        slider = self._ui.sampleSlider
        low, high = self._views.sampleRange()
        number = min(max(self._views.sample, low), high)
        slider.minimum, slider.maximum = low, high
        slider.value = number
        slider.enabled = low < high
        self._ui.sampleWidget.visible = high > 0

    def _adoptComparison(self) -> None:
        """A scene that was saved while runs were compared comes with the views: from now on they follow the panel."""
        if self._views.isShown and self._views.nodes is None and self._runs:
            shown = self._views.shownRun()
            identifiers = [run.run for run in self._runs]
            if shown in identifiers:
                self._ui.runComboBox.setCurrentIndex(identifiers.index(shown))
                self._describe()
            self._showCurrent()

    def _describe(self) -> None:
        run = self.currentRun
        ui = self._ui
        ui.resultsSection.visible = run is not None
        self.described.emit()
        if run is None:
            return
        ui.resultLabel.text = _description(run)
        for role in (NodeRoles.SPREAD, NodeRoles.ENHANCEMENT):
            self._overlayButtons[role].enabled = run.node(role) is not None
        if not self._overlayButtons[self._views.overlay].enabled:
            self.setOverlay(NodeRoles.DIFFERENCE)
        report = self._report(run)
        ui.reportButton.enabled = report is not None
        ui.reportButton.toolTip = (
            _("Open the report of this run.")
            if report is not None
            else _("The report is there until Slicer is closed; it is copied with Save.")
        )
        showTable(ui.measurementsTable, run.measurements)

    def folder(self, run: ResultNodes) -> Path | None:
        """Return the folder with the files of a run; None if they are gone, as those of a scene that was loaded."""
        manifest = self._manifests.get(run.run)
        return manifest.folder if manifest is not None and manifest.provenance.is_file() else None

    def _report(self, run: ResultNodes) -> Path | None:
        manifest = self._manifests.get(run.run)
        return manifest.report if manifest is not None and manifest.report and manifest.report.is_file() else None

    def _onRunActivated(self, _index: int) -> None:
        self._describe()
        if self._views.isShown:
            self._showCurrent()

    def _onCompareButton(self, checked: bool) -> None:
        if checked:
            self._showCurrent()
        else:
            self.stopBlinking()
            self._views.hide()
        self._ui.compareButton.checked = self._views.isShown

    def _onShownChanged(self, shown: bool) -> None:
        self._ui.compareButton.checked = shown
        if not shown:
            self.stopBlinking()

    def _onFade(self, value: float) -> None:
        self.stopBlinking()
        self._views.setFade(value)

    def _onSample(self, value: float) -> None:
        self._views.setSample(round(value))

    def _onBlinkButton(self, checked: bool) -> None:
        if not checked:
            self._blinker.stop(self._ui.fadeSlider.value)
            return
        if not self._views.isShown:
            self._showCurrent()
        self._blinker.start()

    def _onReportButton(self) -> None:
        report = self._report(self.currentRun) if self.currentRun is not None else None
        if report is not None:
            self._openFile(report)

    def _onSaveButton(self) -> None:
        run = self.currentRun
        folder = self._chooseFolder() if run is not None else ""
        if not folder:
            return
        try:
            saved = self._saver.save(run, self._manifests.get(run.run), Path(folder))
        except Failure as failure:
            self.said.emit(str(failure), True)
        else:
            self.said.emit(_("Saved to the folder {name}.").format(name=saved.name), False)


def runText(run: ResultNodes) -> str:
    """Return a line for a list of runs: time, and the name that the user gave, or patient's volume and classes."""
    time = run.created[:19].replace("T", " ")
    volume = run.inputVolume.GetName() if run.inputVolume is not None else _("(volume removed)")
    return f"{time} UTC - {run.name or ', '.join([volume, *run.classes])}"


def _description(run: ResultNodes) -> str:
    predicted = run.node(NodeRoles.PREDICTED)
    name = run.inputVolume.GetName() if run.inputVolume is not None else _("(volume removed)")
    count = len(run.sampleNodes(run.classes[0]))
    if run.node(NodeRoles.EXPECTED) is None:
        text = _("Synthetic prediction from {name}, {count} sample(s).").format(name=name, count=count)
    else:
        text = _("Synthetic prediction from {name}: expected image and {count} sample(s).")
        text = text.format(name=name, count=count)
    source = predicted.GetAttribute(NodeRoles.CLASS_SOURCE)
    note = json.loads(predicted.GetAttribute(NodeRoles.PROVENANCE) or "{}").get("class", {}).get("note", "")
    if source == "predicted":
        text += " " + _("Survival class {name} by the classifier.").format(name=run.classes[0])
    elif source == "chosen" and len(run.classes) == 1:
        text += " " + _("Survival class {name}, chosen.").format(name=run.classes[0])
    return f"{text} {note}".strip()


def showTable(widget: Any, table: Any) -> None:
    """Copy a vtkMRMLTableNode of text columns."""
    widget.visible = table is not None
    widget.clear()
    widget.setRowCount(0)
    if table is None:
        return
    columns = range(table.GetNumberOfColumns())
    widget.setColumnCount(len(columns))
    widget.setRowCount(table.GetNumberOfRows())
    widget.setHorizontalHeaderLabels([table.GetColumnName(column) for column in columns])
    for row in range(table.GetNumberOfRows()):
        for column in columns:
            widget.setItem(row, column, qt.QTableWidgetItem(table.GetCellText(row, column)))
    widget.verticalHeader().visible = False
    widget.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
    for column in columns[1:] if len(columns) > _FEW_COLUMNS else ():  # numbers, beside names that need the place
        widget.horizontalHeader().setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
    # Followed, not done once: the columns get their width in the event loop.
    widget.verticalHeader().setSectionResizeMode(qt.QHeaderView.ResizeToContents)
