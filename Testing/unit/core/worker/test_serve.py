"""What the worker answers, without a process."""

import os
from types import SimpleNamespace

import pytest
from GBMResponseCore.files import write_text
from GBMResponseCore.outputs import score
from GBMResponseCore.worker.inbox import Inbox
from GBMResponseCore.worker.serve import Worker


@pytest.mark.parametrize("gone", [False, True])
def test_a_score_that_is_gone_when_it_is_answered_is_an_error(tmp_path, monkeypatch, gone):
    def write(result, log):
        path = write_text("{}", tmp_path / "score.json")
        if gone:
            path.unlink()
        return {"score": path}

    monkeypatch.setattr(score, "write_score_again", write)
    reading, writing = os.pipe()
    said = []
    channel = SimpleNamespace(
        send=lambda kind, **fields: said.append(kind), send_error=lambda error, **fields: said.append(error.code)
    )
    worker = Worker(Inbox(reading), channel, 1.0)
    worker._warm_runner = SimpleNamespace(revisit=lambda *_: None)
    worker._answer({"type": "score", "id": "a", "image": "a.nii", "gtv": "b.nii", "out": str(tmp_path)})
    os.close(writing)
    assert said[-1] == ("output-folder" if gone else "scored")
