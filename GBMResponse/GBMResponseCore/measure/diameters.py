"""The two perpendicular diameters of a lesion in a slice, exactly, as Macdonald's and RANO's products ask for them.

Defined on the closed union of the lesion's pixels, as rectangles: the diameter is the longest straight line that lies
in it, so that it crosses no cavity; the perpendicular one is the longest such line at a right angle (in mm) to the
first. Of several equally long lines that with the longest perpendicular one counts. (doi 10.1200/JCO.1990.8.7.1277, the
largest diameter and the largest one perpendicular to it; doi 10.1200/JCO.2009.26.3541.)

A longest line inside a polygon, with or without holes, touches two of its corners: turned about one corner that it
touches, its length between two edges is a convex function of the angle, and so largest at an end, where it touches
another one (Hall-Holt, Katz, Kumar, Mitchell, Sityon: Finding large sticks and potatoes in polygons, SODA 2006). So the
lines through all pairs of corners that see each other are tried; in a given direction, those through each corner.
"""

import numpy as np
from scipy.spatial import ConvexHull

_LINES = 1024
"""Tried at once."""
_TIE_MM = 1e-6
_TINY = 1e-9
"""Of a line inside a pixel: less is a touch of its corner."""
_BESIDE = 1e-6
"""Pixels from a line to both its sides, where pixels are looked up: a line along an edge lies in both."""
_STEP = 1.9173
"""Pixels between places that are looked up along a line: nothing regular, as a corner of a pixel is neither side."""
_SAMPLED = (0.4931, 0.2387, 0.7613, 0.3719, 0.6281, 0.1093, 0.8907)
"""Places between two corners where it is looked first whether they see each other: nothing regular."""


def largest_product(planes: np.ndarray, spacing_mm: tuple[float, float]) -> tuple[int, np.ndarray]:
    """Plane of a mask (planes, rows, columns) with the largest product of diameters, and the ends of both lines.

    :return: the ends (2, 2, 2): line, end, row and column; centers of pixels are whole numbers.
    """
    found = [(index, _Shape.of(plane, spacing_mm)) for index, plane in enumerate(planes)]
    shapes = [(index, shape) for index, shape in found if shape is not None]
    best, largest = (0, np.zeros((2, 2, 2))), 0.0
    # Two perpendicular lines in a convex region have a product of at most twice its area.
    for index, shape in sorted(shapes, key=lambda entry: -entry[1].hull_mm2):
        if 2 * shape.hull_mm2 <= largest:
            break
        lines = shape.lines()
        product = float(np.prod(lengths_mm(lines, spacing_mm)))
        if product > largest:
            best, largest = (index, lines), product
    return best


def lengths_mm(lines: np.ndarray, spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """Lengths of a diameter and of the perpendicular one, given by their ends (2, 2, 2)."""
    longest, across = np.linalg.norm((lines[:, 1] - lines[:, 0]) * spacing_mm, axis=1).tolist()
    return longest, min(across, longest)


class _Shape:
    """The pixels of a mask; points are corners of pixels (row, column), lengths mm.

    :param mask: bool, cut to its pixels, with an empty rim.
    :param first: row and column of the first pixel, that of the rim, in the whole mask.
    """

    def __init__(self, mask: np.ndarray, spacing_mm: tuple[float, float], first: np.ndarray) -> None:
        self._mask, self._mm, self._first = mask, np.asarray(spacing_mm, float), first
        square = mask[:-1, :-1].astype(int) + mask[1:, :-1] + mask[:-1, 1:] + mask[1:, 1:]
        pinched = (square == 2) & (mask[:-1, :-1] == mask[1:, 1:])
        self.corners = np.argwhere((square == 1) | (square == 3) | pinched) + 1.0
        self.hull_mm2 = float(ConvexHull(self.corners * self._mm).volume)  # what SciPy calls the area of a polygon

    @classmethod
    def of(cls, mask: np.ndarray, spacing_mm: tuple[float, float]) -> "_Shape | None":
        """None for an empty mask."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not rows.size:
            return None
        part = np.pad(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] > 0, 1)
        return cls(part, spacing_mm, np.array([rows[0] - 1, columns[0] - 1]))

    def lines(self) -> np.ndarray:
        """Ends of the longest line, and of the longest one at a right angle to it, see :func:`largest_product`."""
        first, second = self._seen_pairs()
        start, along = self.corners[first], self.corners[second] - self.corners[first]
        bound = self._reach(start + _SAMPLED[0] * along, along)
        order = np.argsort(-bound)
        longest = 0.0
        found: list[np.ndarray] = []
        for at in range(0, len(order), _LINES):
            lines = order[at : at + _LINES]
            if bound[lines[0]] < longest - _TIE_MM:
                break
            runs, ends = self._longest_runs(start[lines], along[lines])
            if runs.max() > longest + _TIE_MM:
                found = []
            longest = max(longest, float(runs.max()))
            found += list(ends[runs >= longest - _TIE_MM])
        # One line of each direction: a row of corners has a pair for every two of them, all on the same line.
        directions = {tuple(np.round(line[1] - line[0], 6)): line for line in reversed(found)}
        across = [(*self._longest_at_right_angle(line), line) for line in directions.values()]
        _, second, first = max(across, key=lambda entry: entry[0])
        return np.stack([first, second]) + self._first - 0.5

    def _longest_at_right_angle(self, line: np.ndarray) -> tuple[float, np.ndarray]:
        """Length and ends of the longest line at a right angle to one."""
        row, column = (line[1] - line[0]) * self._mm
        along = np.where(np.abs([-column, row]) < _TINY * np.hypot(row, column), 0.0, [-column, row]) / self._mm
        runs, ends = self._longest_runs(self.corners, np.broadcast_to(along, self.corners.shape))
        return float(runs.max()), ends[runs.argmax()]

    def _seen_pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of corners without a place outside between them, as far as a few places tell."""
        first, second = np.triu_indices(len(self.corners), 1)
        for part in _SAMPLED:
            start, along = self.corners[first], self.corners[second] - self.corners[first]
            seen = self._inside(start + part * along, along)
            first, second = first[seen], second[seen]
        return first, second

    def _inside(self, points: np.ndarray, along: np.ndarray) -> np.ndarray:
        """Whether places on lines lie in the mask, or at its edge; shape of the points but the last axis."""
        aside = along[..., ::-1] * (1.0, -1.0)
        aside = _BESIDE * aside / np.linalg.norm(aside, axis=-1, keepdims=True)
        limits = np.array(self._mask.shape) - 1
        cells = [np.floor(points + side * aside).astype(int).clip(0, limits) for side in (1, -1)]
        return np.logical_or(*(self._mask[cell[..., 0], cell[..., 1]] for cell in cells))

    def _reach(self, points: np.ndarray, along: np.ndarray) -> np.ndarray:
        """More than the length, mm, of the part inside the mask of each line around a point of it."""
        step = _STEP * self._mm.min()
        stride = along * (step / np.linalg.norm(along * self._mm, axis=1, keepdims=True))
        reach = np.zeros(len(points))
        for way in (stride, -stride):
            going, count = np.arange(len(points)), 0
            while going.size:
                count += 1
                inside = self._inside(points[going] + count * way[going], way[going])
                reach[going[~inside]] += count * step
                going = going[inside]
        return reach

    def _longest_runs(self, start: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The longest part inside the mask of each line, mm (k,), and its ends (k, 2, 2).

        :param start: a point (k, 2) of each line.
        :param along: its direction (k, 2) in pixels.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            crossings = [
                (np.arange(size + 1) - start[:, axis, None]) / along[:, axis, None]
                for axis, size in enumerate(self._mask.shape)
            ]
        places = np.concatenate(crossings, axis=1)
        places = np.sort(np.where(np.isfinite(places), places, np.inf), axis=1)
        with np.errstate(invalid="ignore"):
            lengths = np.diff(places, axis=1)
            middles = (places[:, 1:] + places[:, :-1]) / 2
        known = np.isfinite(lengths)
        lengths, middles = np.where(known, lengths, 0.0), np.where(known, middles, -1e6)
        points = start[:, None] + middles[..., None] * along[:, None]
        touched = known & (lengths * np.abs(along).max(axis=1)[:, None] < _TINY)
        inside = touched | (known & self._inside(points, np.broadcast_to(along[:, None], points.shape)))
        covered = np.cumsum(np.where(inside, lengths, 0.0), axis=1)
        before = np.maximum.accumulate(np.where(inside, 0.0, covered), axis=1)
        runs = covered - before
        last = (np.arange(len(runs)), runs.argmax(axis=1))
        run, end = runs[last], (places[:, 1:])[last]
        ends = start[:, None] + np.stack([end - run, end], axis=1)[..., None] * along[:, None]
        return run * np.linalg.norm(along * self._mm, axis=1), ends
