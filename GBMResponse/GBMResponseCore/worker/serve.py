"""A warm process that predicts on request: `python -m GBMResponseCore.worker`. Protocol: docs/worker-protocol.md.

It ends when its standard input closes, on `shutdown`, or after an idle time. Exit code 0; 1 if its reader is gone; 130
if it was interrupted or terminated.
"""

import argparse
import logging
import os
import queue
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from reprlib import repr as short
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import CancelledError, GBMResponseError, NothingPredictedError, ProtocolError, RequestError
from ..files import ensure_output_folder, files_kept
from ..model.environment import describe_environment, interrupted_when_terminated
from ..outputs.folder import preview_folder
from ..progress import EnoughError, Listener, Progress, TimeLeft
from ..request import PredictionOptions, PredictionRequest, WhatIf
from ..setting import settings
from .inbox import EventChannel, Inbox, ReaderGoneError
from .protocol import PROTOCOL

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk

    from ..inputs.slices import CaseSlices
    from ..model.classes import ClassChoice
    from ..outputs.write import RunResult
    from ..run import Runner

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
        self._predicted: str | None = None
        """Id of the prediction that a what-if may be about."""

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
        for entry in settings(PredictionRequest) + settings(PredictionOptions):
            if entry.name in values:
                entry.check_type(values[entry.name])
        folder = Path(values["bundle"]) if "bundle" in values else None
        self._channel.send("stage", id=message.get("id"), stage="load", **{"class": None})
        predictor = self._runner.predictor(folder, values.get("device", "auto"), values.get("precision", "auto"))
        bundle = predictor.bundle
        self._channel.send("loaded", bundle=bundle.folder, name=bundle.name, device=str(predictor.model.device))

    def _predict(self, message: dict[str, Any]) -> None:
        self._predicted = None
        if self._pursue(message, "result", lambda *asked: _result_fields(self._runner.run(*asked))):
            self._predicted = message["id"]

    def _score(self, message: dict[str, Any]) -> None:
        log = message.pop("log", None)
        if not (log is None or isinstance(log, str)):
            raise RequestError(f"The field 'log' has the value {short(log)}, which is not of type str.")

        def score(request: PredictionRequest, listener: _Reporter) -> dict[str, Any]:
            from ..outputs.score import write_score_again

            listener.stage("measure", None)
            result = self._runner.revisit(request, listener)
            listener.stop_if_cancelled()
            with files_kept():
                return {"out": request.out, **write_score_again(result, Path(log) if log else None)}

        self._pursue(message, "scored", score)

    def _pursue(
        self,
        message: dict[str, Any],
        ending: str,
        work: "Callable[[PredictionRequest, _Reporter], dict[str, Any]]",
    ) -> bool:
        """Do what may be cancelled, and answer with its fields.

        :param ending: type of the answer.
        :returns: whether it was done, and not cancelled.
        """
        identifier = message["id"]
        fields = {name: value for name, value in message.items() if name not in ("type", "id")}
        try:
            request = PredictionRequest.from_message({"format": ".nrrd", **fields})
            with _Reporter(identifier, self._channel, self._inbox, request.out) as listener:
                listener.stop_if_cancelled()
                done, answer = True, work(request, listener)
        except CancelledError:
            done, answer = False, {"kept_slices": listener.kept_slices}
        finally:
            self._inbox.done(identifier)  # before the answer: who has it may use the id again, or cancel too late
        self._channel.send(ending if done else "cancelled", id=identifier, **answer)
        return done

    def _what_if(self, message: dict[str, Any]) -> None:
        began = time.perf_counter()
        fields = {name: value for name, value in message.items() if name not in ("type", "id") and value is not None}
        asked = WhatIf.from_message(fields)
        if asked.of != self._predicted:  # else it could be another patient
            raise NothingPredictedError(f"The prediction {short(asked.of)} is not the last one here.")
        from ..outputs.volumes import write_preview_volume

        slab = self._runner.what_if(asked.index, asked.weight, asked.days)
        path = write_preview_volume(slab, ensure_output_folder(asked.out) / "what_if.nrrd", "average, what if, preview")
        seconds = round(time.perf_counter() - began, 3)
        self._channel.send("what_if", id=message["id"], **(vars(asked) | {"path": path, "seconds": seconds}))

    def _stop(self, message: dict[str, Any]) -> None:
        self._cancel(message)

    def _cancel(self, message: dict[str, Any]) -> None:
        # A cancel that meets its prediction never gets here: see Inbox.
        sentence = "There is no such prediction: it is finished, or never was asked for."
        self._channel.send("warning", id=message["id"], code="nothing-to-cancel", message=sentence)


class _Reporter(Listener):
    """Sends what happens as events, and stops the run when it is cancelled.

    :param out: of the run; gets a folder for the previews until the run ends.
    """

    def __init__(self, identifier: str, channel: EventChannel, inbox: Inbox, out: Path) -> None:
        self._id = identifier
        self._channel = channel
        self._inbox = inbox
        self._previews = preview_folder(out)
        self._white = 1.0
        self._slices: list[dict[str, Any]] = []
        self._time_left = TimeLeft()
        self.kept_slices = 0
        """Slices of this prediction that were finished, or found finished."""

    def __enter__(self) -> "_Reporter":
        return self

    def __exit__(self, *exception: object) -> None:
        shutil.rmtree(self._previews, ignore_errors=True)

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

    def prepared(self, slices: "CaseSlices") -> None:
        from ..outputs.picture import white_level

        self._white = white_level(slices.pre)
        places = zip(slices.indices.tolist(), slices.centers.round(3).tolist(), strict=True)
        self._slices = [{"index": index, "center": center} for index, center in places]

    def classified(self, choice: "ClassChoice") -> None:
        self._send("classification", scheme=choice.scheme, probabilities=choice.probabilities, note=choice.note)

    def progress(self, progress: Progress) -> None:
        seconds = self._time_left.seconds(progress)
        self._send(
            "progress",
            fraction=round(progress.fraction, 4),
            slice=progress.finished,
            slices=progress.slices,
            sample=progress.sample,
            samples=progress.sample_count,
            **{"class": progress.survival_class},
            step=progress.step,
            steps=progress.steps,
            eta_s=None if seconds is None else round(seconds, 1),
        )
        self.stop_if_cancelled()
        unfinished = progress.sample is not None and progress.finished < progress.slices
        if unfinished and self._inbox.is_stopped(self._id):
            raise EnoughError

    def slice_done(self, survival_class: str, sample: int | None, index: int, pixels: "np.ndarray") -> None:
        from ..outputs.picture import write_preview

        self.kept_slices += 1
        picture = "expected" if sample is None else f"{sample:03d}"
        path = ensure_output_folder(self._previews) / f"{survival_class}_{picture}_{index:04d}.png"
        write_preview(pixels, self._white, path)
        self._send("slice_ready", **{"class": survival_class}, sample=sample, index=index, path=path)

    def expected_done(self, survival_class: str, volume: "sitk.Image") -> None:
        from ..outputs.volumes import write_preview_volume

        path = write_preview_volume(volume, ensure_output_folder(self._previews) / f"{survival_class}_expected.nrrd")
        self._send("expected_ready", **{"class": survival_class}, path=path, slices=self._slices)

    def _send(self, kind: str, **fields: Any) -> None:
        self._channel.send(kind, id=self._id, **fields)


def _result_fields(result: "RunResult") -> dict[str, Any]:
    choices = {name: prediction.class_choice for name, prediction in result.predictions.items()}
    first = next(iter(choices.values()))
    return {
        "out": result.request.out,
        "seconds": result.seconds,
        "class_choice": {
            "scheme": first.scheme,
            "name": first.name,
            "token": first.class_token,
            "source": first.class_source,
            "probabilities": first.probabilities,
            "note": first.note,
        },
        "results": [
            {
                "class": choice.name,
                "requested": requested,
                "token_source": choice.class_source,
                "files": _file_fields(result.class_files[requested]),
                "measurements": result.measurements_of(requested),
            }
            for requested, choice in choices.items()
        ],
        **{name: result.files.get(name) for name in ("provenance", "registered_follow_up", "measurements", "report")},
    }


def _file_fields(files: dict[str, Path]) -> dict[str, Any]:
    samples = {name: path for name, path in files.items() if name.startswith("sample_")}
    others = {name: path for name, path in files.items() if name not in samples}
    return {**others, "samples": list(samples.values())}
