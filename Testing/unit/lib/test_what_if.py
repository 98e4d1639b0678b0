"""Of many wishes the newest one is asked for, one at a time, and a prediction never waits for any."""

from pathlib import Path

import pytest
from GBMResponseLib.run.RunFolders import RunFolders
from GBMResponseLib.run.WhatIf import SETTLE_MS, WhatIf
from GBMResponseLib.worker.WorkerClient import WorkerClient

from .test_worker_client import Clock, Wire


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def client(wire, clock):
    """A client whose worker is warm."""
    client = WorkerClient(wire, clock.start)
    client.outcomes = []
    client.submit({"type": "check"})
    wire.answer(type="ready", protocol=1)
    wire.answer(type="environment")
    client.finished.connect(client.outcomes.append)
    wire.sent.clear()
    return client


@pytest.fixture
def whatIf(client, clock, tmp_path):
    whatIf = WhatIf(client, RunFolders(tmp_path), clock.start)
    whatIf.answers, whatIf.failures = [], []
    whatIf.answered.connect(lambda *answer: whatIf.answers.append(answer))
    whatIf.failed.connect(whatIf.failures.append)
    return whatIf


def answer(wire, **fields):
    wire.answer(type="what_if", id=wire.sent[-1]["id"], path="a.nrrd", seconds=0.25, **fields)


def weights(wire):
    return [message["weight"] for message in wire.sent if message["type"] == "what_if"]


def test_wishes_within_a_moment_make_one_question(whatIf, wire, clock):
    for weight in (0.1, 0.2, 0.3):
        whatIf.ask("run", 5, weight, None)
    assert weights(wire) == []
    assert clock.runOut() == SETTLE_MS
    assert weights(wire) == [0.3]
    assert (wire.sent[-1]["index"], wire.sent[-1]["days"]) == (5, None)
    answer(wire)
    assert whatIf.answers == [({"of": "run", "index": 5, "weight": 0.3, "days": None}, Path("a.nrrd"), 0.25)]
    assert not clock.running


def test_only_the_last_wish_is_kept_while_a_question_is_under_way(whatIf, wire, clock):
    whatIf.ask("run", 5, 0.1, None)
    clock.runOut()
    for weight in (0.2, 0.3, 0.4):
        whatIf.ask("run", 6, weight, 90.0)
    assert not clock.running and weights(wire) == [0.1]
    answer(wire)
    assert weights(wire) == [0.1, 0.4]
    answer(wire)
    assert [wish["weight"] for wish, *_rest in whatIf.answers] == [0.1, 0.4]
    assert weights(wire) == [0.1, 0.4]


def test_an_error_is_told_and_the_next_wish_goes_on(whatIf, wire, clock):
    whatIf.ask("run", 5, 0.1, None)
    clock.runOut()
    whatIf.ask("run", 5, 0.2, None)
    wire.answer(type="error", id=wire.sent[-1]["id"], code="nothing-predicted", message="No.", remedy="Predict.")
    assert [failure.code for failure in whatIf.failures] == ["nothing-predicted"]
    assert weights(wire) == [0.1, 0.2]


def test_a_prediction_does_not_wait_for_an_answer_and_does_not_get_it(whatIf, client, wire, clock):
    whatIf.ask("run", 5, 0.1, None)
    clock.runOut()
    question = wire.sent[-1]
    assert not client.isBusy
    client.submit({"type": "predict", "id": "run"})
    assert [message["type"] for message in wire.sent] == ["what_if", "cancel", "predict"]
    wire.answer(type="what_if", id=question["id"], path="late.nrrd", seconds=1.0)
    wire.answer(type="warning", id=question["id"], code="nothing-to-cancel")
    assert whatIf.answers == [] and client.outcomes == []
    whatIf.forget()
    assert client.isBusy
    wire.answer(type="result", id="run")
    assert [outcome.message["id"] for outcome in client.outcomes] == ["run"]


def test_nothing_is_asked_while_a_prediction_runs(whatIf, client, wire, clock):
    client.submit({"type": "predict", "id": "run"})
    whatIf.ask("run", 5, 0.1, None)
    clock.runOut()
    assert weights(wire) == []


def test_what_is_forgotten_is_not_answered(whatIf, client, wire, clock):
    whatIf.ask("run", 5, 0.1, None)
    whatIf.forget()
    assert not clock.running
    whatIf.ask("run", 5, 0.2, None)
    clock.runOut()
    question = wire.sent[-1]
    whatIf.forget()
    wire.answer(type="what_if", id=question["id"], path="late.nrrd", seconds=1.0)
    assert whatIf.answers == []
    whatIf.ask("run", 5, 0.3, None)
    clock.runOut()
    answer(wire)
    assert [wish["weight"] for wish, *_rest in whatIf.answers] == [0.3]


def test_a_process_that_is_gone_is_not_started_for_a_question(whatIf, wire, clock):
    wire.die()
    whatIf.ask("run", 5, 0.1, None)
    clock.runOut()
    assert weights(wire) == [] and not wire.running
    assert [failure.code for failure in whatIf.failures] == ["nothing-predicted"]


def test_a_process_that_dies_meanwhile_is_a_failure(whatIf, wire, clock):
    whatIf.ask("run", 5, 0.1, None)
    clock.runOut()
    wire.die()
    assert [failure.code for failure in whatIf.failures] == ["worker-stopped"]


def test_a_stop_is_sent_once_a_prediction_runs(client, wire):
    client.stop()
    assert wire.sent == []
    client.submit({"type": "predict", "id": "run"})
    client.stop()
    assert wire.sent[-1] == {"type": "stop", "id": "run"}
    assert client.isBusy
    wire.answer(type="result", id="run")
    assert [outcome.kind for outcome in client.outcomes] == ["result"]
