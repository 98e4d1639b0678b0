"""What a view of the comparison shows."""

from dataclasses import dataclass
from typing import Any

import slicer

from ..common import NodeRoles
from ..common.Translation import tr as _


@dataclass(frozen=True)
class ViewContent:
    """What one view shows.

    :param fades: whether the fade slider rules the foreground.
    """

    title: str
    background: Any
    foreground: Any = None
    opacity: float = 1.0
    fades: bool = False


def seenContent(composite: Any, title: str) -> ViewContent:
    """What a view shows now."""
    layers = (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID())
    volumes = [slicer.mrmlScene.GetNodeByID(layer) if layer else None for layer in layers]
    return ViewContent(title, *volumes, opacity=composite.GetForegroundOpacity())


def nodeIdentifier(volume: Any) -> str | None:
    """The ID of a volume of the scene; None for one that is gone."""
    identifier = volume.GetID() if volume is not None else None
    return identifier if identifier and slicer.mrmlScene.GetNodeByID(identifier) is volume else None


def overlayTitle(role: str) -> str:
    """Return the title of a view that shows an overlay."""
    return {NodeRoles.SPREAD: _("Spread"), NodeRoles.ENHANCEMENT: _("Enhancement")}.get(role, _("Difference"))
