"""Facts about inputs become sentences, and forbid a prediction only where it cannot work."""

import dataclasses
import re
from pathlib import Path

import pytest
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.inputs.InputFacts import InputFacts, TumorFacts, VolumeFacts, guessTumorSegment
from GBMResponseLib.inputs.InputFindings import InputFindings, Severity
from GBMResponseLib.inputs.InputFixes import InputFixes
from GBMResponseLib.inputs.SequenceHints import sequenceHints
from GBMResponseLib.model.ModelDescription import ModelDescription
from GBMResponseLib.settings.Choices import ClassMode, SamplerPreset
from GBMResponseLib.settings.PredictionSettings import PredictionSettings

CLASSES = [
    {"name": "short", "token": 0, "min_days": 0, "max_days": 400},
    {"name": "long", "token": 1, "min_days": 400, "max_days": None},
]


def model(dropout=0.1, schemes=("2-class",), classifier=True, **sampling):
    described = {
        "conditioning": {"label_dropout": dropout, "schemes": dict.fromkeys(schemes, CLASSES)},
        "sampling": {"sampler": "unipc", "steps": 10, "guidance_scale": 2.0 if dropout else 1.0, **sampling},
        **({"classifier": {"scheme": "2-class"}} if classifier else {}),
    }
    return ModelDescription(Path("model"), described)


MODEL = model()
VOLUME = VolumeFacts("T1", (256, 256, 100), (1.0, 1.0, 1.5), 0.0, 900.0, True, 0.0, "none")
TUMOR = TumorFacts("GTV", 20.0, 1.0, True)
GOOD = InputFacts(VOLUME, True, 2, TUMOR, freeMB=10_000.0)
SETTINGS = PredictionSettings("model")


def codes(facts=GOOD, model=MODEL, settings=SETTINGS, severity=None):
    found = InputFindings().findings(facts, model, settings)
    return [finding.code for finding in found if severity in (None, finding.severity)]


def with_volume(**changes):
    return dataclasses.replace(GOOD, volume=dataclasses.replace(VOLUME, **changes))


def with_tumor(**changes):
    return dataclasses.replace(GOOD, tumor=dataclasses.replace(TUMOR, **changes))


def with_settings(**changes):
    return PredictionSettings("model", **changes)


def test_good_inputs_have_no_findings():
    assert codes() == []


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (dataclasses.replace(GOOD, volume=None), "no-volume"),
        (dataclasses.replace(GOOD, volume=None, lostVolume="T1"), "volume-gone"),
        (dataclasses.replace(GOOD, tumor=None, lostSegment="GTV"), "segment-gone"),
        (with_tumor(convertible=False), "contours-only"),
        (with_volume(hints=sequenceHints("RT Dose", {"Modality": "RTDOSE"})), "not-mr"),
        (dataclasses.replace(GOOD, hasSegmentation=False, tumor=None), "no-segmentation"),
        (dataclasses.replace(GOOD, tumor=None), "no-segment"),
        (dataclasses.replace(GOOD, tumor=None, segmentCount=0), "no-segment"),
        (with_tumor(volumeMl=0.0), "empty-gtv"),
        (with_tumor(insideFraction=0.0), "no-overlap"),
        (with_volume(finite=False), "non-finite-image"),
        (with_volume(lowest=5.0, highest=5.0), "constant-image"),
        (with_volume(lowest=-1000.0), "not-mr"),
        (with_volume(dimensions=(20, 20, 20)), "small-image"),
        (dataclasses.replace(GOOD, followUp=VOLUME, followUpIsInput=True), "same-follow-up"),
        (dataclasses.replace(GOOD, freeMB=50.0), "output-folder"),
    ],
)
def test_what_cannot_work_blocks(facts, code):
    assert codes(facts, severity=Severity.blocks) == [code]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (with_volume(spacing=(1.0, 1.0, 8.0)), "thick-slices"),
        (with_volume(spacing=(2.0, 2.0, 2.0)), "coarse-pixels"),
        (with_volume(synthetic=True), "synthetic-input"),
        (with_volume(transform="nonlinear"), "warped"),
        (with_volume(hints=sequenceHints("AX T1 PRE", {})), "pre-contrast"),
        (with_volume(hints=sequenceHints("AX FLAIR", {})), "other-sequence"),
        (with_volume(hints=sequenceHints("T1 Gd post RT", {})), "later"),
        (with_tumor(volumeMl=0.2), "small-gtv"),
        (with_tumor(volumeMl=500.0), "large-gtv"),
        (with_tumor(insideFraction=0.5), "gtv-partly-outside"),
    ],
)
def test_what_is_unusual_warns(facts, code):
    assert codes(facts, severity=Severity.warns) == [code]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        (with_volume(transform="linear"), "transform"),
        (with_volume(tiltDeg=90.0), "not-axial"),
        (with_tumor(sameTransform=False), "other-transform"),
        (dataclasses.replace(GOOD, suggestedSegment="GTV"), "other-segment"),
    ],
)
def test_what_is_handled_informs(facts, code):
    assert codes(facts, severity=Severity.informs) == [code]


def test_empty_scene_is_offered_the_sample_case():
    facts = InputFacts(sceneHasVolumes=False)
    fixes = {finding.code: finding.fix for finding in InputFindings().findings(facts, MODEL, SETTINGS)}
    assert fixes["no-volume"] == "loadSampleCase"


def test_missing_model_blocks_with_its_sentence():
    failure = Failure("bundle", "There is no model.", "Choose one.")
    (finding,) = InputFindings().findings(GOOD, failure, SETTINGS)
    assert (finding.code, finding.severity) == ("bundle", Severity.blocks)
    assert finding.sentence == "There is no model. Choose one."


@pytest.mark.parametrize(
    ("described", "settings", "code"),
    [
        (model(classifier=False), with_settings(classMode=ClassMode.predicted), "no-classifier"),
        (model(classifier=False, dropout=0.0), with_settings(guidanceScale=1.0), "no-classifier"),
        (model(schemes=(), classifier=False), with_settings(classMode=ClassMode.compareAll), "no-classes"),
        (MODEL, with_settings(classMode=ClassMode.chosen), "no-class"),
        (model(dropout=0.0), with_settings(guidanceScale=2.0), "guidance"),
        (MODEL, with_settings(samplerPreset=SamplerPreset.paper, steps=150), "steps"),
        (model(sampler="ddim", steps=200), with_settings(steps=150), "steps"),
    ],
)
def test_settings_that_the_model_cannot_do_block_with_a_fix(described, settings, code):
    (finding,) = InputFindings().findings(GOOD, described, settings)
    assert (finding.code, finding.severity) == (code, Severity.blocks)
    assert finding.fix and finding.fixLabel


def test_what_the_model_recommends_is_always_possible():
    assert codes(model=model(dropout=0.0)) == []
    assert codes(model=model(sampler="ddim", steps=200)) == []
    assert codes(model=model(dropout=0.0, guidance_scale=0.0, guidance_form="algorithm2")) == []


@pytest.mark.parametrize(("recommended", "limit"), [(0.0, 1.5), (1.0, 1.5), (2.0, 3.0), (10.0, 5.0)])
def test_guidance_well_above_what_the_model_recommends_warns(recommended, limit):
    described = model(guidance_scale=recommended)
    assert codes(model=described, settings=with_settings(guidanceScale=limit)) == []
    (finding,) = InputFindings().findings(GOOD, described, with_settings(guidanceScale=limit + 0.1))
    assert finding.code == "strong-guidance" and f"above {limit:g} " in finding.sentence


def test_blocking_findings_come_first():
    facts = dataclasses.replace(with_volume(transform="linear"), tumor=None)
    assert codes(facts) == ["no-segment", "transform"]


def test_more_samples_need_more_room():
    judge = InputFindings()
    one, many = (judge.neededMB(VOLUME, MODEL, with_settings(samples=count)) for count in (1, 16))
    columns, rows, slices = VOLUME.dimensions
    assert many - one >= 15 * columns * rows * slices * 4 / 1e6  # bytes of a voxel


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"a": "edema", "b": "GTV"}, "b"),
        ({"a": "Brain", "b": "Tumor core"}, "b"),
        ({"a": "tumor", "b": "gtv_1"}, "b"),
        ({"a": "Enhancing", "b": "Necrosis"}, "a"),
        ({"a": "PTV", "b": "CTV of GTV"}, ""),
        ({"a": "Segment_1"}, "a"),
        ({"a": "Segment_1", "b": "Segment_2"}, ""),
        ({"a": "GTV 1", "b": "GTV 2"}, ""),
        ({"a": "Brainstem"}, ""),
        ({}, ""),
    ],
)
def test_tumor_is_guessed_by_name(names, expected):
    assert guessTumorSegment(names) == expected


def test_every_fix_that_is_offered_exists():
    source = Path(InputFindings.findings.__code__.co_filename).read_text(encoding="utf-8")
    offered = set(re.findall(r'"((?:choose|use|set|harden|import|clear|load)[A-Z]\w+)"', source))
    assert len(offered) == 10
    assert all(callable(getattr(InputFixes, name)) for name in offered)


def test_fix_of_the_steps_makes_them_possible():
    parameters = PredictionSettings(samplerPreset=SamplerPreset.paper, steps=150)
    InputFixes(lambda: parameters, lambda: MODEL).apply("useNearestSteps")
    assert parameters.steps == 125


def test_fix_of_a_missing_classifier_chooses_a_class():
    parameters = PredictionSettings()
    InputFixes(lambda: parameters, lambda: MODEL).apply("chooseFirstClass")
    assert (parameters.classMode, parameters.className) == (ClassMode.chosen, "short")
