"""The tests' own worker: one that hangs or is out of step with its requests is never asked again."""

import contextlib

import pytest
from worker_session import WarmWorker, WorkerSession

SILENT = "import time; time.sleep(3600)"
ECHO = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    for _ in range(message.get("times", 1)):
        print(json.dumps(message | {"type": "warning"}), flush=True)
"""


@pytest.fixture
def warm(tmp_path):
    codes = [ECHO, ECHO]
    with contextlib.closing(WarmWorker(lambda: WorkerSession(tmp_path / "log.txt", code=codes.pop()))) as worker:
        yield worker


def test_a_worker_that_says_nothing_is_ended(tmp_path):
    with WorkerSession(tmp_path / "log.txt", code=SILENT) as session:
        with pytest.raises(AssertionError, match="says nothing"):
            session.next(timeout_s=0.1)
        assert session.process.poll() is not None
        assert not session.is_in_step()


def test_a_worker_in_step_is_lent_again(warm):
    with warm.lent() as first:
        first.send(type="hello")
        assert first.next()["type"] == "warning"
    with warm.lent() as second:
        assert second is first


@pytest.mark.parametrize("spoil", [lambda session: session.send(times=2), lambda session: session.process.kill()])
def test_a_worker_with_unread_answers_or_none_is_replaced(warm, spoil):
    with warm.lent() as first:
        spoil(first)
    with warm.lent() as second:
        assert second is not first
        second.send(type="hello")
        assert second.next()["type"] == "warning"
    assert first.process.poll() is not None


def test_a_failed_test_that_left_answers_does_not_spoil_the_next(warm):
    with pytest.raises(ZeroDivisionError), warm.lent() as first:
        first.send(type="hello")
        _ = 1 / 0
    with warm.lent() as second:
        second.send(type="cancel", id="mine")
        assert second.next()["id"] == "mine"
