"""Scores against a true follow-up: figures known exactly, and those of training's evaluation."""

from dataclasses import replace

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.errors import ScoreLogError
from GBMResponseCore.inputs.case import make_case
from GBMResponseCore.inputs.follow_up import AlignedFollowUp
from GBMResponseCore.inputs.resampling import image_like
from GBMResponseCore.measure.interval import prediction_interval
from GBMResponseCore.measure.measurements import BLUR_MM, blurred, measure
from GBMResponseCore.measure.scoring import image_metrics, score, surface_distance_95
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions
from scipy import stats

from GBMResponseTraining.evaluation.metrics.image import slice_metrics

SIZE, SPACING = (120, 128, 14), (1.6, 1.6, 5.0)


def test_image_metrics_are_those_of_the_evaluation():
    generator = np.random.default_rng(3)
    truth = np.clip(generator.normal(0, 0.5, (70, 64)), -1, 1)
    predicted = np.clip(truth + generator.normal(0, 0.2, truth.shape), -1, 1)
    gtv = np.zeros(truth.shape, bool)
    gtv[20:40, 10:30] = True
    ours, theirs = image_metrics(predicted, truth, gtv), slice_metrics(predicted, truth, gtv)
    assert set(ours) == set(theirs)
    for name, value in ours.items():
        assert value == pytest.approx(theirs[name], abs=1e-6), name


def test_a_slice_without_gtv_has_no_local_figures():
    values = image_metrics(np.zeros((20, 20)), np.ones((20, 20)), np.zeros((20, 20), bool))
    assert np.isnan(values["mse_local"]) and np.isnan(values["ssim_local"])
    assert values["mse"] == 1


def test_surfaces_of_shifted_boxes_are_as_far_apart_as_they_were_shifted():
    first = np.zeros((10, 30, 40), bool)
    first[2:8, 5:25, 5:20] = True
    assert surface_distance_95(first, first, (3.0, 1.0, 2.0)) == 0
    assert surface_distance_95(first, np.roll(first, 4, axis=2), (3.0, 1.0, 2.0)) == 8
    assert surface_distance_95(first, np.zeros_like(first), (3.0, 1.0, 2.0)) is None


@pytest.mark.parametrize("part", [0.5, 0.8, 0.95])
def test_an_interval_holds_the_next_volume_as_often_as_it_says(part):
    generator = np.random.default_rng(11)
    hits = 0
    for _ in range(2000):
        *volumes, true = np.exp(generator.normal(2.0, 0.4, 6)) - 0.5
        low, high = prediction_interval(np.maximum(volumes, 0), part)
        hits += low <= max(true, 0) <= high
    assert hits / 2000 == pytest.approx(part, abs=4 * np.sqrt(part * (1 - part) / 2000))


def test_an_interval_of_two_volumes_is_students():
    low, high = prediction_interval([4.5, 9.5], 0.8)
    middle, reach = np.log(np.sqrt(5 * 10)), stats.t.ppf(0.9, 1) * np.log(2) / np.sqrt(2) * np.sqrt(1.5)
    assert high == pytest.approx(np.exp(middle + reach) - 0.5)
    assert low == pytest.approx(max(0.0, np.exp(middle - reach) - 0.5), abs=1e-6)


def test_a_factor_widens_an_interval_about_its_middle():
    plain, wide = (np.log(np.array(prediction_interval([4.5, 9.5, 7.0], 0.5, k)) + 0.5) for k in (1.0, 1.5))
    assert np.diff(wide) == pytest.approx(1.5 * np.diff(plain))
    assert wide.mean() == pytest.approx(plain.mean())


def test_volumes_of_several_patients_have_an_interval_each():
    low, high = prediction_interval([[4.5, 1.0], [9.5, 1.0]], 0.8)
    assert (low[0], high[0]) == prediction_interval([4.5, 9.5], 0.8)
    assert low[1] == pytest.approx(1.0) == high[1]


def test_equal_volumes_hold_themselves():
    low, high = prediction_interval([3.0] * 4, 0.5)
    assert low <= 3.0 <= high and high - low < 1e-6


def test_a_blurred_copy_is_blurred_in_its_slices_alone():
    planes = np.zeros((3, 101, 101), np.float32)
    planes[1, 50, 50] = 1.0
    soft = blurred(planes, (5.0, 1.0, 1.0))
    assert soft[[0, 2]].max() == 0
    assert np.sqrt((soft[1].sum(axis=0) * (np.arange(101) - 50.0) ** 2).sum()) == pytest.approx(BLUR_MM, rel=0.02)


@pytest.fixture(scope="module")
def predicted(tiny_bundle):
    image = phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER)
    case = make_case(image, phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER))
    return Predictor(open_bundle(tiny_bundle), "cpu", "float32").predict(case, PredictionOptions(sample_count=2))


def scored(predicted, truth, *samples):
    scale = predicted.slices.scale
    slices = replace(predicted.slices, follow_up=AlignedFollowUp(truth, scale, True, sitk.Transform()))
    prediction = replace(predicted, samples=list(samples), slices=slices)
    return score(slices, {"short": prediction}, measure(slices, {"short": prediction}, slices.pre))


def smaller(image):
    """The input with a lesion that has gone but for its core."""
    voxels = sitk.GetArrayFromImage(image).astype(np.float32)
    offset = phantoms._points(image) - np.asarray(phantoms.GTV_CENTER, np.float32)[:, None, None, None]
    distance = np.sqrt((offset**2).sum(axis=0))
    voxels[distance <= 14] = 500
    voxels[distance <= 8] = 900
    return image_like(image, np.rint(voxels).astype(np.int16))


def test_a_perfect_prediction_has_skill_1_and_the_copy_has_its_errors(predicted):
    truth = smaller(predicted.slices.case.image)
    record = scored(predicted, truth, *[truth] * 4)
    entry = record["classes"]["short"]
    forecast = entry["forecasts"]
    assert forecast["samples"]["mse_local"] == 0
    assert forecast["samples"]["enhancement_dice"] == 1
    assert forecast["samples"]["hd95_mm"] == 0
    assert forecast["copy_of_the_input"]["mse_local"] > 0
    assert forecast["copy_of_the_input"]["hd95_mm"] > 0
    assert forecast["blurred_copy"]["mse_local"] > 0
    assert entry["skill"]["samples"]["mse_local"]["value"] == 1
    assert entry["volume"]["inside"] == {"50%": True, "80%": True, "95%": True}
    assert entry["category"]["probabilities"] == {record["true_category"]: 1.0}
    assert entry["category"]["brier_score"] == 0


def test_a_prediction_that_copies_has_no_skill_against_the_copy(predicted):
    image = predicted.slices.case.image
    entry = scored(predicted, smaller(image), *[image] * 4)["classes"]["short"]
    forecasts = entry["forecasts"]
    assert forecasts["samples"] == forecasts["copy_of_the_input"]
    best = min(forecasts["copy_of_the_input"]["mse_local"], forecasts["blurred_copy"]["mse_local"])
    known = entry["skill"]["samples"]["mse_local"]
    assert known["value"] == pytest.approx(1 - forecasts["copy_of_the_input"]["mse_local"] / best, abs=1e-3)
    assert entry["volume"]["inside"]["50%"] is False


def test_too_few_samples_get_no_interval(predicted):
    image = predicted.slices.case.image
    assert scored(predicted, smaller(image), image, image)["classes"]["short"]["volume"]["inside"] == {}


def test_without_a_follow_up_there_is_no_score(predicted):
    measurements = measure(predicted.slices, {"short": predicted}, predicted.slices.pre)
    with pytest.raises(ScoreLogError, match="no true follow-up"):
        score(predicted.slices, {"short": predicted}, measurements)
