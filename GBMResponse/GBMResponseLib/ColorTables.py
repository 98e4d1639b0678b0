"""Color tables for difference, spread and probability: no change is transparent, so that the anatomy stays visible."""

import itertools
from collections.abc import Callable
from typing import Any

import slicer

_COUNT = 256
DIFFERENCE, SPREAD, PROBABILITY = "GBMResponse difference", "GBMResponse spread", "GBMResponse probability"


def colorTable(name: str) -> Any:
    """Return the color table of this name in the scene; made on first use and saved with the scene."""
    existing = slicer.mrmlScene.GetFirstNodeByName(name)
    if existing is not None and existing.IsA("vtkMRMLColorTableNode"):
        return existing
    table = slicer.vtkMRMLColorTableNode()
    table.SetName(name)
    table.SetTypeToUser()
    table.SetHideFromEditors(True)
    table.SetNumberOfColors(_COUNT)
    for number in range(_COUNT):
        color = _RAMPS[name](number / (_COUNT - 1))
        table.SetColor(number, f"{number}", *color)
    slicer.mrmlScene.AddNode(table)
    return table


def _difference(position: float) -> tuple[float, float, float, float]:
    """Blue where it gets darker, red where it gets brighter; safe for common color blindness."""
    change = 2.0 * position - 1.0
    strength = min(1.0, abs(change))
    alpha = min(1.0, max(0.0, strength - 0.06) * 1.6)
    red, green, blue = (0.95, 0.35 - 0.25 * strength, 0.1) if change > 0 else (0.1, 0.45 - 0.1 * strength, 0.95)
    return red, green, blue, alpha


def _spread(position: float) -> tuple[float, float, float, float]:
    """From nothing over purple and orange to light yellow."""
    stops = ((0.0, (0.15, 0.05, 0.35)), (0.35, (0.55, 0.1, 0.45)), (0.7, (0.95, 0.45, 0.2)), (1.0, (1.0, 0.95, 0.6)))
    return (*_between(stops, position), min(1.0, max(0.0, position - 0.05) * 1.8))


def _probability(position: float) -> tuple[float, float, float, float]:
    """From nothing over green to yellow."""
    stops = ((0.0, (0.05, 0.3, 0.35)), (0.5, (0.1, 0.65, 0.45)), (1.0, (1.0, 0.9, 0.2)))
    return (*_between(stops, position), min(1.0, max(0.0, position - 0.05) * 1.8))


def _between(
    stops: tuple[tuple[float, tuple[float, float, float]], ...], position: float
) -> tuple[float, float, float]:
    for (low, first), (high, second) in itertools.pairwise(stops):
        if position <= high:
            part = (position - low) / (high - low)
            return tuple(a + (b - a) * part for a, b in zip(first, second, strict=True))
    return stops[-1][1]


_RAMPS: dict[str, Callable[[float], tuple[float, float, float, float]]] = {
    DIFFERENCE: _difference,
    SPREAD: _spread,
    PROBABILITY: _probability,
}
