"""Kill workers and clients of a running cohort, run the same command again, and count what has become of the cases."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_DONE = re.compile(r"\] (\S+): done in ")
_PATIENCE_S = 1800.0


@dataclass
class Outcome:
    """What came out of a cohort under chaos.

    :param twice: cases whose results were made more than once.
    :param codes: of the failures, how often.
    :param left: claims and half results that nobody has taken away.
    :param busy_s: seconds that the cases took, together, from when both workers were ready; `wall_s`: from then on.
    :param killed: workers and clients.
    """

    done: int = 0
    waiting: int = 0
    codes: Counter = field(default_factory=Counter)
    twice: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    busy_s: float = 0.0
    wall_s: float = 0.0
    killed: Counter = field(default_factory=Counter)
    exit_codes: list[int] = field(default_factory=list)

    def __str__(self) -> str:
        failures = ", ".join(f"{count} {code}" for code, count in self.codes.items()) or "none"
        killed = ", ".join(f"{count} {what}" for what, count in self.killed.items()) or "nobody"
        share = self.busy_s / (2 * self.wall_s) if self.wall_s else 0.0
        return (
            f"killed: {killed}; done {self.done}, failed: {failures}, not run {self.waiting}; made twice "
            f"{len(self.twice)}, left over {len(self.left)}; {self.wall_s:.0f} s, {share:.2f} of two ideal workers"
        )


def environment() -> dict[str, str]:
    """Variables of every client."""
    paths = [ROOT / "GBMResponse", ROOT, ROOT / "Testing", os.environ.get("PYTHONPATH", "")]
    own = {"PYTHONPATH": os.pathsep.join(map(str, paths)), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    return {**os.environ, **own}


class Chaos:
    """A cohort that is disturbed.

    :param command: of a client.
    :param table, out: of the cohort.
    :param clients: that run at once.
    """

    def __init__(self, command: Sequence[str], table: Path, out: Path, clients: int = 1) -> None:
        self._command, self._out, self._clients = list(command), out, clients
        with open(table, encoding="utf-8", newline="") as file:
            self._cases = [row["id"] for row in csv.DictReader(file)]
        self._log = out.with_name("log.txt")
        self._made: dict[str, set[int]] = {}
        self._running: list[subprocess.Popen] = []
        self._before: set[str] = set()
        self.outcome = Outcome()

    def run(self, events: Sequence[str] = ()) -> Outcome:
        """Run it to its end; each event, `worker` or `client`, kills one when its share of the cases has ended."""
        left, first, last = list(events), None, None
        with open(self._log, "ab") as log:
            self._running = [self._start(log) for _ in range(self._clients)]
            deadline = time.monotonic() + _PATIENCE_S
            while any(process.poll() is None for process in self._running):
                if time.monotonic() > deadline:
                    raise TimeoutError(self._log.read_text("utf-8", "replace")[-2000:])
                ended = self._look()
                if first is None and len(list(self._out.glob("*/.running.*"))) >= 2:  # both have their model
                    first, self._before = time.monotonic(), self._ended()
                if ended != last:
                    last, self.outcome.wall_s = ended, time.monotonic() - (first or time.monotonic())
                due = len(self._cases) * (len(events) - len(left) + 1) / (len(events) + 1)
                if left and ended >= due and self._kill(left[0]):
                    if left.pop(0) == "client":
                        self._running[0].wait()
                        self._running[0] = self._start(log)
                time.sleep(0.05)
        self.outcome.exit_codes = [process.returncode for process in self._running]
        return self._count()

    def _start(self, log) -> subprocess.Popen:
        return subprocess.Popen(self._command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment())

    def _kill(self, whom: str) -> bool:
        """Send kill -9; returns whether there was somebody to be killed."""
        if whom == "client":
            self._running[0].kill()
            self.outcome.killed["clients"] += 1
            return True
        for path in self._out.glob("*/.running.*"):
            try:
                os.kill(json.loads(path.read_text("utf-8"))["pid"], signal.SIGKILL)
            except (OSError, ValueError):
                continue
            self.outcome.killed["workers"] += 1
            return True
        return False

    def _ended(self) -> set[str]:
        return {name for name in self._cases if (self._out / name / "status.json").is_file()}

    def _look(self) -> int:
        """Note when each result was made; returns how many cases have ended."""
        ended = 0
        for name in self._cases:
            folder = self._out / name
            if (folder / "status.json").is_file():
                ended += 1
            try:
                self._made.setdefault(name, set()).add((folder / "provenance.json").stat().st_mtime_ns)
            except OSError:
                continue
        return ended

    def _count(self) -> Outcome:
        self._look()
        said = Counter(_DONE.findall(self._log.read_text("utf-8", "replace")))
        for name in self._cases:
            try:
                status = json.loads((self._out / name / "status.json").read_text("utf-8"))
            except (OSError, ValueError):
                self.outcome.waiting += 1
                continue
            self.outcome.busy_s += 0.0 if name in self._before else status["seconds"]
            if status["status"] == "done":
                self.outcome.done += 1
            elif status["message"] and status["remedy"]:
                self.outcome.codes[status["error_code"]] += 1
            if len(self._made.get(name, ())) > 1 or said[name] > 1:
                self.outcome.twice.append(name)
        hidden = (path for path in self._out.glob("*/.*"))
        self.outcome.left = [f"{path.parent.name}/{path.name}" for path in hidden]
        return self.outcome


def python(*arguments: str) -> list[str]:
    """A command of this Python."""
    return [sys.executable, *arguments]
