"""Items of the diffusion model: what it sees, what it should find, and all that is drawn at random."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from GBMResponseCore.model.slice_model import neighbor_rows
from GBMResponseCore.model.windows import WindowRule

from ..store.slice_store import SliceStore, stack_indices
from .latents import LatentStore, near_gtv
from .slices import Epochs, Fixed, Item

TIME_STEPS = 1000
LATE_STEP = 950
"""From here on hardly any of the image is left: what the model says there is the expected image."""
_JITTER = 4
"""Largest shift of a training window from the place where a prediction puts it, latent pixels."""
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


@dataclass(frozen=True)
class Target:
    """What the model should find.

    :param scale: per channel (C,): the target is (post - pre) times this; None: post itself, as in the paper.
    :param windows: where it looks; None: whole slices.
    :param gtv_margin: what counts as GTV in the loss, see :func:`.latents.near_gtv`.
    """

    scale: np.ndarray | None = None
    windows: WindowRule | None = None
    gtv_margin: int = 0


def latent_items(
    latents: LatentStore,
    conditions: Conditions,
    rows: np.ndarray,
    *,
    label_dropout: float,
    seed: int,
    target: Target | None = None,
    even_time_steps: bool = True,
    late_share: float = 1 - LATE_STEP / TIME_STEPS,
) -> Item:
    """Make training items: dicts of tensors.

    `sources` (S * C, h, w), `target` and `noise` (C, h, w), `gtv` (1, h, w) in [0, 1], and the scalars `token`,
    `timestep` and `days` (NaN: not known).

    :param rows: slices to train on.
    :param label_dropout: share of items without class, and independently without days.
    :param target: None: post latents of whole slices.
    :param even_time_steps: they follow a low-discrepancy sequence, so that every batch covers the range evenly; else
        they are drawn independently, as in the paper.
    :param late_share: share of the items from :data:`LATE_STEP` on.
    """
    target = target or Target()
    epochs = Epochs(rows, seed)
    offset = float(np.random.default_rng([seed, 1]).random())

    def make(rng: np.random.Generator, index: int) -> dict[str, torch.Tensor]:
        row, version = epochs(index), int(rng.integers(latents.versions))
        tokens = conditions.tokens[row]
        token = int(rng.choice(tokens)) if len(tokens) else conditions.null_token
        without_class, without_days = rng.random(2) < label_dropout
        place = (index * _GOLDEN + offset) % 1.0 if even_time_steps else rng.random()
        return _item(
            latents, conditions, row, version, target,
            token=conditions.null_token if without_class else token,
            days=math.nan if without_days else float(conditions.days[row]),
            timestep=_time_step(place, late_share),
            rng=rng,
            jitter=_JITTER,
        )  # fmt: skip

    return make


def latent_validation(
    latents: LatentStore,
    conditions: Conditions,
    rows: Sequence[int] | np.ndarray,
    *,
    seed: int,
    target: Target | None = None,
) -> Fixed:
    """Items with class, unflipped, whose noise, time steps and window (the first of a slice) are always the same."""
    place = {int(row): number for number, row in enumerate(rows)}

    def make(row: int) -> dict[str, torch.Tensor]:
        tokens = conditions.tokens[row]
        return _item(
            latents, conditions, row, 0, target or Target(),
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
    target: Target,
    *,
    token: int,
    days: float,
    timestep: int,
    rng: np.random.Generator,
    jitter: int = 0,
) -> dict[str, torch.Tensor]:
    wanted = latents.post[version, row].astype(np.float32)
    if target.scale is not None:
        change = wanted - latents.pre[version, row].astype(np.float32)
        wanted = change * target.scale[:, None, None].astype(np.float32)
    sources = source_latents(latents, conditions, row, version)
    mask = latents.mask[version, row]
    gtv = near_gtv(mask, target.gtv_margin)
    if target.windows is not None:
        window = _window(mask, target.windows, rng, jitter)
        sources, wanted, gtv = sources[:, *window], wanted[:, *window], gtv[window]
    return {
        "sources": torch.from_numpy(np.ascontiguousarray(sources)),
        "target": torch.from_numpy(np.ascontiguousarray(wanted)),
        "noise": torch.from_numpy(rng.standard_normal(wanted.shape, dtype=np.float32)),
        "gtv": torch.from_numpy(np.ascontiguousarray(gtv))[None],
        "token": torch.tensor(token),
        "timestep": torch.tensor(timestep),
        "days": torch.tensor(days, dtype=torch.float32),
    }


def _window(mask: np.ndarray, rule: WindowRule, rng: np.random.Generator, jitter: int) -> tuple[slice, slice]:
    """One of the windows of a slice, drawn if it is to be shifted, else the first."""
    corners = rule.corners(mask > 0)
    corner = corners[0]
    if jitter:
        corner = corners[rng.integers(len(corners))] + rng.integers(-jitter, jitter + 1, size=2)
    first = np.clip(corner, 0, np.array(mask.shape) - rule.size)
    top, left = map(int, first)
    return slice(top, top + rule.size), slice(left, left + rule.size)


def _time_step(place: float, late_share: float) -> int:
    """Time step at a place in [0, 1), of which `late_share` lies from :data:`LATE_STEP` on."""
    if place < late_share:
        return LATE_STEP + int((TIME_STEPS - LATE_STEP) * place / late_share)
    return int(LATE_STEP * (place - late_share) / (1.0 - late_share))
