"""Command `gbmresponse-train`."""

import argparse
import errno
import logging
import sys
from collections.abc import Sequence

from GBMResponseCore import SYNTHETIC_NOTICE
from GBMResponseCore.errors import CancelledError, GBMResponseError, OutputFolderError
from GBMResponseCore.files import files_kept

from .commands import (
    calibrate,
    card,
    check_leakage,
    doctor,
    evaluate,
    experiment,
    export,
    finetune,
    import_checkpoint,
    import_cohort,
    prepare_anatomies,
    realism,
    reconstruction,
    segmenter,
    selftest,
    simulate,
    split,
    train,
)

# Libraries write logs of their own: a full disk ends those, too, in a sentence.
_NO_SPACE = (errno.ENOSPC, errno.EFBIG, getattr(errno, "EDQUOT", errno.ENOSPC))

COMMANDS = (
    import_cohort,
    check_leakage,
    split,
    train,
    export,
    finetune,
    evaluate,
    selftest,
    segmenter,
    calibrate,
    card,
    experiment,
    simulate,
    prepare_anatomies,
    realism,
    reconstruction,
    import_checkpoint,
    doctor,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one training command; returns its exit code."""
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    try:
        with files_kept():
            return arguments.run(arguments)
    except KeyboardInterrupt:
        return _report(
            CancelledError("Cancelled.", "Imports, simulations, trainings and evaluations go on if repeated.")
        )
    except GBMResponseError as error:
        return _report(error)
    except OSError as error:
        if error.errno not in _NO_SPACE:
            raise
        return _report(OutputFolderError(f"{error.strerror}."))


def _report(error: GBMResponseError) -> int:
    print(f"Error ({error.code}): {error.message}\n{error.remedy}", file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gbmresponse-train", description=SYNTHETIC_NOTICE)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands)
    return parser


if __name__ == "__main__":
    sys.exit(main())
