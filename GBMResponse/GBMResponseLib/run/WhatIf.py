"""Asks the worker for one slice of the last prediction under other conditions, as fast as it answers."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.Failure import Failure
from ..common.Signal import Signal
from ..common.Translation import tr as _
from ..worker.WorkerClient import RESULT, WHAT_IF, RequestOutcome, WorkerClient
from .RunFolders import RunFolders

if TYPE_CHECKING:
    from ..common.QtTimers import QtTimer

SETTLE_MS = 40
"""A slider that is dragged changes more often than anybody could see."""


class WhatIf:
    """Of many wishes the newest one counts: while a question is under way, nothing is queued but the last wish.

    Signals: `answered(wish, path, seconds)`, `failed(Failure)`.

    :param startTimer: calls a function once after some milliseconds; returns the timer.
    """

    def __init__(
        self, client: WorkerClient, folders: RunFolders, startTimer: "Callable[[int, Callable[[], None]], QtTimer]"
    ) -> None:
        self.answered, self.failed = Signal(), Signal()
        self._client = client
        self._folders = folders
        self._startTimer = startTimer
        self._timer: QtTimer | None = None
        self._wish: dict[str, Any] | None = None
        self._asked: dict[str, Any] | None = None
        self._identifier = ""
        client.finished.connect(self._onFinished)

    def ask(self, of: str, index: int, weight: float | None, days: float | None) -> None:
        """Wish for a slice; the answer comes as `answered`, unless another wish comes before it is asked for.

        :param of: the run, which the worker must have made last.
        :param index: of the slice in the engine's stack.
        :param weight: 0 for the first class, 1 for the last; None for the class of the prediction.
        :param days: since radiotherapy; None for those of the prediction.
        """
        self._wish = {"of": of, "index": index, "weight": weight, "days": days}
        if self._timer is None and self._asked is None:
            self._timer = self._startTimer(SETTLE_MS, self._onTimer)

    def forget(self) -> None:
        """Nobody waits for an answer any more."""
        self._wish = None
        if self._timer is not None:
            self._timer.stop()
            self._timer = None
        if self._asked is not None:
            self._asked = None
            if not self._client.isBusy:
                self._client.abandon()

    def _onTimer(self) -> None:
        self._timer = None
        self._send()

    def _send(self) -> None:
        wish, self._wish = self._wish, None
        if wish is None or self._client.isBusy:
            return
        try:
            if not self._client.isWarm:
                message = _("The prediction process has ended, and with it what it knew of this case.")
                raise Failure("nothing-predicted", message, _("Press Predict again."))
            out = self._folders.results("what-if")
            self._identifier = f"what-if-{uuid.uuid4().hex[:8]}"
            self._asked = wish
            self._client.submit({"type": WHAT_IF, "id": self._identifier, "out": str(out), **wish})
        except Failure as failure:
            self._asked = None
            self.failed.emit(failure)

    def _onFinished(self, outcome: RequestOutcome) -> None:
        if self._asked is None or outcome.message.get("id") not in (None, self._identifier):
            return
        asked, self._asked = self._asked, None
        if outcome.kind == RESULT:
            self.answered.emit(asked, Path(outcome.message["path"]), float(outcome.message.get("seconds", 0.0)))
        elif outcome.failure is not None:
            self.failed.emit(outcome.failure)
        self._send()
