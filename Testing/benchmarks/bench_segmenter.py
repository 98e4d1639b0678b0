"""Rules that find enhancing tissue, chosen on some scans and tried once on others, beside the rule in use.

python Testing/benchmarks/bench_segmenter.py --tune GROUP=SCANS ... --test GROUP=SCANS ...

SCANS: a table `id`, `image`, `gtv`, `mask`, and `label` where the mask has several; of a simulated cohort from
`Testing/tools/make_exact_masks.py`. Dice and volumes are those of the slices with GTV. Of each kind the rule with the
highest mean Dice on the first groups; then all scans, by the threshold of bundles without a head and by a head that
`gbmresponse-train segmenter` fits on those.
"""

import argparse
import csv
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.inputs.preprocessing import bounding_box
from GBMResponseCore.inputs.slices import read_slices
from GBMResponseCore.measure.enhancement import EnhancementSegmenter
from GBMResponseCore.measure.enhancement_head import EnhancementHead
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle
from scipy import ndimage

from GBMResponseTraining.bundles import segmenter

THRESHOLD, HEAD = ("median", 1.25, 12.0, "all"), ("head", 0.0, 12.0, "all")
"""What bundles use."""
VALUES = {
    "median": (1.0, 1.05, 1.1, 1.15, 1.2, 1.25, 1.3, 1.4),
    "80th percentile": (1.0, 1.025, 1.05, 1.075, 1.1, 1.15, 1.2),
    "white matter": (1.0, 1.05, 1.1, 1.15, 1.2, 1.25),
    "quartile ranges": (0.8, 1.2, 1.6, 2.0, 2.5),
    "part of the GTV's brightest": (0.2, 0.3, 0.4, 0.5),
}
NEAR_MM, PARTS = (4.0, 8.0, 12.0), ("all", "touching", "opened")


@dataclass
class Scan:
    """The box around the region: levels above black, smoothed as the segmenter does; mm from the GTV."""

    name: str
    levels: np.ndarray
    region: np.ndarray
    gtv: np.ndarray
    distance: np.ndarray
    truth: np.ndarray
    around: np.ndarray
    true_count: int
    true_ml: float
    rows: np.ndarray

    @cached_property
    def bases(self) -> dict[str, float]:
        low, median, high, bright = np.quantile(self.around, (0.25, 0.5, 0.75, 0.8))
        counts, edges = np.histogram(self.around[self.around > median], 40)
        white = edges[ndimage.gaussian_filter1d(counts.astype(float), 2.0).argmax()] + (edges[1] - edges[0]) / 2
        brightest = np.quantile(self.levels[self.gtv], 0.99) - median
        return dict(zip(VALUES, (median, bright, white, high - low, brightest), strict=True))

    def found(self, rule: tuple, head: EnhancementHead) -> np.ndarray:
        kind, value, near, parts = rule
        mask = self.region & (self.distance <= near)
        if kind == "head":
            mask[self.region] &= head.logits(self.rows) > value
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
    learned = {scan.name: scan for scan in segmenter.read_scans(Path(path), bundle)}
    for row in csv.DictReader(Path(path).open(encoding="utf-8")):
        case, mask = load_case(Path(row["image"]), Path(row["gtv"])), sitk.ReadImage(row["mask"])
        slices = read_slices(case, bundle.in_plane_rule, bundle.normalization)
        pre, spacing, shown = slices.scale.normalize(slices.stack), slices.grid.spacing[::-1], slices.generated
        truth = slices.grid.to_stack(mask == int(row["label"]) if row.get("label") else mask > 0, label=True)
        truth &= shown[:, None, None]
        case = EnhancementSegmenter(pre, slices.gtv, shown, spacing)
        levels = 1.0 + ndimage.gaussian_filter(pre, case.rule.smoothing_pixels(spacing))
        rule, distance = case.rule, case.distance_mm
        deep = shown[:, None, None] & (case.depth_mm >= rule.rim_mm)
        around = levels[deep & (distance > rule.near_mm) & (distance <= rule.around_mm)]
        box = bounding_box(case.region, (0, 8, 8))
        parts = (part[box] for part in (levels, case.region, slices.gtv, distance, truth))
        if row["id"] in learned:
            size, of_head = truth.sum() * np.prod(spacing) / 1000, learned[row["id"]]
            found.append(Scan(row["id"], *parts, around, int(truth.sum()), size, of_head.rows[of_head.near]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for option in ("--tune", "--test"):
        parser.add_argument(option, nargs="+", required=True, metavar="GROUP=SCANS")
    arguments = parser.parse_args()
    groups = {name: scans_of(path) for name, path in (e.split("=", 1) for e in arguments.tune + arguments.test)}
    tuned = list(groups)[: len(arguments.tune)]
    paths = dict(entry.split("=", 1) for entry in arguments.tune)
    bundle = open_bundle(default_bundle())
    learning = {name: segmenter.read_scans(Path(path), bundle) for name, path in paths.items()}
    head = segmenter.fit_head(learning).head

    def scores(rule: tuple, name: str) -> np.ndarray:
        return np.array([scan.score(scan.found(rule, head)) for scan in groups[name]])

    def tuned_score(rule: tuple) -> float:
        return sum(scores(rule, name)[:, 0].mean() for name in tuned)

    best = [max(product((kind,), values, NEAR_MM, PARTS), key=tuned_score) for kind, values in VALUES.items()]
    best.append(HEAD)
    print("| mean Dice, median size of the volume's error | " + " | ".join(f"{n}, {len(s)}" for n, s in groups.items()))
    for rule in (THRESHOLD, *best):
        found = (scores(rule, name) for name in groups)
        cells = (f"{entry[:, 0].mean():.2f}, {np.median(abs(entry[:, 1])):.0%}" for entry in found)
        print("| " + " ".join(map(str, rule)) + " | " + " | ".join(cells) + " |")
    for name, scans in groups.items():
        for scan, now, then in zip(scans, scores(THRESHOLD, name), scores(HEAD, name), strict=True):
            figures = (f"{scan.true_ml * (1 + error):.1f} | {error:+.0%} | {value:.2f}" for value, error in (now, then))
            print(f"| {name} {scan.name} | {scan.true_ml:.1f} | " + " | ".join(figures) + " |")


if __name__ == "__main__":
    main()
