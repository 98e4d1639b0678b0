"""Feeds recipes to a child process, restarts it when it crashes or hangs, and counts what came out."""

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from worker_session import CORE_PARENT, WorkerSession

from . import build

ROOT = Path(__file__).resolve().parents[2]
HANG_S = 600
"""No input keeps the product busy for so long, on any machine."""

Recipe = dict[str, Any]


class Child:
    """A process of `fuzz.child` that is started when needed and again when it has crashed."""

    def __init__(self, corpus: Path, log: Path) -> None:
        self._corpus, self._log = corpus, log
        self._process: subprocess.Popen | None = None
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()

    def feed(self, recipe: Recipe) -> dict[str, str]:
        """The outcome of a recipe, see `child`; `crash: SIGNAL` or `hang` if the process does not answer."""
        if self._process is None:
            self._start()
        assert self._process is not None and self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(recipe) + "\n")
            self._process.stdin.flush()
            answer = self._answers.get(timeout=HANG_S)
        except queue.Empty:
            self.close()
            return {"outcome": "hang", "detail": f"no answer in {HANG_S} s"}
        except BrokenPipeError:
            answer = ""
        if answer:
            return json.loads(answer)
        code = self._process.wait()
        self.close()
        tail = self._log.read_text("utf-8", "replace")[-3000:]
        return {"outcome": f"crash: {'signal ' + str(-code) if code < 0 else 'exit ' + str(code)}", "detail": tail}

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def _start(self) -> None:
        path = os.pathsep.join(map(str, [CORE_PARENT, ROOT, ROOT / "Testing"]))
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "fuzz.child", str(self._corpus)],
                env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        stream = self._process.stdout

        def read() -> None:
            for line in stream:
                answers.put(line)
            answers.put("")

        threading.Thread(target=read, daemon=True).start()
        self._answers = answers


class Lines:
    """A real worker process that gets lines, and must answer each and live on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session: WorkerSession | None = None
        self._number = 0

    def feed(self, recipe: Recipe) -> dict[str, str]:
        """The outcome of a line: `typed: CODE`, `valid`, or a finding."""
        self._number += 1
        self._session = self._session or WorkerSession(self._folder / "worker.txt")
        before = len(self._session.events)
        try:
            self._session.send_line(build.line_bytes(recipe, self._folder, self._number))
            in_step = self._session.is_in_step(answers=True)
        except (AssertionError, OSError) as error:
            in_step, detail = False, str(error)
        else:
            detail = "" if in_step else self._session.log.read_text("utf-8", "replace")[-3000:]
        if not in_step:
            self.close()
            return {"outcome": "worker ended", "detail": detail}
        errors = [event for event in self._session.events[before:] if event["type"] == "error"]
        untyped = [event for event in errors if event["code"] == "error"]
        if untyped:
            return {"outcome": f"untyped: {untyped[0]['message'].partition(':')[2][:60]}", "detail": str(untyped[0])}
        return {"outcome": f"typed: {errors[0]['code']}" if errors else "valid"}

    def close(self) -> None:
        """End the worker."""
        if self._session is not None:
            self._session.close()
            self._session = None


@dataclass
class Findings:
    """What came out, counted, with the first recipe of each kind of finding."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], tuple[Recipe, str]] = field(default_factory=dict)

    def add(self, recipe: Recipe, answer: dict[str, str]) -> None:
        """Count one input."""
        key = recipe["kind"], answer["outcome"]
        self.outcomes[key] += 1
        if is_finding(answer["outcome"]):
            self.examples.setdefault(key, (recipe, answer.get("detail", "")))

    def total(self, kind: str | None = None) -> int:
        """Inputs of a kind, or all."""
        return sum(count for (name, _), count in self.outcomes.items() if kind in (None, name))

    def valid(self, kind: str) -> int:
        """Inputs of a kind that gave a result."""
        return self.outcomes[kind, "valid"]

    def table(self) -> str:
        """Inputs, results, typed errors and findings per kind."""
        lines = [f"{'kind':<10}{'inputs':>8}{'valid':>8}{'typed':>8}{'findings':>10}"]
        for kind in sorted({kind for kind, _ in self.outcomes}):
            found = sum(n for (name, outcome), n in self.outcomes.items() if name == kind and is_finding(outcome))
            total, valid = self.total(kind), self.valid(kind)
            lines.append(f"{kind:<10}{total:>8}{valid:>8}{total - valid - found:>8}{found:>10}")
        return "\n".join(lines)

    def sentences(self) -> list[str]:
        """One paragraph per kind of finding: how often, the recipe of the first, and what was seen."""
        return [
            f"{kind}: {outcome} ({self.outcomes[kind, outcome]} times)\n  {json.dumps(recipe)}\n{detail.strip()}"
            for (kind, outcome), (recipe, detail) in self.examples.items()
        ]


def is_finding(outcome: str) -> bool:
    """Whether an outcome is wrong."""
    return outcome != "valid" and not outcome.startswith("typed: ")


class Fuzzer:
    """Corpus, child and worker of one session."""

    def __init__(self) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="gbmresponse-fuzz-")
        folder = Path(self._temporary.name)
        from .child import prepare_corpus

        self._child = Child(prepare_corpus(folder / "corpus"), folder / "child.txt")
        self._lines = Lines(folder)
        self.findings = Findings()

    def __enter__(self) -> "Fuzzer":
        return self

    def __exit__(self, *exception: object) -> None:
        self._child.close()
        self._lines.close()
        self._temporary.cleanup()

    def feed(self, recipe: Recipe) -> str:
        """Give one input to the product; returns the outcome, which is also counted."""
        answer = (self._lines if recipe["kind"] == "line" else self._child).feed(recipe)
        self.findings.add(recipe, answer)
        return answer["outcome"]

    def feed_many(self, kind: str, count: int, seed: int) -> None:
        """Give `count` different inputs of a kind; the same seed gives the same inputs."""
        from hypothesis import HealthCheck, Phase, given, settings
        from hypothesis import seed as seeded

        from .recipes import EVERYTHING

        # Findings are counted, not raised: the search goes on, and each kind of finding is shown once.
        @seeded(seed)
        @settings(
            max_examples=count, database=None, deadline=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(EVERYTHING[kind])
        def run(recipe: Recipe) -> None:
            self.feed(json.loads(json.dumps(recipe)))

        run()
