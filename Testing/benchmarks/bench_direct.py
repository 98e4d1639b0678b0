"""How well can it be told from the image where it will enhance? A network that learns that alone, beside blurred masks.

python Testing/benchmarks/bench_probability.py --train STORE --validation STORE --test STORE --steps 2000

It sees the image, the GTV, the distance from it and what enhances before treatment, in windows of 160 pixels, and
learns the mask of what enhances at the follow-up: no picture, no samples, no class. The weights are those with the best
score on the validation patients.
"""

import argparse
from copy import deepcopy
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.measure.enhancement_head import FARTHEST_MM, NEAREST_MM
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle
from torch import nn
from torch.nn import functional

from GBMResponseTraining.evaluation.enhancement import enhancement_zones
from GBMResponseTraining.evaluation.held_out import read_held_out
from GBMResponseTraining.evaluation.metrics.proper import brier_score
from GBMResponseTraining.evaluation.score_baselines import best_masks, mask_rows
from GBMResponseTraining.evaluation.scores import Target, evidence_of
from GBMResponseTraining.evaluation.statistics.bootstrap import group_means
from GBMResponseTraining.evaluation.statistics.skill import skill_against_best

WINDOW, BATCH, LEARNING_RATE, CHECKS = 160, 16, 2e-3, 10
WIDTHS = (16, 32, 48, 64)
NOTHING = -20.0
"""Evidence outside of the region: surely nothing."""


class Windows(NamedTuple):
    """Windows of all slices (n, ...): what is seen (4, W, W), the truth and where it is scored (W, W)."""

    seen: torch.Tensor
    truth: torch.Tensor
    where: torch.Tensor


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
    """A U-Net at half the resolution, and one convolution at the whole."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(4, WIDTHS[0], 3, stride=2, padding=1)
        self.down = nn.ModuleList(Block(*pair) for pair in zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False))
        rest = zip(WIDTHS[:0:-1], WIDTHS[-2::-1], strict=True)
        self.up = nn.ModuleList(Block(deep + flat, flat) for deep, flat in rest)
        self.last = nn.Sequential(nn.Conv2d(WIDTHS[0] + 4, 16, 3, padding=1), nn.SiLU(), nn.Conv2d(16, 1, 1))

    def forward(self, seen: torch.Tensor) -> torch.Tensor:
        x, kept = self.stem(seen), []
        for number, block in enumerate(self.down):
            x = block(functional.avg_pool2d(x, 2) if number else x)
            kept.append(x)
        for block, other in zip(self.up, kept[-2::-1], strict=True):
            x = block(torch.cat([_twice(x), other], 1))
        return self.last(torch.cat([_twice(x), seen], 1))[:, 0]


def _twice(x: torch.Tensor) -> torch.Tensor:
    return functional.interpolate(x, scale_factor=2, mode="bilinear")


def target_of(store: Path, split: str, slices_per_patient: int | None = None) -> Target:
    rule = EnhancementRule.with_head(open_bundle(default_bundle()).enhancement_head)
    slices = read_held_out(store, split, slices_per_patient)
    return Target(slices, enhancement_zones(slices, rule), 1)


def windows_of(target: Target) -> Windows:
    """Around the region of every slice; outside a slice nothing is seen nor scored."""
    parts = zip(
        target.slices.pre, target.slices.gtv, target.zones, target.areas, evidence_of([target.slices.pre], target),
        strict=True,
    )  # fmt: skip
    found = []
    for pre, gtv, zone, area, evidence in parts:
        where = zone.voxels.where[0]
        distance, before = np.full(pre.shape, FARTHEST_MM, np.float32), np.full(pre.shape, NOTHING, np.float32)
        distance[where], before[where] = zone.voxels.distance_mm.clip(NEAREST_MM, FARTHEST_MM), evidence[0]
        truth = np.zeros(pre.shape, np.float32)
        truth[where] = area.enhancing
        level = (pre + 1.0) / max(zone.tissue.median, 0.05) - 1.0
        layers = (level.clip(-1.0, 2.0), gtv, distance / 10, np.tanh(before / 2), truth, where)
        found.append([_window(np.asarray(layer, np.float32), where) for layer in layers])
    stack = torch.from_numpy(np.array(found))
    if int(stack[:, 5].sum()) != sum(len(area.enhancing) for area in target.areas):
        raise SystemExit(f"A region does not fit into {WINDOW} pixels.")
    return Windows(stack[:, :4].contiguous(), stack[:, 4], stack[:, 5])


def _window(layer: np.ndarray, where: np.ndarray) -> np.ndarray:
    half = WINDOW // 2
    padded = np.pad(layer, half)
    rows, columns = (np.flatnonzero(where.any(axis=axis)) for axis in (1, 0))
    row, column = ((part[0] + part[-1]) // 2 if len(part) else half for part in (rows, columns))
    return padded[row : row + WINDOW, column : column + WINDOW]


def per_person(chances: list[np.ndarray], target: Target) -> np.ndarray:
    values = [brier_score(chance, area.enhancing) for chance, area in zip(chances, target.areas, strict=True)]
    return group_means(np.array(values), target.slices.person)


@torch.inference_mode()
def chances_of(network: Network, windows: Windows) -> list[np.ndarray]:
    network.eval()
    maps = torch.cat([torch.sigmoid(network(part)) for part in windows.seen.split(32)])
    return [chance[where > 0].numpy() for chance, where in zip(maps, windows.where, strict=True)]


def fit(train: Windows, validation: Windows, target: Target, steps: int) -> Network:
    network = Network()
    average, best = deepcopy(network), (np.inf, network)
    optimizer = torch.optim.AdamW(network.parameters(), LEARNING_RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for step in range(1, steps + 1):
        pick = torch.randint(len(train.seen), (BATCH,))
        parts = [train.seen[pick], train.truth[pick], train.where[pick]]
        for axis in (-1, -2):
            if torch.rand(1) < 0.5:
                parts = [part.flip(axis) for part in parts]
        if torch.rand(1) < 0.5:
            parts = [part.transpose(-1, -2) for part in parts]
        seen, truth, where = parts
        network.train()
        loss = functional.binary_cross_entropy_with_logits(network(seen), truth, reduction="none") * where
        loss = (loss.sum((1, 2)) / where.sum((1, 2)).clamp(min=50)).mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        with torch.no_grad():
            for old, new in zip(average.parameters(), network.parameters(), strict=True):
                old.lerp_(new, 1.0 - min(0.995, step / (step + 20)))
        if step == steps or step % max(1, steps // CHECKS) == 0:
            score = float(np.nanmean(per_person(chances_of(average, validation), target)))
            print(f"step {step}: Brier score of the validation patients {score:.4f}", flush=True)
            if score < best[0]:
                best = score, deepcopy(average)
    return best[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for split in ("train", "validation", "test"):
        parser.add_argument(f"--{split}", type=Path, required=True, metavar="STORE", help=f"with a split `{split}`")
    parser.add_argument("--steps", type=int, default=2000, help=f"of {BATCH} windows (default: %(default)s)")
    parser.add_argument("--max-slices", type=int, help="of each test patient, as `evaluate` takes them (default: all)")
    arguments = parser.parse_args()
    torch.manual_seed(1)
    targets = {split: target_of(getattr(arguments, split), split) for split in ("train", "validation")}
    targets["test"] = target_of(arguments.test, "test", arguments.max_slices)
    windows = {split: windows_of(target) for split, target in targets.items()}
    network = fit(windows["train"], windows["validation"], targets["validation"], arguments.steps)
    print(f"{len(windows['train'].seen)} slices, {sum(p.numel() for p in network.parameters()):,} weights")
    print("| patients | Brier score | blurred mask | skill | calibrated blurred mask | skill |")
    for split in ("validation", "test"):
        target = targets[split]
        learned = per_person(chances_of(network, windows[split]), target)
        cells = [f"{split}, {len(learned)}", f"{np.nanmean(learned):.4f}"]
        for row in mask_rows(target, *best_masks(target)):
            errors = row.per_patient(target.slices)["brier"]
            skill = skill_against_best(learned, {row.name: errors})
            interval = f"{skill['value']:.2f} [{skill['ci_low']:.2f}, {skill['ci_high']:.2f}]"
            cells += [f"{np.nanmean(errors):.4f}", interval]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
