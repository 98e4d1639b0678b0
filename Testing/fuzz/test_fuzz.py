"""Some made-up and damaged inputs; `make fuzz` gives ten thousand."""

import json

import pytest

from fuzz.driver import Findings, Fuzzer
from fuzz.recipes import EVERYTHING

pytestmark = pytest.mark.slow
SEED = 1
COUNTS = {"geometry": 6, "image": 30, "bundle": 10, "dicom": 3, "table": 30, "line": 30}
SOUND = {"seed": 1, "kind": "image", "file": "nifti", "which": "image", "edits": [], "repack": False}
FOUND = (
    # What once was a finding.
    SOUND | {"file": "nrrd", "edits": [["add-line", "data file", ""]]},
    SOUND | {"file": "nrrd-gz", "which": "gtv", "edits": [["add-line", "CenterOfRotation", "x" * 1100]]},
    SOUND | {"file": "nrrd", "edits": [["add-line", "space", "x" * 1100]]},
    SOUND | {"file": "mha", "edits": [["line", "NDims", "1000000"]]},
)


@pytest.fixture(scope="module")
def fuzzer():
    with Fuzzer() as prepared:
        yield prepared


@pytest.mark.parametrize("kind", EVERYTHING)
def test_what_comes_out_is_a_right_result_or_a_typed_error(fuzzer, kind):
    fuzzer.feed_many(kind, COUNTS[kind], SEED)
    assert fuzzer.findings.total(kind) == COUNTS[kind]
    assert not [sentence for sentence in fuzzer.findings.sentences() if sentence.startswith(f"{kind}:")]


@pytest.mark.parametrize("recipe", FOUND, ids=str)
def test_what_was_found_once_is_typed_now(fuzzer, recipe):
    assert fuzzer.feed(recipe) == "typed: unreadable-file"


def test_many_of_the_well_formed_cases_are_predicted(fuzzer):
    if not fuzzer.findings.total("geometry"):
        fuzzer.feed_many("geometry", COUNTS["geometry"], SEED)
    assert fuzzer.findings.valid("geometry") > fuzzer.findings.total("geometry") / 4


def test_a_sound_file_of_the_corpus_is_predicted_in_each_format(fuzzer):
    for kind in ("nifti", "nifti-gz", "nrrd", "nrrd-gz", "mha", "nifti-pair", "mhd"):
        assert fuzzer.feed(SOUND | {"file": kind}) == "valid", kind


def test_the_same_seed_gives_the_same_inputs(fuzzer, monkeypatch):
    fed = []
    monkeypatch.setattr(fuzzer, "feed", fed.append)
    for _ in range(2):
        fuzzer.feed_many("image", 20, SEED)
    assert len(fed) == 40
    assert json.dumps(fed[:20]) == json.dumps(fed[20:])


def test_a_crash_and_a_surprise_are_findings_and_the_next_input_is_fed(fuzzer, monkeypatch):
    monkeypatch.setattr(fuzzer, "findings", Findings())
    assert fuzzer.feed(SOUND) == "valid"
    fuzzer._child._process.kill()
    assert fuzzer.feed(SOUND) == "crash: signal 9"
    assert fuzzer.feed(SOUND | {"which": "nothing"}) == "untyped: KeyError"
    assert fuzzer.feed(SOUND) == "valid"
    assert len(fuzzer.findings.sentences()) == 2
