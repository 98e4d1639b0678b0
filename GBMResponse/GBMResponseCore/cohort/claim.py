"""Who works on a case: a file in its folder, so that of all clients and workers, on whatever machine, one does.

The file `.running.N` is made by a call that only one can win, also on a network drive, and its time is set anew every
few seconds. Who takes a case over from a process that has ended makes the file of the next number; the highest number
holds the case. Clocks of several machines are never compared: who waits sees for itself whether the time still changes.
"""

import json
import os
import platform
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from ..errors import OutputFolderError
from ..files import discard, ensure_output_folder
from ..outputs.folder import may_be_running, process_mark

CLAIM = ".running"
BEAT_S = 5.0
STALE_S = 90.0
"""Longer than network drives keep what they know of a file (60 s)."""

Key = tuple[int, str]
"""Number and token of a claim."""


class ClaimedElsewhereError(Exception):
    """Another process works on the case, or has taken it over. Nothing is wrong with it, and no user sees this."""


@dataclass(frozen=True)
class Sight:
    """A claim as it is seen from outside.

    :param holder: what it says; empty while it is being written.
    :param beat: changes as long as its process lives.
    """

    number: int
    holder: dict[str, Any]
    beat: int

    @property
    def key(self) -> Key:
        """What tells it from other claims of the same case."""
        return self.number, str(self.holder.get("token"))

    @property
    def ended(self) -> bool:
        """Whether its process was one of this machine and is not there any more."""
        return self.holder.get("host") == platform.node() and not may_be_running(self.holder)


def look(folder: Path) -> Sight | None:
    """The claim that holds a case; None if there is none."""
    numbers = _numbers(folder)
    return _sight(folder, numbers[-1]) if numbers else None


class Watch:
    """Looks at claims of others again and again, and knows which of them live."""

    def __init__(self, stale_s: float = STALE_S) -> None:
        self._stale_s = stale_s
        self._seen: dict[Path, tuple[Key, int, float]] = {}

    def may_try(self, folder: Path) -> tuple[bool, Key | None]:
        """Whether a case may be tried, and the claim that has not changed for so long that it may be taken over."""
        sight = look(folder)
        if sight is None or sight.ended:
            self._seen.pop(folder, None)
            return True, None
        now = time.monotonic()
        key, beat, since = self._seen.get(folder, (None, None, now))
        if (key, beat) != (sight.key, sight.beat):
            since = now
        self._seen[folder] = (sight.key, sight.beat, since)
        return now - since > self._stale_s, sight.key


class Claim:
    """A case that this process holds.

    :param ended: processes that have ended while they held it for the same request, one after the other.
    """

    def __init__(self, folder: Path, number: int, token: str, ended: int) -> None:
        self.folder, self.number, self.token, self.ended = folder, number, token, ended
        self._path = folder / f"{CLAIM}.{number}"
        self._over = threading.Event()
        self._beating = threading.Thread(target=self._beat, name="claim", daemon=True)
        self._beating.start()

    def check(self) -> None:
        """:raises ClaimedElsewhereError: it was taken over, because this process seemed to have ended."""
        sight = look(self.folder)
        if sight is None or sight.key != (self.number, self.token):
            raise ClaimedElsewhereError

    def release(self) -> None:
        """Give the case free."""
        self._over.set()
        self._beating.join()
        sight = look(self.folder)
        if sight is not None and sight.key == (self.number, self.token):
            for number in _numbers(self.folder):  # those of processes that have ended, then our own
                discard(self.folder / f"{CLAIM}.{number}")

    def _beat(self) -> None:
        while not self._over.wait(BEAT_S):
            with suppress(OSError):  # gone, or the drive is; the check before the end will tell
                os.utime(self._path)


@contextmanager
def claimed(folder: Path, request: str, over: Key | None = None) -> Iterator[Claim]:
    """Hold a case.

    :param request: hash of what is to be done.
    :param over: a claim to take over, see :meth:`Watch.may_try`; that of an ended process of this machine always is.
    :raises ClaimedElsewhereError: another process holds it.
    :raises OutputFolderError: the folder cannot be written to.
    """
    before = look(ensure_output_folder(folder))
    if before is not None and not before.ended and before.key != over:
        raise ClaimedElsewhereError
    same = before is not None and before.holder.get("request") == request
    ended = (_count(before.holder.get("ended")) + 1) if before is not None and same else 0
    number, token = (before.number if before else 0) + 1, uuid4().hex[:12]
    _make(folder / f"{CLAIM}.{number}", {"token": token, "request": request, "ended": ended})
    claim = Claim(folder, number, token, ended)
    try:
        claim.check()
        others = [_sight(folder, other) for other in _numbers(folder) if before is None or other > before.number]
        if len(others) != 1 or (before is not None and _sight(folder, before.number).key != before.key):
            raise ClaimedElsewhereError  # its holder has ended just now, and somebody else came before us
        yield claim
    finally:
        claim.release()


def _make(path: Path, content: dict[str, Any]) -> None:
    text = json.dumps(content | process_mark(os.getpid()))
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise ClaimedElsewhereError from None
    except OSError as error:
        discard(path)
        raise OutputFolderError(f"Cannot write to the folder {path.parent} ({error.strerror}).") from error


def _numbers(folder: Path) -> list[int]:
    numbers = []
    with suppress(OSError):
        for name in os.listdir(folder):
            stem, _, number = name.rpartition(".")
            if stem == CLAIM and number.isdecimal():
                numbers.append(int(number))
    return sorted(numbers)


def _sight(folder: Path, number: int) -> Sight:
    """A claim, opened so that a network drive asks its server; an empty one if it has gone just now."""
    try:
        with open(folder / f"{CLAIM}.{number}", "rb") as file:
            beat, holder = os.fstat(file.fileno()).st_mtime_ns, json.loads(file.read(4096))
    except (OSError, ValueError):
        beat, holder = 0, {}
    return Sight(number, holder if isinstance(holder, dict) else {}, beat)


def _count(value: Any) -> int:
    return value if isinstance(value, int) else 0
