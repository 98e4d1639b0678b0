"""Command `gbmresponse`: predict one case or a cohort without 3D Slicer.

Exit codes: 0 done, 2 wrong usage, 130 cancelled; every other failure has its own code: docs/troubleshooting.md.
"""

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import MISSING
from pathlib import Path
from typing import Any, TextIO

from . import SYNTHETIC_NOTICE, __version__
from .errors import CancelledError, GBMResponseError, OptionError, OutOfMemoryError
from .files import files_kept
from .model.environment import ignore_interrupts, interrupted_when_terminated, write_diagnostics
from .outputs.write import RunResult
from .progress import Listener, Progress
from .request import AUTO_CLASS, CaseFacts, PredictionOptions, PredictionRequest
from .run import Runner
from .setting import Setting, settings

_GROUPS = {
    "files": "inputs and output",
    "case": "what the report says of the case",
    "output": "what to write",
    "dicom": "DICOM",
    "model": "model",
    "sampling": "sampling (default: as the bundle says)",
    "machine": "machine",
}
_ALIASES = {"image": "--dicom", "gtv": "--rtstruct", "gtv_labels": "--gtv-roi"}
"""What settings are called as well, where they are DICOM."""
_PREDICTING = ("prepare", "encode", "classify", "expected", "sample", "assemble")
"""Stages that count as predicting, in the times that are printed."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    :param argv: its arguments; None: those of this process, which is to end with it.
    """
    ends = argv is None
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["cohort"] and argv[1:2] in (["report"], ["inputs"]):
        argv[:2] = [f"cohort-{argv[1]}"]
    arguments = _parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO if arguments.verbose else logging.WARNING, format="%(message)s")
    try:
        with interrupted_when_terminated(ends), files_kept():
            arguments.run(arguments)
    except KeyboardInterrupt:
        return _report(CancelledError("Cancelled; finished slices are kept and the same command continues."), arguments)
    except GBMResponseError as error:
        return _report(error, arguments)
    except MemoryError:
        return _report(OutOfMemoryError("There is not enough memory."), arguments)
    # The last resort: what nobody thought of ends in a sentence, too.
    except Exception as error:
        file = write_diagnostics(error, arguments.out)
        remedy = "Please report it." if file is None else f"Please report it, with the file {file}."
        return _report(GBMResponseError(f"Unexpected error ({type(error).__name__}).", remedy), arguments)
    return 0


def _report(error: GBMResponseError, arguments: argparse.Namespace) -> int:
    if getattr(arguments, "events", False):
        from .cohort.events import error_fields, teller

        teller(_say)("error", **error_fields(error))
        return error.exit_code
    _say(f"Error ({error.code}): {error.message}\n{error.remedy}", sys.stderr)
    return error.exit_code


def _say(text: str, stream: TextIO | None = None) -> None:
    """Print, unless nobody listens any more: that is no reason to end a run, nor to change its exit code."""
    stream = stream or sys.stdout
    try:
        print(text, file=stream, flush=True)
    except UnicodeEncodeError:
        print(text.encode("ascii", "backslashreplace").decode("ascii"), file=stream, flush=True)
    except (OSError, ValueError):
        with suppress(OSError, ValueError):  # Python flushes once more when it ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gbmresponse", description=SYNTHETIC_NOTICE)
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_predict(commands)
    _add_revisits(commands)
    from .cohort.commands import add_commands as add_cohort_commands
    from .dicom.commands import add_commands as add_dicom_commands
    from .model.commands import add_commands as add_model_commands

    add_cohort_commands(commands, _say, add_settings, request_of)
    add_dicom_commands(commands, _say)
    add_model_commands(commands, _say)
    return parser


def _add_predict(commands: Any) -> None:
    usage = "%(prog)s --image IMAGE --gtv GTV --out OUT [options]"
    parser = commands.add_parser("predict", usage=usage, help="predict the follow-up MRI of one case")
    add_settings(parser)
    parser.add_argument("--verbose", action="store_true", help="say more")
    parser.set_defaults(run=_predict, wrong_usage=parser.error)


_REVISITS = {
    "measure": "measure a finished run again, also what a plan covers of the prediction",
    "report": "write report and montage of a finished run again",
    "score": "score a finished run against the true follow-up, and keep the score in a log",
}
_OF_A_REVISIT = ("image", "gtv", "follow_up", "gtv_labels", "series", "bundle", "device", "precision", "batch_size")
"""Settings of a prediction that also matter when it is looked at again; what the report says of the case, too."""


def _add_revisits(commands: Any) -> None:
    everything = settings(PredictionRequest) + settings(PredictionOptions)
    others = [entry.attribute for entry in everything if entry.attribute not in _OF_A_REVISIT]
    for name, words in _REVISITS.items():
        parser = commands.add_parser(name, usage="%(prog)s RUN --image IMAGE --gtv GTV [options]", help=words)
        parser.add_argument("out", metavar="RUN", type=Path, help="output folder of a finished run")
        add_settings(parser, others)
        parser.add_argument("--verbose", action="store_true", help="say more")
        plan = parser.add_argument_group("plan whose coverage is measured")
        plan.add_argument(
            "--contour",
            action="append",
            default=[],
            metavar="NAME=FILE",
            help="mask such as CTV or PTV; may be repeated",
        )
        plan.add_argument("--dose", type=Path, help="dose of the whole treatment in Gy: RTDOSE, or a volume")
        parser.add_argument(
            "--enhancement",
            action="append",
            default=[],
            metavar="IMAGE=FILE",
            help="your own mask of what enhances in before, follow_up or sample_01 ...; may be repeated",
        )
        if name == "score":
            parser.add_argument(
                "--log", type=Path, help="SQLite file; is made when it is not there, with page and table"
            )
        parser.set_defaults(run=_revisit, wrong_usage=parser.error)


def add_settings(parser: argparse.ArgumentParser, but: Sequence[str] = ()) -> None:
    """Add an option for every declared setting."""
    groups = {name: parser.add_argument_group(title) for name, title in _GROUPS.items()}
    for entry in settings(PredictionRequest) + settings(CaseFacts) + settings(PredictionOptions):
        if entry.attribute not in but:
            names = [entry.option, *([_ALIASES[entry.attribute]] if entry.attribute in _ALIASES else [])]
            groups[entry.group].add_argument(*names, **_argument(entry))


def _argument(entry: Setting) -> dict[str, Any]:
    """How argparse is told of a setting."""
    if entry.kind is bool:
        return {"dest": entry.attribute, "action": f"store_{str(not entry.default).lower()}", "help": entry.help}
    details = {"dest": entry.attribute, "type": entry.kind, "help": entry.help, "default": entry.default}
    if entry.default is MISSING:
        details |= {"required": entry.attribute != "gtv", "default": None}  # which a folder of DICOM files may hold
    elif entry.several:
        default = f" (default: {' '.join(entry.default)})" if entry.default else ""
        details |= {"nargs": "+", "help": f"{entry.help}{default}"}
    elif entry.default is not None:
        details["help"] = f"{entry.help} (default: {entry.default})"
    if entry.attribute == "format":
        return details | {"choices": entry.choices}
    return details | {"metavar": entry.option.strip("-").upper().replace("-", "_")}


def request_of(arguments: argparse.Namespace, **others: Any) -> PredictionRequest:
    """The request that the options make.

    :param others: settings that are no options of the command.
    """
    given = vars(arguments) | others
    if given["gtv"] is None:
        if given["image"].is_file():  # a folder may hold the GTV, and one that is not there has an error of its own
            arguments.wrong_usage("the following arguments are required: --gtv")
        given["gtv"] = given["image"]
    given["classes"] = tuple(given.get("classes", (AUTO_CLASS,)))
    given["gtv_labels"] = tuple(given["gtv_labels"])
    options = PredictionOptions(**_chosen(PredictionOptions, given))
    facts = CaseFacts(**_chosen(CaseFacts, given))
    return PredictionRequest(**_chosen(PredictionRequest, given), options=options, facts=facts)


def _chosen(cls: type, given: dict[str, Any]) -> dict[str, Any]:
    return {entry.attribute: given[entry.attribute] for entry in settings(cls) if entry.attribute in given}


def _predict(arguments: argparse.Namespace) -> None:
    request = request_of(arguments)
    with _Terminal() as terminal:
        result = Runner().run(request, terminal)

    for prediction in result.predictions.values():
        choice = prediction.class_choice
        _say(f"Model: {result.bundle.name} {result.bundle.version}. {choice.sentence}")
        if choice.note:
            _say(choice.note)
    options, seconds = prediction.options, result.seconds
    _say(
        f"{len(result.slices.indices)} slices, expected image and {options.sample_count} sample(s), {options.device}, "
        f"{options.precision}: "
        f"load {seconds['load']:.1f} s, predict {sum(seconds.get(name, 0.0) for name in _PREDICTING):.1f} s, "
        f"measure {seconds.get('measure', 0.0):.1f} s, write {seconds['write']:.1f} s."
    )
    files = [path for group in (*result.class_files.values(), result.files) for path in group.values()]
    for path in dict.fromkeys(files):
        _say(f"  {path}")
    _say(SYNTHETIC_NOTICE)


def _revisit(arguments: argparse.Namespace) -> None:
    from .measure.planning import PlanFiles

    plan = PlanFiles(dict(map(_named, arguments.contour)), arguments.dose)
    with _Terminal() as terminal:
        result = Runner().revisit(request_of(arguments), terminal, plan, dict(map(_named, arguments.enhancement)))
    for path in _again(arguments, result).values():
        _say(f"  {path}")
    _say(SYNTHETIC_NOTICE)


def _again(arguments: argparse.Namespace, result: RunResult) -> dict[str, Path]:
    """Write what a command makes of a run that was read again; returns the files."""
    from .outputs.read import write_measures_again, write_report_again
    from .outputs.score import write_score_again

    if arguments.command == "score":
        return write_score_again(result, arguments.log)
    return (write_measures_again if arguments.command == "measure" else write_report_again)(result)


def _named(text: str) -> tuple[str, Path]:
    """:raises OptionError: it is no name with a file."""
    name, sign, file = text.partition("=")
    if not (name and sign and file):
        raise OptionError(f"The mask {text!r} has no name or no file.", "Write it as CTV=ctv.nii.gz.")
    return name, Path(file)


class _Terminal(Listener):
    """One bar with time left over the sampling, which takes nearly all the time."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __enter__(self) -> "_Terminal":
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError, ValueError):  # nobody looks any more
            if self._bar is not None:
                self._bar.close()

    def warning(self, code: str, sentence: str) -> None:
        _say(f"Note ({code}): {sentence}")

    def stage(self, name: str, survival_class: str | None) -> None:
        with suppress(OSError, ValueError):
            if name == "prepare" and self._bar is None:
                from tqdm import tqdm

                form = "{desc:<9}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"
                self._bar = tqdm(total=100.0, unit="%", bar_format=form)
            if self._bar is not None:
                self._bar.set_description_str(name.capitalize())
                if name == "write":
                    self._bar.update(100.0 - self._bar.n)

    def progress(self, progress: Progress) -> None:
        with suppress(OSError, ValueError):
            if self._bar is not None:
                self._bar.update(100.0 * progress.fraction - self._bar.n)

    def written(self) -> None:
        ignore_interrupts()


if __name__ == "__main__":
    sys.exit(main())
