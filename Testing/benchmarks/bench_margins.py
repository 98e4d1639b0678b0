"""Margin curves of finished predictions of simulated patients, against what truly enhances after.

python Testing/benchmarks/bench_margins.py RUNS CASES SCANS

RUNS is the folder of `gbmresponse cohort CASES`, whose cases `gbmresponse score` has scored; SCANS the table of
`Testing/tools/make_exact_masks.py`. Part of the enhancement inside GTV + k mm, mean over cases: as predicted, as the
segmenter finds it in the follow-up, and of the exact mask, all in the predicted slices.
"""

import argparse
import csv
import json
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.inputs.case_table import read_case_table
from GBMResponseCore.inputs.slices import read_slices
from GBMResponseCore.measure.enhancement import EnhancementSegmenter
from GBMResponseCore.measure.planning import FRACTIONS, MARGINS_MM, SKULL_MM, covered, margin_distance
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle
from GBMResponseCore.outputs.write import SCORE

SHOWN = (0, 2, 5, 10, 15, 20)


def exact_curve(image: Path, gtv: Path, mask: Path) -> list[float] | None:
    bundle, case = open_bundle(default_bundle()), load_case(image, gtv)
    slices = read_slices(case, bundle.in_plane_rule, bundle.normalization)
    pre, spacing = slices.scale.normalize(slices.stack), slices.grid.spacing[::-1]
    depth = EnhancementSegmenter(pre, slices.gtv, slices.generated, spacing).depth_mm
    truth = slices.grid.to_stack(sitk.ReadImage(str(mask)), label=True) & slices.generated[:, None, None]
    return covered(truth.astype(np.float32), margin_distance(slices.gtv, spacing, depth >= SKULL_MM), MARGINS_MM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("runs", "cases", "scans"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    masks = {row["image"]: Path(row["mask"]) for row in csv.DictReader(arguments.scans.open(encoding="utf-8"))}
    curves = []
    for case in read_case_table(arguments.cases):
        record = json.loads((arguments.runs / case.identifier / SCORE).read_text(encoding="utf-8"))
        plans = next(iter(record["classes"].values()))["planning"], record["true_planning"]
        found = [plan["covered"] for plan in plans]
        found.append(exact_curve(case.image, case.gtv, masks[str(case.follow_up)]))
        curves += [found] if all(found) else []
    values = np.array(curves)  # (cases, 3, margins)
    print(f"| {len(values)} cases | " + " | ".join(f"{margin} mm" for margin in SHOWN) + " |")
    for row, name in enumerate(("predicted", "found in the follow-up", "exact")):
        print(f"| {name} | " + " | ".join(f"{value:.0%}" for value in values[:, row, SHOWN].mean(axis=0)) + " |")
    away = np.abs(values[:, 0, SHOWN] - values[:, 2, SHOWN]).mean(axis=0)
    print("| predicted away from exact, mean of cases | " + " | ".join(f"{value:.0%}" for value in away) + " |")
    for part in FRACTIONS:
        reached = [int(np.argmax(curve >= part - 1e-9)) if curve[-1] >= part else None for curve in values[:, 0]]
        held = [values[i, 2, margin] >= part for i, margin in enumerate(reached) if margin is not None]
        print(f"margin of {part:.0%} of the prediction covers that part of the exact mask: {sum(held)} of {len(held)}")


if __name__ == "__main__":
    main()
