"""`gbmresponse-train demo-bundle`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    demo = commands.add_parser("demo-bundle", help="train the small bundle that ships with the extension")
    demo.add_argument("--out", type=Path, required=True, help="run folder; start again to continue")
    demo.add_argument("--anatomies", type=Path, required=True, help="folder of prepared anatomies (*.npz)")
    demo.add_argument("--real", type=Path, help="folder of real cases <case>/{pre,post}_t1gd.nii.gz")
    demo.add_argument("--recipe", choices=("demo", "smoke"), default="demo")
    demo.add_argument("--processes", type=int, help="processes of the simulation (default: one per core)")
    demo.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..demo_bundle import DemoBundleRun
    from ..recipes import RECIPES

    run = DemoBundleRun(
        RECIPES[arguments.recipe], arguments.out, arguments.anatomies, arguments.real, arguments.processes
    )
    bundle = run.run()
    print(f"Bundle: {bundle}")
    return 0
