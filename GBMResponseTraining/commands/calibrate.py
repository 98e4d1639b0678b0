"""`gbmresponse-train calibrate`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    calibrate = commands.add_parser(
        "calibrate",
        help="fit a bundle's probability of enhancement and intervals on validation patients; then evaluate and card",
    )
    calibrate.add_argument("configuration", help="no-class, predicted-2-class, 2-class, 4-class or 2-and-4-class")
    calibrate.add_argument("--run", dest="run_folder", type=Path, required=True, help="run folder")
    calibrate.add_argument("--samples", type=int, default=8, help="of each slice (default: %(default)s)")
    calibrate.add_argument("--max-slices", type=int, default=1, help="of each patient (default: %(default)s)")
    calibrate.add_argument(
        "--store", type=Path, metavar="STORE", help="with the validation patients (default: the store of the run)"
    )
    calibrate.add_argument("--seed", type=int, default=1, help="of the noise (default: %(default)s)")
    calibrate.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from GBMResponseCore.errors import OptionError

    from ..bundles.probability import calibrate
    from ..settings.model_configurations import model_configuration
    from ..stages.training_run import TrainingRun

    if arguments.samples < 2 or arguments.max_slices < 1:
        raise OptionError("--samples must be 2 or more, and --max-slices 1 or more.")
    configuration = model_configuration(arguments.configuration)
    run, limits = TrainingRun.reopen(arguments.run_folder), (arguments.samples, arguments.max_slices)
    found = calibrate(run, configuration, *limits, arguments.seed, arguments.store)
    print(f"Probability of enhancement: {found.rule}.")
    print(
        f"Brier score on {found.patients} validation patients: {found.brier:.4f}; share of the samples alone "
        f"{found.shares:.4f}, mask alone {found.before:.4f}."
    )
    print(f"Intervals of volumes: {found.interval_factor:g} times as wide as the samples say.")
    return 0
