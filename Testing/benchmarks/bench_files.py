"""CPU seconds of checking an input of 320 x 320 x 320 voxels, and what reading written files again costs a run.

python Testing/benchmarks/bench_files.py [--repeats 3] [--samples N ...] [options of `gbmresponse predict`]

CPU seconds, of all threads: other work on the machine changes them little. A run is one of 40 GTV slices, see
bench_predict.py; its files are written several times in turn, with and without reading them again.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import SimpleITK as sitk
from bench_predict import SAMPLE, with_slices
from GBMResponseCore import cli, files, run
from GBMResponseCore.dicom.case import load_case

SIDE = 320


def head(folder: Path) -> tuple[Path, Path]:
    """Write a made-up head of 1 mm with noise, and its GTV."""
    axis = (np.arange(SIDE, dtype=np.float32) - SIDE / 2) / 100
    radius = np.sqrt(axis[:, None, None] ** 2 + (axis[:, None] / 0.8) ** 2 + (axis / 0.75) ** 2)
    noise = np.random.default_rng(0).normal(0, 12, radius.shape).astype(np.float32)
    voxels = np.abs(np.where(radius < 1, 500 - 200 * (radius > 0.9) + 60 * np.sin(9 * radius), 0) + noise)
    gtv = (axis[:, None, None] ** 2 + (axis[:, None] - 0.3) ** 2 + (axis + 0.3) ** 2) < 0.02
    paths = folder / "image.nii.gz", folder / "gtv.nii.gz"
    for path, array in zip(paths, (voxels.astype(np.int16), gtv.astype(np.uint8)), strict=True):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((0.7, 0.7, 0.7))
        sitk.WriteImage(image, str(path))
    return paths


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of a call."""
    start = time.process_time()
    work()
    return time.process_time() - start


def least(repeats: int, work: Callable[[], Any]) -> float:
    """The least of several calls: what the work itself costs."""
    return min(cpu(work) for _ in range(repeats))


def bench_input(folder: Path, repeats: int) -> None:
    """Print what reading costs, and what is left for checking."""
    image, gtv = head(folder)
    read = least(repeats, lambda: [sitk.ReadImage(str(path)) for path in (image, gtv)])
    whole = least(repeats, lambda: load_case(image, gtv))
    print(
        f"{SIDE}^3 voxels, .nii.gz of {image.stat().st_size / 1e6:.0f} MB, and its GTV: "
        f"load and check {whole:.2f} s of CPU, SimpleITK's reading alone {read:.2f} s"
    )


def bench_run(folder: Path, repeats: int, options: list[str]) -> None:
    """Print what a run costs, and its files with and without reading them again."""
    image, gtv = with_slices(40, SAMPLE / "btp05_pre_t1gd.nii.gz", SAMPLE / "btp05_pre_gtv.nii.gz", folder)
    write, spent = run.write_results, {True: [], False: []}
    unread = {name: mock.patch.object(files, name, lambda *_: None) for name in ("_compare_image", "_require_same")}

    def both(*arguments: Any) -> Any:
        for _ in range(repeats):
            spent[True].append(cpu(lambda: write(*arguments)))
            with unread["_compare_image"], unread["_require_same"]:
                spent[False].append(cpu(lambda: write(*arguments)))
        return write(*arguments)

    words = ["predict", "--image", str(image), "--gtv", str(gtv), "--out", str(folder / "out"), *options]
    with mock.patch.object(run, "write_results", both):
        whole = cpu(lambda: cli.main(words))
    whole -= sum(spent[True] + spent[False])
    verified, plain = min(spent[True]), min(spent[False])
    size = sum(path.stat().st_size for path in (folder / "out").rglob("*") if path.is_file()) / 1e6
    print(
        f"40 slices, {' '.join(options)}: {whole:.1f} s of CPU; {size:.0f} MB of files written in {verified:.2f} s, "
        f"without reading them again in {plain:.2f} s: {100 * (verified - plain) / whole:.1f} % of the run"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--samples", nargs="+", default=["0", "4"], help="a run for each")
    arguments, options = parser.parse_known_args()
    for samples in [None, *arguments.samples]:
        with tempfile.TemporaryDirectory() as folder:
            if samples is None:
                bench_input(Path(folder), arguments.repeats)
            else:
                bench_run(Path(folder), arguments.repeats, ["--samples", samples, *options])


if __name__ == "__main__":
    main()
