"""`gbmresponse-train realism SIMULATED_STORE REAL_STORE OUT`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    realism = commands.add_parser(
        "realism", help="can simulated tumors be told from real ones? A montage and a classifier, see docs/simulate.md"
    )
    realism.add_argument("simulated", type=Path, metavar="SIMULATED_STORE", help="slice store of simulated patients")
    realism.add_argument("real", type=Path, metavar="REAL_STORE", help="slice store of real patients")
    realism.add_argument("out", type=Path, metavar="OUT", help="folder of realism.md, realism.json and montage.png")
    realism.add_argument("--seed", type=int, default=0)
    realism.add_argument("--image", choices=("pre", "post", "both"), default="both", help="default: both, two tests")
    realism.add_argument("--steps", type=int, default=300, help="steps of every network's training (default 300)")
    realism.add_argument("--outline", action="store_true", help="draw the GTV in the montage")
    realism.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from GBMResponseCore.errors import OptionError

    from ..synthetic.realism.report import auc_table
    from ..synthetic.realism.run import IMAGES, check_realism

    if arguments.steps < 1:
        raise OptionError(
            f"{arguments.steps} steps train no network.", "Give --steps of 1 or more; 300 is the default."
        )
    images = IMAGES if arguments.image == "both" else (arguments.image,)
    report = check_realism(
        arguments.simulated, arguments.real, arguments.out, images, arguments.steps, arguments.seed, arguments.outline
    )
    for image, test in report["tests"].items():
        print(f"{image}:\n{auc_table(test)}")
    print(
        f"Real patients: {report['real']['patients']}. Read {arguments.out / 'realism.md'} before you quote a figure."
    )
    return 0
