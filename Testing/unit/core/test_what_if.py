"""Samples that are found enough, classes that are mixed, and a slice of the last case under other conditions."""

from dataclasses import replace

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
from GBMResponseCore.errors import CancelledError, NothingPredictedError, OptionError, RequestError
from GBMResponseCore.inputs.case import make_case
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.outputs.provenance import provenance
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.progress import EnoughError, Listener
from GBMResponseCore.request import PredictionOptions
from tiny_bundle import CHANCE, write_tiny_bundle

ONE_BY_ONE = PredictionOptions(sample_count=0, batch_size=1, guidance_scale=2.0)
"""A slice made in the same company has the same voxels, to the last bit."""


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    folder = write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny", days_since_rt=120.0, held_out=CHANCE)
    return Predictor(open_bundle(folder), device="cpu", precision="float32")


@pytest.fixture(scope="module")
def case():
    size, spacing, center = (60, 64, 12), (0.95, 0.95, 5.0), phantoms.GTV_CENTER
    image = phantoms.head(size, spacing, center=center, pixel=sitk.sitkFloat32)
    return make_case(image, phantoms.gtv(size, spacing, center=center))


def voxels(image):
    return sitk.GetArrayFromImage(image)


class Judge(Listener):
    """Finds enough what is complete when a sample has come so far."""

    def __init__(self, sample, sampled=0.0, error=EnoughError):
        self.sample, self.sampled, self.error, self.warnings = sample, sampled, error, []

    def progress(self, progress):
        if progress.sample == self.sample and progress.sampled > self.sampled:
            raise self.error

    def warning(self, code, sentence):
        self.warnings.append((code, sentence))


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_a_prediction_ends_with_the_samples_that_are_complete_and_says_so(predictor, case, count):
    whole = predictor.predict(case, PredictionOptions(sample_count=4, batch_size=4))
    judge = Judge(count)
    stopped = predictor.predict(case, PredictionOptions(sample_count=4, batch_size=4), listener=judge)
    assert len(stopped.samples) == count
    assert np.array_equal(voxels(stopped.expected), voxels(whole.expected))
    for early, late in zip(stopped.samples, whole.samples, strict=False):
        assert np.array_equal(voxels(early), voxels(late))
    assert (stopped.spread is None) == (count < 2)
    assert judge.warnings == [("stopped", f"Stopped, as asked, after {count} of 4 samples.")]
    record = provenance(predictor.bundle, stopped)
    assert (record["samples"], record["samples_asked"]) == (count, 4)
    assert record["warnings"][-1] == {"code": "stopped", "sentence": judge.warnings[0][1]}
    assert record["predicted_is"] == ("sample 1" if count else "expected image")


def test_a_prediction_that_was_not_stopped_says_nothing_of_it(predictor, case):
    record = provenance(predictor.bundle, predictor.predict(case, PredictionOptions(sample_count=1)))
    assert (record["samples"], record["samples_asked"], record["warnings"]) == (1, 1, [])


def of_class(predictor, case, **options):
    return voxels(predictor.predict(case, replace(ONE_BY_ONE, **options)).expected)


@pytest.mark.parametrize("scheme, first, last", [(None, "short", "long"), ("4-class", "quartile1", "quartile4")])
def test_a_class_weight_of_zero_is_the_first_class_and_one_the_last(predictor, case, scheme, first, last):
    ends = [of_class(predictor, case, scheme=scheme, classes=(name,)) for name in (first, last)]
    for weight, end in zip((0.0, 1.0), ends, strict=True):
        assert np.array_equal(of_class(predictor, case, scheme=scheme, class_weight=weight), end)
    assert not np.array_equal(*ends)


def test_a_class_weight_between_lies_between_and_is_recorded(predictor, case):
    short, long = (of_class(predictor, case, class_weight=weight) for weight in (0.0, 1.0))
    prediction = predictor.predict(case, replace(ONE_BY_ONE, class_weight=0.5, sample_count=1))
    half = voxels(prediction.expected)
    whole = np.abs(long - short).sum()
    assert 0 < np.abs(half - short).sum() < whole
    assert 0 < np.abs(half - long).sum() < whole
    record = provenance(predictor.bundle, prediction)
    assert record["class_weight"] == 0.5
    assert (record["class"]["name"], record["class"]["source"]) == ("50% short, 50% long", "chosen")


@pytest.mark.parametrize("options", [{"classes": ("long",)}, {"class_weight": 1.5}])
def test_a_class_weight_stands_alone_and_within_its_range(options):
    with pytest.raises(OptionError, match="class weight"):
        PredictionOptions(**{"class_weight": 0.5, **options})


def test_a_class_weight_needs_classes(predictor, case):
    with pytest.raises(OptionError, match="nothing to mix"):
        predictor.predict(case, PredictionOptions(scheme="none", class_weight=0.5))


def same_place(volume, slab):
    """The part of a volume that a slab takes, as voxels."""
    start = volume.TransformPhysicalPointToIndex(slab.GetOrigin())
    return voxels(volume[tuple(slice(a, a + b) for a, b in zip(start, slab.GetSize(), strict=True))])


@pytest.mark.parametrize("asked", [(0.0, None), (0.3, None), (1.0, 300.0), (None, 300.0), (None, None)])
def test_a_what_if_is_the_slice_that_a_prediction_of_these_conditions_has(predictor, case, asked):
    weight, days = asked
    options = replace(ONE_BY_ONE, class_weight=weight, days_since_rt=days)
    prediction = predictor.predict(case, options)
    index = int(prediction.slices.indices[1])
    predictor.predict(case, ONE_BY_ONE)
    slab = predictor.what_if(index, weight, days)
    assert slab.GetSize()[2] == 1
    assert slab.GetSpacing() == case.image.GetSpacing() and slab.GetDirection() == case.image.GetDirection()
    assert np.array_equal(voxels(slab), same_place(prediction.expected, slab))
    assert not np.array_equal(voxels(slab), same_place(case.image, slab))


def test_a_what_if_encodes_nothing_and_takes_one_evaluation(predictor, case, monkeypatch):
    indices = predictor.predict(case, replace(ONE_BY_ONE, batch_size=4)).slices.indices
    batches = []
    for part in ("image_autoencoder", "gtv_autoencoder"):
        monkeypatch.setattr(getattr(predictor.model.networks, part), "encode", lambda *_: pytest.fail("encoded"))
    denoiser = type(predictor.model.networks.denoiser)
    forward = denoiser.forward
    monkeypatch.setattr(denoiser, "forward", lambda self, *a: batches.append(len(a[0])) or forward(self, *a))
    predictor.what_if(int(indices[0]), 0.5, 60.0)
    assert batches == [3]  # without a class, and both classes


def test_a_what_if_of_a_noise_model_is_the_mean_of_its_pair(case, tmp_path):
    predictor = Predictor(open_bundle(write_tiny_bundle(tmp_path / "epsilon", prediction="epsilon")), "cpu", "float32")
    prediction = predictor.predict(case, replace(ONE_BY_ONE, class_weight=0.5))
    slab = predictor.what_if(int(prediction.slices.indices[0]), 0.5, None)
    assert np.array_equal(voxels(slab), same_place(prediction.expected, slab))


def test_what_cannot_be_asked_is_refused(predictor, case, tmp_path):
    plain = Predictor(open_bundle(write_tiny_bundle(tmp_path / "plain")), "cpu", "float32")
    with pytest.raises(NothingPredictedError):
        plain.what_if(0, 0.5, None)
    index = int(plain.predict(case, ONE_BY_ONE).slices.indices[0])
    with pytest.raises(OptionError, match="time since radiotherapy"):
        plain.what_if(index, None, 90.0)
    with pytest.raises(OptionError, match="class weight cannot be 2"):
        plain.what_if(index, 2.0, None)
    with pytest.raises(RequestError, match="Slice 0 was not predicted"):
        plain.what_if(0, 0.5, None)


def test_a_prediction_that_was_cancelled_leaves_nothing_to_ask_about(predictor, case):
    index = int(predictor.predict(case, ONE_BY_ONE).slices.indices[0])
    with pytest.raises(CancelledError):
        predictor.predict(case, ONE_BY_ONE, listener=Judge(None, error=CancelledError("Stop.")))
    with pytest.raises(NothingPredictedError):
        predictor.what_if(index, 0.5, None)
