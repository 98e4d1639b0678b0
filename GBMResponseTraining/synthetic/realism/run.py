"""Can simulated tumors be told from real ones? A classifier tries, on patients it has not seen.

The figure is the AUC of held-out patches: 0.5 says that this classifier finds no difference, 1 that it is never wrong.
Patients are held out whole, real and simulated ones, so that nobody is in training and test. Scores of different folds
come from different networks and are not compared: the AUC is the mean over the folds, weighted by the number of pairs.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.files import ensure_output_folder, write_json, write_text

from ...evaluation.metrics.classification import area_under_curve, drawn_auc, value_with_interval
from ..errors import RealismError
from .classifiers import FEATURES, Scorer, build_network, fit_logistic, fit_network, patch_features, smoothed
from .montage import write_comparison
from .patches import PatchSet, read_patches
from .report import realism_markdown

IMAGES = ("pre", "post")
MOST_FOLDS = 6
MOST_SIMULATED = 300
"""Simulated patients used; more make the test longer, not fairer: the few real patients limit it."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patches:
    """Real patches, then simulated ones.

    :param images: float32 (n, side, side).
    :param real: bool (n,).
    :param person: int (n,), the real persons first.
    :param fold: int (n,), in which the patch is held out.
    """

    images: np.ndarray
    real: np.ndarray
    person: np.ndarray
    fold: np.ndarray


def check_realism(
    simulated_store: Path,
    real_store: Path,
    out: Path,
    images: Sequence[str],
    steps: int,
    seed: int = 0,
    outline: bool = False,
) -> dict[str, Any]:
    """Write `realism.json`, `realism.md` and `montage.png`.

    :param images: `pre`, `post` or both, each a test of its own.
    :param steps: of every network's training.
    :param outline: draw the GTV in the montage.
    :return: the report.
    :raises MissingFileError, EmptyFileError: a folder is no slice store.
    :raises RealismError: the stores cannot be compared.
    :raises OutputFolderError: if a file cannot be written.
    """
    ensure_output_folder(out)
    simulated = read_patches(simulated_store, "simulated", MOST_SIMULATED, seed)
    real = read_patches(real_store, "real")
    patches = {image: join(simulated, real, image, seed) for image in images}
    write_comparison(simulated_store, simulated, real_store, real, out / "montage.png", images, seed, outline)
    report = {
        "synthetic": True,
        "statement": SYNTHETIC_NOTICE,
        "simulated": _description(simulated_store, simulated),
        "real": _description(real_store, real),
        "options": {
            "seed": seed,
            "steps": steps,
            "patch_pixels": simulated.images["pre"].shape[-1],
            "network_parameters": sum(weights.numel() for weights in build_network().parameters()),
        },
        "tests": {image: tell_apart(patches[image], steps, seed, image) for image in images},
    }
    write_json(report, out / "realism.json")
    write_text(realism_markdown(report), out / "realism.md")
    return report


def join(simulated: PatchSet, real: PatchSet, image: str, seed: int = 0) -> Patches:
    """Bring the patches of both stores together and assign them to folds.

    There are as many folds as real patients, but at most `MOST_FOLDS`, and no more than simulated patients.

    :raises RealismError: their slices are of different size.
    """
    sizes = [patches.slice_shape for patches in (simulated, real)]
    if sizes[0] != sizes[1]:
        raise RealismError(
            f"Slices of the simulated store have {sizes[0]} pixels, those of the real one {sizes[1]}.",
            "Import both cohorts with one size.",
        )
    folds = min(MOST_FOLDS, real.persons, simulated.persons)
    return Patches(
        np.concatenate([real.images[image], simulated.images[image]]),
        np.arange(len(real) + len(simulated)) < len(real),
        np.concatenate([real.person, real.persons + simulated.person]),
        np.concatenate([_folds(real, folds, seed), _folds(simulated, folds, seed)]),
    )


def tell_apart(patches: Patches, steps: int, seed: int = 0, name: str = "") -> dict[str, Any]:
    """Test one image: the network, the same without fine detail, the baselines, and the features that these see.

    :return: JSON values.
    """
    features = patch_features(patches.images)
    inputs = {"all three": features, **{title: features[:, [k]] for k, title in enumerate(FEATURES)}}
    return {
        "folds": int(patches.fold.max()) + 1,
        **{
            title: _evaluate(patches, images, partial(_network, patches, images, steps, seed, f"{name}, {title}"), seed)
            for title, images in (("network", patches.images), ("network_smoothed", smoothed(patches.images)))
        },
        "baselines": {
            title: _evaluate(patches, values, partial(_logistic, patches, values), seed)
            for title, values in inputs.items()
        },
        "features": {
            kind: {title: float(np.median(features[rows, k])) for k, title in enumerate(FEATURES)}
            for kind, rows in (("simulated", ~patches.real), ("real", patches.real))
        },
    }


def held_out_auc(scores: np.ndarray, real: np.ndarray, fold: np.ndarray, drawn: np.ndarray | None = None) -> np.ndarray:
    """Chance that a real patch scores higher than a simulated one held out from the same network; NaN if undefined.

    :param drawn: how often each patch was drawn (draws, n); None: all once.
    :returns: of each draw.
    """
    drawn = np.ones((1, len(scores))) if drawn is None else drawn
    total, pairs = np.zeros(len(drawn)), np.zeros(len(drawn))
    for one in np.unique(fold):
        inside = fold == one
        weight = drawn[:, inside & real].sum(axis=1) * drawn[:, inside & ~real].sum(axis=1)
        total += weight * np.nan_to_num(drawn_auc(scores[inside], real[inside], drawn[:, inside]))
        pairs += weight
    with np.errstate(invalid="ignore"):
        return total / pairs


def _evaluate(patches: Patches, inputs: np.ndarray, fit: Callable[[np.ndarray], Scorer], seed: int) -> dict[str, Any]:
    """Train once per fold on the other folds; AUC of what was held out, with its interval over persons.

    :param inputs: (n, ...), what the scorer gets.
    :param fit: gets a mask (n,) of the patches to train with.
    """
    scores, trained = np.empty(len(inputs)), []
    for one in range(int(patches.fold.max()) + 1):
        training = patches.fold != one
        score = fit(training)
        scores[~training] = score(inputs[~training])
        trained.append(area_under_curve(score(inputs[training]), patches.real[training]))
    is_real = patches.real[np.unique(patches.person, return_index=True)[1]]

    def auc(drawn: np.ndarray) -> np.ndarray:
        return held_out_auc(scores, patches.real, patches.fold, drawn[:, patches.person])

    # Every real person with all simulated ones.
    each = np.eye(len(is_real))[is_real] + ~is_real
    return {
        "auc": value_with_interval(auc, len(is_real), seed, is_real.astype(int)),
        "auc_of_training": float(np.mean(trained)),
        "auc_by_real_patient": auc(each).tolist(),
    }


def _network(patches: Patches, images: np.ndarray, steps: int, seed: int, name: str, training: np.ndarray) -> Scorer:
    held_out = int(patches.fold[~training][0])
    log.info("%s: fold %d of %d", name, held_out + 1, int(patches.fold.max()) + 1)
    return fit_network(images[training], patches.real[training], patches.person[training], steps, seed + held_out)


def _logistic(patches: Patches, features: np.ndarray, training: np.ndarray) -> Scorer:
    return fit_logistic(features[training], patches.real[training])


def _folds(patches: PatchSet, folds: int, seed: int) -> np.ndarray:
    """Fold of every patch (n,): whole persons, as many in each fold as in another or one more."""
    order = np.random.default_rng(seed).permutation(patches.persons)
    return (np.argsort(order) % folds)[patches.person]


def _description(store: Path, patches: PatchSet) -> dict[str, Any]:
    known = patches.pixel_mm[~np.isnan(patches.pixel_mm)]
    return {
        "store": store.resolve().name,
        "patients": patches.persons,
        "patients_in_store": patches.persons_in_store,
        "patches": len(patches),
        "pixel_mm": [float(value) for value in (known.min(), np.median(known), known.max())] if len(known) else None,
    }
