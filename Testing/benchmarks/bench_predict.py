"""Time and peak memory of a prediction in a fresh process: load, predict, write, stage by stage.

python Testing/benchmarks/bench_predict.py [IMAGE GTV] [--gtv-slices N] [options of `gbmresponse predict`]

Default: the sample case. With `--gtv-slices` its slices that have GTV are interpolated to N, all with GTV.
"""

import argparse
import json
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore import cli

SAMPLE = Path(__file__).resolve().parents[2] / "GBMResponse" / "Resources" / "SampleData"


def with_slices(count: int, image: Path, gtv: Path, out: Path) -> tuple[Path, Path]:
    """Write the case with its GTV slices interpolated to `count` slices."""
    volume, mask = sitk.ReadImage(str(image), sitk.sitkFloat32), sitk.ReadImage(str(gtv))
    rows = np.flatnonzero(sitk.GetArrayViewFromImage(mask).any(axis=(1, 2)))
    first, last = int(rows[0]), int(rows[-1])
    volume, mask = volume[:, :, first : last + 1], mask[:, :, first : last + 1]
    spacing = list(volume.GetSpacing())
    spacing[2] *= (last - first) / (count - 1)
    grid = [[*volume.GetSize()[:2], count], sitk.Transform()]
    geometry = [volume.GetOrigin(), spacing, volume.GetDirection(), 0]
    paths = out / "image.nii.gz", out / "gtv.nii.gz"
    sitk.WriteImage(sitk.Resample(volume, *grid, sitk.sitkLinear, *geometry), str(paths[0]))
    sitk.WriteImage(sitk.Resample(mask, *grid, sitk.sitkNearestNeighbor, *geometry), str(paths[1]))
    return paths


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", nargs="?", default=SAMPLE / "btp05_pre_t1gd.nii.gz")
    parser.add_argument("gtv", nargs="?", default=SAMPLE / "btp05_pre_gtv.nii.gz")
    parser.add_argument("--gtv-slices", type=int, help="interpolate to so many slices")
    arguments, options = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        case, out = (arguments.image, arguments.gtv), Path(folder) / "out"
        if arguments.gtv_slices:
            case = with_slices(arguments.gtv_slices, *case, Path(folder))
        start = time.perf_counter()
        code = cli.main(["predict", "--image", str(case[0]), "--gtv", str(case[1]), "--out", str(out), *options])
        if code == 0:
            print("seconds:", json.loads((out / "provenance.json").read_text("utf-8"))["seconds"])
            print(f"all of it, without starting Python: {time.perf_counter() - start:.1f} s")
    # ru_maxrss is in kilobytes on Linux and in bytes on macOS
    unit = 1 if sys.platform == "darwin" else 1024
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9:.2f} GB")
    return code


if __name__ == "__main__":
    sys.exit(main())
