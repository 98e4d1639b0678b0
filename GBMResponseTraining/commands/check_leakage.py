"""`gbmresponse-train check-leakage`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    check = commands.add_parser(
        "check-leakage", help="make sure that no person is in two splits of the stores that are used together"
    )
    check.add_argument("stores", type=Path, nargs="*", metavar="STORE", help="slice store with a patient_split.csv")
    check.add_argument("--same-patient", type=Path, metavar="CSV", help="columns patient and same_as, ids DATASET:ID")
    check.add_argument(
        "--test", type=Path, nargs="+", default=[], metavar="STORE", help="stores that are used for testing as a whole"
    )
    check.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from GBMResponseCore.errors import OptionError

    from ..store.leakage import check_stores, read_same_patient

    if not (arguments.stores or arguments.test):
        raise OptionError("No store was named.")
    same_patient = read_same_patient(arguments.same_patient) if arguments.same_patient else []
    report = check_stores(arguments.stores, same_patient, arguments.test)
    print("No person is in two splits.")
    for split, count in report.patients.items():
        print(f"{split}: {count}")
    for group in report.shared:
        print(f"One person, in one split: {', '.join(group)}")
    return 0
