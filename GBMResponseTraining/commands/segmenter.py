"""`gbmresponse-train segmenter`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    parser = commands.add_parser(
        "segmenter", help="fit the network by which a bundle finds enhancing tissue; then calibrate, evaluate and card"
    )
    parser.add_argument("configuration", help="no-class, predicted-2-class, 2-class, 4-class or 2-and-4-class")
    parser.add_argument("--run", dest="run_folder", type=Path, required=True, help="run folder")
    parser.add_argument(
        "--scans",
        type=Path,
        nargs="+",
        required=True,
        help="tables of scans, which count alike: id, image, gtv, mask, label where the mask has several, source",
    )
    parser.add_argument("--seed", type=int, default=1, help="of weights and voxels (default: %(default)s)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..bundles.segmenter import fit_segmenter
    from ..settings.model_configurations import model_configuration
    from ..stages.training_run import TrainingRun

    configuration = model_configuration(arguments.configuration)
    fitted = fit_segmenter(TrainingRun.reopen(arguments.run_folder), configuration, arguments.scans, arguments.seed)
    for name, dice in fitted.dice.items():
        print(f"{name}: mean Dice {dice:.2f} of the scans that it learned from.")
    print("Fit the probability of enhancement anew: gbmresponse-train calibrate.")
    return 0
