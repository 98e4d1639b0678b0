"""`gbmresponse-train split`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    split = commands.add_parser("split", help="split the patients of a slice store for all stages")
    split.add_argument("store", type=Path, help="folder of the slice store; patient_split.csv is kept there")
    split.add_argument("--seed", type=int, default=0)
    split.add_argument(
        "--shares",
        type=float,
        nargs=3,
        default=(80, 10, 10),
        metavar=("TRAIN", "VALIDATION", "TEST"),
        help="percent of the patients (default 80 10 10); 0 0 100 makes a store for testing alone",
    )
    split.add_argument(
        "--same-patient", type=Path, metavar="CSV", help="columns patient and same_as: ids of one person"
    )
    split.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..store.leakage import groups_within, read_same_patient
    from ..store.slice_store import read_patients
    from ..store.splits import SPLIT_FILE, SPLITS, SplitError, has_known_survival, split_store, survival_thresholds

    if abs(sum(arguments.shares) - 100) > 1e-6:
        raise SplitError(f"The shares sum to {sum(arguments.shares):g} percent.", "Give three that sum to 100.")
    held_out = (arguments.shares[1] / 100, arguments.shares[2] / 100)
    patients = read_patients(arguments.store)
    same_patient = groups_within(read_same_patient(arguments.same_patient), patients) if arguments.same_patient else []
    split = split_store(arguments.store, patients, arguments.seed, same_patient, held_out)
    for name in SPLITS:
        print(f"{name}: {sum(value == name for value in split.values())}")
    if not any(split[record["id"]] == "train" and has_known_survival(record) for record in patients):
        print("No training patient has a known survival: only models without class can be trained.")
        print(f"Split: {arguments.store / SPLIT_FILE}")
        return 0
    for classes in (2, 4):
        days = ", ".join(f"{value:.1f}" for value in survival_thresholds(patients, split, classes))
        print(f"Survival thresholds of {classes} classes, from training patients, in days: {days}")
    print(f"Split: {arguments.store / SPLIT_FILE}")
    return 0
