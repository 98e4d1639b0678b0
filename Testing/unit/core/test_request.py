"""Settings are declared once: what options, messages and defaults make of them."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from GBMResponseCore import cli
from GBMResponseCore.errors import OptionError, RequestError
from GBMResponseCore.request import CaseFacts, PredictionOptions, PredictionRequest, SamplingOptions
from GBMResponseCore.setting import settings

FILES = {"image": "i.nrrd", "gtv": "g.nrrd", "out": "o"}
EXAMPLES = {str: "x", int: 3, float: 0.5, bool: False}


def of_message(**fields):
    return PredictionRequest.from_message({**FILES, **fields})


def option_strings(command):
    parser = cli._parser()
    commands = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return {text for action in commands.choices[command]._actions for text in action.option_strings}


def example(entry):
    value = entry.choices[0] if entry.choices else EXAMPLES[entry.kind]
    return [value] if entry.several else value


def test_a_message_without_settings_has_the_defaults():
    request = of_message(sampling=None, seed=None)
    assert request == PredictionRequest(Path("i.nrrd"), Path("g.nrrd"), Path("o"))
    assert request.options == PredictionOptions()


@pytest.mark.parametrize("entry", settings(PredictionOptions), ids=lambda entry: entry.attribute)
def test_every_setting_comes_through_a_message(entry):
    value = example(entry)
    inner = entry in settings(SamplingOptions)
    changes = {entry.name: value}
    if entry.attribute == "eta":
        changes["sampler"] = "ddim"
    options = of_message(**({"sampling": changes} if inner else changes)).options
    assert getattr(options, entry.attribute) == (tuple(value) if entry.several else value)


@pytest.mark.parametrize("entry", settings(PredictionOptions), ids=lambda entry: entry.attribute)
def test_every_setting_is_an_option_of_predict(entry):
    value = example(entry)
    words = ["predict", "--image", "i", "--gtv", "g", "--out", "o", entry.option]
    words += [] if entry.kind is bool else [str(word) for word in (value if entry.several else [value])]
    words += ["--sampler", "ddim"] if entry.attribute == "eta" else []
    options = cli.request_of(cli._parser().parse_args(words)).options
    assert getattr(options, entry.attribute) == (tuple(value) if entry.several else value)


def test_a_cohort_has_the_options_of_predict_but_what_its_table_says():
    missing = option_strings("predict") - option_strings("cohort")
    of_one_case = {entry.option for entry in settings(CaseFacts)}
    table = {"--image", "--dicom", "--gtv", "--rtstruct", "--follow-up", "--class", "--device"}
    assert missing == table | of_one_case


def test_the_outside_names_are_the_documented_ones():
    text = (Path(cli.__file__).resolve().parents[2] / "docs" / "worker-protocol.md").read_text("utf-8")
    fields = text[text.index("Fields of `predict`") : text.index("## Events")]
    for entry in (*settings(PredictionRequest), *settings(PredictionOptions), *settings(CaseFacts)):
        assert f"`{entry.name}`" in fields


def test_facts_of_the_case_come_through_a_message_and_as_options():
    facts = {"case_id": "7", "scan_date": "2026-01-02", "rt_end": "2026-02-01", "follow_up_date": "2026-03-15"}
    assert of_message(**facts).facts == CaseFacts(**facts)
    words = [word for name, value in facts.items() for word in (f"--{name.replace('_', '-')}", value)]
    parser = cli._parser()
    request = cli.request_of(parser.parse_args(["predict", "--image", "i", "--gtv", "g", "--out", "o", *words]))
    assert request.facts == CaseFacts(**facts)
    assert request.facts.weeks_since_rt == 6
    assert CaseFacts(rt_end="2026-02-01").weeks_since_rt is None


@pytest.mark.parametrize(
    "facts",
    [
        {"scan_date": "2.1.2026"},
        {"scan_date": "2026-02-30"},
        {"rt_start": "2026-02-01", "rt_end": "2026-01-01"},
        {"scan_date": "2026-02-01", "follow_up_date": "2026-01-01"},
    ],
)
def test_dates_that_cannot_be_are_refused(facts):
    with pytest.raises(OptionError):
        CaseFacts(**facts)


def test_files_and_switches_come_through_a_message():
    request = of_message(follow_up="f.nrrd", bundle="b", format=".mha", measure=False, montage=False, report=False)
    assert (request.follow_up, request.bundle, request.format) == (Path("f.nrrd"), Path("b"), ".mha")
    assert not request.measure and not request.montage and not request.report


def test_a_file_left_out_is_named():
    with pytest.raises(RequestError, match="'gtv' is missing"):
        PredictionRequest.from_message({"image": "i", "out": "o"})


@pytest.mark.parametrize(
    "changes",
    [
        {"classes": []},
        {"classes": ["short", "short"]},
        {"classes": ["../short"]},
        {"classes": [1]},
        {"classes": "short"},
        {"format": ".png"},
        {"sampling": {"speed": 1}},
        {"sampling": {"seed": 1}},
        {"sampling": {"guidance_scale": float("nan")}},
        {"sampling": {"steps": True}},
        {"sampling": [1]},
        {"sample_count": 2},
        {"steps": 10},
        {"options": {}},
        {"seed": "1"},
        {"seed": 1.5},
        {"montage": 1},
        {"image": 7},
    ],
)
def test_messages_with_unknown_fields_or_wrong_types_are_refused(changes):
    with pytest.raises(RequestError):
        of_message(**changes)


@pytest.mark.parametrize(
    "wrong",
    [
        {"sample_count": -1},
        {"sample_count": 10**400},
        {"seed": -1},
        {"seed": 2**63},
        {"batch_size": 0},
        {"days_since_rt": -1.0},
        {"days_since_rt": float("nan")},
        {"precision": "float8"},
        {"sampler": "euler"},
        {"steps": 0},
        {"steps": 1001},
        {"sampler": "ddim", "steps": 300},
        {"eta": 2.0},
        {"sampler": "unipc", "eta": 0.5},
        {"guidance_form": "paper"},
        {"guidance_scale": float("nan")},
        {"guidance_scale": 1e38},
        {"temperature": -0.1},
        {"temperature": 2.1},
        {"noise_length": -1.0},
    ],
)
def test_impossible_values_are_refused(wrong):
    with pytest.raises(OptionError):
        PredictionOptions(**wrong)


def test_what_is_left_open_is_the_bundles_and_then_the_declared_value():
    options = PredictionOptions(steps=20, seed=7).with_defaults({"sampler": "ddim", "steps": 50, "guidance_scale": 2.0})
    assert (options.sampler, options.steps, options.guidance_scale) == ("ddim", 20, 2.0)
    assert (options.guidance_form, options.eta, options.seed) == ("standard", 0.0, 7)


def test_what_does_not_go_together_with_the_bundles_own_sampling_is_refused():
    with pytest.raises(OptionError, match="300 steps"):
        PredictionOptions(steps=300).with_defaults({"sampler": "ddim"})


def test_requests_need_the_standard_library_only():
    code = "import sys, GBMResponseCore.request; print(sorted({'numpy', 'torch', 'SimpleITK'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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
        PredictionRequest.from_message({**FILES, name: value})
    assert len(caught.value.message) < 300


def test_ordinary_values_are_taken():
    request = PredictionRequest.from_message({**FILES, "seed": 2**62, "device": "cuda:1", "out": "Ö 語"})
    assert (request.options.seed, request.options.device, request.out.name) == (2**62, "cuda:1", "Ö 語")


@pytest.mark.parametrize(("image", "code", "says"), [("nowhere", 10, "nowhere"), ("file.nii.gz", 2, "--gtv")])
def test_without_a_gtv_a_file_needs_one_and_a_folder_that_is_not_there_is_named(tmp_path, capsys, image, code, says):
    (tmp_path / "file.nii.gz").write_text("x")
    words = ["predict", "--image", str(tmp_path / image), "--out", str(tmp_path / "out")]
    try:
        found = cli.main(words)
    except SystemExit as error:
        found = error.code
    assert found == code and says in capsys.readouterr().err
