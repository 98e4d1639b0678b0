"""A slice store as another hospital might have it: other contrast, and tumors that grow more.

Made from the store of a simulated cohort: intensities are bent (a power of the brightness above black), and the
patients whose GTV grew least from visit to visit are left out. Both the pictures and the disease are then distributed
otherwise than a model of the first store has learned. Synthetic, as the store that it is made of.
"""

import argparse
from pathlib import Path

import numpy as np

from GBMResponseTraining.store.slice_store import as_float32, open_store, write_store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", type=Path, help="slice store of a simulated cohort")
    parser.add_argument("out", type=Path, help="folder of the new store")
    parser.add_argument("--gamma", type=float, default=1.5, help="power of the brightness; 1 leaves the contrast")
    parser.add_argument(
        "--growing", type=float, default=0.5, help="share of the patients to keep, those that grow most"
    )
    arguments = parser.parse_args()
    store = open_store(arguments.store)
    growth = np.array([record["post_gtv_volume_ml"] / record["gtv_volume_ml"] for record in store.patients])
    kept = np.sort(np.argsort(-growth, kind="stable")[: max(1, round(arguments.growing * len(growth)))])
    rows = np.flatnonzero(np.isin(store.patient, kept))
    pre, post = (_bent(array[rows], arguments.gamma) for array in (store.pre, store.post))
    patient = np.searchsorted(kept, np.asarray(store.patient)[rows])
    changes = f"brightness to the power of {arguments.gamma:g}, the {arguments.growing:.0%} that grow most"
    patients = [dict(store.patients[number]) for number in kept]
    for record in patients:
        record["dataset"] = f"{record['dataset']}, as another hospital's: {changes}"
    write_store(arguments.out, pre, post, np.asarray(store.gtv[rows]), patient, patients)
    medians = f"{np.median(growth):.2f} before, {np.median(growth[kept]):.2f} now"
    print(f"Patients: {len(kept)} of {len(growth)}. Growth of the GTV, median ratio: {medians}.")
    print(f"Store: {arguments.out}")


def _bent(slices: np.ndarray, gamma: float) -> np.ndarray:
    """Normalized slices (n, H, W) whose black and white stay where they are."""
    return 2.0 * ((as_float32(slices) + 1.0) / 2.0).clip(0.0) ** gamma - 1.0


if __name__ == "__main__":
    main()
