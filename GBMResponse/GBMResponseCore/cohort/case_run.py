"""One case of a cohort: run unless it is done, by one process at a time, its results moved into place whole."""

import hashlib
import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from .. import __version__
from ..errors import CancelledError, CaseTableError, GBMResponseError, OutputFolderError, ProcessEndedError
from ..files import discard, files_kept, sweep_partial_files, write_json
from ..inputs.case import Case
from ..inputs.case_table import TableCase
from ..inputs.reading import read_image, sha256_of_image
from ..model.environment import write_diagnostics
from ..outputs.folder import LOCK, locked, refuse_to_replace
from ..outputs.write import PROVENANCE, RunResult, check_complete, move_into_place, remove_after_move, replaceable_files
from ..progress import Listener
from ..request import PredictionRequest
from ..run import Runner, load_request
from .claim import Claim, ClaimedElsewhereError, Key, claimed
from .status import DONE, ELSEWHERE, FAILED, STATUS, failed, read_status, status_mark, write_status

_STAGED = ".staged-"
_INPUTS = ("image", "gtv", "follow_up")
_SOURCES = ("image", "GTV", "follow-up")
"""The same, as a case names them."""
_ENDED = "{} on this case ended in the midst of it."


@dataclass(frozen=True)
class Plan:
    """What is done with every case of a cohort.

    :param template: everything but the files, the folder and what a table says of a case.
    :param out: gets a folder for each case.
    :param most_ends: so many processes may end with a case, one after the other, before it is given up.
    :param identifier: of this run of the cohort.
    """

    template: PredictionRequest
    out: Path
    most_ends: int = 1
    identifier: str = field(default_factory=lambda: uuid4().hex)

    def request(self, case: TableCase) -> PredictionRequest:
        """The request of a case.

        :raises OptionError, RequestError: the table gives it an impossible value.
        """
        return replace(
            self.template,
            image=case.image,
            gtv=case.gtv,
            follow_up=case.follow_up,
            **case.others,
            options=replace(self.template.options, classes=case.classes, **case.options),
            out=self.out / case.identifier,
        )

    @property
    def key(self) -> str:
        """Hash of what results depend on besides case, model and machine."""
        return _hash(_options(self.template) | {"bundle": str(self.template.bundle), "version": __version__})


@dataclass(frozen=True)
class Turn:
    """A case's turn.

    :param over: the claim of a process that seems to have ended, which may be taken over.
    :param known: mark of the status that was there when the cohort began; a failure since then is not tried again.
    """

    case: TableCase
    over: Key | None = None
    known: int | None = None


def run_case(turn: Turn, plan: Plan, runner: Runner, listener: Listener | None = None) -> dict[str, Any]:
    """Run one case unless it is done, and return its status, which is also in `status.json` of its folder.

    :returns: its `status` is `elsewhere`, and nothing was written, if another process works on it.
    :raises CancelledError: `listener` raised it.
    """
    folder = plan.out / turn.case.identifier
    started = time.perf_counter()
    try:
        request = plan.request(turn.case)
        mark = _hash(_options(request) | {"files": [_mark(getattr(request, name)) for name in _INPUTS]})
        with claimed(folder, mark, turn.over) as claim:
            return _run_claimed(claim, turn, plan, request, runner, listener, started)
    except ClaimedElsewhereError:
        return {"status": ELSEWHERE}
    except GBMResponseError as error:
        if isinstance(error, CancelledError):
            raise
        return write_status(folder, failed(error) | _since(started))


def _run_claimed(
    claim: Claim, turn: Turn, plan: Plan, request: PredictionRequest, runner: Runner,
    listener: Listener | None, started: float,
) -> dict[str, Any]:  # fmt: skip
    folder = claim.folder
    sweep_partial_files(folder)
    before = read_status(folder)
    if before["status"] == FAILED and status_mark(folder) != turn.known:
        return before | {"again": True}  # another client has tried it since this one began
    try:
        if turn.case.unusable:
            raise CaseTableError(turn.case.unusable, "Correct the row of the table, and clear its cell 'unusable'.")
        if claim.ended >= plan.most_ends:
            words = "The process that worked" if plan.most_ends == 1 else f"{claim.ended} processes that worked"
            raise ProcessEndedError(_ENDED.format(words))
        basis = runner.basis(request)
        staged = _staged(folder, claim.token)
        finished = read_status(staged) if read_status(staged)["status"] == DONE else before
        if finished["status"] == DONE and any((place / PROVENANCE).is_file() for place in (staged, folder)):
            if finished.get("key") == _key(request, basis, _hashes(request)):
                if (staged / PROVENANCE).is_file():
                    _publish(claim, staged)
                    return finished
                with suppress(OutputFolderError), locked(folder / LOCK):  # whoever else runs there sweeps it
                    remove_after_move(staged, folder)
                return finished | {"again": True}
        discard(folder / STATUS)
        inputs = {source: getattr(request, name) for source, name in zip(_SOURCES, _INPUTS, strict=True)}
        refuse_to_replace(inputs, replaceable_files(request))
        with files_kept():  # at the end of the cohort the user may have taken finished cases away
            result = runner.run(replace(request, out=staged), listener)
            status = _done(result, request) | {"key": _key(request, basis, _hashes_of(result.slices.case))}
            write_json(status | _since(started), staged / STATUS)
            _publish(claim, staged)
        return status | _since(started)
    except (CancelledError, ClaimedElsewhereError):
        raise
    except GBMResponseError as error:
        status = failed(error)
    # One case must not stop the others, whatever a library makes of it.
    except Exception as error:
        details = write_diagnostics(error, folder)
        message = f"Unexpected error: {type(error).__name__}: {error}"
        status = failed(GBMResponseError(message, f"Details are in {details.name}." if details else None))
    claim.check()
    return write_status(folder, status | _since(started))


def _since(started: float) -> dict[str, float]:
    return {"seconds": round(time.perf_counter() - started, 1)}


def _staged(folder: Path, token: str) -> Path:
    """The folder that a run of this claim writes to, with the finished slices of one that did not end.

    It gets a new name: a process that has lost the case without knowing it finds its own no more.
    """
    mine = folder / f"{_STAGED}{token}"
    for left in folder.glob(f"{_STAGED}*"):
        with suppress(OSError):
            if mine.exists():
                shutil.rmtree(left)
            else:
                left.rename(mine)
                discard(mine / LOCK)
    return mine


def _publish(claim: Claim, staged: Path) -> None:
    claim.check()
    with locked(claim.folder / LOCK):
        move_into_place(staged, claim.folder)
    check_complete(claim.folder)


def _key(request: PredictionRequest, basis: Mapping[str, str], images: Sequence[str | None]) -> str:
    """Hash of everything that a result depends on."""
    return _hash(_options(request) | dict(basis) | {"images": list(images)})


def _hashes(request: PredictionRequest) -> list[str | None]:
    """Of the images of a request, as they are now."""
    if request.image.is_dir():
        return _hashes_of(load_request(request))
    return [path and sha256_of_image(read_image(path)) for path in (getattr(request, name) for name in _INPUTS)]


def _hashes_of(case: Case) -> list[str | None]:
    return [case.sources.get(name, {}).get("sha256") for name in _SOURCES]


def _options(request: PredictionRequest) -> dict[str, Any]:
    fields = asdict(request)
    options = fields.pop("options")
    for name in (*_INPUTS, "out", "bundle", "facts"):
        del fields[name]
    for name in ("device", "precision", "batch_size"):
        del options[name]
    return fields | options


def _mark(path: Path | None) -> list[Any] | None:
    """What tells a file from another without reading it."""
    try:
        status = path.stat() if path else None
    except (OSError, ValueError):
        status = None
    return [str(path), status.st_size, status.st_mtime_ns] if status else None


def _hash(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def _done(result: RunResult, request: PredictionRequest) -> dict[str, Any]:
    classes = " + ".join(prediction.class_choice.title for prediction in result.predictions.values())
    return {
        "status": DONE,
        "classes": classes,
        "samples": request.options.sample_count,
        "measured": request.measure,
        "stages": result.seconds,
    }
