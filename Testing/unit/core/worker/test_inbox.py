"""The worker's two pipes: whatever comes in is answered with a type, and nothing takes long."""

import io
import json
import os
import threading
import time
import tracemalloc

import pytest
from GBMResponseCore.errors import RequestError
from GBMResponseCore.worker.inbox import EventChannel, Inbox, ReaderGoneError
from GBMResponseCore.worker.protocol import LONGEST_LINE, parse_request


@pytest.fixture
def pipe():
    """An inbox, and what writes to it."""
    reading, writing = os.pipe()
    file = os.fdopen(writing, "wb", buffering=0)
    yield Inbox(reading), file
    file.close()


def test_requests_come_in_order_however_they_are_cut(pipe):
    inbox, file = pipe
    for part in (b'{"type": "hel', b'lo"}\n\n  \r\n{"type"', b': "check"}\n{"type": "load"}\n'):
        file.write(part)
        time.sleep(0.05)
    assert [inbox.next(600)["type"] for _ in range(3)] == ["hello", "check", "load"]


def test_a_stop_overtakes_and_is_forgotten_when_its_prediction_is_answered(pipe):
    inbox, file = pipe
    file.write(b'{"type": "predict", "id": "a"}\n{"type": "stop", "id": "a"}\n{"type": "stop", "id": "b"}\n')
    assert [inbox.next(600)["type"] for _ in range(2)] == ["predict", "stop"]  # that of no prediction is answered
    assert (inbox.is_stopped("a"), inbox.is_stopped("b"), inbox.is_cancelled("a")) == (True, False, False)
    inbox.done("a")
    assert not inbox.is_stopped("a")


def test_the_end_of_the_input_is_the_last_message(pipe):
    inbox, file = pipe
    file.write(b'{"type": "check"}\n{"type": "ch')
    file.close()
    assert inbox.next(600) == {"type": "check"}
    assert inbox.next(600) is None
    assert inbox.is_cancelled("whatever")


def test_a_line_without_end_is_answered_once_and_is_not_kept(pipe):
    inbox, file = pipe

    def write():
        block = b'{"type": "predict", "id": "' + b"x" * (1 << 20)
        for _ in range(50):
            file.write(block)
        file.write(b'"}\n{"type": "check"}\n')

    tracemalloc.start()
    threading.Thread(target=write, daemon=True).start()
    error = inbox.next(600)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(error, RequestError)
    assert "longer" in error.message
    assert inbox.next(600) == {"type": "check"}
    assert most < 10 << 20, "of 50 MB"


def test_a_line_of_the_greatest_length_is_read():
    text = b'{"type": "check", "more": "' + b"x" * LONGEST_LINE
    line = text[: LONGEST_LINE - 2] + b'"}'
    assert parse_request(line)["type"] == "check"
    with pytest.raises(RequestError, match="longer"):
        parse_request(line + b" ")


@pytest.mark.parametrize(
    "kind", ["hello", "check", "load", "predict", "stop", "cancel", "what_if", "score", "shutdown"]
)
@pytest.mark.parametrize("identifier", ["[" * 900 + "]" * 900, "7", "{}", "true", '"' + "x" * 201 + '"'])
def test_an_id_is_a_text_or_refused(kind, identifier):
    with pytest.raises(RequestError, match="'id'"):
        parse_request(f'{{"type": "{kind}", "id": {identifier}}}'.encode())


@pytest.mark.parametrize("kind", ["hello", "check", "load", "shutdown"])
def test_only_predictions_and_their_cancel_need_an_id(kind):
    assert parse_request(f'{{"type": "{kind}", "id": null}}'.encode()) == {"type": kind}
    assert parse_request(f'{{"type": "{kind}", "id": "a"}}'.encode())["id"] == "a"


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\0",
        b'"text"',
        b"null",
        b"1" * 5000,
        b"[" * 100_000,
        b'{"type": ' + b"[" * 900 + b"]" * 900 + b"}",
        b"\xff",
    ],
)
def test_what_is_no_request_is_refused_in_a_few_words(line):
    with pytest.raises(RequestError) as caught:
        parse_request(line)
    assert len(caught.value.message) < 300


def test_events_are_one_line_each_and_numbers_that_json_lacks_are_null():
    stream = io.BytesIO()
    EventChannel(stream).send("progress", eta_s=float("nan"), path="a\nü")
    assert stream.getvalue().count(b"\n") == 1
    assert json.loads(stream.getvalue()) == {"type": "progress", "eta_s": None, "path": "a\nü"}


def test_a_reader_that_is_gone_has_its_own_error():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb", buffering=0) as stream, pytest.raises(ReaderGoneError):
        EventChannel(stream).send("ready")
