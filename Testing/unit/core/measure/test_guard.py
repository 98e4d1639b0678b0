"""Whether a case is like those of the training: features, ranges, colors."""

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.case import make_case
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings
from GBMResponseCore.inputs.slices import read_slices
from GBMResponseCore.measure.guard import (
    AMBER,
    GREEN,
    IMAGE_FEATURES,
    RED,
    TOGETHER,
    feature_ranges,
    features_together,
    image_features,
    judge,
    judge_case,
)
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import AUTOENCODER_FEATURES, REBUILT
from GBMResponseCore.prediction import Predictor
from scipy import ndimage
from tiny_bundle import write_tiny_bundle

SIZE, SPACING = (160, 176, 14), (1.2, 1.2, 5.0)
PIXEL_MM = 1.2


@pytest.fixture(scope="module")
def slices():
    image = phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER)
    case = make_case(image, phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER))
    return read_slices(case, InPlaneRule(), NormalizationSettings())


@pytest.fixture(scope="module")
def cohort(slices):
    """Ranges of 40 patients who differ in noise, size of the GTV and contrast."""
    generator = np.random.default_rng(5)
    patients = []
    for _ in range(40):
        pre = (slices.pre + 1) ** generator.uniform(0.95, 1.05) - 1
        pre = np.clip(pre + generator.normal(0, generator.uniform(0.01, 0.03), pre.shape), -1, 1.5)
        patients.append(features(slices, pre))
    return feature_ranges(patients)


def features(slices, pre):
    return image_features(pre, slices.gtv[slices.indices], PIXEL_MM)


def worst(slices, cohort, pre):
    return judge(features(slices, pre), {IMAGE_FEATURES: cohort})


def noisy(pre, sd):
    return np.clip(pre + np.random.default_rng(1).normal(0, sd, pre.shape), -1, 1.5)


def stripped(pre):
    head = np.stack([ndimage.binary_fill_holes(plane) for plane in pre > -0.8])
    depth = np.stack([ndimage.distance_transform_edt(plane) for plane in head]) * PIXEL_MM
    return np.where(depth > 12, pre, -1.0)


def test_a_case_of_the_cohort_is_green(slices, cohort):
    judgement = worst(slices, cohort, noisy(slices.pre, 0.02))
    assert judgement.color == GREEN
    assert judgement.reasons == [] and judgement.notes == []
    assert set(judgement.colors) == set(cohort)


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (lambda pre: noisy(pre, 0.2), "noise and detail"),
        (stripped, "head area"),
        (lambda pre: np.where(pre > 0.1, 1.5, pre - 0.4).clip(-1, 1.5), "intensit"),
        (lambda pre: -pre.clip(-1, 1), "intensit"),
    ],
    ids=["heavy noise", "skull-stripped", "like a CT", "inverted"],
)
def test_what_the_model_has_not_seen_is_red_and_says_why(slices, cohort, what, reason):
    judgement = worst(slices, cohort, what(slices.pre).astype(np.float32))
    assert judgement.color == RED
    assert any(reason in sentence.lower() for sentence in judgement.reasons)
    (note,) = judgement.notes
    assert note.code == "unlike-training" and "(red)" in note.sentence


@pytest.mark.parametrize(
    ("value", "color", "beyond"),
    [(1.2, GREEN, -0.2), (2.0, GREEN, 0), (2.5, AMBER, 0.5), (0.5, AMBER, 0.5), (2.6, RED, 0.6), (0.4, RED, 0.6)],
)
def test_a_feature_is_as_far_out_as_its_range_is_wide(value, color, beyond):
    judgement = judge({"noise": value}, {IMAGE_FEATURES: {"noise": [1.0, 2.0]}})
    assert judgement.color == color
    assert judgement.beyond == pytest.approx({"noise": beyond})


def test_the_worst_feature_decides_and_comes_first():
    judgement = judge({"noise": 2.2, "rim": 9.0, "median": 0.0}, {"noise": [1, 2], "rim": [0, 1], "median": [-1, 1]})
    assert judgement.color == RED
    assert judgement.colors == {"noise": AMBER, "rim": RED, "median": GREEN}
    assert judgement.reasons[0].startswith("Brightness of scalp and skull") and len(judgement.reasons) == 2


@pytest.mark.parametrize("ranges", [{}, {"spacing_mm": None}, {IMAGE_FEATURES: 3}, {"spacing_mm": ["a", "b"]}])
def test_a_bundle_without_ranges_judges_nothing(slices, ranges):
    judgement = judge_case(slices, ranges)
    assert judgement.color is None
    assert judgement.notes == []


def test_size_and_place_of_the_gtv_are_judged(slices):
    volume = slices.case.gtv_volume_ml
    assert judge_case(slices, {"gtv_volume_ml": [volume / 2, 2 * volume]}).color == GREEN
    judgement = judge_case(slices, {"gtv_volume_ml": [3 * volume, 5 * volume]})
    assert judgement.color == RED
    assert "GTV volume in ml" in judgement.reasons[0]


def test_features_do_not_depend_on_the_scanners_units(slices):
    image = slices.case.image
    louder = make_case(sitk.Cast(image, sitk.sitkFloat32) * 7.0, slices.case.gtv)
    other = read_slices(louder, InPlaneRule(), NormalizationSettings())
    ours, theirs = features(slices, slices.pre), features(other, other.pre)
    assert theirs == pytest.approx(ours, rel=1e-3, abs=1e-3)


def test_a_feature_that_some_patients_lack_has_no_range():
    assert feature_ranges([{"noise": 1.0, "rim": 2.0}, {"noise": 3.0}]).keys() == {"noise"}
    assert feature_ranges([]) == {}


def test_what_is_usual_by_each_feature_may_be_unusual_by_all():
    generator = np.random.default_rng(7)
    patients = [{"rim": level, "noise": level + generator.normal(0, 0.05)} for level in generator.normal(0, 1, 400)]
    ranges = {IMAGE_FEATURES: feature_ranges(patients), TOGETHER: features_together(patients)}
    assert judge({"rim": 1.0, "noise": 1.0}, ranges).color == GREEN
    against = judge({"rim": 1.0, "noise": -1.0}, ranges)
    assert against.color == RED
    assert {name for name, color in against.colors.items() if color != GREEN} == {TOGETHER}
    assert against.reasons[0].startswith("Distance of all features together")
    outside = [judge(patient, ranges).colors[TOGETHER] != GREEN for patient in patients]
    assert np.mean(outside) == pytest.approx(0.005, abs=0.003)


def test_few_patients_do_not_say_how_features_hang_together():
    assert features_together([{"rim": 1.0, "noise": 2.0}] * 5) is None
    assert features_together([]) is None


@pytest.mark.parametrize(
    ("ranges", "color"), [({REBUILT: [0.0, 1e-9]}, RED), ({REBUILT: [0.0, 1e9]}, GREEN), (None, None)]
)
def test_a_bundle_that_knows_the_error_of_its_autoencoder_judges_by_it(tmp_path, ranges, color):
    known = {} if ranges is None else {AUTOENCODER_FEATURES: ranges}
    bundle = open_bundle(write_tiny_bundle(tmp_path / "bundle", ranges=known))
    image = phantoms.head((60, 64, 8), (0.95, 0.95, 6.0), center=phantoms.GTV_CENTER)
    case = make_case(image, phantoms.gtv((60, 64, 8), (0.95, 0.95, 6.0), center=phantoms.GTV_CENTER))
    slices = Predictor(bundle).read_slices(case)
    judgement = judge_case(slices, bundle.description["ranges"])
    assert judgement.color == color
    assert bool(slices.seen) is (ranges is not None)  # else it would be decoded for nothing
    if color == RED:
        assert judgement.reasons[0].startswith("Error of the image autoencoder")
