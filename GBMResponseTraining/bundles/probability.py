"""Fit how a bundle makes the probability of enhancement of its samples, on validation patients."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.measure.interval import SOFTENING_ML, spread_of
from GBMResponseCore.measure.probability import ProbabilityRule
from scipy import stats

from ..evaluation.enhancement import enhancement_zones
from ..evaluation.held_out import read_held_out
from ..evaluation.metrics.proper import brier_score
from ..evaluation.model_predictions import EvaluatedModel, assign_classes, open_model, predict_slices
from ..evaluation.scores import Target, evidence_of
from ..evaluation.statistics.bootstrap import group_means, known_mean
from ..settings.model_configurations import ModelConfiguration
from ..stages.training_run import TrainingRun
from .stage import describe_bundle, exported_bundle

SPLIT = "validation"
WEIGHTS = tuple(np.linspace(0.0, 1.0, 11).round(1).tolist())
SIGMAS_MM = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0)
FACTORS = tuple(np.linspace(0.5, 4.0, 71).round(2).tolist())
"""Tried widths of a volume's interval."""
_LEAST_SPREAD = 1e-6


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


def volumes_of(target: Target, evidence: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Enhancing volumes of the samples (n, persons) and of the truth (persons,), ml, of persons whose voxels are known.

    Several visits of one person count with their mean.

    :param evidence: of every slice, see :func:`..evaluation.scores.evidence_of`.
    """
    slices, samples = target.slices, target.enhancing_pixels(evidence) * target.voxel_ml
    truth = target.pixels_after * target.voxel_ml
    known = ~np.isnan(truth)
    persons = slices.persons[known]
    return np.array([group_means(row[known], persons) for row in samples]), group_means(truth[known], persons)


def fit_interval(samples_ml: np.ndarray, truth_ml: np.ndarray) -> float:
    """By which factor samples lie too close together: that of the largest likelihood of the true volumes.

    The prediction of a volume is Student's distribution, see :mod:`GBMResponseCore.measure.interval`. Patients whose
    samples have one and the same volume tell nothing.

    :param samples_ml: (n, patients).
    :param truth_ml: (patients,).
    """
    logs, truth = np.log(samples_ml + SOFTENING_ML), np.log(truth_ml + SOFTENING_ML)
    spread = spread_of(logs)
    known = spread > _LEAST_SPREAD
    if not known.any():
        return 1.0
    away = ((truth - logs.mean(axis=0)) / np.maximum(spread, _LEAST_SPREAD))[known]

    def likelihood(factor: float) -> float:
        return float(stats.t.logpdf(away / factor, len(logs) - 1).sum() - len(away) * np.log(factor))

    return max(FACTORS, key=likelihood)


def calibrate(
    run: TrainingRun, configuration: ModelConfiguration, samples: int = 8, slices_per_patient: int = 1, seed: int = 1
) -> FittedProbability:
    """Predict the validation patients with the bundle of a run, fit its rules, and write them into `bundle.json`.

    Finished slices are kept in `RUN/bundles/.calibration`, so that the same call continues after a cancel.

    :raises OptionError: there is no bundle.
    :raises SplitError, EvaluationError: there is no validation patient with a GTV.
    :raises OutputFolderError: the bundle cannot be written.
    """
    folder = exported_bundle(run, configuration)
    model = open_model(EvaluatedModel(configuration.name, folder))
    slices = read_held_out(run.store_folder, SPLIT, slices_per_patient)
    loaded = model.load()
    tokens = assign_classes(loaded, slices).tokens
    rule = EnhancementRule.with_head(loaded.predictor.bundle.enhancement_head)
    target = Target(slices, enhancement_zones(slices, rule), samples)
    finished = folder.parent / ".calibration"
    images = (predict_slices(loaded, slices, tokens, seed=seed, sample=k, finished=finished) for k in range(samples))
    members = [evidence_of([image], target) for image in images]
    shares = target.shares([np.concatenate(parts) for parts in zip(*members, strict=True)])
    fitted = fit_probability(target, shares)
    factor = fit_interval(*volumes_of(target, [np.concatenate(parts) for parts in zip(*members, strict=True)]))
    found = {"enhancement_probability": asdict(fitted.rule), "volume_interval_factor": factor}
    describe_bundle(run, configuration, [], found)
    return replace(fitted, interval_factor=factor)
