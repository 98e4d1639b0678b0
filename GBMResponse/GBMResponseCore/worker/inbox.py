"""The two pipes of the worker: requests come in, events go out."""

import json
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import GBMResponseError, RequestError
from .protocol import LONGEST_LINE, parse_request


class ReaderGoneError(Exception):
    """Nobody reads the events any more, so there is nobody to work for."""


class Inbox:
    """Requests in order, and the wishes to cancel and to stop ahead of it.

    A thread reads standard input, as nothing else can while a prediction runs. It only fills the queue and sets flags.

    :param patience_s: end the process hard if it is still there this long after its input has closed; None: never.
    """

    def __init__(self, descriptor: int, patience_s: float | None = None) -> None:
        self._descriptor = descriptor
        self._patience_s = patience_s
        self._requests: queue.SimpleQueue[dict[str, Any] | RequestError | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._waiting: set[str] = set()
        self._cancelled: set[str] = set()
        self._stopped: set[str] = set()
        self._closing = False
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def next(self, timeout_s: float) -> dict[str, Any] | RequestError | None:
        """The next request, an error in its place, or None after the last one.

        :raises queue.Empty: nothing came in this time.
        """
        return self._requests.get(timeout=timeout_s)

    def is_cancelled(self, identifier: str) -> bool:
        """Whether this prediction is not wanted any more."""
        return self._closing or identifier in self._cancelled

    def is_stopped(self, identifier: str) -> bool:
        """Whether the samples that this prediction has drawn shall do."""
        return identifier in self._stopped

    def done(self, identifier: str) -> None:
        """The prediction has been answered."""
        with self._lock:
            self._waiting.discard(identifier)
            self._cancelled.discard(identifier)
            self._stopped.discard(identifier)

    def _read(self) -> None:
        # Not sys.stdin: Python aborts if it ends while a thread waits inside a buffered reader.
        line = bytearray()
        try:
            while chunk := os.read(self._descriptor, 1 << 16):
                first, *others = chunk.split(b"\n")
                # Of a line that is too long, only so much is kept that it is still too long at its end.
                line += first[: max(0, LONGEST_LINE + 1 - len(line))]
                for rest in others:
                    self._sort(bytes(line))
                    line[:] = rest
        except OSError:
            pass  # as if it were closed
        finally:
            self._closing = True
            self._requests.put(None)
        if self._patience_s is not None:
            # The caller is gone; it may have killed a launcher in between (PythonSlicer is one), and not this process.
            time.sleep(self._patience_s)
            os._exit(1)

    def _sort(self, line: bytes) -> None:
        if not line.strip():
            return
        try:
            message = parse_request(line)
            with self._lock:
                if message["type"] in ("predict", "score"):
                    if message["id"] in self._waiting:
                        raise RequestError(f"The id {message['id']!r} is that of a running or waiting request.")
                    self._waiting.add(message["id"])
                elif message["type"] in ("cancel", "stop") and message["id"] in self._waiting:
                    (self._cancelled if message["type"] == "cancel" else self._stopped).add(message["id"])
                    return
        except RequestError as error:
            self._requests.put(error)
            return
        if message["type"] == "shutdown":
            self._closing = True
        self._requests.put(message)


class EventChannel:
    """Writes events to a pipe of its own, so that nothing else that is printed can come between."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    @classmethod
    def take_standard_output(cls) -> "EventChannel":
        """Keep standard output for events and send whatever else is printed there to standard error."""
        sys.stdout.flush()
        private = os.dup(1)
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        return cls(os.fdopen(private, "wb"))

    def send(self, kind: str, **fields: Any) -> None:
        """Write one event at once.

        :raises ReaderGoneError: nobody reads any more.
        """
        line = json.dumps({"type": kind, **_plain(fields)}, allow_nan=False)
        try:
            self._stream.write(line.encode("ascii") + b"\n")
            self._stream.flush()
        except (OSError, ValueError) as error:
            raise ReaderGoneError("Nobody reads the events any more.") from error

    def send_error(self, error: GBMResponseError, **fields: Any) -> None:
        """Write an `error` event."""
        details = {"code": error.code, "message": error.message, "remedy": error.remedy}
        self.send("error", **fields, **details, exit_code=error.exit_code)


def _plain(value: Any) -> Any:
    """The value in JSON's types: paths as text, numbers that JSON does not know as null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
