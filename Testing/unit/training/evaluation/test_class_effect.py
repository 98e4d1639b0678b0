"""What the class changes, on images where that is known."""

from types import SimpleNamespace

import numpy as np
import pytest
from GBMResponseCore.errors import GuidanceError
from small_store import write_small_store
from tiny_bundle import write_tiny_bundle

from GBMResponseTraining.evaluation.class_effect import (
    class_effect,
    enhancement_zones,
    enhancing_pixels,
    guidance_sweep,
    true_difference,
)
from GBMResponseTraining.evaluation.held_out import EvaluationError, read_held_out
from GBMResponseTraining.evaluation.model_predictions import EvaluatedModel, assign_classes, open_model, predict_slices

SIZE = 128
Y, X = np.mgrid[:SIZE, :SIZE] - SIZE / 2
HEAD = np.hypot(X, Y) < 60
PRE = np.where(HEAD, 0.0, -1.0)
LESION = np.hypot(X, Y) < 5


def slices(count=2):
    """The same slice of `count` patients."""
    return SimpleNamespace(
        pre=np.repeat(PRE[None], count, axis=0),
        gtv=np.repeat(LESION[None], count, axis=0),
        patient=np.arange(count),
    )


def bright(*centers):
    """The head with enhancing discs of radius 3 at these columns, one slice per patient."""
    return np.stack([np.where(np.hypot(X - center, Y) < 3, 0.6, PRE) for center in centers])


def test_bright_pixels_near_the_gtv_enhance():
    disc = int((np.hypot(X, Y) < 3).sum())
    assert enhancing_pixels(bright(0, 10), slices()).tolist() == [disc, disc]


def test_bright_pixels_far_from_the_gtv_do_not():
    assert enhancing_pixels(bright(30), slices(1)).tolist() == [0]


def test_tissue_of_usual_brightness_does_not():
    assert enhancing_pixels(slices().pre * 1.0 + 0.1, slices()).tolist() == [0, 0]


def test_a_slice_without_gtv_or_head_has_none():
    nothing = SimpleNamespace(pre=-np.ones((2, 64, 64)), gtv=np.zeros((2, 64, 64), bool), patient=np.arange(2))
    nothing.gtv[0, 3, 3] = True
    assert enhancing_pixels(np.ones((2, 64, 64)), nothing).tolist() == [0, 0]


def test_the_effect_is_measured_inside_and_outside_the_gtv():
    short = np.where(LESION, PRE + 0.4, PRE)[None]
    effect = class_effect(short, slices(1).pre, slices(1))
    assert effect["mean_absolute_difference_gtv"] == pytest.approx(0.4)
    assert effect["mean_absolute_difference_elsewhere"] == 0.0


def test_patients_with_more_enhancement_when_short_are_counted():
    effect = class_effect(bright(0, 30), bright(30, 30), slices())
    assert effect["patients_with_more_enhancement_when_short"] == 0.5


@pytest.fixture(scope="module")
def held_out(tmp_path_factory):
    return read_held_out(write_small_store(tmp_path_factory.mktemp("store")), "test", 1)


def test_the_sweep_measures_the_prediction_for_each_patient_s_own_class(held_out, tiny_bundle, tmp_path):
    loaded = open_model(EvaluatedModel("m", tiny_bundle, "4-class", "true")).load()
    first = guidance_sweep(loaded, held_out, (0.0, 3.0), finished=tmp_path)["rows"]
    assert [row["guidance_scale"] for row in first] == [0.0, 3.0]
    assert first[0]["mean_absolute_difference_gtv"] == 0.0 < first[1]["mean_absolute_difference_gtv"]
    assert first[0]["mse"] != first[1]["mse"]
    (again,) = guidance_sweep(loaded, held_out, (3.0,))["rows"]
    assert again == pytest.approx(first[1])


def group(images, rows):
    """Mean enhancing pixels of some slices, measured on them alone."""
    chosen = SimpleNamespace(pre=images[1].pre[rows], gtv=images[1].gtv[rows], patient=images[1].patient[rows])
    return pytest.approx(enhancing_pixels(images[0][rows], chosen).mean())


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
        assert truth[f"enhancing_pixels_{image}_first"] == group((stack, held_out), short)
        assert truth[f"enhancing_pixels_{image}_last"] == group((stack, held_out), long)
    assert truth["enhancing_pixels_post_last"] > truth["enhancing_pixels_pre_last"] > 0


def test_the_true_change_is_the_mean_over_the_patients_of_a_class(held_out, two_class):
    truth = true_difference(held_out, two_class.scheme, enhancement_zones(held_out))
    change = enhancing_pixels(held_out.post, held_out) - enhancing_pixels(held_out.pre, held_out)
    means = [change[held_out.patient == patient].mean() for patient in (1, 2)]
    assert truth["enhancing_change_last"]["value"] == pytest.approx(np.mean(means))
    assert truth["enhancing_change_last"]["ci_low"] <= np.mean(means) <= truth["enhancing_change_last"]["ci_high"]


def test_the_predicted_difference_is_of_the_same_patients_in_their_true_class(held_out, two_class, tmp_path):
    (row,) = guidance_sweep(two_class, held_out, (2.0,), finished=tmp_path)["rows"]
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
        guidance_sweep(open_model(EvaluatedModel("m", tiny_bundle)).load(), held_out, (1.0,))


def test_nor_one_that_was_trained_without_label_dropout(held_out, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle", label_dropout=0.0)
    with pytest.raises(GuidanceError):
        guidance_sweep(open_model(EvaluatedModel("m", bundle, "2-class", "true")).load(), held_out, (2.0,))
