"""What a victim does to itself at each step of its end: from before its result takes its place until it has returned.

Steps are lines of Python. The process is copied at the first one, so that all are tried within minutes, and each copy
finds the output folder as it was.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

_COUNTED = ("GBMResponseCore", "shutil.py")
SMALL_RESULT = ("expected.txt", "summary.txt")


def try_every_step(out: Path, folder: Path, runs: int, action: Callable[[Path], None]) -> None:
    """Make the next result's moving into place branch into copies of this process; the first does nothing.

    :param folder: gets the output folder and what was said of each copy, by its step, and `ends.json`: the step, the
        exit code, and whether everything had been looked for by then: :class:`Looks`.
    :param runs: at most so many steps, evenly spread.
    """
    from GBMResponseCore.outputs import write

    move = write.move_into_place

    def branch(*arguments: Any) -> None:
        write.move_into_place = move
        before = folder / "before"
        shutil.copytree(out, before)
        last, ends = folder / "last.txt", []
        steps = [0]
        while steps:
            number = steps.pop(0)
            shutil.rmtree(out, ignore_errors=True)
            out.unlink(missing_ok=True)
            shutil.copytree(before, out)
            pid = os.fork()
            if pid == 0:
                said = os.open(folder / f"{number}.txt", os.O_WRONLY | os.O_CREAT)
                os.dup2(said, 2)
                _watch(number, action, out, last)
                move(*arguments)
                return
            code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            if out.exists():
                out.rename(folder / f"{number}")
            if number == 0:
                count = int(last.read_text("ascii"))
                steps = sorted({round(1 + k * (count - 1) / max(runs - 1, 1)) for k in range(runs)})
            else:
                ends.append([number, code, (folder / f"{number}.late").exists()])
        (folder / "ends.json").write_text(json.dumps(ends), "ascii")
        os._exit(0)

    write.move_into_place = branch


class Looks:
    """Files that this process has looked for where they are now, and found.

    An action that comes when all files of a result have been looked for cannot be found out any more.
    """

    def __init__(self) -> None:
        self._found: set[str] = set()
        is_file = Path.is_file

        def look(path: Path) -> bool:
            there = is_file(path)
            if there:
                self._found.add(os.path.abspath(path))
            return there

        Path.is_file = look  # type: ignore[method-assign]
        sys.addaudithook(self._forget_moved)

    def _forget_moved(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename":
            self._found.discard(os.path.abspath(arguments[1]))

    def complete(self, out: Path) -> bool:
        """Whether a result has its place and all its files have been looked for; its provenance is read for that."""
        files = {str(path) for path in out.absolute().rglob("*") if not path.is_dir()}
        provenance = str(out.absolute() / "provenance.json")
        return provenance in files and files - {provenance} <= self._found


def _watch(number: int, action: Callable[[Path], None], out: Path, last: Path) -> None:
    """Count the lines from here on and act before the given one; 0: only count."""
    seen, looks = 0, Looks()

    def step(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal seen
        if not any(part in frame.f_code.co_filename for part in _COUNTED):
            return None
        if event == "line":
            seen += 1
            if number == 0:
                last.write_text(str(seen), "ascii")
            elif seen == number:
                sys.settrace(None)
                if looks.complete(out):
                    last.with_name(f"{number}.late").touch()
                action(out)
        return step

    frame = sys._getframe(1)
    while frame is not None:
        if any(part in frame.f_code.co_filename for part in _COUNTED):
            frame.f_trace = step
        frame = frame.f_back
    sys.settrace(step)


def end_of_small_result(out: Path, listed: Sequence[str]) -> int:
    """Put a result of two small files in place, of which the provenance lists some, with a deletion before each line.

    :return: the exit code of a command that ends so.
    """
    from GBMResponseCore.errors import OutputFolderError
    from GBMResponseCore.outputs import write

    staged = out / ".unfinished" / "result"
    staged.mkdir(parents=True)
    for name in SMALL_RESULT:
        (staged / name).write_text(name, "ascii")
    (staged / "provenance.json").write_text(json.dumps({"files": list(listed)}), "ascii")
    try_every_step(out, out.parent, 1000, lambda folder: shutil.rmtree(folder, ignore_errors=True))
    try:
        write.move_into_place(staged, out)
        write.check_complete(out)
    except OutputFolderError as error:
        return error.exit_code
    return 0


if __name__ == "__main__":
    os._exit(end_of_small_result(Path(sys.argv[1]), sys.argv[2:]))
