"""Classifiers that are told to separate real from simulated patches: a small network, and trivial baselines.

Each `fit_*` function returns a function from patches (n, side, side) to scores (n,), high for real ones.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from scipy import ndimage, optimize
from torch import nn
from torch.nn import functional

Scorer = Callable[[np.ndarray], np.ndarray]

FEATURES = ("mean", "SD", "noise")

_HALF_BATCH = 16
_RATE = 2e-3
_GAIN_SD = 0.05
_SCORED_AT_ONCE = 256
_RIDGE = 1e-2
_BLUR_PIXELS = 2.0
_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)


def build_network() -> nn.Module:
    """Four convolutions and a linear layer, 46 769 parameters: (n, 1, side, side) -> (n, 1)."""
    layers: list[nn.Module] = []
    for k, (inner, outer) in enumerate(pairwise((1, 16, 32, 48, 64))):
        layers += [nn.Conv2d(inner, outer, 3, stride=min(k + 1, 2), padding=1), nn.GroupNorm(8, outer), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(64, 1))


def fit_network(patches: np.ndarray, real: np.ndarray, person: np.ndarray, steps: int, seed: int = 0) -> Scorer:
    """Train the network: half of every batch is real, and persons of a kind are equally frequent.

    Augmented by left-right flips and mild gains. The global random state is left as it was.

    :param patches: float32 (n, side, side); `real` bool (n,); `person` (n,), distinct for real and simulated.
    """
    rng = np.random.default_rng(seed)
    groups = [_rows_by_person(person, real == kind) for kind in (True, False)]
    label = torch.tensor([1.0] * _HALF_BATCH + [0.0] * _HALF_BATCH)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build_network().train()
        optimizer = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _RATE, total_steps=steps)
        for _ in range(steps):
            rows = [rng.choice(group[rng.integers(len(group))]) for group in groups for _ in range(_HALF_BATCH)]
            batch = torch.from_numpy(_augmented(patches[rows], rng))[:, None]
            loss = functional.binary_cross_entropy_with_logits(network(batch)[:, 0], label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()

    def score(images: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            parts = torch.from_numpy(images)[:, None].split(_SCORED_AT_ONCE)
            return torch.cat([network(part)[:, 0] for part in parts]).numpy()

    return score


def smoothed(patches: np.ndarray) -> np.ndarray:
    """Patches (n, side, side) without their fine detail, at half the resolution: what noise and blur say is gone."""
    return ndimage.gaussian_filter(patches, (0, _BLUR_PIXELS, _BLUR_PIXELS))[:, ::2, ::2].copy()


def patch_features(patches: np.ndarray) -> np.ndarray:
    """Mean, SD and noise of patches (n, side, side) as (n, 3).

    Noise is the logarithm of the energy in the finest detail: mean square of a second difference in both directions,
    which vanishes on edges along rows and columns. It falls with blur.
    """
    detail = ndimage.convolve(patches, _LAPLACIAN[None], mode="nearest")[:, 1:-1, 1:-1]
    energy = np.square(detail, dtype=np.float64).mean(axis=(1, 2))
    columns = (patches.mean(axis=(1, 2)), patches.std(axis=(1, 2)), np.log(energy + 1e-8))
    return np.stack(columns, axis=1).astype(np.float64)


def fit_logistic(features: np.ndarray, real: np.ndarray) -> Scorer:
    """Logistic regression on features (n, k), real and simulated of equal weight."""
    mean, sd = features.mean(axis=0), features.std(axis=0) + 1e-12
    sign = np.where(real, 1.0, -1.0)
    weight = np.where(real, 0.5 / real.sum(), 0.5 / (~real).sum())

    def scaled(values: np.ndarray) -> np.ndarray:
        return np.column_stack([(values - mean) / sd, np.ones(len(values))])

    inputs = scaled(features)

    def loss(coefficients: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (inputs @ coefficients)
        slope = -sign * weight * np.exp(-np.logaddexp(0, margin))
        penalty = _RIDGE * np.append(coefficients[:-1], 0.0)
        return weight @ np.logaddexp(0, -margin) + penalty @ coefficients / 2, inputs.T @ slope + penalty

    coefficients = optimize.minimize(loss, np.zeros(inputs.shape[1]), jac=True, method="L-BFGS-B").x
    return lambda values: scaled(values) @ coefficients


def _rows_by_person(person: np.ndarray, chosen: np.ndarray) -> list[np.ndarray]:
    return [np.flatnonzero(chosen & (person == one)) for one in np.unique(person[chosen])]


def _augmented(patches: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Flips, and gains about the value of air, -1."""
    flipped = np.where(rng.random((len(patches), 1, 1)) < 0.5, patches[:, :, ::-1], patches)
    gains = np.exp(rng.normal(0, _GAIN_SD, (len(patches), 1, 1)))
    return ((flipped + 1) * gains - 1).astype(np.float32)
