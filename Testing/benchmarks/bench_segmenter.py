"""Rules that find enhancing tissue, chosen on some scans and tried once on others, beside the rule in use.

python Testing/benchmarks/bench_segmenter.py --tune GROUP=SCANS ... --test GROUP=SCANS ...

SCANS: a table `id`, `image`, `gtv`, `mask`, and `label` where the mask has several; of a simulated cohort from
`Testing/tools/make_exact_masks.py`. Dice and volumes are those of the slices with GTV. Of each kind the rule with the
highest mean Dice on the first groups; then all scans, by the threshold in use and by the head that learned from those.
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
    """The box around the region: levels above black, smoothed as the rule in use does; mm from GTV and surface."""

    name: str
    levels: np.ndarray
    region: np.ndarray
    gtv: np.ndarray
    distance: np.ndarray
    depth: np.ndarray
    truth: np.ndarray
    around: np.ndarray
    true_count: int
    true_ml: float

    @cached_property
    def bases(self) -> dict[str, float]:
        low, median, high, bright = np.quantile(self.around, (0.25, 0.5, 0.75, 0.8))
        counts, edges = np.histogram(self.around[self.around > median], 40)
        white = edges[ndimage.gaussian_filter1d(counts.astype(float), 2.0).argmax()] + (edges[1] - edges[0]) / 2
        brightest = np.quantile(self.levels[self.gtv], 0.99) - median
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
        rule, deep = segmenter.rule, shown[:, None, None] & (depth >= segmenter.rule.rim_mm)
        around = levels[deep & (distance > rule.near_mm) & (distance <= rule.around_mm)]
        box = bounding_box(segmenter.region, (0, 8, 8))
        parts = (part[box] for part in (levels, segmenter.region, slices.gtv, distance, depth, truth))
        if truth.any():
            found.append(Scan(row["id"], *parts, around, int(truth.sum()), truth.sum() * np.prod(spacing) / 1000))
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
    for option in ("--tune", "--test"):
        parser.add_argument(option, nargs="+", required=True, metavar="GROUP=SCANS")
    arguments = parser.parse_args()
    groups = {name: scans_of(path) for name, path in (e.split("=", 1) for e in arguments.tune + arguments.test)}
    tuned = list(groups)[: len(arguments.tune)]
    head = trained_head([scan for name in tuned for scan in groups[name]])

    def scores(rule: tuple, name: str) -> np.ndarray:
        return np.array([scan.score(scan.found(rule, head)) for scan in groups[name]])

    def tuned_score(rule: tuple) -> float:
        return sum(scores(rule, name)[:, 0].mean() for name in tuned)

    best = [max(product((kind,), values, NEAR_MM, PARTS), key=tuned_score) for kind, values in VALUES.items()]
    print("| mean Dice, median size of the volume's error | " + " | ".join(f"{n}, {len(s)}" for n, s in groups.items()))
    for rule in (IN_USE, *best):
        found = (scores(rule, name) for name in groups)
        cells = (f"{entry[:, 0].mean():.2f}, {np.median(abs(entry[:, 1])):.0%}" for entry in found)
        print("| " + " ".join(map(str, rule)) + " | " + " | ".join(cells) + " |")
    for name, scans in groups.items():
        for scan, now, then in zip(scans, scores(IN_USE, name), scores(best[-1], name), strict=True):
            figures = (f"{scan.true_ml * (1 + error):.1f} | {error:+.0%} | {value:.2f}" for value, error in (now, then))
            print(f"| {name} {scan.name} | {scan.true_ml:.1f} | " + " | ".join(figures) + " |")


if __name__ == "__main__":
    main()
