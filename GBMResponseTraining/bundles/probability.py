"""Fit how a bundle makes the probability of enhancement of its samples, on validation patients."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.measure.interval import prediction_interval
from GBMResponseCore.measure.probability import ProbabilityRule

from ..evaluation.enhancement import enhancement_zones
from ..evaluation.held_out import read_held_out, stored_split
from ..evaluation.metrics.proper import brier_score
from ..evaluation.model_predictions import EvaluatedModel, assign_classes, open_model, predict_slices
from ..evaluation.scores import Target, evidence_of
from ..evaluation.spread import LEVELS
from ..evaluation.statistics.bootstrap import group_means, known_mean
from ..settings.model_configurations import ModelConfiguration
from ..stages.training_run import TrainingRun
from ..store.leakage import check_training_split
from ..store.slice_store import read_patients
from .stage import describe_bundle, exported_bundle

SPLIT = "validation"
WEIGHTS = tuple(np.linspace(0.0, 1.0, 11).round(1).tolist())
SIGMAS_MM = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
FACTORS = tuple(np.linspace(0.5, 4.0, 71).round(2).tolist())
"""Tried widths of a volume's interval."""


@dataclass(frozen=True)
class FittedProbability:
    """The rule with the least Brier score, the mean over patients.

    :param brier, shares, before: of the rule, of the share of the samples, and of the best mask of what is before.
    :param interval_factor: see :func:`fit_interval`.
    """

    rule: ProbabilityRule
    patients: int
    brier: float
    shares: float
    before: float
    interval_factor: float = 1.0


class Volumes(NamedTuple):
    """Enhancing volumes of cases, ml: of samples (n, cases), and the true ones (cases,)."""

    samples: np.ndarray
    truth: np.ndarray


def fit_probability(target: Target, shares: Sequence[np.ndarray]) -> FittedProbability:
    """Choose weight and smoothing by the Brier score in the segmenter's region.

    :param shares: of the samples that enhance, of every slice, see :meth:`.Target.shares`.
    """
    slices = target.slices

    def maps(weight: float) -> dict[float, list[np.ndarray]]:
        """The share alone, or the mask alone, by smoothing."""
        return {mm: target.probabilities(shares, ProbabilityRule(weight, mm, mm)) for mm in SIGMAS_MM}

    def score(chances: Sequence[np.ndarray]) -> float:
        values = [brier_score(chance, area.enhancing) for chance, area in zip(chances, target.areas, strict=True)]
        return known_mean(group_means(np.array(values), slices.person))

    smoothed, masks = maps(1.0), maps(0.0)
    found = {}
    for weight, mm, before_mm in itertools.product(WEIGHTS, SIGMAS_MM, SIGMAS_MM):
        pairs = zip(smoothed[mm], masks[before_mm], strict=True)
        found[weight, mm, before_mm] = score([weight * share + (1.0 - weight) * mask for share, mask in pairs])
    best = min(found, key=found.__getitem__)
    return FittedProbability(
        ProbabilityRule(*best),
        len(np.unique(slices.person)),
        found[best],
        found[1.0, 0.0, 0.0],
        min(found[0.0, 0.0, mm] for mm in SIGMAS_MM),
    )


def volumes_of(target: Target, evidence: Sequence[np.ndarray]) -> list[Volumes]:
    """Enhancing volumes of samples and truth in one slice, in two neighboring ones, and so on.

    :param evidence: of every slice, see :func:`..evaluation.scores.evidence_of`.
    """
    samples = np.array([np.count_nonzero(values > 0, axis=1) for values in evidence])
    truth = np.array([np.count_nonzero(area.enhancing) for area in target.areas])
    found: dict[int, list[tuple[np.ndarray, float]]] = {}
    for record, ml in enumerate(target.voxel_ml):
        rows = target.slices.rows_of(record)
        for size in range(1, len(rows) + 1) if np.isfinite(ml) else ():
            for first in range(len(rows) - size + 1):
                chosen = rows[first : first + size]
                found.setdefault(size, []).append((samples[chosen].sum(axis=0) * ml, float(truth[chosen].sum() * ml)))
    return [
        Volumes(np.array([own for own, _ in cases]).T, np.array([true for _, true in cases]))
        for _, cases in sorted(found.items())
    ]


def fit_interval(volumes: Sequence[Volumes]) -> float:
    """By which factor samples lie too close together; 1 without any volume.

    With it, intervals hold the truth as often as they say: what 50, 80 and 95 % intervals miss of that is least in the
    square; of several such factors the middle one. The more slices, the more the samples are too alike, as they
    are drawn one by one: each number of slices counts alike.
    """
    if not volumes:
        return 1.0
    missed = np.array([np.mean([missed_coverage(entry, factor) for entry in volumes]) for factor in FACTORS])
    best = np.flatnonzero(np.isclose(missed, missed.min()))
    return FACTORS[int(best[len(best) // 2])]


def missed_coverage(volumes: Volumes, factor: float) -> float:
    """Mean squared difference of how often intervals hold the truth from how often they say so."""
    found = []
    for level in LEVELS:
        low, high = prediction_interval(volumes.samples, level / 100, factor)
        found.append((np.mean((low <= volumes.truth) & (volumes.truth <= high)) - level / 100) ** 2)
    return float(np.mean(found))


def calibrate(
    run: TrainingRun,
    configuration: ModelConfiguration,
    samples: int = 8,
    slices_per_patient: int = 1,
    seed: int = 1,
    store: Path | None = None,
) -> FittedProbability:
    """Predict validation patients with the bundle of a run, fit its rules, and write them into `bundle.json`.

    Finished slices are kept in `RUN/bundles/.calibration`, so that the same call continues after a cancel.

    :param store: with the validation patients; None: that of the run.
    :raises OptionError: there is no bundle.
    :raises LeakageError: a patient of the store is in another split of the run.
    :raises SplitError, EvaluationError: there is no validation patient with a GTV.
    :raises OutputFolderError: the bundle cannot be written.
    """
    folder = exported_bundle(run, configuration)
    store = store or run.store_folder
    check_training_split(folder, stored_split(store), read_patients(store))
    model = open_model(EvaluatedModel(configuration.name, folder))
    slices = read_held_out(store, SPLIT, slices_per_patient)
    loaded = model.load()
    tokens = assign_classes(loaded, slices).tokens
    rule = EnhancementRule.with_head(loaded.predictor.bundle.enhancement_head)
    target = Target(slices, enhancement_zones(slices, rule), samples)
    finished = folder.parent / ".calibration"
    images = (predict_slices(loaded, slices, tokens, seed=seed, sample=k, finished=finished) for k in range(samples))
    members = [evidence_of([image], target) for image in images]
    evidence = [np.concatenate(parts) for parts in zip(*members, strict=True)]
    shares = target.shares(evidence)
    fitted = fit_probability(target, shares)
    factor = fit_interval(volumes_of(target, evidence))
    found = {"enhancement_probability": asdict(fitted.rule), "volume_interval_factor": factor}
    describe_bundle(run, configuration, [], found)
    return replace(fitted, interval_factor=factor)
