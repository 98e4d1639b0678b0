"""`gbmresponse-train selftest CASES OUT`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "selftest", help="do measures report a change where nothing changed? See docs/evaluation.md"
    )
    parser.add_argument("cases", type=Path, metavar="CASES", help="table of cases as of `gbmresponse cohort`")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder of self_test.md and self_test.csv")
    parser.add_argument("--bundle", type=Path, help="default: the one that ships")
    parser.add_argument("--device", default="auto")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code: 0 if no measure reports a change."""
    from GBMResponseCore.files import ensure_output_folder
    from GBMResponseCore.inputs.case_table import read_case_table
    from GBMResponseCore.model.bundle import open_bundle
    from GBMResponseCore.model.manifest import default_bundle
    from GBMResponseCore.prediction import Predictor

    from ..evaluation.self_test import measure_unchanged, write_self_test

    cases = read_case_table(arguments.cases)
    predictor = Predictor(open_bundle(arguments.bundle or default_bundle()), arguments.device, "float32")
    out = ensure_output_folder(arguments.out)
    tested = measure_unchanged(cases, predictor)
    passed = write_self_test(tested, predictor.bundle.name, out)
    for case in tested:
        changes = case.error or "; ".join(case.changes("copy") + case.changes("autoencoder"))
        print(f"{case.identifier}: {changes or 'no change'}")
    print(f"Table: {out / 'self_test.md'}")
    return 0 if passed and not any(case.error for case in tested) else 1
