"""Ranges of the training patients' images, by which a bundle tells users when a case is unlike them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from GBMResponseCore.measure.guard import (
    IMAGE_FEATURES,
    LATENTS_TOGETHER,
    TOGETHER,
    feature_ranges,
    features_together,
    image_features,
)
from GBMResponseCore.model.familiarity import autoencoder_features
from GBMResponseCore.model.manifest import AUTOENCODER_FEATURES, REBUILT
from GBMResponseCore.model.networks import LatentAutoencoder

from ..store.slice_store import SINGLE_IMAGES, SliceStore

MOST_PATIENTS = 400
"""More are evenly thinned out: the ends of a range hardly change, and each takes about 0.1 s."""


_MOST_ENCODED = 120
"""Patients whose slices are encoded and decoded, which takes about a second each on a CPU."""


def image_ranges(store: SliceStore, split: Mapping[str, str], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Ranges of image features over a store's training patients, as :mod:`GBMResponseCore.measure.guard` reads them.

    :param split: part of each patient by id.
    :param records: of the store's patients, in its order; those without a pixel size are left out.
    """
    patients = []
    for row in _rows(split, records, MOST_PATIENTS):
        slices = store.batch(np.flatnonzero(store.patient == row))
        features = image_features(slices["pre"], slices["gtv"] > 0, float(records[row]["spacing_mm"]))
        if features:
            patients.append(features)
    together = features_together(patients)
    return {IMAGE_FEATURES: feature_ranges(patients), **({} if together is None else {TOGETHER: together})}


def autoencoder_ranges(
    store: SliceStore, split: Mapping[str, str], records: Sequence[Mapping[str, Any]], autoencoder: LatentAutoencoder
) -> dict[str, Any]:
    """Ranges of how well an image autoencoder draws training patients, and of where their latents lie.

    :param autoencoder: that of the bundle, with its standardized latents.
    """
    autoencoder.eval()
    patients = []
    for row in _rows(split, records, _MOST_ENCODED):
        features = autoencoder_features(autoencoder, store.batch(np.flatnonzero(store.patient == row))["pre"])
        patients += [features] if features else []
    if not patients:
        return {}
    high = feature_ranges([{REBUILT: features.pop(REBUILT)} for features in patients])[REBUILT][1]
    together = features_together(patients)
    ranges = {AUTOENCODER_FEATURES: {REBUILT: [0.0, high]}}
    return ranges if together is None else {**ranges, LATENTS_TOGETHER: together}


def _rows(split: Mapping[str, str], records: Sequence[Mapping[str, Any]], most: int) -> list[int]:
    """Training patients of a store that have a pixel size, evenly thinned out to a number."""
    rows = [
        row
        for row, record in enumerate(records)
        if split.get(record["id"]) == "train" and record.get("spacing_mm") and not record.get(SINGLE_IMAGES)
    ]
    return rows[:: max(1, -(-len(rows) // most))]
