"""Enhancing tissue of evaluated slices, found by the engine's segmenter: the measure that a user is shown.

:mod:`GBMResponseCore.measure.enhancement` defines it. The tissue of the pre-treatment image serves that
image and all predictions of a patient; the true follow-up is measured beside its own tissue. A store holds the slices
with GTV alone: where slices are missing between those of a patient, the head is taken to be that of the nearest one.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from GBMResponseCore.measure.enhancement import EnhancementRule, EnhancementSegmenter
from GBMResponseCore.measure.enhancement_head import Tissue, Voxels

from .held_out import HeldOut

_USUAL_PIXEL_MM = 1.0


@dataclass(frozen=True, eq=False)
class Zone:
    """Where enhancement of a slice is looked for, and how.

    :param voxels: its pixels, `where` of them (1, H, W).
    :param tissue, true_tissue: around the GTV before treatment, and at the true follow-up.
    """

    voxels: Voxels
    tissue: Tissue
    true_tissue: Tissue
    rule: EnhancementRule

    @property
    def pixels(self) -> np.ndarray:
        """Indices of its flat pixels (z,), ascending."""
        return np.flatnonzero(self.voxels.where)

    def evidence(self, image: np.ndarray, true: bool = False) -> np.ndarray:
        """How clearly pixels of an image (H, W) enhance (z,), float32; they do above 0.

        :param true: the image is the true follow-up.
        """
        return self.rule.evidence(image[None], self.voxels, self.true_tissue if true else self.tissue)


def enhancement_zones(slices: HeldOut, rule: EnhancementRule | None = None) -> list[Zone]:
    """Zone of every slice; one without pixels where a patient has no GTV or no head.

    :param rule: of the segmenter; None: that of a bundle without a head.
    """
    rule = rule or EnhancementRule()
    zones: dict[int, Zone] = {}
    for patient, record in enumerate(slices.records):
        rows = slices.rows_of(patient)
        if len(rows):
            zones |= dict(zip(rows.tolist(), _zones_of_patient(slices, rows, record, rule), strict=True))
    return [zones[row] for row in range(len(slices))]


def enhancing_pixels(images: np.ndarray, zones: Sequence[Zone], true: bool = False) -> np.ndarray:
    """Enhancing pixels of every slice (n,). A proxy, not a lesion segmentation.

    :param images: (n, H, W), normalized.
    :param zones: those of the slices.
    :param true: the images are the true follow-ups.
    """
    return np.array(
        [np.count_nonzero(zone.evidence(image, true) > 0) for image, zone in zip(images, zones, strict=True)]
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


def _zones_of_patient(
    slices: HeldOut, rows: np.ndarray, record: Mapping[str, Any], rule: EnhancementRule
) -> list[Zone]:
    spacing, none = spacing_or_usual(record), np.empty(0, np.float32)
    nowhere = Voxels(np.zeros((1, *slices.pre.shape[1:]), bool), none, none, spacing)
    nothing = Zone(nowhere, Tissue(0.0, 0.0), Tissue(0.0, 0.0), rule)
    if not slices.gtv[rows].any():
        return [nothing] * len(rows)
    places = slices.stack_indices[rows] - slices.stack_indices[rows[0]]
    stack = np.arange(places[-1] + 1)
    nearest = rows[np.abs(stack[:, None] - places).argmin(axis=1)]
    pre, post = slices.pre[nearest], slices.post[nearest]
    generated = np.isin(stack, places)
    gtv = slices.gtv[nearest] & generated[:, None, None]
    segmenter = EnhancementSegmenter(pre, gtv, generated, spacing, rule)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no tissue: the median of nothing
        tissue, true_tissue = segmenter.tissue(pre), segmenter.tissue(post)
    if np.isnan(tissue.median):
        return [nothing] * len(rows)
    found = ((segmenter.region[k], segmenter.distance_mm[k], segmenter.depth_mm[k]) for k in places)
    voxels = (Voxels(where[None], distance[where], depth[where], spacing) for where, distance, depth in found)
    return [Zone(part, tissue, true_tissue, rule) for part in voxels]
