"""Enhancement near the GTV, and the measures of a prediction. Predictions are made by hand, so that truth is known."""

import csv
import io
import json
from dataclasses import replace

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.inputs.case import make_case
from GBMResponseCore.inputs.follow_up import AlignedFollowUp
from GBMResponseCore.inputs.resampling import image_like
from GBMResponseCore.measure.enhancement import EnhancementSegmenter
from GBMResponseCore.measure.interval import prediction_interval
from GBMResponseCore.measure.measurements import CAVEATS, TITLE, measure, write_measurements
from GBMResponseCore.measure.planning import Plan
from GBMResponseCore.measure.probability import ProbabilityRule
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions

SIZE, SPACING = (120, 128, 14), (1.6, 1.6, 5.0)


@pytest.fixture(scope="module")
def case():
    image = phantoms.head(SIZE, SPACING, center=phantoms.GTV_CENTER)
    return make_case(image, phantoms.gtv(SIZE, SPACING, center=phantoms.GTV_CENTER))


@pytest.fixture(scope="module")
def prediction(case, tiny_bundle):
    return Predictor(open_bundle(tiny_bundle), "cpu", "float32").predict(case, PredictionOptions(sample_count=2))


def distance_mm(image, center=phantoms.GTV_CENTER):
    offset = phantoms._points(image) - np.asarray(center, np.float32)[:, None, None, None]
    return np.sqrt((offset**2).sum(axis=0))


def with_ball(case, radius_mm, level=1.0, gain=1.0):
    """The input without its lesion, with a bright ball instead: like a follow-up whose truth is known."""
    voxels = sitk.GetArrayFromImage(case.image).astype(np.float32)
    distance = distance_mm(case.image)
    voxels[distance <= 14] = 500
    voxels[distance <= radius_mm] = 500 + 400 * level
    return image_like(case.image, np.rint(voxels * gain).astype(np.int16))


def faked(prediction, *samples):
    return replace(prediction, samples=list(samples))


def measured(prediction, follow_up=None):
    slices = replace(prediction.slices, follow_up=follow_up)
    return measure(slices, {"short": prediction}, slices.pre)


def of(measurements):
    return measurements.record["classes"]["short"]


def test_the_ring_before_is_found_and_its_cavity_is_not(case, prediction):
    volume = measured(faked(prediction, case.image)).record["before"]["volume_ml"]
    ring = 4 / 3 * np.pi * (1.2**3 - 0.7**3)
    # The tiny model's pixels of 3.75 mm blur a ring that is 5 mm thick.
    assert 0.6 * ring < volume < 1.05 * ring


def test_a_copy_of_the_input_is_stable_and_unchanged(case, prediction):
    entry = of(measured(faked(prediction, case.image)))
    assert entry["volume_change"] == 0
    assert (entry["by_volume"]["category"], entry["by_area"]["category"]) == ("SD", "SD")
    assert entry["by_volume"]["probabilities"] == {"SD": 1.0}


def test_a_prediction_without_enhancement_is_cr(case, prediction):
    entry = of(measured(faked(prediction, with_ball(case, 0))))
    assert entry["volume_after_ml"]["mean"] == 0
    assert (entry["by_volume"]["category"], entry["by_area"]["category"]) == ("CR", "CR")


def test_the_volume_of_a_predicted_ball_is_right(case, prediction):
    entry = of(measured(faked(prediction, with_ball(case, 11))))
    assert entry["volume_after_ml"]["mean"] == pytest.approx(4 / 3 * np.pi * 1.1**3, rel=0.12)


def test_samples_give_probabilities_and_a_map(case, prediction):
    result = measured(faked(prediction, with_ball(case, 0), case.image, with_ball(case, 0), case.image))
    assert of(result)["by_volume"]["probabilities"] == {"CR": 0.5, "SD": 0.5}
    assert of(result)["samples"] == len(of(result)["per_sample"]) == 4
    chance = result.enhancement_probability["short"]
    assert chance.GetSize() == case.image.GetSize()
    assert chance.GetPixelID() == sitk.sitkFloat32
    values = sitk.GetArrayViewFromImage(chance)
    assert values.max() == pytest.approx(0.5)
    assert (values[sitk.GetArrayViewFromImage(prediction.generated) == 0] == 0).all()


def test_the_rule_of_the_bundle_makes_the_map_and_is_written_down(case, prediction):
    samples = (with_ball(case, 0), case.image)
    slices = prediction.slices
    result = measure(slices, {"short": faked(prediction, *samples)}, slices.pre, probability=ProbabilityRule(0.5))
    (chance,), before = result.masks.chances.values(), result.masks.before
    assert chance[before] == pytest.approx(0.75)  # half of a half, and half of what enhances before
    assert not chance[~before].any()
    assert sitk.GetArrayViewFromImage(result.enhancement_probability["short"]).max() == pytest.approx(0.75)
    assert result.record["settings"]["probability"] == {"weight": 0.5, "smoothing_mm": 0.0, "before_mm": 0.0}


def test_the_interval_of_a_volume_is_as_wide_as_the_bundle_says(case, prediction):
    samples = [sitk.SmoothingRecursiveGaussian(sitk.Cast(case.image, sitk.sitkFloat32), mm) for mm in (1, 2, 4, 6)]
    slices, shown = prediction.slices, faked(prediction, *samples)
    entries = [
        measure(slices, {"short": shown}, slices.pre, interval_factor=factor).record["classes"]["short"]
        for factor in (1.0, 2.0)
    ]
    volumes = [sample["volume_after_ml"] for sample in entries[0]["per_sample"]]
    assert len(set(volumes)) > 1
    for factor, entry in zip((1.0, 2.0), entries, strict=True):
        low, high = prediction_interval(volumes, 0.8, factor)
        found = entry["volume_after_ml"]
        assert (found["p10"], found["p90"]) == pytest.approx((low, high), abs=1e-2)
        assert found["mean"] == pytest.approx(np.mean(volumes), abs=1e-3)


def test_no_category_is_named_where_the_interval_of_the_volume_crosses_a_threshold(case, prediction):
    samples = [
        sitk.SmoothingRecursiveGaussian(sitk.Cast(case.image, sitk.sitkFloat32), mm) for mm in (0.5, 0.6, 0.7, 0.8)
    ]
    slices, shown = prediction.slices, faked(prediction, *samples)
    sure, unsure = (
        measure(slices, {"short": shown}, slices.pre, interval_factor=factor).record["classes"]["short"]["by_volume"]
        for factor in (0.1, 50.0)
    )
    assert sure["probabilities"] == unsure["probabilities"] == {"SD": 1.0}
    assert (sure["possible_within_noise"], sure["indeterminate"]) == (["SD"], False)
    assert {"PD", "SD"} <= set(unsure["possible_within_noise"]) and unsure["indeterminate"]


def test_one_sample_gives_no_map(case, prediction):
    assert measured(faked(prediction, case.image)).enhancement_probability == {}


def test_scalp_far_tissue_and_other_slices_do_not_enhance(case, prediction):
    grid, generated = prediction.slices.grid, prediction.slices.generated
    pre, spacing = prediction.slices.scale.normalize(grid.to_stack(case.image)), grid.spacing[::-1]
    segmenter = EnhancementSegmenter(pre, grid.to_stack(case.gtv, label=True), generated, spacing)
    bright = segmenter.segment(np.full_like(pre, 1.5), segmenter.tissue(pre))
    far = grid.to_stack(image_like(case.image, distance_mm(case.image))) > 12 + 12 + max(SPACING)
    assert bright.any()
    assert not bright[~generated].any()
    assert not (bright & far).any()
    assert not (bright & (pre < -0.9)).any()


def test_what_a_plan_covers_stands_beside_margins_and_the_copy(case, prediction):
    slices = replace(prediction.slices, follow_up=follow_up_of(prediction, with_ball(case, 11)))
    whole = faked(prediction, *[case.image] * 4)
    plan = Plan({"CTV": slices.gtv, "PTV": np.ones_like(slices.gtv)})
    record = measure(slices, {"short": whole}, slices.pre, plan=plan).record
    planning = record["classes"]["short"]["planning"]
    assert planning["contours"]["PTV"] == 1
    assert 0.8 < planning["contours"]["CTV"] < 1
    assert planning["contours"] == record["planning"]["copy_of_the_input"]["contours"]
    assert planning["covered"] == record["planning"]["copy_of_the_input"]["covered"]
    assert set(planning["interval"]) == {"50%", "80%", "95%"}
    # The ball of 11 mm lies inside the GTV of 14 mm.
    assert record["planning"]["true_follow_up"]["margin_that_covers_mm"]["95%"] == 0


def test_no_plan_is_measured_on_what_is_withheld(case, prediction):
    slices = prediction.slices
    record = measure(slices, {"short": faked(prediction, case.image)}, np.full_like(slices.pre, 1.0)).record
    assert record["withheld"]["volume"]
    assert "planning" not in record and "planning" not in record["classes"]["short"]


def test_the_blurred_copy_is_scored_beside_the_copy(case, prediction):
    truth = with_ball(case, 11)
    score = of(measured(faked(prediction, truth), follow_up_of(prediction, truth)))["score"]
    assert set(score) == {"prediction", "copy_of_the_input", "blurred_copy"}
    soft, copy = score["blurred_copy"], score["copy_of_the_input"]
    assert soft["mean_absolute_difference_gtv"] != copy["mean_absolute_difference_gtv"]
    assert 0 < soft["mean_absolute_difference_gtv"] < 2


def follow_up_of(prediction, image, gain=1.0):
    scale = prediction.slices.scale
    scale = replace(scale, low=scale.low * gain, high=scale.high * gain)
    return AlignedFollowUp(image, scale, True, sitk.Transform())


def test_a_follow_up_is_measured_in_its_own_intensities(case, prediction):
    truth = with_ball(case, 11, gain=3.0)
    record = measured(faked(prediction, case.image), follow_up_of(prediction, truth, 3.0)).record
    assert record["true_follow_up"]["volume_after_ml"] == pytest.approx(4 / 3 * np.pi * 1.1**3, rel=0.12)


def test_the_score_stands_beside_that_of_the_copied_input(case, prediction):
    truth = with_ball(case, 11)
    score = of(measured(faked(prediction, truth), follow_up_of(prediction, truth)))["score"]
    perfect, copy = score["prediction"], score["copy_of_the_input"]
    assert perfect["mean_absolute_difference_gtv"] == 0
    assert perfect["enhancement_dice"] == 1
    assert perfect["volume_error_ml"] == 0
    assert perfect["brier_score"] == 0
    assert copy["mean_absolute_difference_gtv"] > 0.05
    assert copy["enhancement_dice"] < 0.95


def test_a_wrong_category_has_the_worst_brier_score(case, prediction):
    gone = with_ball(case, 0)
    score = of(measured(faked(prediction, case.image), follow_up_of(prediction, gone)))["score"]
    assert score["prediction"]["brier_score"] == 2
    assert score["prediction"]["probability_of_the_true_category"] == 0


def test_files_hold_all_samples_and_the_caveats(case, prediction, tmp_path):
    files = write_measurements(measured(faked(prediction, case.image, with_ball(case, 0))), tmp_path)
    record = json.loads(files["measurements"].read_text("utf-8"))
    assert record["synthetic"] is True
    assert record["caveats"] == list(CAVEATS)
    assert "steroid dose" in record["unknown"]
    rows = list(csv.DictReader(io.StringIO(files["measurements_table"].read_text("utf-8"))))
    assert [(row["class"], row["sample"], row["category_by_volume"]) for row in rows] == [
        ("short", "1", "SD"),
        ("short", "2", "CR"),
    ]
    assert float(rows[1]["volume_change_percent"]) == -100


def test_the_words_promise_no_response(case, prediction):
    text = json.dumps(measured(prediction).record).lower()
    assert TITLE.lower() in text
    assert "rano response" not in text
    assert "responder" not in text
