"""Many cases, one after the other or on several devices; a bad case never stops the rest, and a rerun continues."""

import csv
import hashlib
import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from . import __version__
from .case_table import TableCase
from .environment import search_path
from .errors import CancelledError, GBMResponseError, SomeCasesFailedError
from .files import ensure_output_folder, sha256_of_file, write_json, write_text
from .outputs.write import PROVENANCE, RunResult
from .progress import Listener
from .request import PredictionRequest
from .run import Runner

log = logging.getLogger(__name__)

STATUS = "status.json"
SUMMARY = "summary.csv"
MEASUREMENTS = "measurements.csv"
DONE, FAILED, WAITING = "done", "failed", "waiting"
_COLUMNS = (
    "id",
    "status",
    "error_code",
    "exit_code",
    "message",
    "remedy",
    "classes",
    "samples",
    "seconds",
    "synthetic",
)
_POLL_S = 1.0

Say = Callable[[str], None]
"""Takes one line about the progress."""


def run_cohort(
    cases: Sequence[TableCase],
    template: PredictionRequest,
    out: Path,
    say: Say = print,
    runner: Runner | None = None,
    listener: Listener | None = None,
    summarize: bool = True,
) -> None:
    """Run all cases in this process and write the summary after each.

    A case that is done is not run again, unless its files, the model, the software or the options changed.

    :param template: everything but the files, the folder and the classes.
    :param out: gets a folder for each case.
    :param summarize: write the summary; not if another process does it for more cases than these.
    :raises GBMResponseError: model, device or output folder cannot be used at all, so that no case was run.
    :raises SomeCasesFailedError: at the end, if not every case succeeded.
    :raises CancelledError: `listener` raised it; finished cases and slices are kept.
    """
    runner = runner or Runner()
    ensure_output_folder(out)
    bundle = runner.predictor(template.bundle, template.options.device, template.options.precision).bundle
    for number, case in enumerate(cases, start=1):
        status = run_case(case, template, out, bundle.sha256, runner, listener)
        if summarize:
            write_summary(cases, out)
        say(f"[{number}/{len(cases)}] {_sentence(case, status)}")
    raise_if_failed(cases, out)


def run_case(
    case: TableCase,
    template: PredictionRequest,
    out: Path,
    bundle_sha256: str,
    runner: Runner,
    listener: Listener | None = None,
) -> dict[str, Any]:
    """Run one case unless it is done, and return its status, which is also in `status.json` of its folder.

    :raises CancelledError: `listener` raised it.
    """
    folder = out / case.identifier
    options = replace(template.options, classes=case.classes)
    request = replace(template, image=case.image, gtv=case.gtv, follow_up=case.follow_up, options=options, out=folder)
    key = _key(request, bundle_sha256)
    status = read_status(folder)
    if status["status"] == DONE and status.get("key") == key and (folder / PROVENANCE).is_file():
        return status | {"again": True}
    (folder / STATUS).unlink(missing_ok=True)
    started = time.perf_counter()
    try:
        result = runner.run(request, listener)
        status = _done(result, request)
    except CancelledError:
        raise
    except GBMResponseError as error:
        status = _failed(error)
    # One case must not stop the others, whatever a library makes of it.
    except Exception as error:
        log.exception("Case %s", case.identifier)
        status = _failed(GBMResponseError(f"Unexpected error: {type(error).__name__}: {error}"))
    status |= {"key": key, "seconds": round(time.perf_counter() - started, 1)}
    try:
        write_json(status, ensure_output_folder(folder) / STATUS)
    except GBMResponseError as error:
        return status | _failed(error)
    return status


def run_on_devices(devices: Sequence[str], cases: Sequence[TableCase], command: Sequence[str], out: Path) -> None:
    """Run the cases on several devices: one process for each, which takes every n-th case.

    :param command: arguments of `gbmresponse` that run the cohort; devices and part are added at their end.
    :raises SomeCasesFailedError: at the end, if not every case succeeded.
    :raises GBMResponseError: with the exit code of a process, if it ended early and no case is done.
    """
    ensure_output_folder(out)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "GBMResponseCore", *command, "--devices", device, "--part", f"{k}/{len(devices)}"],
            env=os.environ | {"PYTHONPATH": search_path()},
            stdin=subprocess.DEVNULL,
        )
        for k, device in enumerate(devices)
    ]
    try:
        while any(process.poll() is None for process in processes):
            write_summary(cases, out)
            time.sleep(_POLL_S)
    except KeyboardInterrupt:
        for process in processes:
            process.terminate()
        raise
    finally:
        for process in processes:
            process.wait()
        write_summary(cases, out)
    stopped = {process.returncode for process in processes} - {0, SomeCasesFailedError.exit_code}
    if stopped and not any(read_status(out / case.identifier)["status"] == DONE for case in cases):
        error = GBMResponseError("The processes ended early.", "See what they have said above.")
        error.exit_code = max(stopped)
        raise error
    raise_if_failed(cases, out)


def part_of(cases: Sequence[TableCase], part: str) -> list[TableCase]:
    """The cases of part `k/n`, k from 0."""
    first, _, step = part.partition("/")
    return list(cases[int(first) :: int(step)])


def read_status(folder: Path) -> dict[str, Any]:
    """The status of a case's folder; `waiting` if it has none that can be read."""
    try:
        status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {"status": WAITING}
    return status if isinstance(status, dict) and status.get("status") in (DONE, FAILED) else {"status": WAITING}


def write_summary(cases: Sequence[TableCase], out: Path) -> None:
    """Write `summary.csv`, one line per case, and `measurements.csv`, the measurements of all cases that are done."""
    lines, measured, columns = [], [], []
    for case in cases:
        status = read_status(out / case.identifier)
        lines.append(
            {"id": case.identifier, "synthetic": True} | {name: status.get(name, "") for name in _COLUMNS[1:-1]}
        )
        table = out / case.identifier / "measurements.csv"
        if status["status"] == DONE and table.is_file():
            rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
            measured += [{"id": case.identifier, **row} for row in rows]
            columns = columns or list(measured[0])
    write_text(_table(_COLUMNS, lines), out / SUMMARY)
    if measured:
        write_text(_table(columns, measured), out / MEASUREMENTS)


def raise_if_failed(cases: Sequence[TableCase], out: Path) -> None:
    """:raises SomeCasesFailedError: not every case is done."""
    open_cases = [case for case in cases if read_status(out / case.identifier)["status"] != DONE]
    if open_cases:
        raise SomeCasesFailedError(f"{len(open_cases)} of {len(cases)} cases are not done.")


def _key(request: PredictionRequest, bundle_sha256: str) -> str:
    """Hash of everything that a result depends on."""
    content = asdict(request) | {
        "bundle_sha256": bundle_sha256,
        "version": __version__,
        "files": [
            sha256_of_file(path) if path and path.is_file() else None
            for path in (request.image, request.gtv, request.follow_up)
        ],
    }
    for name in ("image", "gtv", "follow_up", "out", "bundle"):
        del content[name]
    for name in ("device", "batch_size"):
        del content["options"][name]
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _done(result: RunResult, request: PredictionRequest) -> dict[str, Any]:
    choices = [prediction.class_choice for prediction in result.predictions.values()]
    classes = " + ".join(f"{choice.name} ({choice.class_source})" for choice in choices)
    return {"status": DONE, "classes": classes, "samples": request.options.sample_count, "stages": result.seconds}


def _failed(error: GBMResponseError) -> dict[str, Any]:
    return {
        "status": FAILED,
        "error_code": error.code,
        "exit_code": error.exit_code,
        "message": error.message,
        "remedy": error.remedy,
    }


def _sentence(case: TableCase, status: dict[str, Any]) -> str:
    if status["status"] == FAILED:
        return f"{case.identifier}: failed ({status['error_code']}). {status['message']} {status['remedy']}"
    when = "was done before" if status.get("again") else f"done in {status['seconds']:.1f} s"
    return f"{case.identifier}: {when}, class {status['classes']}"


def _table(columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n", extrasaction="ignore", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
