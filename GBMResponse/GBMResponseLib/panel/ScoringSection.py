"""The part of the results that scores a run against a real follow-up, now or long after the prediction."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import slicer

from ..common import NodeRoles
from ..common.Failure import Failure
from ..common.ProblemStyle import setProblem
from ..common.Translation import tr as _
from ..results.ResultNodes import ResultNodes
from ..results.ResultSaver import ResultSaver
from ..results.ScoreTable import addScores
from ..run.Scoring import Score, Scoring
from .ResultSection import ResultSection, showTable

_SETTING = "GBMResponse/ScoreLog"
"""The log is the department's, so it is remembered with Slicer's settings and not in a scene."""


class ScoringSection:
    """Chooses follow-up and log, and shows the scores of the run that is chosen in the list.

    :param askRunFolder: asks the user for the folder that a run was saved to; empty if they changed their mind.
    :param askLog: asks the user for the file of the log; empty if they changed their mind.
    :param openFile: opens a file in the system's viewer.
    """

    def __init__(
        self,
        ui: Any,
        results: ResultSection,
        scoring: Scoring,
        askRunFolder: Callable[[], str],
        askLog: Callable[[], str],
        openFile: Callable[[Path], None],
    ) -> None:
        self._ui = ui
        self._results = results
        self._scoring = scoring
        self._askRunFolder = askRunFolder
        self._askLog = askLog
        self._openFile = openFile
        self._run = ""
        self._said: Failure | str = ""
        """What came of the last click, until another run or follow-up is chosen."""
        results.described.connect(self._onDescribed)
        results.forgotten.connect(self._onForgotten)
        scoring.finished.connect(self._onFinished)
        ui.scoringFollowUpSelector.connect("currentNodeChanged(vtkMRMLNode*)", lambda _node: self._forgetWords())
        ui.scoringButton.connect("clicked()", self._onButton)
        ui.scoringLogButton.connect("clicked()", self._onLogButton)
        ui.scoringForgetLogButton.connect("clicked()", lambda: self._setLog(""))
        ui.scoringLogPageButton.connect("clicked()", lambda: self._openFile(_page(self._log())))
        self._update()

    def _onDescribed(self) -> None:
        """Another run is chosen, or the list is new."""
        run = self._results.currentRun
        if run is not None and run.run != self._run:
            self._run, self._said = run.run, ""
            if run.followUp is not None:
                self._ui.scoringFollowUpSelector.setCurrentNode(run.followUp)
        self._update()

    def _onForgotten(self) -> None:
        self._scoring.abandon()
        self._run, self._said = "", ""

    def _forgetWords(self) -> None:
        self._said = ""
        self._update()

    def _onButton(self) -> None:
        if self._scoring.isActive:
            self._scoring.cancel()
            return
        run = self._results.currentRun
        try:
            folder = self._folder(run)
            if folder is not None:
                ui = self._ui
                followUp, case = ui.scoringFollowUpSelector.currentNode(), ui.scoringCaseEdit.text
                self._said = ""
                self._scoring.start(run, folder, followUp, self._log(), case)
        except Failure as failure:
            self._said = failure
        self._update()

    def _folder(self, run: ResultNodes) -> Path | None:
        """The folder with the files of a run; None if the user does not say where it was saved.

        :raises Failure: another folder was chosen.
        """
        folder = self._results.folder(run)
        if folder is None:
            chosen = self._askRunFolder()
            folder = ResultSaver().find(run, Path(chosen)) if chosen else None
        return folder

    def _onFinished(self, score: Score) -> None:
        if score.record is None:
            self._said = score.failure or _("Cancelled: nothing was scored.")
            self._update()
            return
        kept = (
            _("The score is in the log {name}.").format(name=score.log.name)
            if score.log is not None
            else _("No log is chosen: the score is with the files of the run alone.")
        )
        self._said = "\n".join([kept, *dict.fromkeys(score.warnings)])
        run = next((run for run in self._results.runs if run.run == score.run), None)
        if run is not None:  # else the run was deleted meanwhile
            addScores(run, score.record, score.followUp)
        self._update()

    def _update(self) -> None:
        ui, run, active = self._ui, self._results.currentRun, self._scoring.isActive
        problem = None if active or run is None else self._problem(run)
        ui.scoringFollowUpSelector.enabled = ui.scoringCaseEdit.enabled = ui.scoringLogButton.enabled = not active
        ui.scoringButton.text = _("Cancel") if active else _("Score")
        ui.scoringButton.enabled = problem is None
        ui.scoringButton.toolTip = str(problem or _("Score this run against the real follow-up."))
        log = self._log()
        ui.scoringLogButton.text = _("Choose...") if log is None else _logText(log)
        ui.scoringForgetLogButton.enabled = log is not None and not active
        ui.scoringLogPageButton.enabled = log is not None and _page(log).is_file()
        table = run.scores if run is not None else None
        showTable(ui.scoringTable, table)
        words = [table.GetAttribute(NodeRoles.SUMMARY) or ""] if table is not None else []
        if active:
            words = [_("Scoring: the follow-up is aligned and measured. Slicer stays usable.")]
        elif isinstance(problem, Failure) and ui.scoringFollowUpSelector.currentNode() is not None:
            words = [str(problem)]
        elif self._said:
            words = [str(self._said)] if isinstance(self._said, Failure) else [*words, self._said]
        ui.scoringLabel.text = "\n".join(words)
        ui.scoringLabel.visible = bool(words)
        setProblem(ui.scoringLabel, not active and (isinstance(self._said, Failure) or bool(words and problem)))

    def _problem(self, run: ResultNodes) -> Failure | None:
        try:
            self._scoring.check(run, self._ui.scoringFollowUpSelector.currentNode())
        except Failure as failure:
            return failure
        return None

    def _onLogButton(self) -> None:
        file = self._askLog()
        if file:
            self._setLog(file)

    def _setLog(self, file: str) -> None:
        slicer.app.settings().setValue(_SETTING, file)
        self._update()

    def _log(self) -> Path | None:
        kept = slicer.app.settings().value(_SETTING)
        return Path(kept) if kept else None


def _logText(log: Path) -> str:
    return log.name if log.is_file() else _("{name} (new)").format(name=log.name)


def _page(log: Path) -> Path:
    return log.with_suffix(".html")
