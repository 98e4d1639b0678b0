"""The worker's language: one JSON object per line, UTF-8 (docs/worker-protocol.md)."""

import json
from typing import Any

LONGEST_LINE = 16 * 1024 * 1024


def encodeMessage(message: dict[str, Any]) -> bytes:
    """Return one message as a line. Newlines inside texts are escaped by JSON."""
    return json.dumps(message, ensure_ascii=False, allow_nan=False).encode("utf-8") + b"\n"


class MessageDecoder:
    """Cuts a stream of bytes, as it comes in arbitrary pieces, into messages.

    What is no message of the protocol (a stray print of a library, a damaged line) is handed on as text instead.
    """

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any] | str]:
        """Return the messages (dict) and other lines (str) that are complete with this piece, in their order."""
        self._pending += data
        if len(self._pending) > LONGEST_LINE and b"\n" not in self._pending:
            self._pending.clear()
            return ["(a line without end was dropped)"]
        *lines, rest = self._pending.split(b"\n")
        self._pending = bytearray(rest)
        return [decoded for line in lines if (decoded := _decodeLine(bytes(line))) is not None]

    def reset(self) -> None:
        """Forget half a line: the next piece comes from a new process."""
        self._pending.clear()


def _decodeLine(line: bytes) -> dict[str, Any] | str | None:
    text = line.decode("utf-8", errors="replace").strip()
    if not text:
        return None
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return message if isinstance(message, dict) and isinstance(message.get("type"), str) else text
