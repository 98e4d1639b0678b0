"""What the class changes, on images where that is known."""

from types import SimpleNamespace

import numpy as np
import pytest
from GBMResponseCore.errors import GuidanceError
from small_store import write_small_store
from tiny_bundle import write_tiny_bundle

from GBMResponseTraining.class_effect import class_effect, enhancing_pixels, guidance_sweep
from GBMResponseTraining.held_out import EvaluationError, read_held_out
from GBMResponseTraining.model_predictions import EvaluatedModel, open_model

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


def bright(*centres):
    """The head with enhancing discs of radius 3 at these columns, one slice per patient."""
    return np.stack([np.where(np.hypot(X - centre, Y) < 3, 0.6, PRE) for centre in centres])


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
    first = guidance_sweep(loaded, held_out, (0.0, 3.0), finished=tmp_path)
    assert [row["guidance_scale"] for row in first] == [0.0, 3.0]
    assert first[0]["mean_absolute_difference_gtv"] == 0.0 < first[1]["mean_absolute_difference_gtv"]
    assert first[0]["mse"] != first[1]["mse"]
    (again,) = guidance_sweep(loaded, held_out, (3.0,))
    assert again == pytest.approx(first[1])


def test_a_model_without_class_cannot_be_swept(held_out, tiny_bundle):
    with pytest.raises(EvaluationError, match="no survival class"):
        guidance_sweep(open_model(EvaluatedModel("m", tiny_bundle)).load(), held_out, (1.0,))


def test_nor_one_that_was_trained_without_label_dropout(held_out, tmp_path):
    bundle = write_tiny_bundle(tmp_path / "bundle", label_dropout=0.0)
    with pytest.raises(GuidanceError):
        guidance_sweep(open_model(EvaluatedModel("m", bundle, "2-class", "true")).load(), held_out, (2.0,))
