"""The worker's language: one JSON object per line, in both directions."""

import json
from reprlib import repr as short
from typing import Any

from ..errors import RequestError

PROTOCOL = 1
REQUESTS = ("hello", "check", "load", "predict", "stop", "cancel", "what_if", "score", "shutdown")
LONGEST_LINE = 1 << 20
"""Bytes of a request; no real one comes near."""
_LONGEST_ID = 200


def parse_request(line: bytes) -> dict[str, Any]:
    """Decode one line.

    :returns: an object whose `type` is one of `REQUESTS`, and whose `id` is a text or not there.
    :raises RequestError: it is not.
    """
    if len(line) > LONGEST_LINE:
        raise RequestError(f"The line is longer than {LONGEST_LINE} bytes.")
    try:
        message = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise RequestError(f"The line is not JSON ({error}).") from error
    if not isinstance(message, dict):
        raise RequestError("The line is not a JSON object.")
    kind, identifier = message.get("type"), message.get("id")
    if kind not in REQUESTS:
        raise RequestError(f"Unknown request type {short(kind)}.", f"Known are: {', '.join(REQUESTS)}.")
    needed = kind in ("predict", "stop", "cancel", "what_if", "score")
    if identifier is None and not needed:
        message.pop("id", None)
    elif not isinstance(identifier, str) or len(identifier) > _LONGEST_ID or (needed and not identifier):
        raise RequestError(f"The field 'id' is missing, or is not a text of at most {_LONGEST_ID} letters.")
    return message
