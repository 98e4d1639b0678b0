"""What a program that runs a cohort is told, one JSON object per line, and how it ends the cohort (docs/cluster.md)."""

import _thread
import json
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..errors import GBMResponseError
from ..progress import Listener, Progress

Tell = Callable[..., None]
"""Takes the type of an event and its fields."""
_LEAST_S = 0.5
_PATIENCE_S = 30.0


def nobody(kind: str, **fields: Any) -> None:
    """Tell nobody."""


def teller(say: Callable[[str], None]) -> Tell:
    """Who says each event as a line."""
    return lambda kind, **fields: say(json.dumps({"type": kind, **fields}, default=str))


def error_fields(error: GBMResponseError) -> dict[str, Any]:
    """What the event `error` says."""
    return {"code": error.code, "exit_code": error.exit_code, "message": error.message, "remedy": error.remedy}


class CaseProgress(Listener):
    """Tells how far the case is that runs in this process, not too often."""

    def __init__(self, tell: Tell) -> None:
        self._tell, self._told = tell, 0.0

    def progress(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._told >= _LEAST_S:
            self._told = now
            self._tell("progress", fraction=round(progress.fraction, 4))


def stop_with_input(descriptor: int, patience_s: float = _PATIENCE_S) -> None:
    """Let each line of an input, and its end, interrupt this process as Ctrl+C does.

    :param patience_s: end the process hard if it is still there this long after its input has closed: nobody waits for
        it, as its caller may have killed a launcher in between.
    """

    def read() -> None:
        # Not sys.stdin: Python aborts if it ends while a thread waits inside a buffered reader.
        with suppress(OSError):
            while chunk := os.read(descriptor, 1 << 12):
                if b"\n" in chunk:
                    _thread.interrupt_main(signal.SIGTERM)  # which nohup and shells in the background do not ignore
        _thread.interrupt_main(signal.SIGTERM)
        time.sleep(patience_s)
        os._exit(1)

    threading.Thread(target=read, name="stdin", daemon=True).start()
