"""A warm process that predicts on request: `python -m GBMResponseCore.worker`. Protocol: docs/worker-protocol.md.

It ends when its standard input closes, on `shutdown`, or after an idle time. Exit code 0; 1 if its reader is gone; 130
if it was interrupted or terminated.
"""

import argparse
import logging
import os
import queue
import sys
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..environment import describe_environment, interrupted_when_terminated
from ..errors import CancelledError, GBMResponseError, ProtocolError, RequestError
from ..progress import RunListener, RunProgress
from ..request import PredictionRequest, check_type
from .inbox import EventChannel, Inbox, ReaderGoneError
from .protocol import PROTOCOL

if TYPE_CHECKING:
    from ..prediction import ClassChoice
    from ..run import Runner, RunResult

log = logging.getLogger(__name__)

_PATIENCE_S = 30.0
_LOAD_FIELDS = {"bundle", "device", "precision"}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve standard input until it closes; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m GBMResponseCore.worker", description=__doc__)
    parser.add_argument("--idle-seconds", type=_seconds, default=600.0, help="end after this time without a request")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    channel = EventChannel.take_standard_output()
    try:
        with interrupted_when_terminated():
            Worker(Inbox(sys.stdin.fileno(), _PATIENCE_S), channel, arguments.idle_seconds).serve()
    except ReaderGoneError:
        return 1
    except KeyboardInterrupt:
        return CancelledError.exit_code
    return 0


def _seconds(text: str) -> float:
    seconds = float(text)
    if not seconds > 0:
        raise ValueError(f"{text} is no time to wait")
    return min(seconds, threading.TIMEOUT_MAX)


class Worker:
    """Answers requests one after the other; an error ends a request, never the worker."""

    def __init__(self, inbox: Inbox, channel: EventChannel, idle_seconds: float) -> None:
        self._inbox = inbox
        self._channel = channel
        self._idle_seconds = idle_seconds
        self._warm_runner: Runner | None = None

    @property
    def _runner(self) -> "Runner":
        if self._warm_runner is None:
            from ..run import Runner  # imports SimpleITK and more, and `hello` must be answered at once

            self._warm_runner = Runner()
        return self._warm_runner

    def serve(self) -> None:
        """Answer until the input closes, `shutdown` comes, or nothing comes for the idle time."""
        while True:
            try:
                message = self._inbox.next(self._idle_seconds)
            except queue.Empty:
                log.info("No request for %g s: the worker ends.", self._idle_seconds)
                return
            if message is None:
                return
            if isinstance(message, RequestError):
                self._channel.send_error(message, id=None)
                continue
            if message["type"] == "shutdown":
                return
            self._answer(message)

    def _answer(self, message: dict[str, Any]) -> None:
        identifier = message.get("id")
        try:
            getattr(self, f"_{message['type']}")(message)
        except GBMResponseError as error:
            self._channel.send_error(error, id=identifier)
        except ReaderGoneError:
            raise
        # Whatever else goes wrong inside a library must not end the worker: the panel shows it and can go on.
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            unexpected = GBMResponseError(f"Unexpected error: {type(error).__name__}: {error}")
            self._channel.send_error(unexpected, id=identifier)

    def _hello(self, message: dict[str, Any]) -> None:
        if message.get("protocol") != PROTOCOL:
            raise ProtocolError(f"The worker speaks protocol {PROTOCOL}, not {short(message.get('protocol'))}.")
        self._channel.send("ready", protocol=PROTOCOL, version=__version__, pid=os.getpid())

    def _check(self, message: dict[str, Any]) -> None:
        self._channel.send("environment", **describe_environment())

    def _load(self, message: dict[str, Any]) -> None:
        values = {name: value for name, value in message.items() if name in _LOAD_FIELDS and value is not None}
        for name, value in values.items():
            check_type(name, value, str)
        folder = Path(values["bundle"]) if "bundle" in values else None
        self._channel.send("stage", id=message.get("id"), stage="load", **{"class": None})
        predictor = self._runner.predictor(folder, values.get("device", "auto"), values.get("precision", "auto"))
        bundle = predictor.bundle
        self._channel.send("loaded", bundle=bundle.folder, name=bundle.name, device=str(predictor.device))

    def _predict(self, message: dict[str, Any]) -> None:
        identifier = message["id"]
        fields = {name: value for name, value in message.items() if name not in ("type", "id")}
        try:
            request = PredictionRequest.from_message({"format": ".nrrd", **fields})
            listener = _Reporter(identifier, self._channel, self._inbox)
            listener.stop_if_cancelled()
            ending, answer = "result", _result_fields(self._runner.run(request, listener))
        except CancelledError:
            from ..run import kept_slices

            ending, answer = "cancelled", {"kept_slices": kept_slices(request.out)}
        finally:
            self._inbox.done(identifier)  # before the answer: who has it may use the id again, or cancel too late
        self._channel.send(ending, id=identifier, **answer)

    def _cancel(self, message: dict[str, Any]) -> None:
        # A cancel that meets its prediction never gets here: see Inbox.
        sentence = "There is no such prediction: it is finished, or never was asked for."
        self._channel.send("warning", id=message["id"], code="nothing-to-cancel", message=sentence)


class _Reporter(RunListener):
    """Sends what happens as events, and stops the run when it is cancelled."""

    def __init__(self, identifier: str, channel: EventChannel, inbox: Inbox) -> None:
        self._id = identifier
        self._channel = channel
        self._inbox = inbox

    def stop_if_cancelled(self) -> None:
        """:raises CancelledError: the prediction is not wanted any more."""
        if self._inbox.is_cancelled(self._id):
            raise CancelledError("Cancelled.")

    def stage(self, name: str, survival_class: str | None) -> None:
        if name != "write":
            self.stop_if_cancelled()
        self._send("stage", stage=name, **{"class": survival_class})

    def pulse(self) -> None:
        self.stop_if_cancelled()

    def warning(self, code: str, sentence: str) -> None:
        self._send("warning", code=code, message=sentence)

    def classified(self, choice: "ClassChoice") -> None:
        self._send("classification", scheme=choice.scheme, probabilities=choice.probabilities)

    def progress(self, progress: RunProgress) -> None:
        state = progress.state
        self._send(
            "progress",
            fraction=round(progress.fraction, 4),
            slice=state.finished,
            slices=state.slices,
            sample=state.sample,
            samples=state.samples,
            **{"class": progress.survival_class},
            step=state.step,
            steps=state.steps,
            eta_s=None if progress.eta_s is None else round(progress.eta_s, 1),
        )
        self.stop_if_cancelled()

    def preview(self, survival_class: str, sample: int, index: int, path: Path) -> None:
        self._send("slice_ready", **{"class": survival_class}, sample=sample, index=index, path=path)
        self.stop_if_cancelled()

    def _send(self, kind: str, **fields: Any) -> None:
        self._channel.send(kind, id=self._id, **fields)


def _result_fields(result: "RunResult") -> dict[str, Any]:
    choice = result.classes[0].prediction.class_choice
    return {
        "out": result.out,
        "seconds": result.seconds,
        "class_choice": vars(choice),
        "results": [
            {
                "class": entry.prediction.class_choice.name,
                "requested": entry.requested,
                "token_source": entry.prediction.class_choice.source,
                "files": {
                    **{name: path for name, path in entry.files.items() if not name.startswith("sample_")},
                    "samples": [path for name, path in entry.files.items() if name.startswith("sample_")],
                },
                "measurements": entry.measurements,
            }
            for entry in result.classes
        ],
        "provenance": result.files["provenance"],
        "registered_follow_up": result.files.get("registered_follow_up"),
        "measurements": result.files.get("measurements"),
        "report": result.files.get("report"),
    }
