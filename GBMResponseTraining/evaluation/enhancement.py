"""Enhancing tissue of evaluated slices, found by the engine's segmenter: the measure that a user is shown.

:mod:`GBMResponseCore.measure.enhancement` defines it. One threshold, from the pre-treatment image, serves that image
and all predictions of a patient; the true follow-up has one from its own tissue. A store holds the slices with GTV
alone: where slices are missing between those of a patient, the head is taken to be that of the nearest one.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from GBMResponseCore.measure.enhancement import EnhancementSegmenter, smoothed

from .held_out import HeldOut

_USUAL_PIXEL_MM = 1.0


class Zone(NamedTuple):
    """Where enhancement of a slice is looked for.

    :param pixels: indices of its flat pixels, ascending.
    :param threshold: smoothed intensity from which a prediction, or the pre-treatment image, enhances.
    :param true_threshold: the same of the true follow-up.
    :param sigma: of the smoothing in pixels, (slice, row, column).
    """

    pixels: np.ndarray
    threshold: float
    true_threshold: float
    sigma: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def smoothed(self, image: np.ndarray) -> np.ndarray:
        """Intensities of an image (H, W) in the zone (z,), as the segmenter looks at them."""
        where = np.zeros(image.shape, bool)
        where.ravel()[self.pixels] = True
        return smoothed(image[None], where[None], self.sigma)


def enhancement_zones(slices: HeldOut) -> list[Zone]:
    """Zone of every slice; one without pixels where a patient has no GTV or no head."""
    zones: dict[int, Zone] = {}
    for patient, record in enumerate(slices.records):
        rows = slices.rows_of(patient)
        if len(rows):
            zones |= dict(zip(rows.tolist(), _zones_of_patient(slices, rows, record), strict=True))
    return [zones[row] for row in range(len(slices))]


def enhancing_pixels(images: np.ndarray, zones: Sequence[Zone], true: bool = False) -> np.ndarray:
    """Enhancing pixels of every slice (n,). A proxy, not a lesion segmentation.

    :param images: (n, H, W), normalized.
    :param zones: those of the slices.
    :param true: the images are the true follow-ups.
    """
    return np.array(
        [
            np.count_nonzero(zone.smoothed(image) > (zone.true_threshold if true else zone.threshold))
            for image, zone in zip(images, zones, strict=True)
        ]
    )


def enhancing_ml(images: np.ndarray, slices: HeldOut, zones: Sequence[Zone], true: bool = False) -> np.ndarray:
    """Enhancing volume of every record (records,) in ml; NaN where the size of a voxel is not known.

    :param true: see :func:`enhancing_pixels`.
    """
    counts = enhancing_pixels(images, zones, true)
    pixels = np.bincount(slices.patient, weights=counts, minlength=len(slices.records))
    return pixels * np.array([voxel_ml(record) for record in slices.records])


def voxel_ml(record: Mapping[str, Any]) -> float:
    """Volume of a pixel of a patient's slices in ml; NaN if the record does not know its size."""
    spacing = spacing_mm(record)
    return float("nan") if spacing is None else float(np.prod(spacing)) / 1000.0


def spacing_mm(record: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Size of a voxel of a patient's slices (slice, row, column); None if the record does not know it.

    :param record: `stack_spacing_mm`, or `spacing_mm` and at least two `slice_positions_mm`.
    """
    stated = record.get("stack_spacing_mm")
    if stated:
        x, y, z = stated
        return float(z), float(y), float(x)
    steps = np.diff(np.asarray(record["slice_positions_mm"], dtype=np.float64))
    if record.get("spacing_mm") is None or not len(steps):
        return None
    return float(steps.min()), float(record["spacing_mm"]), float(record["spacing_mm"])


def spacing_or_usual(record: Mapping[str, Any]) -> tuple[float, float, float]:
    """The same; if the record does not know it, with pixels of 1 mm, which an import makes unless told otherwise."""
    steps = np.diff(np.asarray(record["slice_positions_mm"], dtype=np.float64))
    usual = (float(steps.min()) if len(steps) else _USUAL_PIXEL_MM, _USUAL_PIXEL_MM, _USUAL_PIXEL_MM)
    return spacing_mm(record) or usual


def _zones_of_patient(slices: HeldOut, rows: np.ndarray, record: Mapping[str, Any]) -> list[Zone]:
    nothing = Zone(np.empty(0, np.int64), 0.0, 0.0)
    if not slices.gtv[rows].any():
        return [nothing] * len(rows)
    places = slices.stack_indices[rows] - slices.stack_indices[rows[0]]
    stack = np.arange(places[-1] + 1)
    nearest = rows[np.abs(stack[:, None] - places).argmin(axis=1)]
    pre, post = slices.pre[nearest], slices.post[nearest]
    generated = np.isin(stack, places)
    gtv = slices.gtv[nearest] & generated[:, None, None]
    spacing = spacing_or_usual(record)
    segmenter = EnhancementSegmenter(pre, gtv, generated, spacing)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no tissue: the median of nothing
        threshold, true_threshold = segmenter.threshold(pre), segmenter.threshold(post)
    if np.isnan(threshold):
        return [nothing] * len(rows)
    sigma = segmenter.rule.smoothing_pixels(spacing)
    return [Zone(np.flatnonzero(segmenter.region[place]), threshold, true_threshold, sigma) for place in places]
