"""How much of the follow-up can be told from the image? A network that learns the answers alone, beside the baselines.

python Testing/benchmarks/bench_direct.py --train STORE [STORE ...] --validation STORE --test STORE --patients 350 1400

It sees the image, the GTV, the distance from it and what enhances before treatment, in windows of 160 pixels, and
learns of every pixel the probability that it enhances at the follow-up, and quantiles of its brightness there: no
picture, no samples, no class. What it scores, a generator of pictures can score too; more patients show how much more
is in the image. For each score the weights are those with the best one on the validation patients.
"""

import argparse
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.measure.enhancement_head import FARTHEST_MM, NEAREST_MM
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle
from torch import nn
from torch.nn import functional

from GBMResponseTraining.evaluation.enhancement import enhancement_zones
from GBMResponseTraining.evaluation.held_out import read_held_out
from GBMResponseTraining.evaluation.metrics.proper import brier_score
from GBMResponseTraining.evaluation.score_baselines import baseline_rows, best_blur
from GBMResponseTraining.evaluation.scores import Target, evidence_of, mean_scores
from GBMResponseTraining.evaluation.statistics.bootstrap import group_means, known_mean
from GBMResponseTraining.evaluation.statistics.skill import skill_against_best

WINDOW, BATCH, LEARNING_RATE, CHECKS = 160, 16, 2e-3, 10
WIDTHS, SEEN = (16, 32, 48, 64), 5
NOTHING = -20.0
"""Evidence outside of the region: surely nothing."""
QUANTILES = 10
LEVELS = (torch.arange(QUANTILES) + 0.5) / QUANTILES
SCORES = ("brier", "crps_gtv", "crps_region")
BRIGHTNESS_WEIGHT = 3.0
"""Of the loss of the quantiles beside that of the probability, which is several times as large."""


class Windows(NamedTuple):
    """Windows of all slices (n, ...): what is seen (5, W, W), what enhances (W, W) and the brightness (W, W) at the
    follow-up, the region and the area, which is the region and the GTV (W, W).
    """

    seen: torch.Tensor
    enhancing: torch.Tensor
    bright: torch.Tensor
    region: torch.Tensor
    area: torch.Tensor

    def pick(self, rows: torch.Tensor) -> "Windows":
        return Windows(*(layers[rows] for layers in self))


class Answer(NamedTuple):
    """Of every pixel: log odds that it enhances (n, W, W), and quantiles of its brightness (n, Q, W, W), ascending."""

    logit: torch.Tensor
    quantiles: torch.Tensor


class Block(nn.Module):
    def __init__(self, before: int, after: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, after, 3, padding=1) for width in (before, after))
        self.norms = nn.ModuleList(nn.GroupNorm(8, after) for _ in range(2))
        self.short = nn.Conv2d(before, after, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = functional.silu(self.norms[0](self.first(x)))
        return functional.silu(self.short(x) + self.norms[1](self.second(inner)))


class Network(nn.Module):
    """A U-Net at half the resolution, and two convolutions at the whole."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Conv2d(SEEN, widths[0], 3, stride=2, padding=1)
        self.down = nn.ModuleList(Block(*pair) for pair in zip((widths[0], *widths), widths, strict=False))
        rest = zip(widths[:0:-1], widths[-2::-1], strict=True)
        self.up = nn.ModuleList(Block(deep + flat, flat) for deep, flat in rest)
        last = nn.Conv2d(16, 1 + QUANTILES, 1)
        self.last = nn.Sequential(nn.Conv2d(widths[0] + SEEN, 16, 3, padding=1), nn.SiLU(), last)

    def forward(self, seen: torch.Tensor) -> Answer:
        x, kept = self.stem(seen), []
        for number, block in enumerate(self.down):
            x = block(functional.avg_pool2d(x, 2) if number else x)
            kept.append(x)
        for block, other in zip(self.up, kept[-2::-1], strict=True):
            x = block(torch.cat([_twice(x), other], 1))
        found = self.last(torch.cat([_twice(x), seen], 1))
        steps = torch.cat([found[:, 1:2], functional.softplus(found[:, 2:] - 3.0)], 1)
        return Answer(found[:, 0], seen[:, :1] + torch.cumsum(steps, 1))


def _twice(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear")


def target_of(store: Path, split: str) -> Target:
    rule = EnhancementRule.with_head(open_bundle(default_bundle()).enhancement_head)
    slices = read_held_out(store, split)
    return Target(slices, enhancement_zones(slices, rule), 1)


def windows_of(target: Target) -> Windows:
    """Around the area of every slice; outside a slice nothing is seen nor scored."""
    evidence = evidence_of([target.slices.pre], target)
    parts = zip(target.slices.pre, target.slices.post, target.slices.gtv, target.zones, evidence, strict=True)
    stack = torch.empty((len(target.areas), SEEN + 4, WINDOW, WINDOW))
    for (pre, post, gtv, zone, before), area, window in zip(parts, target.areas, stack, strict=True):
        region = zone.voxels.where[0]
        inside = region | gtv
        distance, clearly = np.full(pre.shape, FARTHEST_MM, np.float32), np.full(pre.shape, NOTHING, np.float32)
        distance[region], clearly[region] = zone.voxels.distance_mm.clip(NEAREST_MM, FARTHEST_MM), before[0]
        enhancing = np.zeros(pre.shape, np.float32)
        enhancing[region] = area.enhancing
        level = (pre + 1.0) / max(zone.tissue.median, 0.05) - 1.0
        seen = (pre, level.clip(-1.0, 2.0), gtv, distance / 10, np.tanh(clearly / 2))
        layers = (*seen, enhancing, post.clip(-1.0, 1.0), region, inside)
        for place, layer in zip(window, layers, strict=True):
            place.copy_(torch.from_numpy(_window(np.asarray(layer, np.float32), inside)))
    if int(stack[:, -1].sum()) != sum(len(area.pixels) for area in target.areas):
        raise SystemExit(f"An area does not fit into {WINDOW} pixels.")
    return Windows(stack[:, :SEEN], *(stack[:, SEEN + k] for k in range(4)))


def _window(layer: np.ndarray, where: np.ndarray) -> np.ndarray:
    half = WINDOW // 2
    padded = np.pad(layer, half)
    rows, columns = (np.flatnonzero(where.any(axis=axis)) for axis in (1, 0))
    row, column = ((part[0] + part[-1]) // 2 if len(part) else half for part in (rows, columns))
    return padded[row : row + WINDOW, column : column + WINDOW]


@torch.inference_mode()
def per_patient(network: Network, windows: Windows, target: Target) -> dict[str, np.ndarray]:
    """Each score of every patient (n,)."""
    network.eval()
    rows = []
    for first in range(0, len(target.areas), BATCH):
        part = windows.pick(torch.arange(first, min(first + BATCH, len(target.areas))))
        answer = network(part.seen)
        chances = torch.sigmoid(answer.logit)
        crps = 2.0 * _pinball(answer.quantiles.clip(-1.0, 1.0), part.bright)
        for k, area in enumerate(target.areas[first : first + BATCH]):
            chance = chances[k][part.region[k] > 0].numpy()
            row = {"brier": brier_score(chance, area.enhancing)}
            rows.append(row | mean_scores(crps[k][part.area[k] > 0].numpy(), area))
    return {name: group_means(np.array([row[name] for row in rows]), target.slices.person) for name in SCORES}


def _pinball(quantiles: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Mean of the quantile losses of each pixel (n, W, W): half the CRPS, as their number grows."""
    away = truth[:, None] - quantiles
    levels = LEVELS[None, :, None, None]
    return torch.maximum(levels * away, (levels - 1.0) * away).mean(1)


def _loss(answer: Answer, windows: Windows) -> torch.Tensor:
    wrong = functional.binary_cross_entropy_with_logits(answer.logit, windows.enhancing, reduction="none")
    parts = ((wrong, windows.region), (BRIGHTNESS_WEIGHT * _pinball(answer.quantiles, windows.bright), windows.area))
    return sum(((map_ * where).sum((1, 2)) / where.sum((1, 2)).clamp(min=50)).mean() for map_, where in parts)


def _turned(windows: Windows) -> Windows:
    """The same windows in one of eight positions."""
    for axis in (-1, -2):
        if torch.rand(1) < 0.5:
            windows = Windows(*(layers.flip(axis) for layers in windows))
    return Windows(*(layers.transpose(-1, -2) for layers in windows)) if torch.rand(1) < 0.5 else windows


def fit(train: Windows, validation: Windows, target: Target, steps: int, widths: Sequence[int]) -> dict[str, Network]:
    """For each score the network that had the best one on the validation patients."""
    network = Network(widths)
    average = deepcopy(network)
    best: dict[str, tuple[float, Network]] = {}
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for step in range(1, steps + 1):
        windows = _turned(train.pick(torch.randint(len(train.seen), (BATCH,))))
        network.train()
        loss = _loss(network(windows.seen), windows)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for old, new in zip(average.parameters(), network.parameters(), strict=True):
                old.lerp_(new, 1.0 - min(0.995, step / (step + 20)))
        if step == steps or step % max(1, steps // CHECKS) == 0:
            means = {name: known_mean(found) for name, found in per_patient(average, validation, target).items()}
            print(f"step {step}, validation:", *(f"{name} {mean:.4f}" for name, mean in means.items()), flush=True)
            for name, mean in means.items():
                if name not in best or mean < best[name][0]:
                    best[name] = mean, deepcopy(average)
    return {name: found for name, (_, found) in best.items()}


def baselines_of(target: Target) -> dict[str, dict[str, np.ndarray]]:
    """Of each score, the errors of every patient (n,) of the baselines that have it."""
    rows = {row.name: row.per_patient(target.slices) for row in baseline_rows(target, best_blur(target), None)}
    return {name: {other: found[name] for other, found in rows.items() if name in found} for name in SCORES}


def training_windows(store: Path) -> tuple[np.ndarray, Windows]:
    """Number of the patient of every slice (n,), and the windows."""
    target = target_of(store, "train")
    return target.slices.patient, windows_of(target)


def first_patients(stores: Sequence[tuple[np.ndarray, Windows]], count: int | None) -> Windows:
    """Windows of so many patients, of every store as many; None: of all."""
    share = np.inf if count is None else -(-count // len(stores))
    kept = [windows.pick(torch.from_numpy(np.flatnonzero(patient < share))) for patient, windows in stores]
    return Windows(*(torch.cat(layers) for layers in zip(*kept, strict=True)))


def measure(arguments: argparse.Namespace) -> list[str]:
    """The lines of the table; prints how the training goes."""
    stores = [training_windows(store) for store in arguments.train]
    targets = {split: target_of(getattr(arguments, split), split) for split in ("validation", "test")}
    windows = {split: windows_of(target) for split, target in targets.items()}
    baselines = {split: baselines_of(target) for split, target in targets.items()}
    widths = tuple(arguments.width * width for width in WIDTHS)
    weights = sum(part.numel() for part in Network(widths).parameters())
    print(f"{weights:,} weights, {arguments.steps} steps of {BATCH} windows")
    lines = [f"| training slices | patients | {' | '.join(f'{name} | best baseline | skill' for name in SCORES)} |"]
    for count in arguments.patients or [None]:
        torch.manual_seed(1)
        train = first_patients(stores, count)
        print(f"{len(train.seen)} slices", flush=True)
        networks = fit(train, windows["validation"], targets["validation"], arguments.steps, widths)
        for split, target in targets.items():
            cells = [str(len(train.seen)), f"{split}, {len(np.unique(target.slices.person))}"]
            for name, network in networks.items():
                errors = per_patient(network, windows[split], target)[name]
                skill = skill_against_best(errors, baselines[split][name])
                least = min(known_mean(values) for values in baselines[split][name].values())
                interval = f"{skill['value']:.2f} [{skill['ci_low']:.2f}, {skill['ci_high']:.2f}]"
                cells += [f"{known_mean(errors):.4f}", f"{least:.4f}", interval]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, required=True, nargs="+", metavar="STORE", help="with a split `train`")
    for split in ("validation", "test"):
        parser.add_argument(f"--{split}", type=Path, required=True, metavar="STORE", help=f"with a split `{split}`")
    parser.add_argument("--patients", type=int, nargs="*", help="train with so many, one network each (default: all)")
    parser.add_argument("--steps", type=int, default=2000, help=f"of {BATCH} windows (default: %(default)s)")
    parser.add_argument("--width", type=int, default=1, help="so many times the channels (default: %(default)s)")
    arguments = parser.parse_args()
    try:
        lines = measure(arguments)
    except GBMResponseError as error:
        raise SystemExit(str(error)) from error
    print("\n".join(lines))


if __name__ == "__main__":
    main()
