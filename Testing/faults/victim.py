"""A process that has the engine loaded and forks a victim for each order, so that commands start at once.

An order is one line of JSON on standard input: `argv` of `gbmresponse` and what is to happen to it. The exit code of
the victim (negative: its signal) comes back on standard output. Linux and macOS only.

What happens at a point does so by the count of file operations in the watched folder, not by time: a slow machine is
hit at the same points as a fast one.
"""

import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .ending import try_every_step

NOBODY = 65534
_OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.listdir", "os.scandir", "shutil.rmtree")


def _read_only(folder: Path) -> None:
    for path in [folder, *(entry for entry in folder.rglob("*") if entry.is_dir())]:
        path.chmod(0o555)


def _file_instead(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.write_text("not a folder", "ascii")


def _clock_back(folder: Path) -> None:
    true = time.time
    time.time = lambda: true() - 400 * 86400


def _clock_ahead(folder: Path) -> None:
    true = time.time
    time.time = lambda: true() + 400 * 86400


ACTIONS: dict[str, Callable[[Path], None]] = {
    "kill": lambda folder: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda folder: os.kill(os.getpid(), signal.SIGTERM),
    "interrupt": lambda folder: os.kill(os.getpid(), signal.SIGINT),
    "delete": lambda folder: shutil.rmtree(folder, ignore_errors=True),
    "read-only": _read_only,
    "file": _file_instead,
    "clock-back": _clock_back,
    "clock-ahead": _clock_ahead,
    "none": lambda folder: None,
}


def watch(folder: Path, point: int, action: str, counter: Path | None) -> None:
    """Do something at the n-th file operation in a folder; `counter` gets how many there were until each moment."""
    prefix, seen, busy = str(folder), [0], [False]
    file = open(counter, "w", encoding="ascii") if counter else None

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if busy[0] or event not in _OPERATIONS or not any(str(entry).startswith(prefix) for entry in arguments[:2]):
            return
        seen[0] += 1
        if file is not None:
            os.pwrite(file.fileno(), f"{seen[0]:8d}".encode(), 0)
        if seen[0] == point:
            busy[0] = True
            ACTIONS[action](folder)

    sys.addaudithook(hook)


def _become(order: dict[str, Any]) -> None:
    """Make this process the victim of an order."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        way = order.get(name)
        if way == "closed":
            os.close(number)
        elif way == "broken":
            reading, writing = os.pipe()
            os.close(reading)
            os.dup2(writing, number)
        else:
            flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
            os.dup2(os.open(way or os.devnull, flags, 0o666), number)
    if order.get("nobody") and os.geteuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    if "file_size" in order:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (order["file_size"],) * 2)
    if "more_memory" in order:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        limit = pages * resource.getpagesize() + order["more_memory"]
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    if "action" in order:
        counter = order.get("counter")
        watch(Path(order["watched"]), order["point"], order["action"], Path(counter) if counter else None)
    if "ending" in order:
        out, folder, runs, action = order["ending"]
        try_every_step(Path(out), Path(folder), runs, ACTIONS[action])


def main() -> None:
    """Fork a victim for each order until standard input closes."""
    import diffusers
    import torch
    from GBMResponseCore import cli, prediction  # noqa: F401
    from GBMResponseCore.cohort import commands  # noqa: F401
    from GBMResponseCore.outputs import report  # noqa: F401

    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell lets processes in the background ignore
    torch.set_num_threads(1)
    diffusers.UNet2DConditionModel, diffusers.UniPCMultistepScheduler  # loaded lazily  # noqa: B018
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    victims: dict[int, str] = {}
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            while order["wait"] in victims.values():
                pid, status = os.wait()
                print(json.dumps({"id": victims.pop(pid), "code": os.waitstatus_to_exitcode(status)}), file=answers)
            answers.flush()
            continue
        pid = os.fork()
        if pid == 0:
            answers.close()
            code = 1
            try:
                sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)
                _become(order)
                sys.argv[1:] = order["argv"]
                code = cli.main()
                sys.stdout.flush()
            except SystemExit as error:
                code = error.code if isinstance(error.code, int) else 1
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(code)
        victims[pid] = order["id"]
        print(json.dumps({"started": pid}), file=answers, flush=True)


if __name__ == "__main__":
    main()
