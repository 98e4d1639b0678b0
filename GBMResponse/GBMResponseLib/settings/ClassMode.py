"""Where the survival class of a prediction comes from."""

import enum

from ..common.Translation import tr as _


class ClassMode(enum.Enum):
    """Which survival class to predict for."""

    predicted = "predicted"
    chosen = "chosen"
    compareAll = "compareAll"

    def label(self) -> str:
        """Return what the panel shows."""
        return {
            ClassMode.predicted: _("Predicted by the classifier"),
            ClassMode.chosen: _("Chosen by me"),
            ClassMode.compareAll: _("Compare all classes"),
        }[self]
