"""The cases of a cohort, given to whoever runs them until all have ended: one loop for one process and for many."""

import json
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol

from ..errors import OutputFolderError
from ..files import discard, ensure_output_folder, sweep_partial_files, write_json
from ..inputs.case_table import TableCase
from ..outputs.folder import LOCK, locked, refuse_to_replace, result_files
from ..progress import Listener
from ..run import Runner
from .case_run import Plan, Turn, run_case
from .claim import STALE_S, Watch
from .events import Tell, nobody
from .status import ELSEWHERE, FAILED, RUNNING, WAITING, status_mark
from .tables import Say, Tables

OPTIONS = ".cohort.json"
"""What the results in the folder depend on, so that a second client with other options does not join."""
_POLL_S = 1.0
_OLD_S = 3600.0
_TRIES, _BETWEEN_TRIES_S = 10, 0.1
_INPUTS = ("image", "gtv", "follow_up")


class Workers(Protocol):
    """Whoever runs cases."""

    @property
    def running(self) -> int:
        """Cases that were given and have not come back."""

    def has_room(self) -> bool:
        """Whether another case may be given."""

    def give(self, turn: Turn) -> None:
        """Let a case be run."""

    def take(self, seconds: float) -> list[tuple[TableCase, dict[str, Any]]]:
        """Cases that have come back, with their statuses; waits for the first one, not longer.

        :raises GBMResponseError: nobody can run any case.
        """

    def drain(self) -> bool:
        """Begin no case any more; whether running ones go on, so that they should be waited for."""


class ThisProcess:
    """Runs one case after the other, here."""

    def __init__(self, plan: Plan, runner: Runner | None = None, listener: Listener | None = None) -> None:
        self._plan, self._runner, self._listener = plan, runner or Runner(), listener
        self._given: list[Turn] = []
        self._runner.basis(plan.template)  # what no case could survive ends the cohort before the first one

    @property
    def running(self) -> int:
        """See `Workers`."""
        return len(self._given)

    def has_room(self) -> bool:
        """See `Workers`."""
        return not self._given

    def give(self, turn: Turn) -> None:
        """See `Workers`."""
        self._given.append(turn)

    def take(self, seconds: float) -> list[tuple[TableCase, dict[str, Any]]]:
        """See `Workers`; the case is run now."""
        if not self._given:
            time.sleep(seconds)
            return []
        turn = self._given.pop()
        return [(turn.case, run_case(turn, self._plan, self._runner, self._listener))]

    def drain(self) -> bool:
        """See `Workers`: the case was interrupted, its finished slices are kept."""
        return False


def run_cohort(
    cases: Sequence[TableCase], plan: Plan, workers: Workers, say: Say = print, stale_s: float = STALE_S,
    tell: Tell = nobody,
) -> None:  # fmt: skip
    """Run all cases and write the tables again and again.

    A case that is done is not run again, unless its voxels, the model, the software or the options changed. One that
    another client works on is waited for, or taken over if that client has ended.

    :param tell: hears of each case when it is given to a worker, and what became of it.
    :param stale_s: seconds without a sign of life after which another machine's process is held to have ended.
    :raises GBMResponseError: model, device or output folder cannot be used at all, so that no case was run.
    :raises SomeCasesFailedError: at the end, if not every case succeeded.
    :raises KeyboardInterrupt: finished cases and slices are kept; running cases of a cluster were waited for.
    """
    out, tables, watch = plan.out, Tables(cases, plan.out, say), Watch(stale_s)
    marks = {case.identifier: status_mark(out / case.identifier) for case in cases}
    waiting = deque(Turn(case, None, marks[case.identifier]) for case in cases)
    elsewhere: dict[str, Turn] = {}
    ended, looked, interrupted = 0, 0.0, False
    try:
        while waiting or elsewhere or workers.running:
            try:
                while waiting and workers.has_room():
                    tell("case", id=waiting[0].case.identifier, status=RUNNING)
                    workers.give(waiting.popleft())
                for case, status in workers.take(_POLL_S):
                    tell("case", id=case.identifier, **status)
                    if status["status"] == ELSEWHERE:
                        elsewhere[case.identifier] = Turn(case, None, marks[case.identifier])
                    elif status["status"] != WAITING:
                        ended += 1
                        tables.put(case.identifier, status)
                        say(f"[{ended}/{len(cases)}] {_sentence(case, status)}")
                tables.write_sometimes()
                if elsewhere and not interrupted and time.monotonic() - looked >= _POLL_S:
                    looked = time.monotonic()
                    for name, turn in list(elsewhere.items()):
                        free, over = watch.may_try(out / name)
                        if free:
                            waiting.append(Turn(turn.case, over, turn.known))
                            del elsewhere[name]
            except KeyboardInterrupt:
                if interrupted or not workers.drain():
                    raise
                interrupted = True
                waiting.clear()
                elsewhere.clear()
                say(
                    f"Stopping: running cases are finished first ({workers.running} given). Ctrl+C again stops at once."
                )
        if interrupted:
            raise KeyboardInterrupt
    finally:
        tables.write()
    tables.raise_if_failed()


@contextmanager
def cohort_folder(cases: Sequence[TableCase], table: Path, plan: Plan) -> Iterator[None]:
    """Open an output folder, after a check that no result would replace a file of the table.

    A second client may join if its options are the same.

    :raises OutputFolderError: a result would replace a file, something else is using the folder, or it cannot be
        written to.
    """
    out = plan.out
    usable = [case for case in cases if not case.unusable]
    inputs: dict[str, Path | None] = {"case table": table}
    for case in usable:
        for name in _INPUTS:
            inputs[f"{name} of {case.identifier}"] = getattr(case, name)
    folders = [out / case.identifier for case in cases]
    classes = [folder / name for case, folder in zip(cases, folders, strict=True) for name in case.classes]
    refuse_to_replace(inputs, result_files([out, *folders, *classes]))
    ensure_output_folder(out)
    with ExitStack() as stack:
        first = _first_client(stack, plan)
        if first:
            sweep_partial_files(out, _OLD_S)
            write_json({"key": plan.key}, out / OPTIONS)
        try:
            yield
        except BaseException:
            with suppress(OSError):  # the folder is gone meanwhile
                if first and {path.name for path in out.iterdir()} == {LOCK, OPTIONS}:  # no case was begun
                    discard(out / OPTIONS)
            raise


def _first_client(stack: ExitStack, plan: Plan) -> bool:
    """Lock the folder, unless another client that does the same has it.

    :raises OutputFolderError: something else has it.
    """
    for left in range(_TRIES, -1, -1):  # the other may be about to say what it does
        try:
            stack.enter_context(locked(plan.out / LOCK))
            return True
        except OutputFolderError:
            if _options_of(plan.out) == plan.key:
                return False
            if not left:
                raise
        time.sleep(_BETWEEN_TRIES_S)
    return False


def _options_of(out: Path) -> str | None:
    with suppress(OSError, ValueError, AttributeError):
        return json.loads((out / OPTIONS).read_text(encoding="utf-8")).get("key")
    return None


def _sentence(case: TableCase, status: dict[str, Any]) -> str:
    if status["status"] == FAILED:
        return f"{case.identifier}: failed ({status['error_code']}). {status['message']} {status['remedy']}"
    when = "was done before" if status.get("again") else f"done in {status['seconds']:.1f} s"
    return f"{case.identifier}: {when}, class {status['classes']}"
