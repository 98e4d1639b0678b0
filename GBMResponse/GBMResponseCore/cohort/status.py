"""What has become of a case, in a file of its folder; the standard library is enough to read it."""

import json
from pathlib import Path
from typing import Any

from ..errors import GBMResponseError, OutputFolderError
from ..files import ensure_output_folder, write_json

STATUS = "status.json"
DONE, FAILED, WAITING = "done", "failed", "waiting"
RUNNING, ELSEWHERE = "running", "elsewhere"
"""Statuses, never written, of a case that was given to a worker, and of one that another process is working on."""


def read_status(folder: Path) -> dict[str, Any]:
    """The status of a case's folder; `waiting` if it has none that can be read."""
    try:
        status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        status = None
    known = isinstance(status, dict) and status.get("status") in (DONE, FAILED)
    return status if known else {"status": WAITING}


def write_status(folder: Path, status: dict[str, Any]) -> dict[str, Any]:
    """Write the status of a case, and return it; if it cannot be written, that is its status."""
    try:
        write_json(status, ensure_output_folder(folder) / STATUS)
    except OutputFolderError as error:
        return status | failed(error)
    return status


def status_mark(folder: Path) -> int | None:
    """What changes whenever the status of a case is written; None if there is none."""
    try:
        return (folder / STATUS).stat().st_mtime_ns
    except OSError:
        return None


def failed(error: GBMResponseError) -> dict[str, Any]:
    """The status of a case that failed."""
    return {
        "status": FAILED,
        "error_code": error.code,
        "exit_code": error.exit_code,
        "message": error.message,
        "remedy": error.remedy,
    }
