"""The one dialog of an installation: the plan before anything is fetched, then progress and log, locked."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import qt
import slicer

from ..common.Translation import tr as _
from ..worker.DependencyInstaller import InstallationPlan
from ..worker.SystemFacts import systemLines
from .Diagnostics import slicerLine

_LOG_LINES = 2000


class InstallationDialog:
    """Modal: no other window of Slicer takes clicks meanwhile, and closing it does not end what runs.

    :param copyText: puts a text on the clipboard.
    """

    def __init__(self, copyText: Callable[[str], None]) -> None:
        self._copyText = copyText
        self._dialog: Any = None
        self._isRunning = False
        self._began = 0.0

    def ask(self, plan: InstallationPlan) -> bool:
        """Show the plan; whether the user wants it."""
        self._build(plan)
        accepted = bool(self._dialog.exec_())
        if not accepted:
            self._dialog.deleteLater()
            self._dialog = None
        return accepted

    @contextlib.contextmanager
    def running(self) -> Iterator[Callable[[str], None]]:
        """Show progress and log until the block ends."""
        self._isRunning, self._began = True, time.monotonic()
        for button in (self._installButton, self._cancelButton):
            button.enabled = False
        self._bar.visible = self._log.visible = True
        self._dialog.show()
        slicer.app.processEvents()
        try:
            yield self._take
        finally:
            self._isRunning = False
            self._dialog.hide()
            self._dialog.deleteLater()
            self._dialog = None

    def _build(self, plan: InstallationPlan) -> None:
        dialog = self._dialog = qt.QDialog(slicer.util.mainWindow())
        dialog.setWindowTitle(_("GBM Response: install Python packages"))
        dialog.setModal(True)
        dialog.setMinimumWidth(560)
        column = qt.QVBoxLayout(dialog)
        self._label = qt.QLabel(f"{plan.text}\n\n{slicerLine()}")
        self._label.textFormat = qt.Qt.PlainText
        self._label.wordWrap = True
        self._bar = qt.QProgressBar()
        self._bar.setRange(0, 0)
        self._log = qt.QPlainTextEdit()
        self._log.readOnly = True
        self._log.accessibleName = _("Log of the installation")
        self._log.setMaximumBlockCount(_LOG_LINES)
        for widget in (self._label, self._bar, self._log):
            column.addWidget(widget)
        self._bar.visible = self._log.visible = False
        column.addLayout(self._buttons(plan))
        dialog.connect("rejected()", self._onRejected)

    def _buttons(self, plan: InstallationPlan) -> Any:
        row = qt.QHBoxLayout()
        copy = qt.QPushButton(_("Copy diagnostics"))
        copy.toolTip = _("Versions, card, memory and disk, and the log; no patient data.")
        copy.connect("clicked()", self._onCopy)
        self._installButton = qt.QPushButton(_("Install PyTorch extension") if plan.needsExtension else _("Install"))
        self._installButton.enabled = not plan.problems
        self._installButton.connect("clicked()", self._dialog.accept)
        self._cancelButton = qt.QPushButton(_("Not now"))
        self._installButton.toolTip = _("Fetch and install what is listed; Slicer waits meanwhile.")
        self._cancelButton.toolTip = _("Install nothing; Predict asks again.")
        self._cancelButton.connect("clicked()", self._dialog.reject)
        row.addWidget(copy)
        row.addStretch(1)
        row.addWidget(self._cancelButton)
        row.addWidget(self._installButton)
        return row

    def _take(self, line: str) -> None:
        self._log.appendPlainText(line)
        seconds = time.monotonic() - self._began
        self._label.text = _("Installing for {minutes}:{seconds:02d} min. Please wait.").format(
            minutes=int(seconds // 60), seconds=int(seconds % 60)
        )
        slicer.app.processEvents()

    def _onRejected(self) -> None:
        """Escape and the close button of the window end nothing."""
        if self._isRunning:
            self._dialog.show()

    def _onCopy(self) -> None:
        self._copyText("\n".join([slicerLine(), *systemLines(), self._label.text, self._log.toPlainText()]))
