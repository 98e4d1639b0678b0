"""Forecasts without a model: what samples have to beat.

How much a copy is blurred, how wide its spread is and how far its probabilities are trusted is chosen in hindsight, for
each score as suits best the very slices that are judged. No forecaster knows that, so no baseline is made weak: a blur
chosen on other patients changes with whom one takes. Rates and usual changes are those of training patients.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.measure.interval import SOFTENING_ML
from scipy import ndimage

from .enhancement import enhancement_zones
from .held_out import HeldOut, read_held_out, stored_split
from .metrics.proper import fair_crps, gaussian_crps
from .results import COPY
from .scores import (
    CATEGORIES,
    HIGHER_IS_BETTER,
    IMAGE_SCORES,
    MASK_SCORES,
    VOLUME_SCORES,
    ScoredRow,
    Target,
    image_scores,
    log_scores,
    looks_of,
    mean_scores,
    member_values,
    members_of,
    score_masks,
    score_members,
    size_category,
    with_looks,
)
from .statistics.bootstrap import group_means, known_mean

BLURRED = "blurred copy"
AUTOENCODER = "autoencoder of the pre image"
DRESSED = "blurred copy with Gaussian spread"
BLURRED_MASK = "blurred mask of what enhances before"
CALIBRATED_MASK = "calibrated blurred mask"
BASE_RATE = "base rate"
UNCHANGED = "unchanged volume"
USUAL_CHANGES = "volume with the changes of training patients"
TRUTH = "true follow-up"
BASELINES = (
    BLURRED, AUTOENCODER, DRESSED, BLURRED_MASK, CALIBRATED_MASK, BASE_RATE, UNCHANGED, USUAL_CHANGES, TRUTH,
)  # fmt: skip

SIGMAS = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
"""Tried blurs, in pixels."""
SPREADS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.15)
"""Tried spreads, of the root mean square error."""
USUAL_SPLITS = ("train", "validation")

_USUAL_PATIENTS = 200
_USUAL_SLICES = 4
_DRESSED_MEMBERS = 16


@dataclass(frozen=True)
class Blur:
    """What suits the judged slices best, by the mean over patients.

    :param sigma: blur of each image and mask score, pixels.
    :param dressed: `sigma` and `sd` by image score.
    :param calibrated: `sigma`, `offset` and `slope` of the mask whose probabilities offset + slope x value, by least
        squares and then cut at 0 and 1, have the least Brier score.
    """

    sigma: dict[str, float]
    dressed: dict[str, dict[str, float]]
    calibrated: dict[str, float]


@dataclass(frozen=True)
class Usual:
    """What training patients tell of others.

    :param split: of the patients, one of :data:`USUAL_SPLITS`.
    :param base_rate: share of the zone's pixels that enhance at follow-up.
    :param volume_changes: log ratio of (volume + 0.5 ml) after to before of each patient, sorted.
    :param categories: patients in each size category.
    """

    split: str
    patients: int
    slices: int
    base_rate: float
    volume_changes: list[float]
    categories: dict[str, int]


def usual_of_store(folder: Path, rule: EnhancementRule | None = None) -> Usual | None:
    """Of up to 200 training patients of a store, else of validation patients; None if it has neither.

    :param rule: of the segmenter, see :func:`.enhancement.enhancement_zones`.
    """
    splits = set(stored_split(folder).values())
    for split in USUAL_SPLITS:
        if split in splits:
            return usual_of(read_held_out(folder, split, _USUAL_SLICES, _USUAL_PATIENTS), split, rule)
    return None


def usual_of(slices: HeldOut, split: str, rule: EnhancementRule | None = None) -> Usual:
    """Rates and changes of training patients, means over patients."""
    target = Target(slices, enhancement_zones(slices, rule), 1)
    before, after = (count * target.voxel_ml for count in (target.pixels_before, target.pixels_after))
    changes = np.log((after + SOFTENING_ML) / (before + SOFTENING_ML))
    known = [k for k in np.unique(slices.patient) if target.pixels_before[k] > 0]
    sizes = Counter(size_category(target.pixels_before[k], target.pixels_after[k]) for k in known)
    rates = np.array([area.enhancing.mean() if len(area.enhancing) else np.nan for area in target.areas])
    return Usual(
        split=split,
        patients=len(np.unique(slices.person)),
        slices=len(slices),
        base_rate=known_mean(group_means(rates, slices.person)),
        volume_changes=sorted(changes[~np.isnan(changes)].tolist()),
        categories={name: sizes[name] for name in CATEGORIES},
    )


def best_blur(target: Target) -> Blur:
    """Blur, spread and calibration that suit the target's slices best."""
    slices = target.slices
    values = {sigma: member_values([_blurred(slices.pre, sigma)], target) for sigma in SIGMAS}
    scored = {sigma: _image_row(BLURRED, members, target) for sigma, members in values.items()}
    copies = {
        name: _least(name, {key: _mean(row, name, slices) for key, row in scored.items()}) for name in IMAGE_SCORES
    }
    dressed = {name: _best_spread(name, values, target) for name in IMAGE_SCORES}
    masks, calibrated = best_masks(target)
    return Blur(sigma=copies | masks, dressed=dressed, calibrated=calibrated)


def best_masks(target: Target) -> tuple[dict[str, float], dict[str, float]]:
    """Blur of each mask score, and the calibration, that suit the target's slices best, see :class:`Blur`."""
    slices = target.slices
    chances = {sigma: _mask_chances(target, sigma) for sigma in SIGMAS}
    masks = {sigma: score_masks(BLURRED_MASK, "baseline", found, target) for sigma, found in chances.items()}
    sigma = {name: _least(name, {key: _mean(row, name, slices) for key, row in masks.items()}) for name in MASK_SCORES}
    lines = {key: _calibration(found, target) for key, found in chances.items()}
    errors = {key: _mean(_calibrated_row(target, key, *line), "brier", slices) for key, line in lines.items()}
    best = _least("brier", errors)
    return sigma, {"sigma": best, "offset": lines[best][0], "slope": lines[best][1]}


def _local_error(images: np.ndarray, slices: HeldOut) -> float:
    """Mean squared error in the GTV, over patients."""
    pairs = zip(images, slices.post, slices.gtv.astype(bool), strict=True)
    errors = [((image - post)[gtv] ** 2).mean() if gtv.any() else np.nan for image, post, gtv in pairs]
    return known_mean(group_means(np.array(errors), slices.person))


def blurred_copy(slices: HeldOut) -> np.ndarray:
    """The pre-treatment slices (n, H, W) with the blur that comes nearest to the follow-ups, by MSE in the GTV."""
    blurs = {sigma: _blurred(slices.pre, sigma) for sigma in SIGMAS}
    return blurs[_least("mse_local", {sigma: _local_error(images, slices) for sigma, images in blurs.items()})]


def baseline_rows(target: Target, blur: Blur, usual: Usual | None) -> list[ScoredRow]:
    """Baselines that need no model, and the appearance of the true follow-up.

    :param usual: None leaves out those that need training patients.
    """
    slices = target.slices
    copied = score_members(COPY, "baseline", members_of([slices.pre], target), target)
    rows = [with_looks(copied.only((*IMAGE_SCORES, *MASK_SCORES)), [looks_of(slices.pre, target)])]
    rows += [_blurred_row(target, blur), _dressed_row(target, blur)]
    rows += mask_rows(target, blur.sigma, blur.calibrated)
    if usual is not None:
        rows.append(_base_rate_row(target, usual))
    rows.append(copied.only(VOLUME_SCORES, UNCHANGED))
    if usual is not None and len(usual.volume_changes) > 1:
        rows.append(_usual_changes_row(target, usual))
    nothing = ScoredRow(TRUTH, "truth", [{} for _ in range(len(slices))])
    return [*rows, with_looks(nothing, [looks_of(slices.post, target)])]


def autoencoder_row(name: str, images: np.ndarray, target: Target) -> ScoredRow:
    """Scores of the pre-treatment slices (n, H, W) as a model's image autoencoder returns them: nothing changed."""
    row = score_members(name, "baseline", members_of([images], target), target)
    return with_looks(row, [looks_of(images, target)])


def _blurred_row(target: Target, blur: Blur) -> ScoredRow:
    sigmas = {blur.sigma[name] for name in IMAGE_SCORES}
    blurs = {sigma: _blurred(target.slices.pre, sigma) for sigma in sigmas}
    rows = {sigma: _image_row(BLURRED, member_values([images], target), target) for sigma, images in blurs.items()}
    row = _composed(BLURRED, IMAGE_SCORES, lambda name: rows[blur.sigma[name]])
    return with_looks(row, [looks_of(blurs[blur.sigma["crps_gtv"]], target)])


def _dressed_row(target: Target, blur: Blur) -> ScoredRow:
    """Each image score with its own blur and spread; the energy score of draws whose pixels vary independently."""
    per_slice: list[dict[str, float]] = [{} for _ in range(len(target.slices))]
    rng = np.random.default_rng(0)
    for name, values in blur.dressed.items():
        means = member_values([_blurred(target.slices.pre, values["sigma"])], target)
        if name == "energy":
            shapes = [(_DRESSED_MEMBERS, len(area.pixels)) for area in target.areas]
            drawn = [mean + values["sd"] * rng.normal(size=shape) for mean, shape in zip(means, shapes, strict=True)]
            rows = [image_scores(*parts) for parts in zip(drawn, target.areas, strict=True)]
        else:
            rows = _dressed(means, values["sd"], target)
        for scores, row in zip(per_slice, rows, strict=True):
            scores[name] = row[name]
    return ScoredRow(DRESSED, "baseline", per_slice)


def _base_rate_row(target: Target, usual: Usual) -> ScoredRow:
    chances = [np.full(len(area.enhancing), usual.base_rate) for area in target.areas]
    row = score_masks(BASE_RATE, "baseline", chances, target)
    sizes = log_scores([usual.categories] * len(target.slices.records), target)
    return ScoredRow(BASE_RATE, "baseline", row.per_slice, {**row.per_record, "log_score": sizes})


def _usual_changes_row(target: Target, usual: Usual) -> ScoredRow:
    before, after = (count * target.voxel_ml for count in (target.pixels_before, target.pixels_after))
    ratios = np.exp(np.array(usual.volume_changes))[:, None]
    volumes = np.maximum((before + SOFTENING_ML) * ratios - SOFTENING_ML, 0.0)
    nothing: list[dict[str, Any]] = [{} for _ in range(len(target.slices))]
    return ScoredRow(USUAL_CHANGES, "baseline", nothing, {"crps_volume": fair_crps(volumes, after)})


def _image_row(name: str, members: Sequence[np.ndarray], target: Target) -> ScoredRow:
    rows = [image_scores(*parts) for parts in zip(members, target.areas, strict=True)]
    return ScoredRow(name, "baseline", rows)


def mask_rows(target: Target, sigma: Mapping[str, float], calibrated: Mapping[str, float]) -> list[ScoredRow]:
    """Each score of the mask of what enhances before with its own blur, and the calibrated mask; see :class:`Blur`."""
    blurs = sorted({sigma[name] for name in MASK_SCORES})
    masks = {key: score_masks(BLURRED_MASK, "baseline", _mask_chances(target, key), target) for key in blurs}
    blurred = _composed(BLURRED_MASK, MASK_SCORES, lambda name: masks[sigma[name]])
    return [blurred, _calibrated_row(target, calibrated["sigma"], calibrated["offset"], calibrated["slope"])]


def _calibrated_row(target: Target, sigma: float, offset: float, slope: float) -> ScoredRow:
    """Brier score of the blurred mask as probabilities that hold; its ranking, and so its AUC, is that of the mask."""
    chances = [np.clip(offset + slope * found, 0.0, 1.0) for found in _mask_chances(target, sigma)]
    return score_masks(CALIBRATED_MASK, "baseline", chances, target).only(("brier",))


def _mask_chances(target: Target, sigma: float) -> list[np.ndarray]:
    """The mask of what enhances before, blurred, of every slice (z,)."""
    shape = target.slices.pre.shape[1:]
    chances = []
    for before, area in zip(target.before, target.areas, strict=True):
        pixels = area.pixels[area.zone]
        mask = np.zeros(shape, np.float32)
        mask.ravel()[pixels] = before
        chances.append(ndimage.gaussian_filter(mask, sigma).ravel()[pixels])
    return chances


def _calibration(chances: Sequence[np.ndarray], target: Target) -> tuple[float, float]:
    """Offset and slope of the line with the least mean squared difference from what enhances, mean over patients."""
    person = target.slices.person
    known = [k for k, area in enumerate(target.areas) if len(area.enhancing)]
    slices = Counter(person[known].tolist())
    squares, products = np.zeros((2, 2)), np.zeros(2)
    for k in known:
        events = target.areas[k].enhancing.astype(np.float64)
        columns = np.stack([np.ones(len(events)), chances[k].astype(np.float64)])
        weight = 1.0 / (len(events) * slices[int(person[k])])
        squares += weight * columns @ columns.T
        products += weight * columns @ events
    offset, slope = np.linalg.lstsq(squares, products, rcond=None)[0]
    return float(offset), float(slope)


def _composed(title: str, names: Sequence[str], row_of: Callable[[str], ScoredRow]) -> ScoredRow:
    """Each score from the row that is best for it."""
    rows = {name: row_of(name).only((name,)) for name in names}
    per_slice = [dict.fromkeys(names, float("nan")) for _ in next(iter(rows.values())).per_slice]
    for name, row in rows.items():
        for scores, own in zip(per_slice, row.per_slice, strict=True):
            scores[name] = own[name]
    records = {name: row.per_record[name] for name, row in rows.items() if name in row.per_record}
    return ScoredRow(title, "baseline", per_slice, records)


def _best_spread(name: str, values: Mapping[float, list[np.ndarray]], target: Target) -> dict[str, float]:
    """Blur and SD with the least score, of the SDs in :data:`SPREADS`."""
    places = {"crps_gtv": lambda area: area.gtv, "crps_region": lambda area: area.zone, "energy": lambda _: slice(None)}
    inside = [places[name](area) for area in target.areas]
    found = {}
    for sigma, members in values.items():
        errors = [
            (np.clip(mean[0], -1.0, 1.0) - area.truth)[where]
            for mean, area, where in zip(members, target.areas, inside, strict=True)
        ]
        largest = float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))
        for share in SPREADS:
            sd = share * largest
            rows = [{name: _energy_limit(error, sd)} for error in errors]
            rows = rows if name == "energy" else _dressed(members, sd, target)
            found[sigma, sd] = _mean(ScoredRow(DRESSED, "baseline", rows), name, target.slices)
    sigma, sd = _least(name, found)
    return {"sigma": sigma, "sd": sd}


def _energy_limit(error: np.ndarray, sd: float) -> float:
    """Energy score of independent normal pixels around a mean with this error (p,), as their number grows."""
    return float(np.sqrt((error**2).mean() + sd**2) - sd / np.sqrt(2.0)) if len(error) else float("nan")


def _dressed(means: Sequence[np.ndarray], sd: float, target: Target) -> list[dict[str, float]]:
    parts = zip(means, target.areas, strict=True)
    return [mean_scores(gaussian_crps(np.clip(mean[0], -1.0, 1.0), sd, area.truth), area) for mean, area in parts]


def _blurred(images: np.ndarray, sigma: float) -> np.ndarray:
    return ndimage.gaussian_filter(images, (0.0, sigma, sigma))


def _mean(row: ScoredRow, name: str, slices: HeldOut) -> float:
    return known_mean(row.per_patient(slices)[name])


def _least(name: str, found: Mapping[Any, float]) -> Any:
    """The key with the best value; the first, the least blurred, if none is defined."""
    sign = -1.0 if name in HIGHER_IS_BETTER else 1.0
    return min(found, key=lambda key: sign * found[key] if np.isfinite(found[key]) else np.inf)
