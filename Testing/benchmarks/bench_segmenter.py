"""Rules that find enhancing tissue, chosen on some scans and tried once on others, beside the rule in use.

python Testing/benchmarks/bench_segmenter.py --tune GROUP=SCANS ... --test GROUP=SCANS ...

SCANS is a table: `id`, `image`, `gtv`, `mask`, and `label` where the mask has several; that of a simulated cohort comes
from `Testing/tools/make_exact_masks.py`. A follow-up stands beside the GTV of before treatment, as a prediction does.
Scans count alike within a group, groups count alike. Dice and volumes are those of the slices with GTV. A rule of each
kind is chosen by its Dice on the first groups, where that of the trained head is one of voxels it has learned from.
"""

import argparse
import csv
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.inputs.preprocessing import bounding_box
from GBMResponseCore.inputs.slices import read_slices
from GBMResponseCore.measure.enhancement import EnhancementSegmenter, signed_distance
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle
from scipy import ndimage

IN_USE = ("median", 1.25, 12.0, "all")
VALUES = {
    "median": (1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4),
    "80th percentile": (1.0, 1.025, 1.05, 1.075, 1.1, 1.15, 1.2),
    "white matter": (1.0, 1.05, 1.1, 1.15, 1.2, 1.25),
    "quartile ranges": (0.8, 1.2, 1.6, 2.0, 2.5),
    "part of the GTV's brightest": (0.2, 0.3, 0.4, 0.5),
    "head": (0.3, 0.4, 0.5, 0.6),
}
NEAR_MM, PARTS = (4.0, 8.0, 12.0), ("all", "touching", "opened")


@dataclass
class Scan:
    """The box around the region: levels above black, smoothed as the rule in use does; mm from GTV and surface.

    `around` holds the levels of the tissue around, `true_count` the voxels of the mask, also those outside the box.
    """

    name: str
    levels: np.ndarray
    region: np.ndarray
    gtv: np.ndarray
    distance: np.ndarray
    depth: np.ndarray
    truth: np.ndarray
    around: np.ndarray
    true_count: int
    voxel_ml: float

    @cached_property
    def bases(self) -> dict[str, float]:
        low, median, high, bright = np.quantile(self.around, (0.25, 0.5, 0.75, 0.8))
        counts, edges = np.histogram(self.around[self.around > median], 40)
        peak = int(ndimage.gaussian_filter1d(counts.astype(float), 2.0).argmax())
        brightest = np.quantile(self.levels[self.gtv], 0.99) - median
        white = edges[peak : peak + 2].mean()
        return dict(zip(VALUES, (median, bright, white, high - low, brightest), strict=False))  # the head has none

    @cached_property
    def features(self) -> torch.Tensor:
        """Of the region's voxels (n, 12), in units of the tissue around."""
        level = self.levels / self.bases["median"]
        maps = [level, *(ndimage.gaussian_filter(level, (0.0, s, s)) for s in (2.0, 4.0, 8.0))]
        maps += [ndimage.gaussian_gradient_magnitude(level, (0.0, 1.0, 1.0)), ndimage.white_tophat(level, (1, 7, 7))]
        maps += [ndimage.black_tophat(level, (1, 7, 7)), self.distance.clip(-12, 12) / 10, self.depth.clip(0, 60) / 30]
        whole = [self.bases["quartile ranges"] / self.bases["median"], *np.quantile(level[self.gtv], (0.5, 0.95))]
        rows = [entry[self.region] for entry in maps] + [np.full(self.region.sum(), value) for value in whole]
        return torch.tensor(np.stack(rows, 1), dtype=torch.float32)

    def found(self, rule: tuple, head: torch.nn.Module) -> np.ndarray:
        kind, value, near, parts = rule
        mask = self.region & (self.distance <= near)
        if kind == "head":
            with torch.inference_mode():
                mask[self.region] &= head(self.features)[:, 0].sigmoid().numpy() > value
        else:
            added = self.bases["median"] if kind in ("quartile ranges", "part of the GTV's brightest") else 0.0
            mask &= self.levels > added + value * self.bases[kind]
        if parts == "opened":
            mask &= self.gtv | ndimage.binary_opening(mask, np.ones((1, 3, 3)))
        if parts == "touching":
            labels, _ = ndimage.label(mask, np.ones((3, 3, 3)))
            mask = np.isin(labels, np.unique(labels[mask & self.gtv]))
        return mask

    def score(self, mask: np.ndarray) -> tuple[float, float]:
        """Dice with the truth; volume beyond the truth's, relative to it."""
        return 2 * (mask & self.truth).sum() / (mask.sum() + self.true_count), mask.sum() / self.true_count - 1.0


def scans_of(path: str) -> list[Scan]:
    """Scans of a table in which anything enhances in the slices with GTV."""
    bundle, found = open_bundle(default_bundle()), []
    for row in csv.DictReader(Path(path).open(encoding="utf-8")):
        case, mask = load_case(Path(row["image"]), Path(row["gtv"])), sitk.ReadImage(row["mask"])
        slices = read_slices(case, bundle.in_plane_rule, bundle.normalization)
        pre, spacing, shown = slices.scale.normalize(slices.stack), slices.grid.spacing[::-1], slices.generated
        truth = slices.grid.to_stack(mask == int(row["label"]) if row.get("label") else mask > 0, label=True)
        truth &= shown[:, None, None]
        segmenter = EnhancementSegmenter(pre, slices.gtv, shown, spacing)
        levels = 1.0 + ndimage.gaussian_filter(pre, segmenter.rule.smoothing_pixels(spacing))
        distance, depth = signed_distance(slices.gtv, spacing), segmenter.depth_mm
        around = levels[shown[:, None, None] & (depth >= segmenter.rule.rim_mm) & (abs(distance - 28.5) < 16.5)]
        box = bounding_box(segmenter.region, (0, 8, 8))
        parts = (part[box] for part in (levels, segmenter.region, slices.gtv, distance, depth, truth))
        if truth.any():
            found.append(Scan(row["id"], *parts, around, int(truth.sum()), float(np.prod(spacing)) / 1000))
    return found


def trained_head(scans: list[Scan]) -> torch.nn.Module:
    """A network of the features of one voxel, trained on as many voxels of each scan."""
    torch.manual_seed(1)
    picks = [torch.randint(len(scan.features), (4000,)) for scan in scans]
    x = torch.cat([scan.features[pick] for scan, pick in zip(scans, picks, strict=True)])
    y = torch.cat([torch.from_numpy(s.truth[s.region])[pick] for s, pick in zip(scans, picks, strict=True)]).float()
    layers = torch.nn.Linear(x.shape[1], 32), torch.nn.ReLU(), torch.nn.Linear(32, 1)
    network = torch.nn.Sequential(torch.nn.BatchNorm1d(x.shape[1]), *layers)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=0.01)
    for _ in range(600):
        pick = torch.randint(len(x), (4096,))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(network(x[pick])[:, 0], y[pick])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tune", nargs="+", required=True, metavar="GROUP=SCANS")
    parser.add_argument("--test", nargs="+", default=[], metavar="GROUP=SCANS")
    arguments = parser.parse_args()
    groups = {name: scans_of(path) for name, path in (e.split("=", 1) for e in arguments.tune + arguments.test)}
    tuned = list(groups)[: len(arguments.tune)]
    head = trained_head([scan for name in tuned for scan in groups[name]])

    def scores(rule: tuple, name: str) -> np.ndarray:
        return np.array([scan.score(scan.found(rule, head)) for scan in groups[name]])

    def tuned_score(rule: tuple) -> float:
        return sum(scores(rule, name)[:, 0].mean() for name in tuned)

    best = [max(product((kind,), values, NEAR_MM, PARTS), key=tuned_score) for kind, values in VALUES.items()]
    print("Mean Dice; median volume error | " + " | ".join(f"{n}, {len(scans)}" for n, scans in groups.items()))
    for rule in (IN_USE, *best):
        found = (scores(rule, name) for name in groups)
        cells = (f"{entry[:, 0].mean():.2f}; {np.median(entry[:, 1]):+.0%}" for entry in found)
        print("| " + " ".join(map(str, rule)) + " | " + " | ".join(cells) + " |")
    for name, scans in groups.items():
        for scan, (value, error) in zip(scans, scores(IN_USE, name), strict=True):
            true = scan.true_count * scan.voxel_ml
            print(f"| {name} {scan.name} | {true:.1f} | {true * (1 + error):.1f} | {error:+.0%} | {value:.2f} |")


if __name__ == "__main__":
    main()
