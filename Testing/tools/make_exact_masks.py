"""Exact masks of what enhances in a simulated cohort, and the table of its scans for `bench_segmenter.py`.

The follow-up stands beside the GTV of before treatment, as a prediction does. The heads are those of the simulation.

    python Testing/tools/make_exact_masks.py COHORT ANATOMIES OUT [--patients N] [--split STORE/patient_split.csv]
"""

import argparse
import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.files import write_csv, write_image

from GBMResponseTraining.store.splits import read_split
from GBMResponseTraining.synthetic import AnatomyLibrary, SimulationSettings, enhancing_masks

SOURCE = "simulated patients"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cohort", type=Path, help="folder that `gbmresponse-train simulate` made")
    parser.add_argument("anatomies", help="folder of prepared heads, or `phantom`")
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", type=int, help="the first N; default: all")
    parser.add_argument("--split", type=Path, help="table of a slice store: of the patients, those of training alone")
    arguments = parser.parse_args()
    known = json.loads((arguments.cohort / "simulation.json").read_text(encoding="utf-8"))
    # Settings that a cohort does not name are younger than it, and were as by default.
    names = [entry.name for entry in fields(SimulationSettings) if entry.name in known["simulation"]]
    values = {name: known["simulation"][name] for name in names}
    settings = SimulationSettings(**{name: tuple(v) if isinstance(v, list) else v for name, v in values.items()})
    library, rows = AnatomyLibrary(arguments.anatomies), []
    arguments.out.mkdir(parents=True, exist_ok=True)
    split = dict(read_split(arguments.split)) if arguments.split else {}
    for number in range(1, (arguments.patients or known["patients"]) + 1):
        if split and split.get(str(number)) != "train":
            continue
        folder = arguments.cohort.absolute() / "data" / str(number)
        paths = [arguments.out.absolute() / f"{number}_{visit}_enhancing.nii.gz" for visit in ("t0", "t1")]
        if not all(path.is_file() for path in paths):
            seed = json.loads((folder / f"{number}_truth.json").read_text(encoding="utf-8"))["seed"]
            for path, mask in zip(paths, enhancing_masks(seed, library, settings), strict=True):
                image = sitk.GetImageFromArray(mask.astype(np.uint8))
                image.CopyInformation(sitk.ReadImage(str(folder / "t0" / f"{number}_t0_gtv.nii.gz")))
                write_image(image, path)
        for visit, path in zip(("t0", "t1"), paths, strict=True):
            image, gtv = folder / visit / f"{number}_{visit}_t1gd.nii.gz", folder / "t0" / f"{number}_t0_gtv.nii.gz"
            rows.append({"id": f"{number} {visit}", "image": image, "gtv": gtv, "mask": path, "source": SOURCE})
    if not rows:
        raise SystemExit("No patient of the cohort is a training patient of the split.")
    write_csv(tuple(rows[0]), rows, arguments.out / "scans.csv")


if __name__ == "__main__":
    main()
