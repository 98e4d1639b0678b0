"""Requests from JSON: whatever a field holds, it is taken as it is or refused in a few words."""

import pytest
from GBMResponseCore.errors import RequestError
from GBMResponseCore.request import PredictionRequest

MESSAGE = {"image": "pre.nrrd", "gtv": "gtv.nrrd", "out": "out"}


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("seed", 10**400), ("samples", -(10**30)), ("batch_size", 1 << 63), ("days_since_rt", 10**400),
        ("days_since_rt", float("inf")), ("image", "a\0b"), ("out", "\ud800"), ("device", "cpu\0"),
        ("classes", nested(900)), ("classes", ["short", 7]), ("sampling", {"steps": 10**400}),
        ("sampling", {"steps": nested(900)}), ("sampling", {"x" * 100_000: 1}), ("x" * 100_000, 1),
        ("classes", ["a/" * 100_000]), ("samples", True), ("scheme", nested(900)),
    ],
)  # fmt: skip
def test_what_no_field_can_hold_is_refused_in_a_few_words(name, value):
    with pytest.raises(RequestError) as caught:
        PredictionRequest.from_message({**MESSAGE, name: value})
    assert len(caught.value.message) < 300


def test_ordinary_values_are_taken():
    request = PredictionRequest.from_message({**MESSAGE, "seed": 2**62, "device": "cuda:1", "out": "Ö 語"})
    assert (request.seed, request.device, request.out.name) == (2**62, "cuda:1", "Ö 語")
