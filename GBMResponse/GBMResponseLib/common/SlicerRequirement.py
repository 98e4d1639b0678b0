"""Which Slicer is needed."""

from .Translation import tr as _

OLDEST = (5, 12)


def slicerProblem(major: int, minor: int) -> str:
    """Return why this Slicer cannot run GBMResponse; empty if it can."""
    if (major, minor) >= OLDEST:
        return ""
    sentence = _("GBMResponse needs 3D Slicer {needed} or newer; this is {present}. Please update 3D Slicer.")
    return sentence.format(needed=".".join(map(str, OLDEST)), present=f"{major}.{minor}")
