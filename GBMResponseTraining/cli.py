"""Command `gbmresponse-train`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.errors import GBMResponseError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one training command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        return arguments.run(arguments)
    except GBMResponseError as error:
        print(f"Error ({error.code}): {error.message}\n{error.remedy}", file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gbmresponse-train", description=SYNTHETIC_NOTICE)
    commands = parser.add_subparsers(dest="command", required=True)

    demo = commands.add_parser("demo-bundle", help="train the small bundle that ships with the extension")
    demo.add_argument("--out", type=Path, required=True, help="run folder; start again to continue")
    demo.add_argument("--anatomies", type=Path, required=True, help="folder of prepared anatomies (*.npz)")
    demo.add_argument("--real", type=Path, help="folder of real cases <case>/{pre,post}_t1gd.nii.gz")
    demo.add_argument("--recipe", choices=("demo", "smoke"), default="demo")
    demo.add_argument("--processes", type=int, help="processes of the simulation (default: one per core)")
    demo.set_defaults(run=_demo_bundle)
    return parser


def _demo_bundle(arguments: argparse.Namespace) -> int:
    from .demo_bundle import DemoBundleRun
    from .recipes import RECIPES

    run = DemoBundleRun(
        RECIPES[arguments.recipe], arguments.out, arguments.anatomies, arguments.real, arguments.processes
    )
    bundle = run.run()
    print(f"Bundle: {bundle}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
