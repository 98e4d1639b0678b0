"""Whether a model has seen anything like a case: green, amber or red, with reasons, from ranges that its bundle holds.

A feature is green inside the range of nearly all training patients, amber within half of its width beyond, red farther
out; the case is as its worst feature. Ranges say that a case is unusual, not that its prediction is wrong, and an
ordinary case may still be predicted badly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from ..model.manifest import AUTOENCODER_FEATURES, REBUILT

if TYPE_CHECKING:  # training has no SimpleITK
    from ..inputs.reading import Note
    from ..inputs.slices import CaseSlices

GREEN, AMBER, RED = "green", "amber", "red"
COLORS = (GREEN, AMBER, RED)
IMAGE_FEATURES = "image_features"
"""Name of the ranges in `ranges` of `bundle.json`: feature -> [low, high]."""
TOGETHER = "image_features_together"
"""Name there of how features hang together: `features`, `mean`, `sd`, `inverse` of their correlations, and `range` of
the distance (Mahalanobis, doi 10.1016/S0169-7439(99)00047-7): what is usual by each may be unusual by all."""
LATENTS_TOGETHER = "latents_together"
"""Name there of the same of the latents, beside :data:`AUTOENCODER_FEATURES`; see :mod:`..model.familiarity`."""
GROUPS = (IMAGE_FEATURES, AUTOENCODER_FEATURES)
JOINT = (TOGETHER, LATENTS_TOGETHER)
NOTE = "unlike-training"
_SHARE = (0.005, 0.995)
"""Quantiles of the training patients that are the ends of a range."""
_RIDGE = 0.01
_HEAD, _RIM_MM = -0.8, 10.0
_WORDS = {
    "spacing_mm": "pixel size in mm",
    "gtv_volume_ml": "GTV volume in ml",
    "head_area_cm2": "head area in a slice, cm²",
    "rim": "brightness of scalp and skull beside that of the brain",
    "median": "median intensity of the brain",
    "width": "spread of intensities in the brain",
    "dark": "share of dark pixels in the brain",
    "skew": "skewness of intensities in the brain",
    "low": "darkest parts of the brain beside its median",
    "high": "brightest parts of the brain beside its median",
    "core": "spread of the middle half of intensities in the brain",
    TOGETHER: "distance of all features together",
    REBUILT: "error of the image autoencoder",
    LATENTS_TOGETHER: "distance of the latents",
    "noise": "noise and detail",
    "gtv_level": "brightness of the GTV beside its surroundings",
    "gtv_width": "spread of intensities in the GTV",
    "gtv_depth_mm": "depth of the GTV below the head's surface in mm",
}


@dataclass(frozen=True)
class Judgement:
    """How usual a case is.

    :param color: of its worst feature; None if the bundle holds no ranges.
    :param colors: of each feature that has a range.
    :param reasons: a sentence for each that is not green, the worst first.
    :param beyond: how far each of them lies beyond its range, in widths of it; 0 or less inside.
    """

    color: str | None
    colors: dict[str, str]
    reasons: list[str]
    beyond: dict[str, float] = field(default_factory=dict)

    @property
    def notes(self) -> "list[Note]":
        """What to say before a prediction; nothing of a usual case."""
        if self.color in (None, GREEN):
            return []
        from ..inputs.reading import Note

        return [Note(NOTE, f"The model has seen no case like this ({self.color}). {' '.join(self.reasons)}")]

    def to_dict(self) -> dict[str, Any]:
        names = [_WORDS[name] for name in self.colors]
        return {"color": self.color, "features": self.colors, "names": names, "reasons": self.reasons}


def judge_case(slices: "CaseSlices", ranges: Mapping[str, Any]) -> Judgement:
    """Judge a case as a model sees it; see :func:`judge`."""
    gtv, pixel_mm = slices.gtv[slices.indices], float(slices.grid.spacing[0])
    features = {"spacing_mm": pixel_mm, "gtv_volume_ml": float(slices.case.gtv_volume_ml)}
    features |= image_features(slices.pre, gtv, pixel_mm)
    return judge({**features, **slices.seen}, ranges)


def image_features(pre: np.ndarray, gtv: np.ndarray, pixel_mm: float) -> dict[str, float]:
    """Features of tumor slices (k, H, W), normalized, with their GTV; those that cannot be known are left out."""
    head = np.stack([ndimage.binary_fill_holes(plane) for plane in pre > _HEAD])
    if not head.any() or not gtv.any():
        return {}
    depth = np.stack([ndimage.distance_transform_edt(plane) for plane in head]) * pixel_mm
    rim, brain = head & (depth < _RIM_MM), head & (depth >= _RIM_MM) & ~gtv
    features = {
        "head_area_cm2": float(head.sum(axis=(1, 2)).mean()) * pixel_mm**2 / 100,
        "gtv_width": float(np.ptp(np.quantile(pre[gtv], (0.1, 0.9)))),
        "gtv_depth_mm": float(depth[gtv].mean()),
    }
    if brain.any():
        low, tenth, quarter, middle, three, ninth, high = np.quantile(
            pre[brain] + 1.0, (0.02, 0.1, 0.25, 0.5, 0.75, 0.9, 0.98)
        )
        level, wide = float(middle - 1.0), middle + 1e-3
        sharp = np.abs(np.stack([ndimage.laplace(plane) for plane in pre]))
        features |= {
            "rim": (float(pre[rim].mean()) + 1.0) / (level + 1.0 + 1e-3) if rim.any() else 0.0,
            "median": level,
            "width": float(ninth - tenth),
            "skew": float((ninth + tenth - 2 * middle) / (ninth - tenth + 1e-3)),
            "low": float(low / wide),
            "high": float(high / wide),
            "core": float((three - quarter) / wide),
            "dark": float((pre[brain] < (level + 1.0) * 0.5 - 1.0).mean()),
            "noise": float(np.median(sharp[brain])),
            "gtv_level": (float(pre[gtv].mean()) + 1.0) / (level + 1.0 + 1e-3),
        }
    return features


def feature_ranges(patients: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Range of each feature over training patients; a feature that not all of them have has none."""
    names = set.intersection(*(set(features) for features in patients)) if patients else set()
    return {
        name: [float(value) for value in np.quantile([features[name] for features in patients], _SHARE)]
        for name in sorted(names)
    }


def features_together(patients: Sequence[Mapping[str, float]]) -> dict[str, Any] | None:
    """How the features of training patients hang together, see :data:`TOGETHER`; None of too few patients."""
    names = sorted(set.intersection(*(set(features) for features in patients))) if patients else []
    if len(patients) < 3 * max(1, len(names)) or len(names) < 2:
        return None
    values = np.array([[features[name] for name in names] for features in patients])
    mean, sd = values.mean(axis=0), values.std(axis=0) + 1e-9
    correlations = np.corrcoef((values - mean).T / sd[:, None]) + _RIDGE * np.eye(len(names))
    known = {
        "features": names,
        "mean": mean.tolist(),
        "sd": sd.tolist(),
        "inverse": np.linalg.inv(correlations).tolist(),
    }
    farthest = float(np.quantile([_distance(features, known) for features in patients], _SHARE[1]))
    return {**known, "range": [0.0, farthest]}


def _distance(features: Mapping[str, float], known: Mapping[str, Any]) -> float:
    offset = (np.array([features[name] for name in known["features"]]) - known["mean"]) / known["sd"]
    return float(np.sqrt(offset @ np.array(known["inverse"]) @ offset))


def judge(features: Mapping[str, float], ranges: Mapping[str, Any]) -> Judgement:
    """Compare a case with the ranges of a bundle.

    :param features: of :func:`image_features`, with `spacing_mm` and `gtv_volume_ml`, and what the autoencoder sees.
    :param ranges: `ranges` of `bundle.json`; what is no range of a feature is left out.
    """
    known, features = dict(ranges), dict(features)
    for name in GROUPS:
        known |= ranges[name] if isinstance(ranges.get(name), Mapping) else {}
    for name in JOINT:
        together = ranges.get(name)
        if isinstance(together, Mapping) and set(together["features"]) <= set(features):
            features[name] = _distance(features, together)
            known[name] = together["range"]
    colors, reasons, farthest = {}, {}, {}
    for name, value in features.items():
        ends = known.get(name)
        if not (isinstance(ends, Sequence) and len(ends) == 2 and all(isinstance(end, int | float) for end in ends)):
            continue
        low, high = ends
        farthest[name] = beyond = max(low - value, value - high) / max(high - low, 1e-9)
        colors[name] = GREEN if beyond <= 0 else AMBER if beyond <= 0.5 else RED
        if beyond > 0:
            words = _WORDS[name][0].upper() + _WORDS[name][1:]
            reasons[name] = (beyond, f"{words}: {value:.3g} (in training {low:.3g} to {high:.3g}).")
    worst = max(colors.values(), key=COLORS.index) if colors else None
    ordered = sorted(reasons.values(), key=lambda reason: -reason[0])
    return Judgement(worst, colors, [sentence for _, sentence in ordered], farthest)
