"""What is done with whole runs: name, delete and restore, compare with another."""

from typing import Any

import qt
import slicer

from ..common.Translation import tr as _
from ..results.ResultNodes import ResultNodes, patientOf
from ..results.RunComparison import differences
from ..results.RunEditor import RunEditor
from .ResultSection import ResultSection, runText


class RunsSection:
    """The buttons below the list of runs."""

    def __init__(self, ui: Any, results: ResultSection) -> None:
        self._ui = ui
        self._results = results
        self._editor = RunEditor()
        self._others: list[ResultNodes] = []
        results.described.connect(self._onDescribed)
        results.forgotten.connect(self._editor.forget)
        ui.runNameEdit.connect("editingFinished()", self._onName)
        ui.deleteRunButton.connect("clicked()", self._onDelete)
        ui.restoreRunButton.connect("clicked()", self._onRestore)
        ui.otherRunComboBox.connect("activated(int)", self._onOther)
        self._onDescribed()

    def _onDescribed(self) -> None:
        """Another run is chosen, or the list is new."""
        ui, run = self._ui, self._results.currentRun
        ui.restoreRunWidget.visible = self._editor.canRestore
        if run is None:
            return
        ui.runNameEdit.text = run.name
        hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
        patient = patientOf(run, hierarchy)
        others = [other for other in self._results.runs if other.run != run.run]
        self._others = [other for other in others if patientOf(other, hierarchy) == patient]
        chosen = self._results.otherRun
        combo = ui.otherRunComboBox
        combo.clear()
        combo.addItem(_("(no other run)"))
        for other in self._others:
            combo.addItem(runText(other))
        identifiers = [other.run for other in self._others]
        kept = chosen is not None and chosen.run in identifiers
        combo.setCurrentIndex(identifiers.index(chosen.run) + 1 if kept else 0)
        combo.enabled = bool(self._others)
        self._showDifferences(run, chosen if kept else None)

    def _onName(self) -> None:
        run, name = self._results.currentRun, self._ui.runNameEdit.text.strip()
        if run is not None and name != run.name:
            self._editor.rename(run, name)
            self._results.refresh()

    def _onDelete(self) -> None:
        run = self._results.currentRun
        if run is not None:
            self._results.leave(run)
            self._editor.remove(run)
            self._results.refresh()
            self._results.said.emit(_("The run was deleted. Restore brings it back until the scene is closed."), False)

    def _onRestore(self) -> None:
        self._editor.restore()
        self._results.refresh()
        self._results.said.emit(_("The run is back."), False)

    def _onOther(self, index: int) -> None:
        self._results.compareWith(self._others[index - 1] if index > 0 else None)
        self._showDifferences(self._results.currentRun, self._results.otherRun)

    def _showDifferences(self, run: ResultNodes, other: ResultNodes | None) -> None:
        table = self._ui.differencesTable
        table.visible = other is not None
        if other is None:
            return
        rows = differences(run, other)
        table.setColumnCount(3)
        table.setRowCount(len(rows))
        table.setHorizontalHeaderLabels([_("What differs"), _("A: this run"), _("B: the other")])
        for number, cells in enumerate(rows):
            for column, text in enumerate(cells):
                table.setItem(number, column, qt.QTableWidgetItem(text))
        table.verticalHeader().visible = False
        table.horizontalHeader().setSectionResizeMode(qt.QHeaderView.Stretch)
