"""Command `gbmresponse-train`."""

import argparse
import logging
import sys
from collections.abc import Sequence

from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.errors import GBMResponseError

from .commands import (
    check_leakage,
    evaluate,
    experiment,
    export,
    import_checkpoint,
    import_cohort,
    prepare_anatomies,
    simulate,
    split,
    train,
)

COMMANDS = (
    import_cohort,
    check_leakage,
    split,
    train,
    export,
    evaluate,
    experiment,
    simulate,
    prepare_anatomies,
    import_checkpoint,
)


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
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
