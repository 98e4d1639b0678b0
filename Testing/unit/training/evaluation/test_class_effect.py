"""What the class changes, on images where that is known."""

import dataclasses

import numpy as np
import pytest
from GBMResponseCore.errors import GuidanceError
from GBMResponseCore.measure.enhancement import EnhancementRule, EnhancementSegmenter
from GBMResponseCore.measure.enhancement_head import EnhancementHead
from scipy import ndimage
from small_store import write_small_store
from tiny_bundle import write_tiny_bundle

from GBMResponseTraining.evaluation.class_effect import _difference, class_effect, guidance_sweep, true_difference
from GBMResponseTraining.evaluation.enhancement import enhancement_zones, enhancing_ml, enhancing_pixels
from GBMResponseTraining.evaluation.held_out import EvaluationError, HeldOut, read_held_out
from GBMResponseTraining.evaluation.metrics.authors import authors_metrics
from GBMResponseTraining.evaluation.model_predictions import EvaluatedModel, assign_classes, open_model, predict_slices
from GBMResponseTraining.evaluation.options import EvaluationOptions

SIZE = 128
Y, X = np.mgrid[:SIZE, :SIZE] - SIZE / 2
HEAD = np.hypot(X, Y) < 60
PRE = np.where(HEAD, 0.0, -1.0)
LESION = np.hypot(X, Y) < 5

EDGES = EnhancementHead(((0.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0),), (0.0,), (1.0,), -1.2)
"""What is bright beside what is dark enhances."""


def slices(count=2, pre=PRE, gtv=LESION, names=None):
    """The same slice of `count` patients."""
    names = names or [f"P{number}" for number in range(count)]
    return HeldOut(
        pre=np.repeat(pre[None], count, axis=0).astype(np.float32),
        post=np.repeat(pre[None], count, axis=0).astype(np.float32),
        gtv=np.repeat(gtv[None], count, axis=0),
        patient=np.arange(count),
        positions_mm=np.zeros(count),
        stack_indices=np.zeros(count, dtype=int),
        records=[
            {"id": name, "slice_positions_mm": [0.0], "stack_spacing_mm": [1.0, 1.0, 5.0], "survival_days": 100.0}
            for name in names
        ],
    )


def pixels(images, held_out, true=False):
    return enhancing_pixels(images, enhancement_zones(held_out), true)


def bright(*centers):
    """The head with enhancing discs of radius 3 at these columns, one slice per patient."""
    return np.stack([np.where(np.hypot(X - center, Y) < 3, 0.6, PRE) for center in centers])


def test_bright_pixels_near_the_gtv_enhance():
    """Smoothed as a user's images are, by 1.5 mm: a disc loses a little of its edge."""
    smooth = int((ndimage.gaussian_filter(bright(0)[0], 1.5) > 0.25).sum())
    assert smooth == pytest.approx((np.hypot(X, Y) < 3).sum(), rel=0.2)
    assert pixels(bright(0, 10), slices()).tolist() == [smooth, smooth]


def test_bright_pixels_far_from_the_gtv_do_not():
    assert pixels(bright(30), slices(1)).tolist() == [0]


def test_tissue_of_usual_brightness_does_not():
    assert pixels(slices().pre * 1.0 + 0.1, slices()).tolist() == [0, 0]


def test_a_slice_without_gtv_or_head_has_none():
    nothing = slices(2, pre=-np.ones((64, 64)), gtv=np.zeros((64, 64), bool))
    nothing.gtv[0, 3, 3] = True
    assert pixels(np.ones((2, 64, 64)), nothing).tolist() == [0, 0]


def test_the_effect_is_measured_inside_and_outside_the_gtv():
    short = np.where(LESION, PRE + 0.4, PRE)[None]
    effect = class_effect(short, slices(1).pre, slices(1), enhancement_zones(slices(1)))
    assert effect["mean_absolute_difference_gtv"] == pytest.approx(0.4)
    assert effect["mean_absolute_difference_elsewhere"] == 0.0


def test_patients_with_more_enhancement_when_short_are_counted():
    effect = class_effect(bright(0, 30), bright(30, 30), slices(), enhancement_zones(slices()))
    assert effect["patients_with_more_enhancement_when_short"] == 0.5


def test_visits_of_a_patient_count_once_in_the_effect():
    visits = slices(3, names=["P1_t1", "P1_t2", "P2"])
    effect = class_effect(bright(0, 0, 30), bright(30, 30, 30), visits, enhancement_zones(visits))
    assert effect["patients_with_more_enhancement_when_short"] == 0.5


def test_a_true_follow_up_of_brighter_tissue_does_not_enhance_more():
    brighter = (PRE[None] + 1.0) * 1.3 - 1.0
    assert pixels(brighter, slices(1))[0] > 0
    scanned = dataclasses.replace(slices(1), post=brighter)
    assert pixels(brighter, scanned, true=True).tolist() == [0]


@pytest.mark.parametrize("rule", [EnhancementRule(), EnhancementRule(head=EDGES)], ids=["threshold", "head"])
def test_enhancement_is_what_the_engine_measures_for_a_user(rule):
    """A patient of three thick slices: distances count in mm and in space, as in the panel."""
    rng = np.random.default_rng(0)
    spacing = (4.0, 1.5, 1.5)
    gtv = np.stack([LESION, np.hypot(X - 6, Y) < 8, LESION])
    pre, post = (np.where(HEAD, rng.normal(0, 0.8, (3, SIZE, SIZE)), -1).astype(np.float32) for _ in range(2))
    record = {"id": "P1", "slice_positions_mm": [0.0, 4.0, 8.0], "stack_spacing_mm": list(spacing[::-1])}
    stack = HeldOut(pre, post, gtv, np.zeros(3, int), np.array([0.0, 4.0, 8.0]), np.arange(3), [record])
    segmenter = EnhancementSegmenter(pre, gtv, np.ones(3, bool), spacing, rule)
    zones = enhancement_zones(stack, rule)
    expected = segmenter.segment(post, segmenter.tissue(pre)).sum(axis=(1, 2))
    assert 0 < expected.sum() < segmenter.region.sum()
    assert enhancing_pixels(post, zones).tolist() == expected.tolist()
    truth = segmenter.segment(post, segmenter.tissue(post)).sum(axis=(1, 2))
    assert enhancing_pixels(post, zones, True).tolist() == truth.tolist()
    assert enhancing_ml(post, stack, zones)[0] == pytest.approx(expected.sum() * 0.009)


def test_slices_of_a_patient_with_a_gap_have_one_tissue():
    pre = np.stack([PRE, np.where(HEAD, 0.4, -1)]).astype(np.float32)
    record = {"id": "P1", "slice_positions_mm": [0.0, 20.0], "stack_spacing_mm": [1.0, 1.0, 5.0]}
    gap = HeldOut(pre, pre, np.stack([LESION, LESION]), np.zeros(2, int), np.array([0, 20]), np.array([0, 4]), [record])
    first, second = enhancement_zones(gap)
    assert first.tissue == second.tissue
    # Nothing is above or below within 12 mm, and the head goes on between the slices: 12 pixels around the GTV.
    near = int((ndimage.distance_transform_edt(~LESION) <= 12).sum())
    assert len(first.pixels) == len(second.pixels) == pytest.approx(near, rel=0.01)


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    return read_held_out(write_small_store(tmp_path_factory.mktemp("store")), "test", 1)


def test_the_sweep_measures_the_prediction_for_each_patient_s_own_class(held_out, tiny_bundle, tmp_path):
    loaded = open_model(EvaluatedModel("m", tiny_bundle, "4-class", "true")).load()
    first = sweep(loaded, held_out, (0.0, 3.0), finished=tmp_path)["rows"]
    assert [row["guidance_scale"] for row in first] == [0.0, 3.0]
    assert first[0]["mean_absolute_difference_gtv"] == 0.0 < first[1]["mean_absolute_difference_gtv"]
    assert first[0]["mse"] != first[1]["mse"]
    (again,) = sweep(loaded, held_out, (3.0,))["rows"]
    assert again == pytest.approx(first[1])


def sweep(loaded, held_out, scales, metrics="standard", finished=None):
    measure = EvaluationOptions(metrics=metrics).measure(held_out)
    return guidance_sweep(loaded, held_out, scales, enhancement_zones(held_out), measure, finished=finished)


def test_the_sweep_has_the_metrics_that_were_chosen(held_out, tiny_bundle, tmp_path):
    loaded = open_model(EvaluatedModel("m", tiny_bundle, "4-class", "true")).load()
    (row,) = sweep(loaded, held_out, (3.0,), "authors", tmp_path)["rows"]
    tokens = assign_classes(loaded, held_out).tokens
    predicted = predict_slices(loaded, held_out, tokens, seed=1, guidance_scale=3.0, finished=tmp_path)
    expected = authors_metrics(predicted, held_out.post, held_out.gtv)
    assert row["mse"] == pytest.approx(np.mean([values["mse"] for values in expected]))
    assert row["mse"] != pytest.approx(sweep(loaded, held_out, (3.0,), finished=tmp_path)["rows"][0]["mse"])


def group(images, rows, true=False):
    """Mean enhancing pixels of some slices."""
    return pytest.approx(pixels(*images, true)[rows].mean())


@pytest.fixture(scope="module")
def two_class(tiny_bundle):
    return open_model(EvaluatedModel("m", tiny_bundle, "2-class", "predicted")).load()


def test_the_true_difference_is_that_of_the_patients_of_each_class(held_out, two_class):
    truth = true_difference(held_out, two_class.scheme, enhancement_zones(held_out))
    short, long = held_out.patient == 0, held_out.patient > 0
    assert (truth["class_first"], truth["patients_first"]) == ("short", 1)
    assert (truth["class_last"], truth["patients_last"]) == ("long", 2)
    for image in ("pre", "post"):
        stack = getattr(held_out, image)
        assert truth[f"enhancing_pixels_{image}_first"] == group((stack, held_out), short, image == "post")
        assert truth[f"enhancing_pixels_{image}_last"] == group((stack, held_out), long, image == "post")
    assert truth["enhancing_pixels_post_last"] > truth["enhancing_pixels_pre_last"] > 0


def test_the_true_change_is_the_mean_over_the_patients_of_a_class(held_out, two_class):
    truth = true_difference(held_out, two_class.scheme, enhancement_zones(held_out))
    change = pixels(held_out.post, held_out, true=True) - pixels(held_out.pre, held_out)
    means = [change[held_out.patient == patient].mean() for patient in (1, 2)]
    assert truth["enhancing_change_last"]["value"] == pytest.approx(np.mean(means))
    assert truth["enhancing_change_last"]["ci_low"] <= np.mean(means) <= truth["enhancing_change_last"]["ci_high"]


def test_the_true_class_effect_is_the_difference_of_the_changes():
    found = _difference(np.array([10.0, 12.0, 14.0]), np.array([1.0, 3.0]))
    assert found["value"] == pytest.approx(10.0)
    assert 7 <= found["ci_low"] <= 10.0 <= found["ci_high"] <= 13
    alone = _difference(np.array([10.0]), np.array([1.0, 3.0]))
    assert alone["value"] == 8.0 and np.isnan(alone["ci_low"])
    assert np.isnan(_difference(np.empty(0), np.array([1.0, 3.0]))["value"])


def test_the_predicted_difference_is_of_the_same_patients_in_their_true_class(held_out, two_class, tmp_path):
    (row,) = sweep(two_class, held_out, (2.0,), finished=tmp_path)["rows"]
    true = open_model(EvaluatedModel("m", two_class.predictor.bundle.folder, "2-class", "true")).load()
    tokens = assign_classes(true, held_out).tokens
    predicted = predict_slices(two_class, held_out, tokens, seed=1, guidance_scale=2.0, finished=tmp_path)
    assert row["enhancing_pixels_own_first"] == group((predicted, held_out), held_out.patient == 0)
    assert row["enhancing_pixels_own_last"] == group((predicted, held_out), held_out.patient > 0)


def test_a_class_without_patient_has_no_true_difference(two_class, tmp_path):
    slices = read_held_out(write_small_store(tmp_path, P4={"survival_days": 900.0}), "test", 1)
    truth = true_difference(slices, two_class.scheme, enhancement_zones(slices))
    assert truth["patients_first"] == 0
    assert np.isnan(truth["enhancing_pixels_post_first"])


def test_a_model_without_class_cannot_be_swept(held_out, tiny_bundle):
    with pytest.raises(EvaluationError, match="no survival class"):
        sweep(open_model(EvaluatedModel("m", tiny_bundle)).load(), held_out, (1.0,))


def test_nor_one_that_was_trained_without_label_dropout(held_out, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle", label_dropout=0.0)
    with pytest.raises(GuidanceError):
        sweep(open_model(EvaluatedModel("m", bundle, "2-class", "true")).load(), held_out, (2.0,))
