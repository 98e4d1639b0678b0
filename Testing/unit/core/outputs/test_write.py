"""A result takes the place of an earlier one whole, whatever happens meanwhile."""

import json
import os
import shutil
import signal
from pathlib import Path

import pytest
from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.model.environment import ignore_interrupts
from GBMResponseCore.outputs.write import check_complete, move_into_place
from GBMResponseCore.progress import Listener

NAMES = ("expected.txt", "short/montage.txt", "short/dicom/a.txt", "summary.txt")


@pytest.fixture(autouse=True)
def _handlers():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def staged(folder, content, names=NAMES):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, "ascii")
    (folder / "provenance.json").write_text(json.dumps({"files": list(names), "of": content}), "ascii")
    return folder


def contents(out):
    """What the files of results in a folder hold."""
    return {path.relative_to(out).as_posix(): path.read_text("ascii") for path in out.rglob("*.txt")}


def steps_of(monkeypatch, do):
    """Call a function before each renaming and each removal of a file; it gets the number of the step."""
    count = [0]

    def before(function):
        def step(*arguments, **options):
            count[0] += 1
            do(count[0])
            return function(*arguments, **options)

        return step

    for owner, name in ((os, "replace"), (Path, "unlink"), (Path, "rmdir"), (shutil, "rmtree")):
        monkeypatch.setattr(owner, name, before(getattr(owner, name)))
    return count


@pytest.fixture
def steps(tmp_path, monkeypatch):
    """How many there are when a result of four files takes the place of another of five."""
    out = tmp_path / "counted" / "out"
    move_into_place(staged(tmp_path / "counted" / "old", "old", (*NAMES, "more.txt")), out)
    with monkeypatch.context() as patch:
        count = steps_of(patch, lambda number: None)
        move_into_place(staged(tmp_path / "counted" / "new", "new"), out)
    assert count[0] > 12
    return count[0]


def test_files_of_two_runs_never_stand_beside_each_other_wherever_the_moving_ends(tmp_path, monkeypatch, steps):
    def power(number):
        if number == last:
            raise OSError(5, "power")

    for last in range(1, steps + 1):
        out = tmp_path / f"out-{last}"
        move_into_place(staged(tmp_path / f"old-{last}", "old", (*NAMES, "more.txt")), out)
        new = staged(tmp_path / f"new-{last}", "new")
        with monkeypatch.context() as patch:
            steps_of(patch, power)
            try:
                move_into_place(new, out)
            except OutputFolderError as error:
                assert "power" in str(error)
        left = contents(out)
        assert len(set(left.values())) < 2, f"step {last}: {left}"
        if (out / "provenance.json").exists():
            assert json.loads((out / "provenance.json").read_text("ascii"))["of"] in left.values()
            check_complete(out)
        if (new / "provenance.json").exists():
            move_into_place(new, out)
        assert contents(out) == dict.fromkeys(NAMES, "new")
        check_complete(out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_waits_until_a_result_has_its_place(tmp_path, monkeypatch, steps, number):
    def interrupt(*_):
        raise KeyboardInterrupt

    signal.signal(number, interrupt)
    for last in range(1, steps + 1):
        out = tmp_path / f"out-{last}"
        move_into_place(staged(tmp_path / f"old-{last}", "old", (*NAMES, "more.txt")), out)
        with monkeypatch.context() as patch:
            steps_of(patch, lambda step: os.kill(os.getpid(), number) if step == last else None)  # noqa: B023
            with pytest.raises(KeyboardInterrupt):
                move_into_place(staged(tmp_path / f"new-{last}", "new"), out)
        assert contents(out) == dict.fromkeys(NAMES, "new")
        assert sorted(path.name for path in out.iterdir()) == [
            "expected.txt",
            "provenance.json",
            "short",
            "summary.txt",
        ]
    assert signal.getsignal(number) is interrupt


def test_who_only_wants_the_result_is_not_interrupted_any_more(tmp_path, monkeypatch):
    class Command(Listener):
        def written(self):
            ignore_interrupts()

    signal.signal(signal.SIGINT, signal.default_int_handler)
    steps_of(monkeypatch, lambda number: os.kill(os.getpid(), signal.SIGINT))
    move_into_place(staged(tmp_path / "new", "new"), tmp_path / "out", Command())
    os.kill(os.getpid(), signal.SIGINT)
    check_complete(tmp_path / "out")


def test_what_a_killed_process_was_just_writing_is_no_part_of_its_result(tmp_path):
    new = staged(tmp_path / "new", "new")
    for folder in (new, new / "short" / "dicom"):
        (folder / f".{'0' * 32}.partial.json").write_text("half", "ascii")
    move_into_place(new, tmp_path / "out")
    assert list(tmp_path.rglob("*.partial*")) == []


@pytest.mark.parametrize("gone", ["expected.txt", "short/dicom/a.txt", "provenance.json"])
def test_a_result_without_one_of_its_files_is_not_complete(tmp_path, gone):
    move_into_place(staged(tmp_path / "new", "new"), tmp_path / "out")
    check_complete(tmp_path / "out")
    (tmp_path / "out" / gone).unlink()
    with pytest.raises(OutputFolderError, match=f"{gone} was written"):
        check_complete(tmp_path / "out")
