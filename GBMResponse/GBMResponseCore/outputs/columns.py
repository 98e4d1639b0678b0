"""The columns of pictures that montage and report show of a case: drawn once for both, superior slice first."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..inputs.slices import CaseSlices
from .picture import BLACK, difference_colors, gray_levels, head_window, stamped, white_level, with_contour

if TYPE_CHECKING:
    from ..prediction import Prediction


@dataclass(frozen=True, eq=False)
class Column:
    """A picture of every generated slice, uint8 (h, w) or colors (h, w, 3), under one title."""

    title: str
    pictures: list[np.ndarray]


class CaseColumns:
    """The columns of one case, cut to its head, each drawn when it is first asked for.

    The follow-up is shown in its own intensity scale and takes no part in the differences, which are prediction minus
    input.
    """

    def __init__(self, slices: CaseSlices) -> None:
        self._slices = slices
        self._predictions: dict[Prediction, tuple[Column, ...]] = {}

    @property
    def indices(self) -> list[int]:
        """Slices of the stack, one for each picture of a column."""
        return self._slices.indices[::-1].tolist()

    @cached_property
    def before(self) -> Column:
        """The input with its GTV."""
        pictures = [
            with_contour(gray_levels(plane, self._white), mask)
            for plane, mask in zip(self._cut(self._slices.pre), self._gtv, strict=True)
        ]
        return Column("T1-Gd before, GTV in red", pictures)

    @cached_property
    def truth(self) -> Column | None:
        """The true follow-up, if there is one."""
        follow_up = self._slices.follow_up
        if follow_up is None:
            return None
        white = white_level(self._slices.truth)
        pictures = [gray_levels(plane, white) for plane in self._cut(self._slices.truth)]
        return Column(f"true follow-up, {'' if follow_up.registered else 'not '}registered", pictures)

    def of_prediction(self, prediction: "Prediction") -> tuple[Column, ...]:
        """The expected image, the first sample if there is one, both stamped; how the last differs from the input."""
        if prediction not in self._predictions:
            self._predictions[prediction] = self._draw(prediction)
        return self._predictions[prediction]

    def _draw(self, prediction: "Prediction") -> tuple[Column, ...]:
        choice = prediction.class_choice
        shown = {"expected image (an average)": prediction.expected_pixels}
        if prediction.samples:
            shown["sample 1"] = prediction.pixels[0]
        columns = []
        for what, pixels in shown.items():
            pictures = [stamped(gray_levels(plane, self._white)) for plane in self._cut(pixels)]
            columns.append(Column(f"SYNTHETIC {what}, class {choice.name} ({choice.class_source})", pictures))
        changes = [
            with_contour(difference_colors(plane, 1.0 + self._white), mask, BLACK)
            for plane, mask in zip(self._cut(pixels - self._slices.pre), self._gtv, strict=True)
        ]
        return *columns, Column(f"SYNTHETIC {what} minus before, class {choice.name}", changes)

    @cached_property
    def _white(self) -> float:
        return white_level(self._slices.pre)

    @cached_property
    def _window(self) -> tuple[slice, slice]:
        return head_window(self._slices.pre)

    @cached_property
    def _gtv(self) -> np.ndarray:
        return self._cut(self._slices.gtv[self._slices.indices])

    def _cut(self, planes: np.ndarray) -> np.ndarray:
        return planes[::-1, *self._window]
