"""Drives a real worker process in tests: sends requests, collects events, never waits for ever."""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

from GBMResponseCore.worker import serve as worker

CORE_PARENT = Path(worker.__file__).resolve().parents[2]
TIMEOUT_S = 60
ENDINGS = ("result", "error", "cancelled")


class WorkerSession:
    """A worker process. `events` holds everything it said so far, `log` is the file its standard error goes to."""

    def __init__(self, log: Path, *arguments: str, code: str | None = None) -> None:
        command = ["-c", code] if code else ["-m", "GBMResponseCore.worker"]
        self.events: list[dict] = []
        self.log = log
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *command, *arguments],
                env=os.environ | {"PYTHONPATH": str(CORE_PARENT)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "WorkerSession":
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()

    def send(self, **message) -> None:
        self.send_line(json.dumps(message).encode())

    def send_line(self, line: bytes) -> None:
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def next(self, timeout_s: float = TIMEOUT_S) -> dict:
        """The next event; every line must be one JSON object."""
        line = self._lines.get(timeout=timeout_s)
        assert line is not None, f"the worker ended: {self.log.read_text(encoding='utf-8')}"
        event = json.loads(line)
        self.events.append(event)
        return event

    def until(self, *kinds: str) -> dict:
        """The first event of one of these types, and of no ending of a prediction before it."""
        while True:
            event = self.next()
            if event["type"] in kinds:
                return event
            assert event["type"] not in ENDINGS, event

    def predict(self, **message) -> dict:
        """Send a prediction and wait for its end."""
        self.send(type="predict", **message)
        return self.until(*ENDINGS)

    def wait_for_end(self, timeout_s: float = 30) -> int:
        """The exit code of a worker that ends by itself."""
        return self.process.wait(timeout_s)

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)


def wait_until(condition, timeout_s: float = 10) -> bool:
    end = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()
