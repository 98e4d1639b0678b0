"""The worker's language: one JSON object per line, in both directions."""

import json
import math
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import GBMResponseError, RequestError

PROTOCOL = 1
REQUESTS = ("hello", "check", "load", "predict", "cancel", "shutdown")


def parse_request(line: bytes) -> dict[str, Any]:
    """Decode one line.

    :returns: an object whose `type` is one of `REQUESTS`.
    :raises RequestError: it is not.
    """
    try:
        message = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The line is not JSON ({error}).") from error
    if not isinstance(message, dict):
        raise RequestError("The line is not a JSON object.")
    if message.get("type") not in REQUESTS:
        raise RequestError(f"Unknown request type {message.get('type')!r}.", f"Known are: {', '.join(REQUESTS)}.")
    if message["type"] in ("predict", "cancel") and not (isinstance(message.get("id"), str) and message["id"]):
        raise RequestError("The field 'id' is missing, or is not a text.")
    return message


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

        :raises OSError: the reader is gone.
        """
        line = json.dumps({"type": kind, **_plain(fields)}, allow_nan=False)
        self._stream.write(line.encode("ascii") + b"\n")
        self._stream.flush()

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
