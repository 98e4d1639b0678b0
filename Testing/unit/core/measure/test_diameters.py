"""Perpendicular diameters against all lines between corners of pixels in whole numbers, and against sampled lines."""

from fractions import Fraction
from itertools import combinations, pairwise
from math import floor, sqrt

import numpy as np
import pytest
from GBMResponseCore.measure.diameters import largest_product, lengths_mm
from rows import share
from scipy import ndimage

SPACINGS = [(Fraction(1), Fraction(1)), (Fraction(1), Fraction(2)), (Fraction(3, 2), Fraction(1))]


def diameters(mask, spacing):
    """Lengths of the longest line inside a mask and of the longest one at a right angle to it."""
    return lengths_mm(largest_product(mask[np.newaxis], spacing)[1], spacing)


def longest_run(mask, start, step) -> Fraction:
    """Longest part of a line inside the closed pixels of a mask, in units of the step; without rounding."""
    crossings = {
        (Fraction(line) - start[axis]) / step[axis]
        for axis in (0, 1)
        if step[axis]
        for line in range(mask.shape[axis] + 1)
    }
    best = run = Fraction(0)
    for begin, end in pairwise(sorted(crossings)):
        row, column = (start[axis] + step[axis] * (begin + end) / 2 for axis in (0, 1))
        rows = {floor(row), floor(row) - (row == floor(row))}
        columns = {floor(column), floor(column) - (column == floor(column))}
        inside = any(0 <= r < mask.shape[0] and 0 <= c < mask.shape[1] and mask[r, c] for r in rows for c in columns)
        run = run + end - begin if inside else Fraction(0)
        best = max(best, run)
    return best


def brute_force(mask, spacing) -> tuple[float, float]:
    """The two diameters from all lines through two corners of pixels, inner ones too."""
    corners = {(int(r) + i, int(c) + j) for r, c in np.argwhere(mask) for i in (0, 1) for j in (0, 1)}
    lengths, seen = {}, set()
    for first, second in combinations(sorted(corners), 2):
        step = (second[0] - first[0], second[1] - first[1])
        line = (Fraction(step[0], step[1]) if step[1] else None, step[0] * first[1] - step[1] * first[0])
        line = (line[0], Fraction(line[1], step[1] or step[0]))
        if line in seen:
            continue
        seen.add(line)
        square = sum((length * mm) ** 2 for length, mm in zip(step, spacing, strict=True))
        lengths.setdefault(longest_run(mask, first, step) ** 2 * square, set()).add(step)
    longest = max(lengths)
    across = Fraction(0)
    for down, right in lengths[longest]:
        step = (-right * spacing[1] / spacing[0], down * spacing[0] / spacing[1])
        square = sum((length * mm) ** 2 for length, mm in zip(step, spacing, strict=True))
        across = max(across, max(longest_run(mask, corner, step) for corner in corners) ** 2 * square)
    return sqrt(longest), sqrt(across)


@pytest.mark.parametrize("block", share(range(10), 3))
def test_diameters_are_those_of_all_lines_in_200_random_masks(block):
    """Of any share of pixels: with holes, in parts, and with pixels that touch at a corner."""
    random = np.random.default_rng(block)
    for number in range(20):
        mask = random.random(random.integers(2, 7, 2)) < random.uniform(0.3, 0.95)
        mask[tuple(random.integers(0, mask.shape))] = True
        spacing = SPACINGS[number % 3]
        found = diameters(mask, tuple(map(float, spacing)))
        assert found == pytest.approx(brute_force(mask, spacing), abs=1e-6), mask.astype(int).tolist()


def lesion(seed: int) -> np.ndarray:
    """The largest part of a smooth random field above a level; every other one is a ring."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.standard_normal((60, 60)), random.uniform(1.5, 4))
    high = field > np.quantile(field, 0.7)
    labels, _ = ndimage.label(high, np.ones((3, 3)))
    mask = labels == 1 + np.argmax(np.bincount(labels.ravel())[1:])
    return mask & ~ndimage.binary_erosion(mask, iterations=3) if seed % 2 else mask


@pytest.mark.parametrize("seed", share(range(6), 4))
def test_no_sampled_line_in_a_lesion_is_longer(seed):
    """Directions half a degree apart, lines and places on them a tenth of a pixel apart."""
    mask, spacing = lesion(seed), (0.9, 0.6)
    padded, reach, step = np.pad(mask, 1), 40.0, 0.06
    along = np.arange(-reach, reach, step)
    longest = 0.0
    for angle in np.radians(np.arange(0, 180, 2.5 if seed % 2 else 5)):
        row = (np.sin(angle) * along[None] + np.cos(angle) * along[::5, None]) / spacing[0] + padded.shape[0] / 2
        column = (np.cos(angle) * along[None] - np.sin(angle) * along[::5, None]) / spacing[1] + padded.shape[1] / 2
        cells = [
            np.floor(place).astype(int).clip(0, size - 1)
            for place, size in zip((row, column), padded.shape, strict=True)
        ]
        inside = padded[cells[0], cells[1]]
        place = np.arange(1, len(along) + 1)
        runs = place - np.maximum.accumulate(np.where(inside, 0, place), axis=1)
        longest = max(longest, (runs.max() - 1) * step)
    exact, _ = diameters(mask, spacing)
    assert longest <= exact + 1e-6
    assert exact <= 1.3 * longest + 1


@pytest.mark.parametrize("degrees", [0, 30, 45, 77, 90])
def test_diameters_do_not_depend_on_the_orientation(degrees):
    y, x = np.mgrid[:90, :90] - 44.5
    angle = np.radians(degrees)
    along, across = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    longest, perpendicular = diameters((along / 25) ** 2 + (across / 10) ** 2 <= 1, (1, 1))
    # Pixels that the ellipse covers by half or more are wholly inside: up to a pixel's diagonal may be added.
    assert 49.5 <= longest <= 50 + np.sqrt(2)
    assert 19.5 <= perpendicular <= 20 + np.sqrt(2)


def test_anisotropic_pixels_are_measured_in_millimeters():
    mask = np.zeros((30, 30), bool)
    mask[10:20, 5:25] = True  # 10 rows of 3 mm, 20 columns of 1 mm
    longest, perpendicular = diameters(mask, (3.0, 1.0))
    assert longest == pytest.approx(np.hypot(30, 20), abs=1.5)
    assert 20 <= perpendicular < longest


def test_a_line_does_not_cross_a_cavity():
    y, x = np.mgrid[:80, :80] - 39.5
    radius = np.hypot(x, y)
    longest, perpendicular = diameters((radius <= 30) & (radius >= 20), (1, 1))
    chord = 2 * np.sqrt(30**2 - 20**2)  # touches the cavity
    assert longest == pytest.approx(chord, abs=2)
    assert perpendicular <= longest < 60


def test_of_two_equally_long_lines_the_one_with_the_longer_perpendicular_counts():
    mask = np.zeros((9, 9), bool)
    mask[4, :], mask[:, 4] = True, True
    mask[3:6, :2] = True  # the left arm of the cross is thick
    longest, across = diameters(mask, (1.0, 1.0))
    assert (longest, across) == pytest.approx(brute_force(mask, (Fraction(1), Fraction(1))))


def test_the_plane_with_the_largest_product_is_found_whatever_the_others_look_like():
    planes = np.stack([lesion(seed) for seed in range(8)])
    products = [np.prod(diameters(plane, (1.0, 1.0))) for plane in planes]
    index, ends = largest_product(planes, (1.0, 1.0))
    assert index == int(np.argmax(products))
    assert np.prod(lengths_mm(ends, (1.0, 1.0))) == pytest.approx(max(products))
    index, ends = largest_product(np.zeros((3, 4, 4), bool), (1.0, 1.0))
    assert (index, lengths_mm(ends, (1.0, 1.0))) == (0, (0.0, 0.0))


@pytest.mark.parametrize("seed", range(4))
def test_both_lines_lie_inside_at_a_right_angle(seed):
    mask = lesion(seed)
    (_, ends), mm = largest_product(mask[None], (0.9, 0.6)), np.array((0.9, 0.6))
    along, across = (ends[:, 1] - ends[:, 0]) * mm
    assert along @ across == pytest.approx(0, abs=1e-6)
    for first, last in ends:
        places = first + np.linspace(0.001, 0.999, 997)[:, None] * (last - first)
        rows, columns = np.rint(places).astype(int).T
        assert mask[rows, columns].mean() > 0.99  # the rest lies along the edge of a pixel
