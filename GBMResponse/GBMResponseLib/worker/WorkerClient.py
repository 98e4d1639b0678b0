"""Talks to the worker: handshake, one request at a time, cancel with patience, one outcome per request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from ..common.Failure import Failure
from ..common.Signal import Signal
from ..common.Translation import tr as _
from .WorkerProtocol import PROTOCOL

RESULT, FAILED, CANCELLED = "result", "failed", "cancelled"
PATIENCE_MS = 3000
READY_MS = 120_000
_FINAL = {"predict": "result", "check": "environment", "load": "loaded"}


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


class Transport(Protocol):
    """A process that speaks the protocol (`WorkerProcess`)."""

    messageReceived: Signal
    logReceived: Signal
    stopped: Signal

    def start(self) -> None: ...
    def isRunning(self) -> bool: ...
    def send(self, message: dict[str, Any]) -> None: ...
    def closeInput(self) -> None: ...
    def terminate(self) -> None: ...
    def kill(self) -> None: ...


class Timer(Protocol):
    """A started timer."""

    def stop(self) -> None: ...


class WorkerClient:
    """Keeps a warm worker and sends it requests.

    Signals: `eventReceived(dict)` for the events of the current request, `logReceived(str)`, and, once per request,
    `finished(RequestOutcome)`.

    :param startTimer: calls a function once after some milliseconds; returns the timer.
    """

    def __init__(self, transport: Transport, startTimer: Callable[[int, Callable[[], None]], Timer]) -> None:
        self.eventReceived, self.logReceived, self.finished = Signal(), Signal(), Signal()
        self.version = ""
        self._transport = transport
        self._startTimer = startTimer
        self._timer: Timer | None = None
        self._request: dict[str, Any] | None = None
        self._ready = False
        self._cancelling = False
        transport.messageReceived.connect(self._onMessage)
        transport.logReceived.connect(self.logReceived.emit)
        transport.stopped.connect(self._onStopped)

    @property
    def isBusy(self) -> bool:
        """Whether a request is under way."""
        return self._request is not None

    @property
    def isWarm(self) -> bool:
        """Whether a worker is running and has answered the handshake."""
        return self._ready and self._transport.isRunning()

    def submit(self, request: dict[str, Any]) -> None:
        """Send a request (`predict` or `check`), starting the worker if needed.

        :raises Failure: another request is under way.
        """
        if self.isBusy:
            raise Failure("busy", _("A prediction is running already."), _("Wait for its end, or cancel it."))
        self._request, self._cancelling = request, False
        if self.isWarm:
            self._transport.send(request)
            return
        self._ready = False
        self._restartTimer(READY_MS, self._onNotReady)
        if not self._transport.isRunning():
            self._transport.start()
        if self._request is request and not self._ready and self._transport.isRunning():
            self._transport.send({"type": "hello", "protocol": PROTOCOL})

    def cancel(self) -> None:
        """Ask for the end of the current request; finished slices are kept. A worker that does not react is stopped."""
        if not self.isBusy or self._cancelling:
            return
        self._cancelling = True
        if self.isWarm and "id" in self._request:
            self._transport.send({"type": "cancel", "id": self._request["id"]})
            self._restartTimer(PATIENCE_MS, self._onCancelIgnored)
        else:
            self._onCancelIgnored()

    def abandon(self) -> None:
        """Cancel without telling anyone: nobody waits for the outcome any more."""
        request, self._request = self._request, None
        self._stopTimer()
        if request is None:
            return
        if self.isWarm and "id" in request:
            self._transport.send({"type": "cancel", "id": request["id"]})
        else:
            self._transport.kill()

    def shutdown(self) -> None:
        """Ask the worker to end, without an outcome for the current request."""
        self._request = None
        self._stopTimer()
        if self._transport.isRunning():
            self._transport.send({"type": "shutdown"})
            self._transport.closeInput()

    def _onMessage(self, message: dict[str, Any]) -> None:
        kind = message["type"]
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
            self._transport.kill()
            self._finish(RequestOutcome(FAILED, message, _mismatch(details)))
            return
        self._ready = True
        self.version = str(message.get("version", ""))
        if self._request is not None and not self._cancelling:
            self._stopTimer()
            self._transport.send(self._request)

    def _onStopped(self, reason: str, failedToStart: bool) -> None:
        self._ready = False
        if self._cancelling:
            self._finish(RequestOutcome(CANCELLED))
        elif failedToStart:
            message = _("The prediction process cannot be started.")
            remedy = _("Install 3D Slicer again, or tell us with the log below.")
            self._finish(RequestOutcome(FAILED, failure=Failure("worker-start", message, remedy, reason)))
        else:
            message = _("The prediction process stopped unexpectedly ({reason}).").format(reason=reason)
            remedy = _("Press Predict again: slices that were finished are not computed again.")
            self._finish(RequestOutcome(FAILED, failure=Failure("worker-stopped", message, remedy, reason)))

    def _onNotReady(self) -> None:
        self._transport.kill()
        self._finish(RequestOutcome(FAILED, failure=_mismatch("no answer to hello")))

    def _onCancelIgnored(self) -> None:
        if self._transport.isRunning():
            self._restartTimer(PATIENCE_MS, self._transport.kill)
            self._transport.terminate()
        else:
            self._finish(RequestOutcome(CANCELLED))

    def _finish(self, outcome: RequestOutcome) -> None:
        """Report once: of a crash Qt tells twice, and a kill follows a cancel."""
        if self._request is None:
            return
        self._request, self._cancelling = None, False
        self._stopTimer()
        self.finished.emit(outcome)

    def _restartTimer(self, milliseconds: int, callback: Callable[[], None]) -> None:
        self._stopTimer()
        self._timer = self._startTimer(milliseconds, callback)

    def _stopTimer(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer = None


def _mismatch(details: str) -> Failure:
    message = _("The prediction process does not answer as it should.")
    return Failure("worker-protocol", message, _("Restart Slicer; if it stays, install GBMResponse again."), details)
