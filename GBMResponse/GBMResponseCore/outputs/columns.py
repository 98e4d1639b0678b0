"""The columns of pictures that montage and report show of a case: drawn once for both, superior slice first."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from ..inputs.slices import CaseSlices
from ..measure.measurements import EnhancementMasks, Measurements
from .picture import (
    BLACK,
    CYAN,
    YELLOW,
    difference_colors,
    enlarged,
    gray_levels,
    head_window,
    heat_colors,
    marked,
    stamped,
    white_level,
    with_contour,
)

if TYPE_CHECKING:
    from ..prediction import Prediction

TILE_HEIGHT = 300
"""About: small slices are enlarged by whole factors, so that every pixel shows as it is."""
LIKELY = 0.5
"""Probability of enhancement that the contour on an expected image encloses."""
_NEARLY_ALL, _LEAST_CHANGE = 0.999, 0.02
"""A difference between classes has full color where it is larger than in this share of the pixels, and than this part
of white: smaller ones would make noise look like something."""
_CLOSE_MM = 20.0
"""What a close-up shows around the GTV."""


@dataclass(frozen=True, eq=False)
class Column:
    """A picture of every generated slice, colors uint8 (h, w, 3), under one title."""

    title: str
    pictures: list[np.ndarray]


class CaseColumns:
    """The columns of one case, cut to its head, each drawn when it is first asked for.

    The GTV is yellow on all of them; what enhances, as it was measured, is cyan. The follow-up is shown in its own
    intensity scale and takes no part in the differences, which are prediction minus input.

    :param measurements: of the predictions that are shown; None, or withheld ones: nothing is drawn as enhancing.
    :param close: the pictures are cut to the tumor instead.
    """

    def __init__(self, slices: CaseSlices, measurements: Measurements | None = None, close: bool = False) -> None:
        self.slices, self._measurements, self._close = slices, measurements, close
        withheld = measurements is None or measurements.record["withheld"]["volume"]
        self.masks: EnhancementMasks | None = None if measurements is None or withheld else measurements.masks
        self._predictions: dict[Prediction, tuple[Column, ...]] = {}
        self._maps: dict[Prediction, tuple[Column, ...]] = {}

    @property
    def indices(self) -> list[int]:
        """Slices of the stack, one for each picture of a column."""
        return self.slices.indices[::-1].tolist()

    @property
    def largest(self) -> int:
        """Place in a column of the slice with the largest GTV."""
        return int(np.argmax(self._gtv.sum(axis=(1, 2))))

    def close_up(self) -> "CaseColumns":
        """The same columns, cut to the tumor."""
        return CaseColumns(self.slices, self._measurements, close=True)

    @cached_property
    def before(self) -> Column:
        """The input."""
        return Column("T1-Gd before", self._grays(self.slices.pre, self.white, self._enhancing_before))

    @cached_property
    def truth(self) -> Column | None:
        """The true follow-up, if there is one."""
        follow_up = self.slices.follow_up
        if follow_up is None:
            return None
        white, enhancing = white_level(self.slices.truth), None if self.masks is None else self.masks.truth
        pictures = self._grays(self.slices.truth, white, self._rows(enhancing))
        return Column(f"true follow-up, {'' if follow_up.registered else 'not '}registered", pictures)

    def of_prediction(self, prediction: "Prediction") -> tuple[Column, ...]:
        """The expected image, the first sample if there is one, both stamped; how the last differs from the input."""
        if prediction not in self._predictions:
            self._predictions[prediction] = self._draw(prediction)
        return self._predictions[prediction]

    def maps_of(self, prediction: "Prediction") -> tuple[Column, ...]:
        """Where the samples enhance, if that may be shown, and their spread; nothing with fewer than two samples."""
        if prediction not in self._maps:
            self._maps[prediction] = self._draw_maps(prediction)
        return self._maps[prediction]

    def change_between(self, first: "Prediction", second: "Prediction") -> Column:
        """The expected image of the second prediction minus that of the first."""
        change, full = second.expected_pixels - first.expected_pixels, 1.0 + self.white
        largest = max(float(np.quantile(np.abs(change), _NEARLY_ALL)), _LEAST_CHANGE * full)
        names = f"{second.class_choice.name} minus {first.class_choice.name}"
        title = f"SYNTHETIC expected image, {names}; full color: {largest / full:.0%} of white"
        return Column(title, self._changes(change, largest))

    def chance(self, prediction: "Prediction") -> np.ndarray | None:
        """Probability that each pixel of the generated slices enhances (k, H, W); None: not shown."""
        chance = None if self.masks is None else self.masks.chances.get(prediction)
        return None if chance is None else chance[self.slices.indices]

    @cached_property
    def white(self) -> float:
        """Normalized intensity of the input that shows as white."""
        return white_level(self.slices.pre)

    def _draw(self, prediction: "Prediction") -> tuple[Column, ...]:
        choice, chance = prediction.class_choice, self.chance(prediction)
        likely = None if chance is None else chance >= LIKELY
        shown = {"expected image (an average)": (prediction.expected_pixels, likely)}
        if prediction.samples:
            masks = None if self.masks is None else self.masks.of(prediction)
            shown["sample 1"] = (prediction.pixels[0], self._rows(masks[0]) if masks else None)
        columns = []
        for what, (pixels, enhancing) in shown.items():
            pictures = self._grays(pixels, self.white, enhancing, synthetic=True)
            columns.append(Column(f"SYNTHETIC {what}, class {choice.title}", pictures))
        changes = self._changes(pixels - self.slices.pre, 1.0 + self.white)
        return *columns, Column(f"SYNTHETIC {what} minus before, class {choice.name}", changes)

    def _draw_maps(self, prediction: "Prediction") -> tuple[Column, ...]:
        if len(prediction.samples) < 2:
            return ()
        columns, chance = [], self.chance(prediction)
        if chance is not None:
            columns.append(Column("SYNTHETIC probability of enhancement", self._heats(chance)))
        spread = np.std(prediction.pixels, axis=0) / (1.0 + self.white)
        return *columns, Column("SYNTHETIC spread of the samples", self._heats(2.0 * spread))

    def _grays(
        self, planes: np.ndarray, white: float, enhancing: np.ndarray | None, synthetic: bool = False
    ) -> list[np.ndarray]:
        levels = [gray_levels(plane, white) for plane in self._cut(planes)]
        pictures = []
        for line, gray in enumerate(levels):
            colors = self._with_gtv(enlarged(gray, self._factor), line)
            if enhancing is not None:
                mask = enlarged(self._cut(enhancing)[line], self._factor)
                colors = with_contour(colors, mask, CYAN)
            pictures.append(self._marked(stamped(colors) if synthetic else colors, line))
        return pictures

    def _heats(self, parts: np.ndarray) -> list[np.ndarray]:
        heats = [enlarged(heat_colors(plane), self._factor) for plane in self._cut(parts)]
        return [self._marked(stamped(self._with_gtv(heat, line)), line) for line, heat in enumerate(heats)]

    def _changes(self, change: np.ndarray, largest: float) -> list[np.ndarray]:
        colors = [difference_colors(plane, largest) for plane in self._cut(change)]
        return [
            self._marked(stamped(self._with_gtv(enlarged(plane, self._factor), line, BLACK)), line)
            for line, plane in enumerate(colors)
        ]

    def _with_gtv(self, picture: np.ndarray, line: int, color: tuple[int, int, int] = YELLOW) -> np.ndarray:
        return with_contour(picture, enlarged(self._gtv[line], self._factor), color)

    def _marked(self, picture: np.ndarray, line: int) -> np.ndarray:
        pixel_mm = self.slices.grid.spacing[0] / self._factor
        return marked(picture, pixel_mm, ("R", "L"), self.places[line])

    @cached_property
    def places(self) -> list[str]:
        """Where each slice lies: its number, and the height of its center in RAS mm."""
        heights = self.slices.centers[::-1, 2]
        return [
            f"{index}: {'S' if height >= 0 else 'I'} {abs(height):.1f} mm"
            for index, height in zip(self.indices, heights, strict=True)
        ]

    @cached_property
    def _enhancing_before(self) -> np.ndarray | None:
        return None if self.masks is None else self._rows(self.masks.before)

    def _rows(self, mask: np.ndarray | None) -> np.ndarray | None:
        return None if mask is None else mask[self.slices.indices]

    @cached_property
    def _window(self) -> tuple[slice, slice]:
        if not self._close:
            return head_window(self.slices.pre)
        spacing = self.slices.grid.spacing[1::-1]
        low, high = np.array([(axis.min(), axis.max() + 1) for axis in np.nonzero(self.slices.gtv)[1:]]).T
        middle, half = (low + high) / 2 * spacing, max((high - low) * spacing) / 2 + _CLOSE_MM
        first = np.maximum(np.floor((middle - half) / spacing), 0).astype(int)
        last = np.minimum(np.ceil((middle + half) / spacing), self.slices.gtv.shape[1:]).astype(int)
        return slice(first[0], last[0]), slice(first[1], last[1])

    @cached_property
    def _factor(self) -> int:
        return max(1, round(TILE_HEIGHT / len(range(self.slices.pre.shape[1])[self._window[0]])))

    @cached_property
    def _gtv(self) -> np.ndarray:
        return self._cut(self.slices.gtv[self.slices.indices])

    def _cut(self, planes: np.ndarray) -> np.ndarray:
        return planes[::-1, *self._window]
