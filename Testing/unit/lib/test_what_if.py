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


@pytest.mark.parametrize(("work", "end"), [("predict", "result"), ("score", "scored")])
def test_a_wish_waits_for_other_work_and_is_asked_after_it(whatIf, client, wire, clock, work, end):
    client.submit({"type": work, "id": "other"})
    for weight in (0.1, 0.2):
        assert whatIf.isWaiting
        whatIf.ask("run", 5, weight, None)
        clock.runOut()
    assert weights(wire) == []
    wire.answer(type=end, id="other")
    assert weights(wire) == [0.2] and not whatIf.isWaiting
    answer(wire)
    assert [wish["weight"] for wish, *_rest in whatIf.answers] == [0.2]


@pytest.mark.parametrize("end", ["scored", "error", "cancelled"])
def test_a_question_that_gave_way_to_a_score_is_asked_again_after_it(whatIf, client, wire, clock, end):
    whatIf.ask("run", 5, 0.1, None)
    clock.runOut()
    client.submit({"type": "score", "id": "score"})
    assert [message["type"] for message in wire.sent] == ["what_if", "cancel", "score"]
    wire.answer(type=end, id="score", message="No.")
    assert weights(wire) == [0.1, 0.1] and whatIf.failures == []
    answer(wire)
    assert [wish["weight"] for wish, *_rest in whatIf.answers] == [0.1]


def test_of_a_question_that_gave_way_and_a_newer_wish_the_newer_one_is_asked(whatIf, client, wire, clock):
    whatIf.ask("run", 5, 0.1, None)
    clock.runOut()
    client.submit({"type": "score", "id": "score"})
    whatIf.ask("run", 5, 0.7, None)
    wire.answer(type="scored", id="score")
    assert weights(wire) == [0.1, 0.7]


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
