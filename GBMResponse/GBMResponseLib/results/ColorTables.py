"""Color tables for difference, spread and probability: where there is nearly none the anatomy is seen.

Slice views know only transparent and opaque colors of a table; how much shines through is the layer's opacity.
"""

import itertools
from collections.abc import Callable
from typing import Any

import slicer

_COUNT = 256
_HIDDEN_DIFFERENCE, _HIDDEN = 0.12, 0.08
"""Parts of the range that stay transparent."""
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
    light = ((1.0, 0.62, 0.2), (0.3, 0.7, 1.0))[change < 0]
    dark = ((0.85, 0.0, 0.05), (0.05, 0.1, 0.85))[change < 0]
    color = tuple(first + (second - first) * strength for first, second in zip(light, dark, strict=True))
    return (*color, float(strength > _HIDDEN_DIFFERENCE))


def _spread(position: float) -> tuple[float, float, float, float]:
    """From nothing over purple and orange to light yellow."""
    stops = ((0.0, (0.15, 0.05, 0.35)), (0.35, (0.55, 0.1, 0.45)), (0.7, (0.95, 0.45, 0.2)), (1.0, (1.0, 0.95, 0.6)))
    return (*_between(stops, position), float(position > _HIDDEN))


def _probability(position: float) -> tuple[float, float, float, float]:
    """From nothing over green to yellow."""
    stops = ((0.0, (0.05, 0.3, 0.35)), (0.5, (0.1, 0.65, 0.45)), (1.0, (1.0, 0.9, 0.2)))
    return (*_between(stops, position), float(position > _HIDDEN))


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
