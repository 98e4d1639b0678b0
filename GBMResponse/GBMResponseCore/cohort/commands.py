"""Commands `gbmresponse cohort`: predict all cases of a table, here or on a cluster."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from .. import SYNTHETIC_NOTICE, __version__
from ..errors import CaseTableError, OptionError
from ..files import ensure_output_folder, files_kept, write_image
from ..inputs.case_table import TableCase, read_case_table
from ..model.environment import translate_import_errors
from ..request import CaseFacts, PredictionRequest
from ..setting import settings
from .case_run import Plan
from .cluster import LOCAL, MOST_ENDS, QUEUES, DaskWorkers, connected, every_device
from .drive import ThisProcess, cohort_folder, run_cohort
from .events import CaseProgress, Tell, nobody, stop_with_input, teller
from .scan import scan_folder
from .tables import Say

REPORT, INPUTS = "cohort-report", "cohort-inputs"
"""What the words `cohort report` and `cohort inputs` are to the parser: else a table stands in their second place."""
_BY_TABLE = ("image", "gtv", "follow_up", "classes", "device", *(entry.attribute for entry in settings(CaseFacts)))
"""Settings that a cohort takes from its table, has an option of its own for, or that are of one case."""


def add_commands(
    commands: Any, say: Say, add_settings: Callable[..., None], request_of: Callable[..., PredictionRequest]
) -> None:
    """Add the command.

    :param commands: what `add_subparsers` returned.
    :param add_settings: adds the options of predictions but for some.
    :param request_of: makes a request of their values.
    """
    parser = commands.add_parser(
        "cohort",
        usage="%(prog)s TABLE --out OUT [options]\n   or: %(prog)s report DIR\n   or: %(prog)s inputs TABLE [options]",
        help="predict all cases of a table; a rerun continues; then a page about them",
        description="Exit code 0 if all cases succeeded, 3 if some failed: see summary.csv. Columns: docs/batch.md.",
    )
    parser.add_argument("table", type=Path, help="CSV with the columns id, image, gtv and, if wanted, follow_up, class")
    parser.add_argument("--out", type=Path, help="output folder; needed but for --scan alone")
    parser.add_argument("--scan", type=Path, metavar="FOLDER", help="write the table first, of what is in this folder")
    add_settings(parser, (*_BY_TABLE, "out"))
    where = parser.add_argument_group("who runs the cases (docs/cluster.md)")
    where.add_argument(
        "--devices", nargs="+", default=["auto"], help="one process for each, for example cuda:0 cuda:1; default: auto"
    )
    where.add_argument(
        "--scheduler",
        help=f"{LOCAL} (one process for each device), tcp://HOST:PORT of a Dask scheduler, or {', '.join(QUEUES)}; "
        f"default: this process, or {LOCAL} if there are several devices",
    )
    where.add_argument("--cluster-config", type=Path, help="YAML file of Dask settings, for example of the queue")
    where.add_argument("--workers", type=int, default=4, help="at most, of a batch system (default: 4)")
    _add_common(parser)
    parser.set_defaults(run=lambda arguments: _cohort(arguments, say, request_of), wrong_usage=parser.error)

    report = commands.add_parser(
        REPORT, prog="gbmresponse cohort report", description="One page of pictures about a cohort's folder."
    )
    report.add_argument("out", metavar="DIR", type=Path, help="output folder of a cohort")
    _add_common(report)
    report.set_defaults(run=lambda arguments: _report(arguments, say))

    inputs = commands.add_parser(
        INPUTS, prog="gbmresponse cohort inputs", description="Images of a case as NRRD, as a prediction reads them."
    )
    inputs.add_argument("table", type=Path, help="of the cohort")
    inputs.add_argument("--case", required=True, metavar="ID", help="the case")
    inputs.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="gets image, gtv and follow_up")
    _add_common(inputs)
    inputs.set_defaults(run=lambda arguments: _inputs(arguments, say), out=None)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--verbose", action="store_true", help="say more")
    parser.add_argument(
        "--events",
        action="store_true",
        help="for programs: print JSON lines, stop when a line comes on standard input or it ends (docs/cluster.md)",
    )


def _voices(arguments: argparse.Namespace, say: Say) -> tuple[Say, Tell]:
    """Who is told in sentences and who in events."""
    if not arguments.events:
        return say, nobody
    tell = teller(say)
    stop_with_input(sys.stdin.fileno())
    tell("ready", pid=os.getpid(), version=__version__)
    return lambda text: tell("log", message=text), tell


def _report(arguments: argparse.Namespace, say: Say) -> None:
    say, tell = _voices(arguments, say)
    with translate_import_errors():
        from .sheet import write_sheets

    with files_kept():  # also in the other commands: before they tell that they have finished
        files = write_sheets(arguments.out)
    for path in files:
        say(f"  {path}")
    say(SYNTHETIC_NOTICE)
    tell("finished", page=files[0])


def _inputs(arguments: argparse.Namespace, say: Say) -> None:
    """:raises CaseTableError: the table has no such case, or it is unusable."""
    say, tell = _voices(arguments, say)
    case = next((case for case in read_case_table(arguments.table) if case.identifier == arguments.case), None)
    if case is None or case.unusable:
        raise CaseTableError(f"The table {arguments.table.name} has no usable case {arguments.case!r}.")
    with translate_import_errors():
        from ..dicom.case import load_case
    labels, series = case.others.get("gtv_labels", ()), case.others.get("series")
    read = load_case(case.image, case.gtv, case.follow_up, labels, series)
    folder, files = ensure_output_folder(arguments.to), {}
    with files_kept():
        for name, image in {"image": read.image, "gtv": read.gtv, "follow_up": read.follow_up}.items():
            if image is not None:
                files[name] = write_image(image, folder / f"{name}.nrrd")
    for path in files.values():
        say(f"  {path}")
    tell("finished", files={name: str(path) for name, path in files.items()})


def _cohort(arguments: argparse.Namespace, say: Say, request_of: Callable[..., PredictionRequest]) -> None:
    say, tell = _voices(arguments, say)
    say(SYNTHETIC_NOTICE)
    if arguments.out is None and arguments.scan is None:
        arguments.wrong_usage("the following arguments are required: --out")
    if arguments.workers < 1:
        raise OptionError(f"There cannot be {arguments.workers} workers.")
    if arguments.scan is not None:
        with files_kept():
            rows = scan_folder(arguments.scan, arguments.table)
        bad = [row for row in rows if row.get("unusable")]
        say(f"{arguments.table}: {len(rows)} patients, {len(rows) - len(bad)} of them usable.")
        for row in bad:
            say(f"  {row['id']}: {row['unusable']}")
        if arguments.out is None:
            tell("finished", table=arguments.table)
            return
    cases = read_case_table(arguments.table)
    template = request_of(arguments, image=Path(), gtv=Path(), follow_up=None, device=arguments.devices[0])
    if arguments.scheduler is None and len(arguments.devices) == 1:
        plan = Plan(template, arguments.out, MOST_ENDS if arguments.events else 1)  # a program may kill us in haste
        with cohort_folder(cases, arguments.table, plan), files_kept():
            listener = CaseProgress(tell) if arguments.events else None
            run_cohort(cases, plan, ThisProcess(plan, listener=listener), say, tell=tell)
        tell("finished")
        return
    plan = Plan(_absolute(template), arguments.out.absolute(), MOST_ENDS)
    cases = [_absolute_case(case) for case in cases]
    with cohort_folder(cases, arguments.table, plan), files_kept():
        scheduler = arguments.scheduler or LOCAL
        devices = _devices(arguments.devices) if scheduler == LOCAL else []
        opened = connected(scheduler, devices, arguments.cluster_config, arguments.workers, say)
        with opened as (client, most):
            run_cohort(cases, plan, DaskWorkers(client, plan, most), say, tell=tell)
    tell("finished")


def _devices(named: Sequence[str]) -> Sequence[str]:
    return every_device() if list(named) == ["auto"] else named


def _absolute(template: PredictionRequest) -> PredictionRequest:
    """The same where another process reads it, in whatever folder that is; a model may be named without a path."""
    bundle, key = template.bundle, template.pseudonym_key
    bundle = bundle.absolute() if bundle is not None and bundle.is_dir() else bundle
    return replace(template, bundle=bundle, pseudonym_key=key and key.absolute())


def _absolute_case(case: TableCase) -> TableCase:
    follow_up = case.follow_up and case.follow_up.absolute()
    return replace(case, image=case.image.absolute(), gtv=case.gtv.absolute(), follow_up=follow_up)
