"""The page *Batch*: which cases, how it goes on with them, and the way from a case into the scene."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import qt

from ..common.Failure import Failure
from ..common.ProblemStyle import setProblem
from ..common.QtTimers import Turns
from ..common.Translation import tr as _
from ..model.ModelCatalog import ModelCatalog
from ..run.BatchRun import CASES, REPORT, SCAN, BatchRun
from ..run.ProgressText import timeLeft
from ..run.RunFolders import RunFolders
from .BatchCases import BatchCase, BatchCases, CaseState
from .CaseOpener import CaseOpener

_NAME, _STATE, _DETAILS = range(3)


class BatchPanel:
    """Shows the cases of a table, starts and stops their process, opens results.

    :param reader: writes the images of a case as files that can be loaded, also while a batch is running.
    :param folders: for these files.
    :param asks: ask the user for `table`, `folder` (of images), `newTable` and `out`; empty if they changed their mind.
    :param show: shows a run of the scene, with its `ResultManifest`.
    :param openFile: opens a file in the system's viewer.
    """

    def __init__(
        self,
        ui: Any,
        batch: BatchRun,
        catalog: ModelCatalog,
        opener: CaseOpener,
        reader: BatchRun,
        folders: RunFolders,
        asks: dict[str, Callable[[], str]],
        show: Callable[[Any, Any], None],
        openFile: Callable[[Path], None],
    ) -> None:
        self.cases: BatchCases | None = None
        self.failure: Failure | None = None
        self._ui, self._batch, self._catalog, self._opener = ui, batch, catalog, opener
        self._reader, self._folders = reader, folders
        self._asks, self._show, self._openFile = asks, show, openFile
        self._parameters: Any = None
        self._table: Path | None = None
        self._scanned: Path | None = None
        self._out: Path | None = None
        self._wasStarted = False
        """With this table and these results: a start is no first one any more."""
        self._turns = Turns()
        self._reading: tuple[BatchCase, Path] | None = None
        """A case whose images are being written, and where."""
        self._connect()
        self.refresh()

    def setParameters(self, parameters: Any) -> None:
        """Run the cases with the model and the options of these parameters; None: the scene is closing."""
        self._parameters = parameters
        self.refresh()

    def refresh(self, _index: int = 0) -> None:
        """Bring the page in line with what was chosen and what is running."""
        ui, batch = self._ui, self._batch
        running = batch.kind == CASES
        ui.batchTableButton.text = self._table.name if self._table else _("Choose...")
        ui.batchOutButton.text = self._out.name if self._out else _("Choose...")
        for button in (ui.batchTableButton, ui.batchFolderButton, ui.batchOutButton):
            button.enabled = not batch.isActive
        ui.batchSettingsLabel.text = self._settingsText()
        begun = self.cases is not None and self.cases.isBegun
        if not batch.isActive:
            ui.batchStartButton.text = _("Continue") if begun or self._wasStarted else _("Start")
        ui.batchStartButton.enabled = not batch.isActive and self.cases is not None and self._out is not None
        ui.batchStopButton.enabled = batch.isActive and not batch.isStopping
        ui.batchReportButton.enabled = not batch.isActive and begun
        ui.batchProgressBar.visible = ui.batchProgressLabel.visible = self.cases is not None or batch.kind == SCAN
        ui.batchCasesTable.visible = self.cases is not None
        if running or not batch.isActive:
            self._showProgress()
        else:
            ui.batchProgressBar.setRange(0, 0)  # moves to and fro
            scanning = batch.kind == SCAN
            ui.batchProgressLabel.text = _("Looking through the folder") if scanning else _("Writing the report")
        self._onSelection()

    def start(self) -> None:
        """Run the cases that are not done."""
        self.say("")
        try:
            if self._table is None:
                raise Failure("no-table", _("Choose a table of cases, or a folder of images."))
            if self._out is None:
                raise Failure("no-folder", _("Choose the folder for the results."))
            self._read()
            self._batch.start(self._table, self._out, self._parameters.copy())
            self._wasStarted = True
            for number in self.cases.begin():
                self._showCase(number)
        except Failure as failure:
            self._fail(failure)
        self.refresh()

    def say(self, sentence: str, isProblem: bool = False) -> None:
        """Show a sentence below the buttons; empty hides it."""
        label = self._ui.batchStatusLabel
        label.text = sentence
        label.visible = bool(sentence)
        setProblem(label, isProblem)

    def forgetScene(self) -> None:
        """The scene is closing: nothing is loaded into it any more; the cases go on."""
        self._turns.cancel()
        self._reader.stop()
        self._opener.forgetScene()

    def close(self) -> None:
        """The panel is going, and with it the process."""
        self._turns.cancel()
        self._batch.close()
        self._reader.close()

    def _connect(self) -> None:
        ui, batch = self._ui, self._batch
        ui.batchTableButton.connect("clicked()", self._onTable)
        ui.batchFolderButton.connect("clicked()", self._onFolder)
        ui.batchOutButton.connect("clicked()", self._onOut)
        ui.batchStartButton.connect("clicked()", self.start)
        ui.batchStopButton.connect("clicked()", self._onStop)
        ui.batchOpenButton.connect("clicked()", self._onOpen)
        ui.batchReportButton.connect("clicked()", self._onReport)
        ui.batchCasesTable.connect("itemSelectionChanged()", self._onSelection)
        ui.batchCasesTable.connect("cellDoubleClicked(int,int)", self._onOpen)
        ui.tabWidget.connect("currentChanged(int)", self.refresh)
        batch.told.connect(self._onTold)
        batch.logged.connect(ui.logEdit.appendPlainText)
        batch.finished.connect(self._onFinished)
        self._reader.logged.connect(ui.logEdit.appendPlainText)
        self._reader.finished.connect(self._onRead)

    def _settingsText(self) -> str:
        chosen = self._parameters
        if chosen is None:
            return ""
        try:
            model = self._catalog.describe(chosen.bundleFolder)
        except Failure as failure:
            return str(failure)
        text = _("{model} {version}, {samples} samples, seed {seed}, device: {device}, as on the page Predict.")
        values = {"model": model.name, "version": model.version, "samples": chosen.samples, "seed": chosen.seed}
        return text.format(**values, device=chosen.device.label())

    def _read(self) -> None:
        """Read table and results again.

        :raises Failure: the table cannot be read.
        """
        self.cases = None
        self.cases = BatchCases(self._table, self._out)
        table = self._ui.batchCasesTable
        table.clear()
        table.setColumnCount(3)
        table.setRowCount(len(self.cases.all))
        table.setHorizontalHeaderLabels([_("Case"), _("Status"), _("Details")])
        for number in range(len(self.cases.all)):
            for column in (_NAME, _STATE, _DETAILS):
                table.setItem(number, column, qt.QTableWidgetItem(""))
            self._showCase(number)
        table.verticalHeader().visible = False
        header = table.horizontalHeader()
        for column in (_NAME, _STATE):
            header.setSectionResizeMode(column, qt.QHeaderView.ResizeToContents)
        header.setSectionResizeMode(_DETAILS, qt.QHeaderView.Stretch)

    def _showCase(self, number: int) -> None:
        case, table = self.cases.all[number], self._ui.batchCasesTable
        texts = {_NAME: case.row.identifier, _STATE: case.state.label(), _DETAILS: case.details}
        for column, text in texts.items():
            item = table.item(number, column)
            item.setText(text)
            item.setToolTip(text)

    def _showProgress(self) -> None:
        cases, ui = self.cases, self._ui
        if cases is None:
            return
        done, failed = cases.count(CaseState.done, CaseState.before), cases.count(CaseState.failed)
        unusable = cases.count(CaseState.unusable)
        ui.batchProgressBar.setRange(0, len(cases.all))
        ui.batchProgressBar.setValue(done + failed + unusable)
        parts = [_("{done} of {total} done").format(done=done, total=len(cases.all))]
        if failed:
            parts.append(_("{count} failed").format(count=failed))
        if unusable:
            parts.append(_("{count} unusable").format(count=unusable))
        seconds = cases.secondsLeft() if self._batch.kind == CASES else None
        if seconds is not None:
            parts.append(timeLeft(seconds))
        ui.batchProgressLabel.text = ", ".join(parts)

    def _chosen(self) -> BatchCase | None:
        row = self._ui.batchCasesTable.currentRow()
        return self.cases.all[row] if self.cases is not None and 0 <= row < len(self.cases.all) else None

    def _onSelection(self) -> None:
        case = self._chosen()
        isFree = not (self._turns.arePending or self._reader.isActive) and self._out is not None
        self._ui.batchOpenButton.enabled = isFree and case is not None and case.hasResult

    def _onTable(self) -> None:
        chosen = self._asks["table"]()
        if chosen:
            self._take(Path(chosen))

    def _take(self, table: Path) -> None:
        self.say("")
        self._table = table
        self._readAndShow()

    def _readAndShow(self) -> None:
        self._wasStarted = False
        try:
            if self._table is not None:
                self._read()
        except Failure as failure:
            self._fail(failure)
        self.refresh()

    def _onFolder(self) -> None:
        folder = self._asks["folder"]()
        table = self._asks["newTable"]() if folder else ""
        if not table:
            return
        self.say("")
        self._scanned = Path(table)
        try:
            self._batch.scan(Path(folder), self._scanned)
        except Failure as failure:
            self._fail(failure)
        self.refresh()

    def _onOut(self) -> None:
        chosen = self._asks["out"]()
        if chosen:
            self.say("")
            self._out = Path(chosen)
            self._readAndShow()

    def _onStop(self) -> None:
        self._batch.stop()
        self.say(_("Stopping: what is finished is kept."))
        self.refresh()

    def _onReport(self) -> None:
        self.say("")
        try:
            self._batch.writeReport(self._out)
        except Failure as failure:
            self._fail(failure)
        self.refresh()

    def _onTold(self, event: dict[str, Any]) -> None:
        number = self.cases.take(event) if event["type"] == "case" else self.cases.progress(event)
        if number is not None:
            self._showCase(number)
        self._showProgress()
        self._onSelection()

    def _onFinished(self, kind: str, message: dict[str, Any], failure: Failure | None) -> None:
        wasStopped = self._batch.isStopping
        if kind == CASES:
            number = self.cases.stopped()
            if number is not None:
                self._showCase(number)
        if failure is not None:
            self._fail(failure)
        elif wasStopped:
            self.say(
                _("Stopped. Continue goes on with the cases that are not done.") if kind == CASES else _("Stopped.")
            )
        elif kind == SCAN:
            self._take(self._scanned)
            if self.cases is not None:
                self.say(_("These cases were found. Look through them, choose the folder for the results, then Start."))
        elif kind == REPORT:
            self.say("")
            self._openFile(Path(message["page"]))
        else:
            self._sayEnd()
        self.refresh()

    def _sayEnd(self) -> None:
        failed = self.cases.count(CaseState.failed)
        if failed:
            text = _("Finished, {count} failed for the reasons in the table. Continue tries them again.")
            self.say(text.format(count=failed), True)
        elif self.cases.count(CaseState.unusable):
            self.say(_("All usable cases are done. The images are synthetic."))
        else:
            self.say(_("All cases are done. The images are synthetic."))

    def _onOpen(self) -> None:
        case = self._chosen()
        if case is None or not self._ui.batchOpenButton.enabled:
            return
        self.say(_("Loading {name}").format(name=case.row.identifier))
        if self._opener.mustBeRead(case.row):
            try:
                self._reading = case, self._folders.inputs()
                self._reader.writeInputs(self._table, case.row.identifier, self._reading[1])
            except Failure as failure:
                self._fail(failure)
        else:
            self._step(case, self._opener.steps(case.row, self._out / case.row.identifier), None)
        self._onSelection()

    def _onRead(self, _kind: str, message: dict[str, Any], failure: Failure | None) -> None:
        (case, folder), self._reading = self._reading, None
        if failure is None and not self._reader.isStopping:  # it is stopped where the scene is closed
            steps = self._opener.steps(case.row, self._out / case.row.identifier, message["files"])
            self._step(case, _then(steps, lambda: self._folders.remove(folder)), None)
        else:
            self._folders.remove(folder)
            self.say("")
        if failure is not None:
            self._fail(failure)
        self._onSelection()

    def _step(self, case: BatchCase, steps: Iterator[Any], last: Any) -> None:
        """Load a file per turn of the event loop, then show the run."""
        try:
            last = next(steps)
        except StopIteration:
            self._show(*last)
            text = _("{name} is shown, synthetic. Its sliders and its report are on the page Predict, Results.")
            self.say(text.format(name=case.row.identifier))
            self._onSelection()
        except Failure as failure:
            self._fail(failure)
            self._onSelection()
        else:
            self._turns.add(lambda: self._step(case, steps, last))

    def _fail(self, failure: Failure) -> None:
        self.failure = failure
        self._ui.logEdit.appendPlainText(f"{failure.code}: {failure} {failure.details}".rstrip())
        self.say(str(failure), True)


def _then(steps: Iterator[Any], end: Callable[[], None]) -> Iterator[Any]:
    """The same steps, and a call when they have ended or are given up."""
    try:
        yield from steps
    finally:
        end()
