"""Many cases, one after the other or on several devices; a bad case never stops the rest, and a rerun continues."""

import _thread
import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from . import __version__
from .errors import CancelledError, GBMResponseError, OutputFolderError, ProcessEndedError, SomeCasesFailedError
from .files import ensure_output_folder, plain_cell, sha256_of_image, write_csv, write_json
from .inputs.case import Case
from .inputs.case_table import TableCase
from .inputs.reading import read_image
from .model.environment import search_path, write_diagnostics
from .outputs.folder import folder_in_use, refuse_to_replace, result_files
from .outputs.write import PROVENANCE, RunResult
from .progress import Listener
from .request import PredictionRequest
from .run import Runner, load_request
from .setting import decided

STATUS = "status.json"
JOURNAL = ".running"
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
_INPUTS = ("image", "gtv", "follow_up")
_SOURCES = ("image", "GTV", "follow-up")
"""The same, as a case names them."""
_ENDED = "The process that worked on this case ended in the midst of it."
_POLL_S = 1.0
_TRIES, _BETWEEN_TRIES_S = 4, 0.5
_PATIENCE_S = 30.0

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

    A case that is done is not run again, unless its voxels, the model, the software or the options changed.

    :param template: everything but the files, the folder and the classes.
    :param out: gets a folder for each case.
    :param summarize: write the summary; not if another process does it for more cases than these.
    :raises GBMResponseError: model, device or output folder cannot be used at all, so that no case was run.
    :raises SomeCasesFailedError: at the end, if not every case succeeded.
    :raises CancelledError: `listener` raised it; finished cases and slices are kept.
    """
    runner = runner or Runner()
    basis = _basis(runner, template)
    for number, case in enumerate(cases, start=1):
        status = run_case(case, template, out, basis, runner, listener)
        if summarize:
            write_summary(cases, out, say)
        say(f"[{number}/{len(cases)}] {_sentence(case, status)}")
    raise_if_failed(cases, out)


def run_case(
    case: TableCase,
    template: PredictionRequest,
    out: Path,
    basis: Mapping[str, str],
    runner: Runner,
    listener: Listener | None = None,
) -> dict[str, Any]:
    """Run one case unless it is done, and return its status, which is also in `status.json` of its folder.

    :param basis: what the results of all cases depend on.
    :raises CancelledError: `listener` raised it.
    """
    folder = out / case.identifier
    started = time.perf_counter()
    try:
        options = replace(template.options, classes=case.classes)
        request = replace(
            template,
            image=case.image,
            gtv=case.gtv,
            follow_up=case.follow_up,
            **case.others,
            options=options,
            out=folder,
        )
        with _journal(request, basis):
            status = read_status(folder)
            if status["status"] == DONE and (folder / PROVENANCE).is_file():
                images = _hashes(request)
                if status.get("key") == _key(request, basis, images):
                    return status | {"again": True}
            (folder / STATUS).unlink(missing_ok=True)
            result = runner.run(request, listener)
            images = _hashes_of(result.slices.case)
            status = _done(result, request) | {"key": _key(request, basis, images)}
    except CancelledError:
        raise
    except GBMResponseError as error:
        status = _failed(error)
    # One case must not stop the others, whatever a library makes of it.
    except Exception as error:
        details = write_diagnostics(error, folder)
        message = f"Unexpected error: {type(error).__name__}: {error}"
        status = _failed(GBMResponseError(message, f"Details are in {details.name}." if details else None))
    status |= {"seconds": round(time.perf_counter() - started, 1)}
    try:
        write_json(status, ensure_output_folder(folder) / STATUS)
    except GBMResponseError as error:
        return status | _failed(error)
    return status


@contextmanager
def cohort_folder(cases: Sequence[TableCase], table: Path, out: Path) -> Iterator[None]:
    """Keep other cohorts out of an output folder, after a check that no result would replace a file of the table.

    :raises OutputFolderError: one would, another cohort is using the folder, or it cannot be written to.
    """
    inputs: dict[str, Path | None] = {"case table": table}
    for case in cases:
        for name in _INPUTS:
            inputs[f"{name} of {case.identifier}"] = getattr(case, name)
    folders = [out / case.identifier for case in cases]
    classes = [folder / name for case, folder in zip(cases, folders, strict=True) for name in case.classes]
    refuse_to_replace(inputs, result_files([out, *folders, *classes]))
    with folder_in_use(out):
        yield


def run_on_devices(
    devices: Sequence[str], cases: Sequence[TableCase], command: Sequence[str], out: Path, say: Say = print
) -> None:
    """Run the cases on several devices: one process for each, which takes every n-th case and ends with this one.

    :param command: arguments of `gbmresponse` that run the cohort; devices and part are added at their end.
    :raises SomeCasesFailedError: at the end, if not every case succeeded.
    :raises GBMResponseError: with the exit code of a process, if it ended early and no case is done.
    """
    ensure_output_folder(out)
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "GBMResponseCore", *command, "--devices", device, "--part", f"{k}/{len(devices)}"],
            env=os.environ | {"PYTHONPATH": search_path()},
            stdin=subprocess.PIPE,
        )
        for k, device in enumerate(devices)
    ]
    try:
        while any(process.poll() is None for process in processes):
            write_summary(cases, out, say)
            time.sleep(_POLL_S)
    finally:
        for process in processes:
            decided(process.stdin).close()  # ends it, if it is still there
        for process in processes:
            try:
                process.wait(2 * _PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for case in cases:
            if (out / case.identifier / JOURNAL).is_file():
                with suppress(OutputFolderError):
                    write_json(_failed(ProcessEndedError(_ENDED)), out / case.identifier / STATUS)
        write_summary(cases, out, say)
    stopped = {process.returncode for process in processes} - {0, SomeCasesFailedError.exit_code}
    if stopped and not any(read_status(out / case.identifier)["status"] == DONE for case in cases):
        error = GBMResponseError("The processes ended early.", "See what they have said above.")
        error.exit_code = max(1, *stopped)
        raise error
    raise_if_failed(cases, out)


def end_with_parent() -> None:
    """Interrupt this process when its standard input closes, because whoever has started it is gone."""

    def wait() -> None:
        with suppress(OSError):
            while os.read(0, 1 << 12):
                pass
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(_PATIENCE_S)
        os._exit(CancelledError.exit_code)

    threading.Thread(target=wait, name="stdin", daemon=True).start()


def part_of(cases: Sequence[TableCase], part: str) -> list[TableCase]:
    """The cases of part `k/n`, k from 0."""
    first, _, step = part.partition("/")
    return list(cases[int(first) :: int(step)])


def read_status(folder: Path) -> dict[str, Any]:
    """The status of a case's folder; `waiting` if it has none that can be read."""
    status = _read_object(folder / STATUS)
    return status if status.get("status") in (DONE, FAILED) else {"status": WAITING}


def write_summary(cases: Sequence[TableCase], out: Path, say: Say = print) -> None:
    """Write `summary.csv`, one line per case, and `measurements.csv`, the measurements of all cases that are done.

    What cannot be written now is said, and written with the next case.
    """
    lines: list[dict[str, Any]] = []
    measured: list[dict[str, Any]] = []
    for case in cases:
        status = read_status(out / case.identifier)
        lines.append({name: status.get(name) for name in _COLUMNS} | {"id": case.identifier, "synthetic": True})
        if status["status"] == DONE and status.get("measured", True):
            measured += [{"id": case.identifier, **row} for row in _rows(out / case.identifier / MEASUREMENTS)]
    _write_table(_COLUMNS, lines, out / SUMMARY, say)
    columns = list(dict.fromkeys(name for row in measured for name in row))
    if measured:
        _write_table(columns, measured, out / MEASUREMENTS, say)
    else:
        with suppress(OSError):
            (out / MEASUREMENTS).unlink()  # of an earlier run


def raise_if_failed(cases: Sequence[TableCase], out: Path) -> None:
    """:raises SomeCasesFailedError: not every case is done."""
    open_cases = [case for case in cases if read_status(out / case.identifier)["status"] != DONE]
    if open_cases:
        raise SomeCasesFailedError(f"{len(open_cases)} of {len(cases)} cases are not done.")


@contextmanager
def _journal(request: PredictionRequest, basis: Mapping[str, str]) -> Iterator[None]:
    """Note in the case's folder that it is being worked on, so that a case that ends the process is known afterwards.

    :raises ProcessEndedError: it has ended the last one, with the same files and options.
    """
    path = ensure_output_folder(request.out) / JOURNAL
    now = {
        "request": _hash(
            _options(request) | dict(basis) | {"files": [_mark(getattr(request, name)) for name in _INPUTS]}
        )
    }
    before = _read_object(path)
    if before:
        with folder_in_use(request.out):  # else it is no case of the past
            path.unlink()
        if before == now:
            raise ProcessEndedError(_ENDED)
    write_json(now, path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _basis(runner: Runner, template: PredictionRequest) -> dict[str, str]:
    """What all results depend on besides their requests."""
    options = template.options
    predictor = runner.predictor(template.bundle, options.device, options.precision)
    from .model.runtime import has_fast_bfloat16

    # Where `auto` may take bfloat16, it decides by the first case.
    exact = options.precision == "auto" and not has_fast_bfloat16(predictor.model.device)
    return {
        "version": __version__,
        "bundle_sha256": predictor.bundle.sha256,
        "device": predictor.model.device.type,
        "precision": "float32" if exact else options.precision,
    }


def _key(request: PredictionRequest, basis: Mapping[str, str], images: Sequence[str | None]) -> str:
    """Hash of everything that a result depends on."""
    return _hash(_options(request) | dict(basis) | {"images": list(images)})


def _hashes(request: PredictionRequest) -> list[str | None]:
    """Of the images of a request, as they are now."""
    if request.image.is_dir():
        return _hashes_of(load_request(request))
    return [path and sha256_of_image(read_image(path)) for path in (getattr(request, name) for name in _INPUTS)]


def _hashes_of(case: Case) -> list[str | None]:
    return [case.sources.get(name, {}).get("sha256") for name in _SOURCES]


def _options(request: PredictionRequest) -> dict[str, Any]:
    fields = asdict(request)
    options = fields.pop("options")
    for name in (*_INPUTS, "out", "bundle", "facts"):
        del fields[name]
    for name in ("device", "precision", "batch_size"):
        del options[name]
    return fields | options


def _mark(path: Path | None) -> list[Any] | None:
    """What tells a file from another without reading it."""
    try:
        status = path.stat() if path else None
    except (OSError, ValueError):
        status = None
    return [str(path), status.st_size, status.st_mtime_ns] if status else None


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _done(result: RunResult, request: PredictionRequest) -> dict[str, Any]:
    choices = [prediction.class_choice for prediction in result.predictions.values()]
    classes = " + ".join(f"{choice.name} ({choice.class_source})" for choice in choices)
    return {
        "status": DONE,
        "classes": classes,
        "samples": request.options.sample_count,
        "measured": request.measure,
        "stages": result.seconds,
    }


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


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object; empty if there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _rows(table: Path) -> list[dict[str, str]]:
    """Rows of a table that `write_csv` wrote; none if there is no such table."""
    try:
        rows = list(csv.DictReader(io.StringIO(table.read_text(encoding="utf-8"))))
    except (OSError, ValueError, csv.Error):
        return []
    return [{name: plain_cell(cell) for name, cell in row.items() if name and cell is not None} for row in rows]


def _write_table(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], path: Path, say: Say) -> None:
    """Write a table, beside its place if a spreadsheet keeps that locked for longer than a moment."""
    beside = path.with_stem(f"{path.stem}-1")
    try:
        for last in (False,) * (_TRIES - 1) + (True,):
            try:
                write_csv(columns, rows, path)
            except OutputFolderError as error:
                if last or not isinstance(error.__cause__, PermissionError):
                    raise
                time.sleep(_BETWEEN_TRIES_S)
            else:
                with suppress(OSError):
                    beside.unlink(missing_ok=True)
                return
    except OutputFolderError as error:
        message = error.message
    known = beside.exists()
    try:
        write_csv(columns, rows, beside)
        if not known:
            say(f"{message} It may be open in a spreadsheet: {beside.name} holds the same, until it can be written.")
    except OutputFolderError:
        say(f"{message} It will be written with the next case.")
