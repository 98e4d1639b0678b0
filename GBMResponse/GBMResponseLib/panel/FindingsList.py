"""Shows findings as a list, each with its fix."""

from collections.abc import Callable, Sequence
from typing import Any

import qt

from ..inputs.InputFindings import Finding, Severity

_ICONS = {
    Severity.blocks: "SP_MessageBoxCritical",
    Severity.warns: "SP_MessageBoxWarning",
    Severity.informs: "SP_MessageBoxInformation",
}


class FindingsList:
    """Rows of icon, sentence and fix button in a container widget.

    :param applyFix: called with the name of a fix when its button is pressed.
    """

    def __init__(self, container: Any, applyFix: Callable[[str], None]) -> None:
        self._container = container
        self._applyFix = applyFix
        self._shown: list[Finding] = []
        self._rows: list[Any] = []

    def show(self, findings: Sequence[Finding]) -> None:
        """Replace the list; hidden when there is nothing to say."""
        if list(findings) == self._shown:
            return
        self._shown = list(findings)
        for row in self._rows:
            self._container.layout().removeWidget(row)
            row.hide()
            row.deleteLater()
        self._rows = [self._row(finding) for finding in findings]
        for row in self._rows:
            self._container.layout().addWidget(row)
        self._container.visible = bool(self._rows)

    def fixButtons(self) -> dict[str, Any]:
        """Return code -> button of the findings that have a fix."""
        pairs = zip(self._shown, self._rows, strict=True)
        return {finding.code: row.findChildren(qt.QPushButton)[0] for finding, row in pairs if finding.fix}

    def _row(self, finding: Finding) -> Any:
        row = qt.QWidget()
        layout = qt.QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        icon = qt.QLabel()
        size = row.style().pixelMetric(qt.QStyle.PM_SmallIconSize)
        icon.setPixmap(row.style().standardIcon(getattr(qt.QStyle, _ICONS[finding.severity])).pixmap(size, size))
        layout.addWidget(icon, 0, qt.Qt.AlignTop)
        text = qt.QLabel(finding.sentence)
        text.wordWrap = True
        text.textFormat = qt.Qt.PlainText
        layout.addWidget(text, 1)
        if finding.fix:
            button = qt.QPushButton(finding.fixLabel)
            button.connect("clicked()", lambda fix=finding.fix: self._applyFix(fix))
            layout.addWidget(button, 0, qt.Qt.AlignTop)
        return row
