"""Items of the diffusion model: what it sees, what it should find, and all that is drawn at random."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from GBMResponseCore.model.slice_model import neighbor_rows

from ..store.slice_store import SliceStore, stack_indices
from .latents import LatentStore
from .slices import Epochs, Fixed, Item

TIME_STEPS = 1000
_GOLDEN = (math.sqrt(5) - 1) / 2


@dataclass(frozen=True)
class Conditions:
    """What the model is told about each of n slices.

    :param tokens: class tokens (n, schemes); one scheme is drawn per item. (n, 0) for a model without class.
    :param null_token: stands for "no class".
    :param days: days since the start of radiotherapy (n,), NaN where not known.
    :param neighbors: rows (2 m, n) of the neighbors of each slice.
    """

    tokens: np.ndarray
    null_token: int
    days: np.ndarray
    neighbors: np.ndarray


def latent_items(
    latents: LatentStore,
    conditions: Conditions,
    rows: np.ndarray,
    *,
    label_dropout: float,
    scale: np.ndarray | None,
    seed: int,
    even_time_steps: bool = True,
) -> Item:
    """Make training items: dicts of tensors.

    `sources` (S * C, h, w), `target` and `noise` (C, h, w), `gtv` (1, h, w) in [0, 1], and the scalars `token`,
    `timestep` and `days` (NaN: not known).

    :param rows: slices to train on.
    :param label_dropout: share of items without class, and independently without days.
    :param scale: per channel (C,): the target is (post - pre) times this; None: post itself, as in the paper.
    :param even_time_steps: they follow a low-discrepancy sequence, so that every batch covers the range evenly; else
        they are drawn independently, as in the paper.
    """
    epochs = Epochs(rows, seed)
    offset = float(np.random.default_rng([seed, 1]).random())

    def make(rng: np.random.Generator, index: int) -> dict[str, torch.Tensor]:
        row, version = epochs(index), int(rng.integers(latents.versions))
        tokens = conditions.tokens[row]
        token = int(rng.choice(tokens)) if len(tokens) else conditions.null_token
        without_class, without_days = rng.random(2) < label_dropout
        even = int(TIME_STEPS * ((index * _GOLDEN + offset) % 1.0))
        return _item(
            latents, conditions, row, version, scale,
            token=conditions.null_token if without_class else token,
            days=math.nan if without_days else float(conditions.days[row]),
            timestep=even if even_time_steps else int(rng.integers(TIME_STEPS)),
            rng=rng,
        )  # fmt: skip

    return make


def latent_validation(
    latents: LatentStore,
    conditions: Conditions,
    rows: Sequence[int] | np.ndarray,
    *,
    scale: np.ndarray | None,
    seed: int,
) -> Fixed:
    """Items with class, unflipped, whose noise and time steps are always the same."""
    place = {int(row): number for number, row in enumerate(rows)}

    def make(row: int) -> dict[str, torch.Tensor]:
        tokens = conditions.tokens[row]
        return _item(
            latents, conditions, row, 0, scale,
            token=int(tokens[place[row] % len(tokens)]) if len(tokens) else conditions.null_token,
            days=float(conditions.days[row]),
            timestep=int(TIME_STEPS * ((place[row] * _GOLDEN) % 1.0)),
            rng=np.random.default_rng([seed, 2, place[row]]),
        )  # fmt: skip

    return Fixed(make, rows)


def source_latents(latents: LatentStore, conditions: Conditions, row: int, version: int) -> np.ndarray:
    """Pre, GTV and neighboring pre latents of a slice, float32 (S * C, h, w), in the order of a bundle."""
    parts = [latents.pre[version, row], latents.gtv[version, row]]
    parts += [latents.pre[version, neighbor] for neighbor in conditions.neighbors[:, row]]
    return np.concatenate(parts).astype(np.float32)


def store_neighbors(store: SliceStore, count: int) -> np.ndarray:
    """Rows (2 * count, n) of the neighbors of every slice of a store, within its patient."""
    rows = np.empty((2 * count, len(store)), dtype=np.int64)
    for patient, record in enumerate(store.patients):
        own = np.flatnonzero(np.asarray(store.patient) == patient)
        rows[:, own] = own[neighbor_rows(stack_indices(record), count)]
    return rows


def _item(
    latents: LatentStore,
    conditions: Conditions,
    row: int,
    version: int,
    scale: np.ndarray | None,
    *,
    token: int,
    days: float,
    timestep: int,
    rng: np.random.Generator,
) -> dict[str, torch.Tensor]:
    target = latents.post[version, row].astype(np.float32)
    if scale is not None:
        target = (target - latents.pre[version, row].astype(np.float32)) * scale[:, None, None].astype(np.float32)
    return {
        "sources": torch.from_numpy(source_latents(latents, conditions, row, version)),
        "target": torch.from_numpy(target),
        "noise": torch.from_numpy(rng.standard_normal(target.shape, dtype=np.float32)),
        "gtv": torch.from_numpy(latents.mask[version, row].astype(np.float32))[None],
        "token": torch.tensor(token),
        "timestep": torch.tensor(timestep),
        "days": torch.tensor(days, dtype=torch.float32),
    }
