"""Talks to the worker: handshake, one request at a time, cancel with patience, one outcome per request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from GBMResponseCore.worker.protocol import PROTOCOL

from ..common.Failure import Failure
from ..common.Signal import Signal
from ..common.Steps import Later
from ..common.Translation import tr as _

if TYPE_CHECKING:  # they know Qt
    from ..common.QtTimers import QtTimer
    from .WorkerProcess import WorkerProcess

RESULT, FAILED, CANCELLED = "result", "failed", "cancelled"
PATIENCE_MS = 3000
READY_MS = 120_000
WHAT_IF, SCORE = "what_if", "score"
_FINAL = {"predict": "result", "check": "environment", "load": "loaded", WHAT_IF: WHAT_IF, SCORE: "scored"}


@dataclass(frozen=True)
class RequestOutcome:
    """Exactly one outcome is reported per request.

    :param kind: `result`, `failed` or `cancelled`.
    :param message: the worker's last message about the request; empty if there was none.
    :param failure: what went wrong; None unless `failed`.
    """

    kind: str
    message: dict[str, Any] = field(default_factory=dict)
    failure: Failure | None = None


class WorkerClient:
    """Keeps a warm worker and sends it requests.

    Signals: `eventReceived(dict)` for the events of the current request, `logReceived(str)`, and, once per request,
    `finished(RequestOutcome)`.

    :param startTimer: calls a function once after some milliseconds; returns the timer.
    """

    def __init__(self, transport: "WorkerProcess", startTimer: "Callable[[int, Callable[[], None]], QtTimer]") -> None:
        self.eventReceived, self.logReceived, self.finished = Signal(), Signal(), Signal()
        self.version = ""
        self._transport = transport
        self._later = Later(startTimer)
        self._request: dict[str, Any] | None = None
        self._ready = False
        self._cancelling = False
        self._leaving = False
        """The process was told to end, and has not ended yet: nothing is sent to it any more."""
        transport.messageReceived.connect(self._onMessage)
        transport.logReceived.connect(self.logReceived.emit)
        transport.stopped.connect(self._onStopped)

    @property
    def isBusy(self) -> bool:
        """Whether a request is under way that others must wait for; a what-if gives way to them."""
        return self._request is not None and self._request["type"] != WHAT_IF

    @property
    def isWarm(self) -> bool:
        """Whether a worker is running, has answered the handshake, and is to stay."""
        return self._ready and not self._leaving and self._transport.isRunning()

    def submit(self, request: dict[str, Any]) -> None:
        """Send a request (`predict`, `check`, `what_if` or `score`), starting the worker if needed.

        :raises Failure: another request is under way.
        """
        if self.isBusy:
            raise Failure("busy", _("A prediction is running already."), _("Wait for its end, or cancel it."))
        if self._request is not None:
            self.abandon()
        self._request, self._cancelling = request, False
        if self.isWarm:
            self._transport.send(request)
            return
        self._later.call(self._onNotReady, READY_MS)
        if not self._transport.isRunning():
            self._start()
        elif not self._leaving:
            self._greet()

    def stop(self) -> None:
        """Ask for the result with the samples that are complete."""
        if self.isBusy and self.isWarm and not self._cancelling:
            self._transport.send({"type": "stop", "id": self._request["id"]})

    def cancel(self) -> None:
        """Ask for the end of the current request; finished slices are kept. A worker that does not react is stopped."""
        if not self.isBusy or self._cancelling:
            return
        self._cancelling = True
        if self.isWarm and "id" in self._request:
            self._transport.send({"type": "cancel", "id": self._request["id"]})
            self._later.call(self._onCancelIgnored, PATIENCE_MS)
        else:
            self._onCancelIgnored()

    def abandon(self) -> None:
        """Cancel without telling anyone: nobody waits for the outcome any more."""
        request, self._request = self._request, None
        self._later.stop()
        if request is None:
            return
        if self.isWarm and "id" in request:
            self._transport.send({"type": "cancel", "id": request["id"]})
        else:
            self._leave(self._transport.kill)

    def shutdown(self) -> None:
        """Ask the worker to end, without an outcome for the current request."""
        self._request = None
        self._later.stop()
        if self._transport.isRunning():
            self._transport.send({"type": "shutdown"})
            self._leave(self._transport.closeInput)

    def _start(self) -> None:
        self._ready = self._leaving = False
        self._transport.start()
        self._greet()

    def _greet(self) -> None:
        if self._request is not None and not self._ready and self._transport.isRunning():
            self._transport.send({"type": "hello", "protocol": PROTOCOL})

    def _leave(self, end: Callable[[], None]) -> None:
        """Have the process ended; a request that comes before it has is for the next one."""
        self._leaving = self._transport.isRunning()
        end()

    def _onMessage(self, message: dict[str, Any]) -> None:
        kind = message["type"]
        if self._leaving and not self._cancelling:
            return  # from a process whose successor will get the request
        if kind == "ready":
            self._onReady(message)
        elif self._request is None or message.get("id") not in (None, self._request.get("id")):
            return  # about a request that was abandoned
        elif kind == "error":
            failure = Failure(
                str(message.get("code", "error")), str(message.get("message", "")), str(message.get("remedy", ""))
            )
            self._finish(RequestOutcome(FAILED, message, failure))
        elif kind == "cancelled":
            self._finish(RequestOutcome(CANCELLED, message))
        elif kind == _FINAL.get(self._request["type"]):
            self._finish(RequestOutcome(RESULT, message))
        else:
            self.eventReceived.emit(message)

    def _onReady(self, message: dict[str, Any]) -> None:
        if message.get("protocol") != PROTOCOL:
            details = f"protocol {message.get('protocol')!r} instead of {PROTOCOL}"
            self._leave(self._transport.kill)
            self._finish(RequestOutcome(FAILED, message, _mismatch(details)))
            return
        self._ready = True
        self.version = str(message.get("version", ""))
        if self._request is not None and not self._cancelling:
            self._later.stop()
            self._transport.send(self._request)

    def _onStopped(self, reason: str, failedToStart: bool) -> None:
        left, self._ready, self._leaving = self._leaving, False, False
        if self._cancelling:
            self._finish(RequestOutcome(CANCELLED))
        elif left and self._request is not None:
            self._start()
        elif failedToStart:
            message = _("The prediction process cannot be started.")
            remedy = _("Install 3D Slicer again, or tell us with the log below.")
            self._finish(RequestOutcome(FAILED, failure=Failure("worker-start", message, remedy, reason)))
        else:
            message = _("The prediction process stopped unexpectedly ({reason}).").format(reason=reason)
            remedy = _("Press Predict again: slices that were finished are not computed again.")
            self._finish(RequestOutcome(FAILED, failure=Failure("worker-stopped", message, remedy, reason)))

    def _onNotReady(self) -> None:
        self._leave(self._transport.kill)
        self._finish(RequestOutcome(FAILED, failure=_mismatch("no answer to hello")))

    def _onCancelIgnored(self) -> None:
        if self._transport.isRunning():
            self._later.call(self._transport.kill, PATIENCE_MS)
            self._leave(self._transport.terminate)
        else:
            self._finish(RequestOutcome(CANCELLED))

    def _finish(self, outcome: RequestOutcome) -> None:
        """Report once: of a crash Qt tells twice, and a kill follows a cancel."""
        if self._request is None:
            return
        self._request, self._cancelling = None, False
        self._later.stop()
        self.finished.emit(outcome)


def _mismatch(details: str) -> Failure:
    message = _("The prediction process does not answer as it should.")
    return Failure("protocol", message, _("Restart Slicer; if it stays, install GBMResponse again."), details)
