"""Puts the pages of the panel together, and takes the library apart for a reload."""

import sys
from pathlib import Path
from typing import Any

import qt
import slicer

from ..batch.BatchPanel import BatchPanel
from ..batch.CaseOpener import CaseOpener
from ..common.Translation import tr as _
from ..inputs.InputInspector import InputInspector
from ..readerStudy.ReaderStudyPanel import ReaderStudyPanel
from ..results.ResultImporter import ResultImporter
from ..results.ResultSaver import ResultSaver
from ..views.ResultViews import ResultViews
from ..views.SyntheticMark import SyntheticMark
from .ModelSection import ModelSection
from .PredictionPanel import PredictionPanel, openInSystemViewer
from .ResultSection import ResultSection
from .RunsSection import RunsSection
from .ScoringSection import ScoringSection
from .WhatIfSection import WhatIfSection

_PACKAGES = ("GBMResponseLib", "GBMResponseCore")


def makePanels(ui: Any, logic: Any) -> tuple[PredictionPanel, ReaderStudyPanel, BatchPanel]:
    """Return the pages *Predict*, *Reader study* and *Batch* on the widgets of GBMResponse.ui."""
    engine = logic.engine
    views = ResultViews()
    results = ResultSection(ui, views, ResultSaver(), _askSaveFolder, openInSystemViewer)
    results.runsSection = RunsSection(ui, results)
    results.scoringSection = ScoringSection(ui, results, engine.scoring, _askRunFolder, _askLog, openInSystemViewer)
    models = ModelSection(ui, engine.catalog, _askModelFolder)
    inspector = InputInspector(Path(slicer.app.temporaryPath))
    SyntheticMark.install()
    panel = PredictionPanel(ui, engine.controller, inspector, models, results, _copyText)
    panel.whatIf = WhatIfSection(ui, engine.whatIf, views, panel.start)
    opener = CaseOpener(ResultImporter())
    asks = {"table": _askTable, "folder": _askCasesFolder, "newTable": _askNewTable, "out": _askOutFolder}
    runs = (engine.batch, engine.catalog, opener, engine.caseReader, engine.folders)
    batch = BatchPanel(ui, *runs, asks, results.showLoaded, openInSystemViewer)
    return panel, ReaderStudyPanel(ui, _askTable, _askScoresFile), batch


def forgetLibrary() -> None:
    """Let the next import read the files of module and engine again; what follows the views is stopped first."""
    SyntheticMark.uninstall()
    for name in [name for name in sys.modules if name.partition(".")[0] in _PACKAGES]:
        del sys.modules[name]


def _askModelFolder() -> str:
    return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of a model"))


def _askSaveFolder() -> str:
    return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Save the run to"))


def _askRunFolder() -> str:
    return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder that the run was saved to"))


def _askTable() -> str:
    return _path(qt.QFileDialog.getOpenFileName(slicer.util.mainWindow(), _("Table of cases"), "", "CSV (*.csv)"))


def _askCasesFolder() -> str:
    return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder of the patients' images"))


def _askOutFolder() -> str:
    return qt.QFileDialog.getExistingDirectory(slicer.util.mainWindow(), _("Folder for the results"))


def _askNewTable() -> str:
    return _askFile(_("New table of cases"), "CSV (*.csv)", "csv")


def _askScoresFile() -> str:
    return _askFile(_("File for the scores"), "CSV (*.csv)", "csv")


def _askLog() -> str:
    return _askFile(_("Log of scores"), "SQLite (*.sqlite)", "sqlite")


def _askFile(title: str, nameFilter: str, suffix: str) -> str:
    """A file that is made."""
    dialog = qt.QFileDialog(slicer.util.mainWindow(), title)
    dialog.setAcceptMode(qt.QFileDialog.AcceptSave)
    dialog.setNameFilter(nameFilter)
    dialog.setDefaultSuffix(suffix)
    # An existing file of scores is continued, an existing table refused, so there is nothing to confirm.
    dialog.setOption(qt.QFileDialog.DontConfirmOverwrite, True)
    return str(dialog.selectedFiles()[0]) if dialog.exec_() else ""


def _path(answer: Any) -> str:
    """PythonQt returns the file name, other bindings return it with the filter."""
    return str(answer[0] if isinstance(answer, tuple) else answer or "")


def _copyText(text: str) -> None:
    slicer.app.clipboard().setText(text)
