"""How a sentence about a problem looks, on light and on dark themes."""

from typing import Any

_ON_LIGHT, _ON_DARK = "#b02a1c", "#ff8a80"
_MIDDLE = 128


def setProblem(label: Any, isProblem: bool) -> None:
    """Make a label look like a problem, or not."""
    color = _ON_DARK if label.palette.color(label.backgroundRole()).lightness() < _MIDDLE else _ON_LIGHT
    label.setStyleSheet(f"color: {color}; font-weight: bold;" if isProblem else "")
