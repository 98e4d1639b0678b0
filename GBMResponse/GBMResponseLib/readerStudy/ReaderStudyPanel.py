"""The page *Reader study*: a thin layer over `ReaderStudySession`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt

from ..common.Failure import Failure
from ..common.ProblemStyle import setProblem
from ..common.Translation import tr as _
from .ReaderStudyImages import ReaderStudyImages
from .ReaderStudyPlan import REAL, ReaderStudyPlan
from .ReaderStudySession import HIGHEST, ReaderStudySession, summarize
from .ReaderStudyTable import readStudyTable
from .ReaderStudyView import ReaderStudyView

_FROM_SCENE, _FROM_TABLE = 0, 1


class ReaderStudyPanel:
    """Shows the slices of a study one after the other and takes the scores, by mouse or keyboard.

    :param askTable: asks for a table of cases; empty if the user changed their mind.
    :param askScoresFile: asks for the file of the scores.
    """

    def __init__(self, ui: Any, askTable: Callable[[], str], askScoresFile: Callable[[], str]) -> None:
        self.session: ReaderStudySession | None = None
        self._ui = ui
        self._askTable = askTable
        self._askScoresFile = askScoresFile
        self._images = ReaderStudyImages()
        self._view = ReaderStudyView()
        self._table = ""
        self._scoresFile = ""
        self._shortcuts: list[Any] = []
        self._scoreButtons = [getattr(ui, f"score{score}Button") for score in range(HIGHEST + 1)]
        ui.readerSourceComboBox.addItem(_("Runs in this scene"))
        ui.readerSourceComboBox.addItem(_("Table of cases (CSV)"))
        ui.readerModeComboBox.addItem(_("One per patient and source"))
        ui.readerModeComboBox.addItem(_("All tumor slices"))
        self._connect()
        self._updateSetup()

    def start(self) -> None:
        """Begin a study, or continue the one in the scores file."""
        ui = self._ui
        self._say("")
        try:
            if not self._scoresFile:
                raise Failure("no-file", _("Choose a file for the scores."))
            volumes = self._volumes()
            onePerPatient = ui.readerModeComboBox.currentIndex == 0
            plan = ReaderStudyPlan(volumes, ui.readerSeedSpinBox.value, onePerPatient)
            self.session = ReaderStudySession(plan, Path(self._scoresFile), ui.readerNameEdit.text)
            self._setRunning(True)
            self._showCurrent()
        except Failure as failure:
            self.stop()
            self._say(str(failure), True)

    def stop(self) -> None:
        """End the study for now; the scores are on disk."""
        session, self.session = self.session, None
        self._setRunning(False)
        self._view.hide()
        self._images.forget()
        if session is not None:
            self._showSummary(session)

    def close(self) -> None:
        """The scene or the panel is going."""
        if self.session is not None:
            self.stop()

    def giveScore(self, score: int) -> None:
        """Score the slice that is shown and go on to the next."""
        if self.session is None:
            return
        try:
            wasComplete = self.session.isComplete
            self.session.answer(score, self._ui.readerCommentEdit.text)
            if self.session.isComplete and not wasComplete:
                self.stop()
                self._say(_("All slices are judged. Thank you."))
            else:
                self._showCurrent()
        except Failure as failure:
            self._say(str(failure), True)

    def _connect(self) -> None:
        ui = self._ui
        ui.readerSourceComboBox.connect("currentIndexChanged(int)", self._updateSetup)
        ui.readerTableButton.connect("clicked()", self._onTableButton)
        ui.readerFileButton.connect("clicked()", self._onFileButton)
        ui.readerStartButton.connect("clicked()", self.start)
        ui.readerBackButton.connect("clicked()", self._onBack)
        ui.readerNextButton.connect("clicked()", self._onNext)
        ui.readerEndButton.connect("clicked()", self.stop)
        ui.readerCommentEdit.connect("returnPressed()", ui.readerPage.setFocus)
        for score, button in enumerate(self._scoreButtons):
            button.connect("clicked()", lambda score=score: self.giveScore(score))
            self._addShortcut(str(score) if score < HIGHEST else "T", lambda score=score: self.giveScore(score))
        self._addShortcut("Left", self._onBack)
        self._addShortcut("Right", self._onNext)
        self._addShortcut("C", ui.readerCommentEdit.setFocus)

    def _addShortcut(self, key: str, slot: Callable[[], Any]) -> None:
        shortcut = qt.QShortcut(self._ui.readerPage)
        shortcut.setKey(qt.QKeySequence(key))
        shortcut.setContext(qt.Qt.ApplicationShortcut)  # also after a click into the view
        shortcut.connect("activated()", slot)
        shortcut.enabled = False
        self._shortcuts.append(shortcut)

    def _volumes(self) -> list[Any]:
        if self._ui.readerSourceComboBox.currentIndex == _FROM_SCENE:
            return self._images.volumesOfScene()
        if not self._table:
            raise Failure("no-table", _("Choose the table of cases."))
        return readStudyTable(Path(self._table))

    def _setRunning(self, running: bool) -> None:
        ui = self._ui
        ui.readerScoreWidget.visible = running
        ui.readerSetupSection.visible = not running
        ui.readerStartButton.visible = not running
        ui.readerSummarySection.visible = not running
        for shortcut in self._shortcuts:
            shortcut.enabled = running
        if running:
            ui.readerPage.setFocusPolicy(qt.Qt.StrongFocus)
            ui.readerPage.setFocus()

    def _showCurrent(self) -> None:
        session, ui = self.session, self._ui
        self._images.fill(session.current, self._view.volume)
        self._view.show()
        answer = session.currentAnswer
        ui.readerProgressBar.setRange(0, len(session.plan.items))
        ui.readerProgressBar.setValue(len(session.answers))
        text = _("Slice {number} of {total}: how real does it look?")
        ui.readerQuestionLabel.text = text.format(number=session.current.number, total=len(session.plan.items))
        ui.readerCommentEdit.text = answer.comment if answer is not None else ""
        for score, button in enumerate(self._scoreButtons):
            button.checked = answer is not None and answer.score == score

    def _showSummary(self, session: ReaderStudySession) -> None:
        table = self._ui.readerSummaryTable
        table.clear()
        if not session.isComplete:
            table.setRowCount(0)
            text = _("{count} of {total} slices are judged; start again to continue.")
            self._say(text.format(count=len(session.answers), total=len(session.plan.items)))
            return
        rows = summarize([session])
        titles = [_("Source"), _("Slices"), _("Mean"), _("SD"), _("Min"), _("Max")]
        table.setColumnCount(len(titles))
        table.setRowCount(len(rows))
        table.setHorizontalHeaderLabels(titles)
        for number, row in enumerate(rows):
            deviation = "" if row.deviation is None else f"{row.deviation:.2f}"
            source = _("real") if row.source == REAL else row.source
            cells = (source, str(row.count), f"{row.mean:.2f}", deviation, str(row.lowest), str(row.highest))
            for column, text in enumerate(cells):
                table.setItem(number, column, qt.QTableWidgetItem(text))
        table.resizeColumnsToContents()
        self._ui.readerSummarySection.collapsed = False

    def _updateSetup(self, _index: int = 0) -> None:
        ui = self._ui
        fromTable = ui.readerSourceComboBox.currentIndex == _FROM_TABLE
        ui.readerTableLabel.visible = fromTable
        ui.readerTableButton.visible = fromTable
        ui.readerTableButton.text = Path(self._table).name if self._table else _("Choose...")
        ui.readerFileButton.text = Path(self._scoresFile).name if self._scoresFile else _("Choose...")

    def _onTableButton(self) -> None:
        self._table = self._askTable() or self._table
        self._updateSetup()

    def _onFileButton(self) -> None:
        self._scoresFile = self._askScoresFile() or self._scoresFile
        self._updateSetup()

    def _onBack(self) -> None:
        self._move(lambda session: session.goBack())

    def _onNext(self) -> None:
        self._move(lambda session: session.goForward())

    def _move(self, move: Callable[[ReaderStudySession], None]) -> None:
        if self.session is None:
            return
        move(self.session)
        try:
            self._showCurrent()
        except Failure as failure:
            self._say(str(failure), True)

    def _say(self, sentence: str, isProblem: bool = False) -> None:
        label = self._ui.readerStatusLabel
        label.text = sentence
        label.visible = bool(sentence)
        setProblem(label, isProblem)
