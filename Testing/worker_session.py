"""Drives a real worker process in tests: sends requests, collects events, never waits for ever.

A machine may be busy, so time limits only end a test whose worker hangs; no test depends on how fast an answer comes.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from GBMResponseCore.worker import serve as worker

CORE_PARENT = Path(worker.__file__).resolve().parents[2]
TIMEOUT_S = 600
"""A worker that says nothing for so long hangs, on any machine."""
ENDINGS = ("result", "error", "cancelled")


class WorkerSession:
    """A worker process. `events` holds everything it said so far, `log` is the file its standard error goes to.

    :param environment: replaces variables of the environment; None takes one away.
    """

    def __init__(
        self, log: Path, *arguments: str, code: str | None = None, environment: dict[str, str | None] | None = None
    ) -> None:
        command = ["-c", code] if code else ["-m", "GBMResponseCore.worker"]
        variables = os.environ | {"PYTHONPATH": str(CORE_PARENT)} | (environment or {})
        self.events: list[dict] = []
        self.log = log
        with open(log, "wb") as file:
            self.process = subprocess.Popen(
                [sys.executable, *command, *arguments],
                env={name: value for name, value in variables.items() if value is not None},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
            )
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self) -> "WorkerSession":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the process, whatever it does."""
        self.process.kill()
        self.process.wait()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # what was not yet sent is lost with the process

    def send(self, **message) -> None:
        self.send_line(json.dumps(message).encode())

    def send_line(self, line: bytes) -> None:
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def next(self, timeout_s: float = TIMEOUT_S) -> dict:
        """The next event; every line must be one JSON object."""
        try:
            line = self._lines.get(timeout=timeout_s)
        except queue.Empty:
            self.close()  # its answer may still come, and would be taken for that of the next request
            raise AssertionError(f"the worker says nothing for {timeout_s:g} s: {self._log_text()}") from None
        assert line is not None, f"the worker ended: {self._log_text()}"
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

    def is_in_step(self, answers: bool = False) -> bool:
        """Whether the worker lives and has said nothing that was not read: the next answer is that of the next request.

        A prediction that still runs is waited for.

        :param answers: answers that were not read yet are read now, instead of being a reason against.
        """
        if self.process.poll() is not None:
            return False
        mark = f"mark {uuid4().hex}"
        try:
            self.send(type="cancel", id=mark)
            while (event := self.next()).get("id") != mark:
                if not answers:
                    return False
            return event["type"] == "warning"
        except (AssertionError, OSError):
            return False

    def wait_for_end(self, timeout_s: float = TIMEOUT_S) -> int:
        """The exit code of a worker that ends by itself."""
        return self.process.wait(timeout_s)

    def _read(self) -> None:
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


class WarmWorker:
    """One worker for many tests. Each test gets it in step with its requests, or a new one."""

    def __init__(self, start: Callable[[], WorkerSession]) -> None:
        self._start = start
        self._session: WorkerSession | None = None

    @contextmanager
    def lent(self) -> Iterator[WorkerSession]:
        """The worker for one test."""
        if self._session is None:
            self._session = self._start()
        try:
            yield self._session
        finally:
            if not self._session.is_in_step():
                self.close()

    def close(self) -> None:
        """End the worker, if there is one."""
        if self._session is not None:
            self._session.close()
            self._session = None


def wait_until(condition, timeout_s: float = TIMEOUT_S) -> bool:
    end = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()
