"""Ranges of the training patients' images, by which a bundle tells users when a case is unlike them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from GBMResponseCore.measure.guard import (
    IMAGE_FEATURES,
    TOGETHER,
    feature_ranges,
    features_together,
    image_features,
)

from ..store.slice_store import SINGLE_IMAGES, SliceStore

MOST_PATIENTS = 400
"""More are evenly thinned out: the ends of a range hardly change, and each takes about 0.1 s."""


def image_ranges(store: SliceStore, split: Mapping[str, str], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Ranges of image features over a store's training patients, as :mod:`GBMResponseCore.measure.guard` reads them.

    :param split: part of each patient by id.
    :param records: of the store's patients, in its order; those without a pixel size are left out.
    """
    rows = [
        row
        for row, record in enumerate(records)
        if split.get(record["id"]) == "train" and record.get("spacing_mm") and not record.get(SINGLE_IMAGES)
    ]
    step = max(1, -(-len(rows) // MOST_PATIENTS))
    patients = []
    for row in rows[::step]:
        slices = store.batch(np.flatnonzero(store.patient == row))
        features = image_features(slices["pre"], slices["gtv"] > 0, float(records[row]["spacing_mm"]))
        if features:
            patients.append(features)
    together = features_together(patients)
    return {IMAGE_FEATURES: feature_ranges(patients), **({} if together is None else {TOGETHER: together})}
