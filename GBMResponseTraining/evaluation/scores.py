"""Proper scores of samples and baselines on held-out slices: what a blurred copy cannot win.

Intensities are scored clipped to [-1, 1], as those of Table 1. The area of a slice is its GTV and the segmenter's
region (:mod:`.enhancement`). Patients are persons: several visits of one count once, with their mean.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from GBMResponseCore.measure.probability import ProbabilityRule
from GBMResponseCore.measure.response import CR, PD, PR, SD, SizeRule, category_by_volume

from .enhancement import Zone, spacing_or_usual, voxel_ml
from .held_out import HeldOut
from .metrics.appearance import appearance, outside_tumor
from .metrics.proper import average_precision, brier_score, energy_score, fair_crps, log_score, roc_auc
from .statistics.bootstrap import group_means

IMAGE_SCORES = ("crps_gtv", "crps_region", "energy")
MASK_SCORES = ("brier", "auc", "average_precision")
VOLUME_SCORES = ("crps_volume", "log_score")
SCORES = (*IMAGE_SCORES, *MASK_SCORES, *VOLUME_SCORES)
APPEARANCE = ("sharpness_ratio", "skull_shift", "skull_jitter", "gain_drift", "flicker_ratio")
HIGHER_IS_BETTER = ("auc", "average_precision")
CATEGORIES = (PD, SD, PR, CR)
"""Size categories by volume, without new lesions and minor response."""


class Area(NamedTuple):
    """Where a slice is scored, and the truth there.

    :param pixels: indices of its flat pixels, int (p,): the GTV and the segmenter's region.
    :param gtv, zone: bool (p,), the pixels of either.
    :param truth: intensities of the true follow-up, clipped, float (p,).
    :param enhancing: bool (z,), the truth in the zone.
    """

    pixels: np.ndarray
    gtv: np.ndarray
    zone: np.ndarray
    truth: np.ndarray
    enhancing: np.ndarray


class Members(NamedTuple):
    """Pictures of an ensemble in the area of every slice.

    :param values: intensities (m, p) of every slice.
    :param evidence: how clearly the zone's pixels enhance (m, z), of every slice; they do above 0.
    """

    values: list[np.ndarray]
    evidence: list[np.ndarray]


@dataclass(frozen=True)
class Target:
    """What predictions of the slices are scored against.

    :param samples: of the models; a baseline of one picture has as much weight in the logarithmic score.
    """

    slices: HeldOut
    zones: Sequence[Zone]
    samples: int

    @cached_property
    def areas(self) -> list[Area]:
        """Area of every slice."""
        return [_area(*parts) for parts in zip(self.zones, self.slices.gtv, self.slices.post, strict=True)]

    @cached_property
    def outside(self) -> list[np.ndarray]:
        """Where nothing should change, bool (H, W) per slice."""
        found = []
        for pre, area in zip(self.slices.pre, self.areas, strict=True):
            tumor = np.zeros(pre.shape, bool)
            tumor.ravel()[area.pixels] = True
            found.append(outside_tumor(pre, tumor))
        return found

    @cached_property
    def follows(self) -> np.ndarray:
        """Whether the next row is the neighboring slice of the same patient, bool (n,)."""
        patient, place = self.slices.patient, self.slices.stack_indices
        return np.append((np.diff(patient) == 0) & (np.diff(place) == 1), False)

    @cached_property
    def voxel_ml(self) -> np.ndarray:
        """Per record (records,); NaN where it is not known, or the record has no slice."""
        found = np.array([voxel_ml(record) for record in self.slices.records])
        found[np.setdiff1d(np.arange(len(found)), self.slices.patient)] = np.nan
        return found

    @cached_property
    def pixels_before(self) -> np.ndarray:
        """Enhancing pixels of every record before treatment (records,)."""
        return self._of_records(np.array([np.count_nonzero(mask) for mask in self.before]))

    @cached_property
    def pixels_after(self) -> np.ndarray:
        """Enhancing pixels of every record at the true follow-up (records,)."""
        return self._of_records(np.array([np.count_nonzero(area.enhancing) for area in self.areas]))

    def enhancing_pixels(self, evidence: Sequence[np.ndarray]) -> np.ndarray:
        """Enhancing pixels of every member and record (m, records)."""
        counts = np.array([np.count_nonzero(values > 0, axis=1) for values in evidence])
        return np.array([self._of_records(count) for count in counts.T])

    @cached_property
    def before(self) -> list[np.ndarray]:
        """What enhances before treatment, of every slice, bool (z,)."""
        return [values[0] > 0 for values in evidence_of([self.slices.pre], self)]

    def shares(self, evidence: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Share of the members that enhance, of every slice (z,)."""
        return [(values > 0).mean(axis=0) for values in evidence]

    def probabilities(self, shares: Sequence[np.ndarray], rule: ProbabilityRule) -> list[np.ndarray]:
        """Probability of enhancement of every slice (z,), as a user is shown it.

        :param shares: see :meth:`shares`.
        """
        found, shape = [], (1, *self.slices.pre.shape[1:])
        for row, (share, before, area) in enumerate(zip(shares, self.before, self.areas, strict=True)):
            pixels = area.pixels[area.zone]
            share_map, before_map, region = (np.zeros(shape, kind) for kind in (np.float32, bool, bool))
            share_map[0].ravel()[pixels], before_map[0].ravel()[pixels], region[0].ravel()[pixels] = share, before, True
            spacing = spacing_or_usual(self.slices.records[self.slices.patient[row]])
            found.append(rule.of(share_map, before_map, region, spacing).ravel()[pixels])
        return found

    def _of_records(self, counts: np.ndarray) -> np.ndarray:
        return np.bincount(self.slices.patient, weights=counts, minlength=len(self.slices.records))


@dataclass(frozen=True)
class ScoredRow:
    """Scores of one model or baseline; those that it does not have are absent.

    :param kind: `baseline`, `model` or `truth`.
    :param per_slice: scores of every slice, NaN where one is not defined.
    :param per_record: scores of all slices of a record together (records,).
    """

    name: str
    kind: str
    per_slice: list[dict[str, float]]
    per_record: dict[str, np.ndarray] = field(default_factory=dict)

    def per_patient(self, slices: HeldOut) -> dict[str, np.ndarray]:
        """One value of every person, in the order of `np.unique(slices.person)`: the mean over slices, or visits."""
        seen = np.unique(slices.patient)
        means = {}
        for name in (*SCORES, *APPEARANCE):
            if name in self.per_record:
                means[name] = group_means(self.per_record[name][seen], slices.persons[seen])
            elif name in self.per_slice[0]:
                means[name] = group_means(np.array([row[name] for row in self.per_slice]), slices.person)
        return means

    def only(self, names: Sequence[str], title: str | None = None) -> "ScoredRow":
        """The same row with these scores alone, under another title."""
        per_slice = [{name: row[name] for name in names if name in row} for row in self.per_slice]
        per_record = {name: values for name, values in self.per_record.items() if name in names}
        return ScoredRow(title or self.name, self.kind, per_slice, per_record)


def member_values(images: Sequence[np.ndarray], target: Target) -> list[np.ndarray]:
    """Intensities in the area of every slice (m, p), of `m` pictures (n, H, W) of all slices."""
    return [
        np.stack([picture[k].ravel()[area.pixels] for picture in images]).astype(np.float64)
        for k, area in enumerate(target.areas)
    ]


def evidence_of(images: Sequence[np.ndarray], target: Target) -> list[np.ndarray]:
    """How clearly the zone of every slice enhances (m, z), of `m` pictures (n, H, W) of all slices."""
    return [np.stack([zone.evidence(picture[k]) for picture in images]) for k, zone in enumerate(target.zones)]


def members_of(images: Sequence[np.ndarray], target: Target) -> Members:
    """The same pictures both ways."""
    return Members(member_values(images, target), evidence_of(images, target))


def score_members(
    name: str, kind: str, members: Members, target: Target, rule: ProbabilityRule | None = None
) -> ScoredRow:
    """All scores of ensembles; one member is a certain prediction.

    :param rule: how the probability of enhancement is made of them; None: the share that enhances.
    """
    images = [image_scores(*parts) for parts in zip(members.values, target.areas, strict=True)]
    shares = target.shares(members.evidence)
    masks = score_masks(name, kind, shares if rule is None else target.probabilities(shares, rule), target)
    per_slice = [{**image, **mask} for image, mask in zip(images, masks.per_slice, strict=True)]
    counts = target.enhancing_pixels(members.evidence)
    volumes = {"crps_volume": fair_crps(counts * target.voxel_ml, target.pixels_after * target.voxel_ml)}
    categories = [[size_category(*pair) for pair in zip(target.pixels_before, row, strict=True)] for row in counts]
    weight = target.samples / len(counts)
    chances = [{key: weight * n for key, n in Counter(column).items()} for column in zip(*categories, strict=True)]
    volumes["log_score"] = log_scores(chances, target)
    return ScoredRow(name, kind, per_slice, {**masks.per_record, **volumes})


def image_scores(values: np.ndarray, area: Area) -> dict[str, float]:
    """CRPS in the GTV and in the zone, and energy score of both together, of the members (m, p) of a slice."""
    values = np.clip(values, -1.0, 1.0)
    crps = fair_crps(values, area.truth)
    return {**mean_scores(crps, area), "energy": energy_score(values, area.truth)}


def mean_scores(crps: np.ndarray, area: Area) -> dict[str, float]:
    """Means of a score of every pixel (p,) in the GTV and in the zone."""
    return {"crps_gtv": _mean(crps[area.gtv]), "crps_region": _mean(crps[area.zone])}


def score_masks(name: str, kind: str, probabilities: Sequence[np.ndarray], target: Target) -> ScoredRow:
    """Brier score, AUC and average precision of probabilities of enhancement.

    AUC and average precision of a record are of its pixels, of all slices together.

    :param probabilities: of every slice (z,).
    """
    functions = {"brier": brier_score, "auc": roc_auc, "average_precision": average_precision}
    events = [area.enhancing for area in target.areas]
    pairs = list(zip(probabilities, events, strict=True))
    per_slice = [{score: function(*pair) for score, function in functions.items()} for pair in pairs]
    pooled: dict[str, list[float]] = {score: [] for score in HIGHER_IS_BETTER}
    for record in range(len(target.slices.records)):
        own = target.slices.rows_of(record)
        joined = [np.concatenate([np.empty(0), *(stack[row] for row in own)]) for stack in (probabilities, events)]
        for score, values in pooled.items():
            values.append(functions[score](*joined))
    return ScoredRow(name, kind, per_slice, {score: np.array(values) for score, values in pooled.items()})


def size_category(before: float, after: float) -> str:
    """Size category by volume of two numbers of pixels."""
    return category_by_volume(before, after, SizeRule())


def log_scores(chances: Sequence[Mapping[str, float]], target: Target) -> np.ndarray:
    """Logarithmic score of every record's size category (records,); NaN where nothing enhanced before.

    :param chances: of every record, members in each category.
    """
    seen = np.isin(np.arange(len(chances)), target.slices.patient) & (target.pixels_before > 0)
    pairs = zip(target.pixels_before, target.pixels_after, strict=True)
    truth = [size_category(*pair) for pair in pairs]
    return np.array(
        [
            log_score(counts, CATEGORIES, category) if known else float("nan")
            for counts, category, known in zip(chances, truth, seen, strict=True)
        ]
    )


def looks_of(images: np.ndarray, target: Target) -> list[dict[str, float]]:
    """Appearance of a picture (n, H, W) of every slice."""
    slices = target.slices
    return appearance(images, slices.pre, slices.post, slices.gtv, target.outside, target.follows)


def with_looks(row: ScoredRow, looks: Sequence[Sequence[dict[str, float]]]) -> ScoredRow:
    """The row with the mean appearance of its pictures.

    :param looks: of every picture, see :func:`looks_of`.
    """
    means = [
        {name: float(np.mean([entry[name] for entry in entries])) for name in APPEARANCE}
        for entries in zip(*looks, strict=True)
    ]
    per_slice = [{**scores, **mean} for scores, mean in zip(row.per_slice, means, strict=True)]
    return ScoredRow(row.name, row.kind, per_slice, row.per_record)


class SampleScores:
    """Takes the samples of a model one by one, and keeps only what their scores need."""

    def __init__(self, target: Target, rule: ProbabilityRule | None = None) -> None:
        self._target, self._rule = target, rule
        self._members: list[Members] = []
        self._looks: list[list[dict[str, float]]] = []

    def add(self, images: np.ndarray) -> None:
        """Add a sample of all slices (n, H, W)."""
        self._members.append(members_of([images], self._target))
        self._looks.append(looks_of(images, self._target))

    @property
    def members(self) -> Members:
        """All samples together."""
        both = zip(*self._members, strict=True)
        return Members(*([np.concatenate(slices) for slices in zip(*samples, strict=True)] for samples in both))

    def row(self, name: str) -> ScoredRow:
        """The scores of all samples together."""
        row = score_members(name, "model", self.members, self._target, self._rule)
        return with_looks(row, self._looks)


def _area(zone: Zone, gtv: np.ndarray, post: np.ndarray) -> Area:
    inside = np.flatnonzero(gtv)
    pixels = np.union1d(inside, zone.pixels)
    in_zone = np.isin(pixels, zone.pixels)
    truth = post.ravel()[pixels].astype(np.float64)
    enhancing = zone.evidence(post, true=True) > 0
    return Area(pixels, np.isin(pixels, inside), in_zone, np.clip(truth, -1.0, 1.0), enhancing)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
