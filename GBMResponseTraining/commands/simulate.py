"""`gbmresponse-train simulate N OUT`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    simulate = commands.add_parser("simulate", help="simulate a cohort in CFB-GBM's layout, see docs/simulate.md")
    simulate.add_argument("patients", type=int, metavar="N", help="number of patients")
    simulate.add_argument("out", type=Path, metavar="OUT", help="folder of the cohort; start again to continue")
    simulate.add_argument(
        "--anatomies", required=True, metavar="DIR|phantom", help="folder of prepared heads, or an egg that needs none"
    )
    simulate.add_argument(
        "--use",
        nargs="+",
        default=[],
        type=_weighted,
        metavar="NAME[=WEIGHT]",
        help="anatomies to use (default: all whose origin is known)",
    )
    simulate.add_argument("--seed", type=int, default=0)
    simulate.add_argument("--processes", type=int, help="default: one per core")
    simulate.add_argument("--size", type=int, default=256, help="pixels per row and column (default 256)")
    simulate.add_argument(
        "--slices",
        type=_slices,
        default="whole",
        metavar="K|whole",
        help="K slices evenly spaced through the GTV, or the whole head (default)",
    )
    simulate.add_argument(
        "--censored",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="share of patients alive at last contact (cohort.csv)",
    )
    simulate.add_argument(
        "--same-scan",
        action="store_true",
        help="image the follow-up with the first visit's pose, appearance, coil and noise: only the disease changes",
    )
    simulate.add_argument(
        "--outcome",
        type=int,
        default=0,
        metavar="K",
        help="the same patients up to the pre-treatment image, and another course after it for every K (default 0)",
    )
    simulate.add_argument(
        "--report", action="store_true", help="print the cohort's statistics beside CFB-GBM's; OUT/calibration.md, .png"
    )
    simulate.add_argument("--montage", type=Path, metavar="FILE", help="write a PNG of 24 random slices")
    simulate.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..synthetic import AnatomyLibrary, SimulationSettings, choose_anatomies
    from ..synthetic.layout.montage import write_montage
    from ..synthetic.layout.report import write_calibration
    from ..synthetic.layout.simulation import CohortPlan, simulate_cohort

    weights = choose_anatomies(AnatomyLibrary(arguments.anatomies).names(), dict(arguments.use))
    settings = SimulationSettings(
        anatomies=tuple(weights),
        anatomy_weights=tuple(weights.values()),
        slices=arguments.slices,
        size=arguments.size,
        censored_share=arguments.censored,
        same_scan=arguments.same_scan,
        outcome=arguments.outcome,
    )
    plan = CohortPlan(arguments.patients, arguments.seed, arguments.anatomies, settings)
    records = simulate_cohort(plan, arguments.out, arguments.processes)
    if arguments.report:
        print(write_calibration(records, arguments.out))
    if arguments.montage:
        write_montage(arguments.out, [record["id"] for record in records], arguments.montage)
        print(f"Montage: {arguments.montage}")
    print(f"Simulated patients: {len(records)} (synthetic, see {arguments.out / 'README.md'})")
    print(f"Next: gbmresponse-train import cfb-gbm {arguments.out} STORE")
    return 0


def _weighted(text: str) -> tuple[str, float | None]:
    name, _, weight = text.partition("=")
    return name, float(weight) if weight else None


def _slices(text: str) -> int | None:
    return None if text == "whole" else int(text)
