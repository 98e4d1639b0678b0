"""Command `gbmresponse`: predict one case or a cohort without 3D Slicer.

Exit codes: 0 done, 2 wrong usage, 130 cancelled; every other failure has its own code: docs/troubleshooting.md.
"""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import SYNTHETIC_NOTICE, __version__
from .cli_options import add_machine_options, add_model_options, add_output_options, shared_fields
from .errors import CancelledError, GBMResponseError
from .progress import RunListener, RunProgress
from .request import PREDICTED_CLASS, PredictionRequest
from .run import Runner

_PREDICTING = ("prepare", "encode", "classify", "sample", "assemble")
"""Stages that count as predicting, in the times that are printed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    arguments = _parser().parse_args(argv, argparse.Namespace(argv=argv))
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.WARNING, format="%(message)s")
    try:
        arguments.run(arguments)
    except KeyboardInterrupt:
        return _report(CancelledError("Cancelled; finished slices are kept and the same command continues."))
    except GBMResponseError as error:
        return _report(error)
    return 0


def _report(error: GBMResponseError) -> int:
    print(f"Error ({error.code}): {error.message}\n{error.remedy}", file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gbmresponse", description=SYNTHETIC_NOTICE)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    _add_predict(commands)
    _add_cohort(commands)
    return parser


def _add_predict(commands: Any) -> None:
    parser = commands.add_parser(
        "predict", help="predict the follow-up MRI of one case", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    inputs = parser.add_argument_group("inputs and output")
    inputs.add_argument("--image", type=Path, required=True, help="pre-treatment T1-Gd (NIfTI, NRRD, MetaImage)")
    inputs.add_argument("--gtv", type=Path, required=True, help="GTV mask, on any grid of the same patient")
    inputs.add_argument("--follow-up", type=Path, help="true follow-up T1-Gd, shown beside the prediction and scored")
    inputs.add_argument("--out", type=Path, required=True, help="output folder")
    add_output_options(inputs)
    model = add_model_options(parser)
    model.add_argument(
        "--class",
        dest="classes",
        nargs="+",
        default=[PREDICTED_CLASS],
        help="class name, or 'predicted'; several names are compared under the same noise, each in its own folder",
    )
    add_machine_options(parser).add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1, mps")
    parser.add_argument("--verbose", action="store_true", help="say more")
    parser.set_defaults(run=_predict)


def _add_cohort(commands: Any) -> None:
    parser = commands.add_parser(
        "cohort",
        help="predict all cases of a table; a rerun continues",
        description="Exit code 0 if all cases succeeded, 3 if some failed: see summary.csv. Columns: docs/batch.md.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("table", type=Path, help="CSV with the columns id, image, gtv and, if wanted, follow_up, class")
    parser.add_argument("--out", type=Path, required=True, help="output folder; each case gets a folder in it")
    add_output_options(parser.add_argument_group("output"))
    add_model_options(parser)
    machine = add_machine_options(parser)
    machine.add_argument(
        "--devices", nargs="+", default=["auto"], help="one process for each, for example cuda:0 cuda:1"
    )
    parser.add_argument("--part", help=argparse.SUPPRESS)
    parser.add_argument("--verbose", action="store_true", help="say more")
    parser.set_defaults(run=_cohort)


def _predict(arguments: argparse.Namespace) -> None:
    request = PredictionRequest(
        image=arguments.image,
        gtv=arguments.gtv,
        follow_up=arguments.follow_up,
        out=arguments.out,
        classes=tuple(arguments.classes),
        device=arguments.device,
        **shared_fields(arguments),
    )
    with _Terminal() as terminal:
        result = Runner().run(request, terminal)

    for entry in result.classes:
        choice = entry.prediction.class_choice
        chances = ", ".join(f"{name} {chance:.0%}" for name, chance in choice.probabilities.items())
        print(
            f"Model: {result.bundle.name} {result.bundle.version}. "
            f"Survival class: {choice.name} ({choice.source}; {chances or '-'})."
        )
    prediction, seconds = result.classes[0].prediction, result.seconds
    print(
        f"{len(prediction.slices)} slices, {request.samples} sample(s), {prediction.device}, {prediction.precision}: "
        f"load {seconds['load']:.1f} s, predict {sum(seconds[name] for name in _PREDICTING):.1f} s, "
        f"measure {seconds.get('measure', 0.0):.1f} s, write {seconds['write']:.1f} s."
    )
    files = [path for entry in result.classes for path in entry.files.values()] + list(result.files.values())
    for path in dict.fromkeys(files):
        print(f"  {path}")
    print(SYNTHETIC_NOTICE)


def _cohort(arguments: argparse.Namespace) -> None:
    from .case_table import read_case_table
    from .cohort import part_of, run_cohort, run_on_devices

    print(SYNTHETIC_NOTICE)
    cases = read_case_table(arguments.table)
    if len(arguments.devices) > 1:
        run_on_devices(arguments.devices, cases, arguments.argv, arguments.out)
        return
    template = PredictionRequest(
        image=Path(), gtv=Path(), out=arguments.out, device=arguments.devices[0], **shared_fields(arguments)
    )
    if arguments.part:
        run_cohort(part_of(cases, arguments.part), template, arguments.out, summarize=False)
    else:
        run_cohort(cases, template, arguments.out)


class _Terminal(RunListener):
    """One bar with time left over the sampling, which takes nearly all the time."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> "_Terminal":
        return self

    def __exit__(self, *exception: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def warning(self, code: str, sentence: str) -> None:
        print(f"Note ({code}): {sentence}")

    def stage(self, name: str, survival_class: str | None) -> None:
        if name == "prepare" and self._bar is None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=100.0, unit="%", bar_format="{desc:<9}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
            )
        if self._bar is not None:
            self._bar.set_description_str(name.capitalize())
            if name == "write":
                self._bar.update(100.0 - self._bar.n)

    def progress(self, progress: RunProgress) -> None:
        self._bar.update(100.0 * progress.fraction - self._bar.n)


if __name__ == "__main__":
    sys.exit(main())
