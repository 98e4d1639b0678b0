"""The client's side of the worker protocol, with a scripted worker in place of the process."""

import pytest
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.common.Signal import Signal
from GBMResponseLib.worker.WorkerClient import CANCELLED, FAILED, PATIENCE_MS, READY_MS, RESULT, WorkerClient
from GBMResponseLib.worker.WorkerProtocol import LONGEST_LINE, MessageDecoder, encodeMessage

REQUEST = {"type": "predict", "id": "a"}


class Wire:
    """What a test sees of the process, and how it answers."""

    def __init__(self):
        self.messageReceived, self.logReceived, self.stopped = Signal(), Signal(), Signal()
        self.sent, self.calls, self.running = [], [], False

    def start(self):
        self.running = True

    def isRunning(self):
        return self.running

    def send(self, message):
        self.sent.append(message)

    def closeInput(self):
        self.calls.append("closeInput")

    def terminate(self):
        self.calls.append("terminate")

    def kill(self):
        self.calls.append("kill")

    def answer(self, **message):
        self.messageReceived.emit(message)

    def die(self, reason="exit code 1", failedToStart=False):
        self.running = False
        self.stopped.emit(reason, failedToStart)


class Clock:
    """Timers that run out when the test says so."""

    def __init__(self):
        self.running = []

    def start(self, milliseconds, callback):
        timer = type("Timer", (), {"stop": lambda timer: self.running.remove(timer) if timer in self.running else None})
        started = timer()
        started.milliseconds, started.callback = milliseconds, callback
        self.running.append(started)
        return started

    def runOut(self):
        timer = self.running.pop(0)
        timer.callback()
        return timer.milliseconds


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(wire, clock):
    client = WorkerClient(wire, clock.start)
    client.outcomes, client.events = [], []
    client.finished.connect(client.outcomes.append)
    client.eventReceived.connect(client.events.append)
    return client


@pytest.fixture
def predicting(client, wire):
    client.submit(REQUEST)
    wire.answer(type="ready", protocol=1, version="0.1.0", pid=1)
    return client


def test_message_survives_the_line():
    message = {"type": "predict", "id": "é\n☃", "image": "C:\\päth with space"}
    assert MessageDecoder().feed(encodeMessage(message)) == [message]


def test_line_cut_anywhere_is_put_together():
    line = encodeMessage({"type": "ready", "version": "é"})
    for cut in range(len(line)):
        decoder = MessageDecoder()
        assert decoder.feed(line[:cut]) + decoder.feed(line[cut:]) == [{"type": "ready", "version": "é"}]


@pytest.mark.parametrize(
    "line", [b"hello\n", b"[1, 2]\n", b'{"no": "type"}\n', b'{"type": 3}\n', b"\xff\xfe\n", b"[" * 100_000 + b"\n"]
)
def test_foreign_line_is_text(line):
    (decoded,) = MessageDecoder().feed(line)
    assert isinstance(decoded, str)


def test_empty_lines_are_nothing():
    assert MessageDecoder().feed(b"\n  \n") == []


def test_endless_line_is_dropped():
    decoder = MessageDecoder()
    decoder.feed(b"x" * (LONGEST_LINE + 1))
    assert decoder.feed(encodeMessage({"type": "ready"})) == [{"type": "ready"}]


def test_half_a_line_of_a_dead_process_is_forgotten():
    decoder = MessageDecoder()
    decoder.feed(b'{"type":')
    decoder.reset()
    assert decoder.feed(b'{"type": "ready"}\n') == [{"type": "ready"}]


def test_request_waits_for_the_handshake(client, wire):
    client.submit(REQUEST)
    assert [message["type"] for message in wire.sent] == ["hello"]
    wire.answer(type="ready", protocol=1)
    assert wire.sent[-1] == REQUEST


def test_warm_worker_gets_the_request_at_once(predicting, wire):
    wire.answer(type="result", id="a")
    predicting.submit({"type": "predict", "id": "b"})
    assert [message["type"] for message in wire.sent] == ["hello", "predict", "predict"]


def test_second_request_is_refused(predicting):
    with pytest.raises(Failure) as caught:
        predicting.submit({"type": "predict", "id": "b"})
    assert caught.value.code == "busy"


def test_result_ends_the_request(predicting, wire):
    wire.answer(type="result", id="a", out="x")
    assert [(outcome.kind, outcome.message["out"]) for outcome in predicting.outcomes] == [(RESULT, "x")]
    assert not predicting.isBusy


def test_events_are_handed_on(predicting, wire):
    wire.answer(type="stage", id="a", stage="load")
    assert predicting.events == [{"type": "stage", "id": "a", "stage": "load"}]


def test_events_of_another_request_are_not(predicting, wire):
    wire.answer(type="stage", id="old", stage="load")
    wire.answer(type="result", id="old")
    assert predicting.events == predicting.outcomes == []


def test_error_becomes_a_failure(predicting, wire):
    wire.answer(type="error", id="a", code="disk", message="Full.", remedy="Empty it.")
    failure = predicting.outcomes[0].failure
    assert (failure.code, str(failure)) == ("disk", "Full. Empty it.")


def test_error_without_id_is_about_the_request(predicting, wire):
    wire.answer(type="error", id=None, code="request", message="Unknown field.", remedy="")
    assert predicting.outcomes[0].failure.code == "request"


def test_crash_is_reported_once(predicting, wire):
    wire.die()
    wire.die()
    assert [outcome.failure.code for outcome in predicting.outcomes] == ["worker-stopped"]


def test_worker_starts_again_after_a_crash(predicting, wire):
    wire.die()
    predicting.submit({"type": "predict", "id": "b"})
    assert wire.running and wire.sent[-1]["type"] == "hello"


def test_missing_program_is_a_failure(client, wire):
    client.submit(REQUEST)
    wire.die("no such file", failedToStart=True)
    assert client.outcomes[0].failure.code == "worker-start"


def test_idle_end_is_no_event(predicting, wire):
    wire.answer(type="result", id="a")
    wire.die("exit code 0")
    assert len(predicting.outcomes) == 1 and not predicting.isWarm


def test_other_protocol_is_a_failure(client, wire):
    client.submit(REQUEST)
    wire.answer(type="ready", protocol=2)
    assert client.outcomes[0].failure.code == "protocol"
    assert wire.calls == ["kill"]


def test_silent_worker_is_given_up(client, wire, clock):
    client.submit(REQUEST)
    assert clock.runOut() == READY_MS
    assert client.outcomes[0].failure.code == "protocol"


def test_cancel_asks_first(predicting, wire):
    predicting.cancel()
    assert wire.sent[-1] == {"type": "cancel", "id": "a"}
    wire.answer(type="cancelled", id="a", kept_slices=3)
    assert [(outcome.kind, outcome.message["kept_slices"]) for outcome in predicting.outcomes] == [(CANCELLED, 3)]


def test_cancel_that_is_not_heard_terminates_then_kills(predicting, wire, clock):
    predicting.cancel()
    assert clock.runOut() == PATIENCE_MS and wire.calls == ["terminate"]
    assert clock.runOut() == PATIENCE_MS and wire.calls == ["terminate", "kill"]
    wire.die("killed")
    assert [outcome.kind for outcome in predicting.outcomes] == [CANCELLED]


def test_cancel_while_the_worker_starts(client, wire):
    client.submit(REQUEST)
    client.cancel()
    assert wire.calls == ["terminate"]
    wire.answer(type="ready", protocol=1)
    assert REQUEST not in wire.sent
    wire.die("terminated")
    assert [outcome.kind for outcome in client.outcomes] == [CANCELLED]


def test_second_cancel_changes_nothing(predicting, wire):
    predicting.cancel()
    predicting.cancel()
    assert [message["type"] for message in wire.sent].count("cancel") == 1


def test_result_that_was_faster_than_the_cancel_counts(predicting, wire, clock):
    predicting.cancel()
    wire.answer(type="result", id="a")
    assert [outcome.kind for outcome in predicting.outcomes] == [RESULT]
    assert not clock.running


def test_abandoned_request_reports_nothing(predicting, wire):
    predicting.abandon()
    wire.answer(type="cancelled", id="a", kept_slices=0)
    assert predicting.outcomes == [] and not predicting.isBusy
    assert wire.sent[-1]["type"] == "cancel"


@pytest.mark.parametrize("end", ["abandon", "silence", "other protocol"])
def test_a_request_after_the_end_was_ordered_goes_to_the_next_worker(client, wire, clock, end):
    client.submit({"type": "predict", "id": "old"})
    if end == "abandon":
        client.abandon()
    elif end == "silence":
        clock.runOut()
    else:
        wire.answer(type="ready", protocol=2)
    earlier = len(client.outcomes)
    assert wire.calls == ["kill"] and wire.running  # Qt tells of the end later
    client.submit(REQUEST)
    assert client.isBusy and [message["type"] for message in wire.sent] == ["hello"]
    wire.answer(type="error", id=None, code="request", message="Late.", remedy="")
    wire.die("killed")
    assert wire.running and [message["type"] for message in wire.sent] == ["hello", "hello"]
    wire.answer(type="ready", protocol=1)
    assert wire.sent[-1] == REQUEST
    wire.answer(type="result", id="a")
    assert [outcome.kind for outcome in client.outcomes[earlier:]] == [RESULT]


def test_a_request_after_a_cancelled_start_was_abandoned_waits_for_the_next_worker(client, wire):
    client.submit({"type": "predict", "id": "old"})
    client.cancel()
    wire.answer(type="ready", protocol=1)
    client.abandon()
    client.submit(REQUEST)
    wire.die("terminated")
    wire.answer(type="ready", protocol=1)
    assert wire.sent[-1] == REQUEST and client.outcomes == []


def test_a_request_for_the_next_worker_can_be_cancelled(client, wire):
    client.submit({"type": "predict", "id": "old"})
    client.abandon()
    client.submit(REQUEST)
    client.cancel()
    wire.die("killed")
    assert [outcome.kind for outcome in client.outcomes] == [CANCELLED]
    assert not wire.running and REQUEST not in wire.sent


def test_a_worker_that_refused_the_greeting_is_greeted_again(client, wire):
    client.submit(REQUEST)
    wire.answer(type="error", id=None, code="protocol", message="Other.", remedy="")
    client.submit(REQUEST)
    assert [message["type"] for message in wire.sent] == ["hello", "hello"]


def test_shutdown_lets_the_process_end(predicting, wire):
    predicting.shutdown()
    assert wire.sent[-1] == {"type": "shutdown"}
    assert wire.calls == ["closeInput"]  # who closes the process waits for it, and kills it if it must
    wire.die()
    assert predicting.outcomes == []


def test_check_ends_with_the_environment(client, wire):
    client.submit({"type": "check"})
    wire.answer(type="ready", protocol=1)
    wire.answer(type="environment", ok=True)
    assert [(outcome.kind, outcome.message["ok"]) for outcome in client.outcomes] == [(RESULT, True)]


def test_failed_outcome_has_a_kind(predicting, wire):
    wire.die()
    assert predicting.outcomes[0].kind == FAILED
