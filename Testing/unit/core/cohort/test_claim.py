"""Claims of cases: one holder at a time, those of ended processes are taken over, and they learn it."""

import json
import os
import subprocess
import sys
import threading

import pytest
from GBMResponseCore.cohort import claim
from GBMResponseCore.cohort.claim import ClaimedElsewhereError, Watch, claimed, look
from GBMResponseCore.outputs.folder import process_mark


def end_elsewhere(folder, **changes):
    """The claim that a process of another machine leaves."""
    folder.mkdir(exist_ok=True)
    mark = process_mark(os.getpid()) | {"host": "other", "token": "t", "request": "r", "ended": 0, **changes}
    (folder / ".running.1").write_text(json.dumps(mark), "utf-8")


def test_of_many_that_want_a_case_one_gets_it(tmp_path):
    barrier, got = threading.Barrier(8), []

    def want():
        barrier.wait()
        try:
            with claimed(tmp_path, "r") as held:
                got.append(held)
                barrier.wait()
        except ClaimedElsewhereError:
            barrier.wait()

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 1
    assert not list(tmp_path.iterdir()), "a case that nobody holds has no claim"


KILLED = """
import os, sys, pathlib
from GBMResponseCore.cohort.claim import claimed
with claimed(pathlib.Path(sys.argv[1]), "r"):
    os.kill(os.getpid(), 9)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows does not tell whether a process is there")
def test_the_case_of_a_killed_process_is_taken_over_at_once_and_its_ends_are_counted(tmp_path):
    for ends in (1, 2):
        subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
        assert look(tmp_path).ended
        assert look(tmp_path).holder["ended"] == ends - 1
    with claimed(tmp_path, "other request") as held:
        assert held.ended == 0
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    with claimed(tmp_path, "r") as held:
        assert held.ended == 1
    assert not list(tmp_path.iterdir())


def test_a_claim_of_another_machine_is_taken_over_when_it_has_not_moved_for_long(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(claim.time, "monotonic", lambda: now[0])
    end_elsewhere(tmp_path)
    watch = Watch(stale_s=90)
    assert watch.may_try(tmp_path)[0] is False
    now[0] = 80
    os.utime(tmp_path / ".running.1")  # it lives
    assert watch.may_try(tmp_path)[0] is False
    now[0] = 160
    assert watch.may_try(tmp_path)[0] is False
    now[0] = 171
    free, over = watch.may_try(tmp_path)
    assert free
    with pytest.raises(ClaimedElsewhereError), claimed(tmp_path, "r"):
        pass
    with claimed(tmp_path, "r", over) as held:
        assert (held.number, held.ended) == (2, 1)
    assert not list(tmp_path.iterdir())


def test_a_claim_that_was_never_written_to_its_end_does_not_hold_a_case_for_ever(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(claim.time, "monotonic", lambda: now[0])
    (tmp_path / ".running.1").touch()
    watch = Watch(stale_s=90)
    watch.may_try(tmp_path)
    now[0] = 91
    free, over = watch.may_try(tmp_path)
    with claimed(tmp_path, "r", over):
        assert free


def test_who_was_held_for_dead_learns_it_and_leaves_the_case_to_the_other(tmp_path):
    with claimed(tmp_path, "r") as first:
        first.check()
        with claimed(tmp_path, "r", (first.number, first.token)) as second:
            with pytest.raises(ClaimedElsewhereError):
                first.check()
            first.release()
            second.check()
            with pytest.raises(ClaimedElsewhereError), claimed(tmp_path, "r", (first.number, first.token)):
                pass


def test_a_claim_moves_as_long_as_its_process_lives(tmp_path, monkeypatch):
    monkeypatch.setattr(claim, "BEAT_S", 0.01)
    beaten = threading.Event()
    utime = os.utime
    monkeypatch.setattr(claim.os, "utime", lambda path: (utime(path), beaten.set()))
    with claimed(tmp_path, "r"):
        before = look(tmp_path).beat
        assert beaten.wait(600)
        beaten.clear()
        assert beaten.wait(600)
        assert look(tmp_path).beat > before
