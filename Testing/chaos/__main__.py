"""Cohorts under chaos, with the small bundle of the tests: cd Testing && python -m chaos [--cases 100] [NAME ...].

What is quoted in docs/reliability.md. Exits with 1 on any finding.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from tiny_bundle import write_tiny_bundle

from .cohort import Chaos, Outcome, python
from .patients import HEADS, write_patients
from .scale import thousands

KILLS = ["worker", "client", "worker", "client", "worker"]
RUNS = {
    "undisturbed": (1, []),
    "three workers and two clients killed": (1, KILLS),
    "the same, two clients at once": (2, KILLS),
}


def main() -> int:
    """Run what is named; returns 1 if anything was wrong."""
    parser = argparse.ArgumentParser(prog="chaos", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("names", nargs="*", help=f"of {', '.join([*RUNS, 'scale'])}; default: all")
    parser.add_argument("--cases", type=int, default=100)
    parser.add_argument("--slices", type=int, default=48, help="of a case; with 6 a case takes a tenth of a second")
    parser.add_argument("--workers", type=int, default=200, help="of the fake predictor")
    parser.add_argument("--many", type=int, default=10_000, help="cases of the fake predictor")
    arguments = parser.parse_args()
    names = arguments.names or [*RUNS, "scale"]
    wrong = []
    with tempfile.TemporaryDirectory(prefix="gbmresponse-chaos-") as scratch:
        folder = Path(scratch)
        if set(names) & set(RUNS):
            table = write_patients(folder / "images", arguments.cases, arguments.slices)
            bundle = write_tiny_bundle(folder / "bundle")
            options = ["--bundle", str(bundle), "--precision", "float32", "--no-montage", "--no-report"]
            options += ["--no-measurements", "--samples", "1", "--seed", "4"]
            truth = _single_runs(table.parent, options, folder / "single")
        for number, name in enumerate(name for name in names if name in RUNS):
            clients, kills = RUNS[name]
            out = folder / f"run{number}" / "out"
            out.mkdir(parents=True)
            command = python("-m", "GBMResponseCore", "cohort", str(table), "--out", str(out), *options)
            outcome = Chaos([*command, "--devices", "cpu", "cpu"], table, out, clients).run(kills)
            print(f"{name}: {outcome}", flush=True)
            wrong += _findings(outcome, out, truth, arguments.cases)
        if "scale" in names:
            print(thousands(folder / "scale", arguments.many, arguments.workers), flush=True)
    print("\n".join(wrong) or "No findings.")
    return bool(wrong)


def _single_runs(images: Path, options: list[str], out: Path) -> list[np.ndarray]:
    """The voxels of each patient, predicted alone."""
    from GBMResponseCore import cli

    voxels = []
    for number in range(HEADS):
        folder = out / str(number)
        files = ["--image", str(images / f"head{number}.nrrd"), "--gtv", str(images / "gtv.nrrd")]
        if cli.main(["predict", *files, "--out", str(folder), *options, "--device", "cpu"]) != 0:
            raise RuntimeError("a single prediction failed")
        voxels.append(_voxels(folder))
    return voxels


def _voxels(folder: Path) -> np.ndarray:
    files = (folder / "expected.nii.gz", folder / "predicted.nii.gz")
    return np.stack([sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in files])


def _findings(outcome: Outcome, out: Path, truth: list[np.ndarray], cases: int) -> list[str]:
    broken = cases // 10
    found = [f"made twice: {name}" for name in outcome.twice] + [f"left over: {name}" for name in outcome.left]
    if (outcome.done, sum(outcome.codes.values()), outcome.waiting) != (cases - broken, broken, 0):
        found.append(f"{outcome.done} done, {outcome.codes}, {outcome.waiting} not run")
    for number in range(cases):
        folder = out / f"case{number:05d}"
        if (folder / "provenance.json").is_file() and not np.array_equal(_voxels(folder), truth[number % HEADS]):
            found.append(f"other voxels than alone: {folder.name}")
    return found


if __name__ == "__main__":
    sys.exit(main())
