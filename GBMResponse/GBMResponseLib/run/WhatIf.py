"""Asks the worker for one slice of the last prediction under other conditions, as fast as it answers."""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.Failure import Failure
from ..common.Signal import Signal
from ..common.Steps import Later
from ..common.Translation import tr as _
from ..worker.WorkerClient import RESULT, WHAT_IF, RequestOutcome, WorkerClient
from .RunFolders import RunFolders

if TYPE_CHECKING:
    from ..common.QtTimers import QtTimer

SETTLE_MS = 40
"""A slider that is dragged changes more often than anybody could see."""


class WhatIf:
    """Of many wishes the newest one counts: while a question is under way, nothing is queued but the last wish.

    While the worker has other work, the wish waits for its end.

    Signals: `answered(wish, path, seconds)`, `failed(Failure)`.

    :param startTimer: calls a function once after some milliseconds; returns the timer.
    """

    def __init__(
        self, client: WorkerClient, folders: RunFolders, startTimer: "Callable[[int, Callable[[], None]], QtTimer]"
    ) -> None:
        self.answered, self.failed = Signal(), Signal()
        self._client = client
        self._folders = folders
        self._later = Later(startTimer)
        self._wish: dict[str, Any] | None = None
        self._asked: dict[str, Any] | None = None
        self._identifier = ""
        client.finished.connect(self._onFinished)

    @property
    def isWaiting(self) -> bool:
        """Whether the worker has other work to end first, as a score."""
        return self._client.isBusy

    def ask(self, of: str, index: int, weight: float | None, days: float | None) -> None:
        """Wish for a slice; the answer comes as `answered`, unless another wish comes before it is asked for.

        :param of: the run, which the worker must have made last.
        :param index: of the slice in the engine's stack.
        :param weight: 0 for the first class, 1 for the last; None for the class of the prediction.
        :param days: since radiotherapy; None for those of the prediction.
        """
        self._wish = {"of": of, "index": index, "weight": weight, "days": days}
        if self._asked is None and not self._later.isPending:
            self._later.call(self._send, SETTLE_MS)

    def forget(self) -> None:
        """Nobody waits for an answer any more."""
        self._wish = None
        self._later.stop()
        if self._asked is not None:
            self._asked = None
            if not self._client.isBusy:
                self._client.abandon()

    def _send(self) -> None:
        if self._wish is None or self._client.isBusy:
            return
        wish, self._wish = self._wish, None
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
        asked, self._asked = self._asked, None
        isMine = asked is not None and outcome.message.get("id") in (None, self._identifier)
        if isMine and outcome.kind == RESULT:
            self.answered.emit(asked, Path(outcome.message["path"]), float(outcome.message.get("seconds", 0.0)))
        elif isMine and outcome.failure is not None:
            self.failed.emit(outcome.failure)
        else:  # it gave way to what has ended now
            self._wish = self._wish or asked
        self._send()
