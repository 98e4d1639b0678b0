"""One case from checked inputs to volumes, with randomly initialized networks."""

import itertools
import json
from dataclasses import replace

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
import torch
from GBMResponseCore import prediction as engine
from GBMResponseCore.errors import BundleError, CancelledError, GuidanceError, NoOverlapError, OptionError
from GBMResponseCore.inputs.case import make_case
from GBMResponseCore.model import sampling, slice_model
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.sampling import Conditions, generate_slices
from GBMResponseCore.model.windows import Windows
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.progress import Listener, Progress
from GBMResponseCore.request import PredictionOptions, SamplingOptions
from GBMResponseCore.setting import settings
from tiny_bundle import write_tiny_bundle

# The tiny bundle works on 64 x 64 slices, so the phantom has coarse pixels inside the tiny rule's 240 mm.
FLOAT_TOLERANCE = 2e-3
"""Of the intensity range: the largest change of a float32 voxel between batch sizes."""


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    folder = write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")
    return Predictor(open_bundle(folder), device="cpu", precision="float32")


def make(pixel=sitk.sitkInt16, direction=phantoms.IDENTITY):
    size, spacing = (60, 64, 12), (0.95, 0.95, 5.0)
    center = phantoms.GTV_CENTER
    image = phantoms.head(size, spacing, direction, center=center, pixel=pixel)
    return make_case(image, phantoms.gtv(size, spacing, direction, center=center))


def voxels(image):
    return sitk.GetArrayFromImage(image)


def range_of(case):
    return float(np.ptp(voxels(case.image)))


@pytest.mark.parametrize("pixel", [sitk.sitkInt16, sitk.sitkUInt8, sitk.sitkFloat32, sitk.sitkFloat64])
@pytest.mark.parametrize("direction", [phantoms.IDENTITY, phantoms.rotation("x", 12), np.diag([-1, -1, 1])])
def test_the_output_has_the_grid_and_type_of_the_input(predictor, pixel, direction):
    case = make(pixel, direction)
    prediction = predictor.predict(case)
    for volume in (prediction.samples[0], prediction.generated):
        assert volume.GetSize() == case.image.GetSize()
        assert volume.GetSpacing() == case.image.GetSpacing()
        assert volume.GetOrigin() == case.image.GetOrigin()
        assert volume.GetDirection() == case.image.GetDirection()
    assert prediction.samples[0].GetPixelID() == pixel


def test_voxels_outside_generated_slices_are_bit_identical(predictor):
    case = make(sitk.sitkFloat32)
    prediction = predictor.predict(case)
    outside = voxels(prediction.generated) == 0
    assert outside.any()
    assert np.array_equal(voxels(prediction.samples[0])[outside], voxels(case.image)[outside])


def test_the_input_shows_away_from_the_tumor_in_every_picture(predictor):
    case = make(sitk.sitkFloat32)
    composed, whole = (
        predictor.predict(case, PredictionOptions(sample_count=2, compose=compose)) for compose in (True, False)
    )
    weight, mask, before = voxels(composed.weight), voxels(composed.generated) > 0, voxels(case.image)
    assert np.array_equal(weight > 0, mask)
    assert 0 < mask.sum() < (voxels(whole.generated) > 0).sum()
    assert (weight[voxels(case.gtv) > 0] == 1).all()
    for mixed, alone in zip([composed.expected, *composed.samples], [whole.expected, *whole.samples], strict=True):
        assert np.array_equal(voxels(mixed)[~mask], before[~mask])
        np.testing.assert_allclose(voxels(mixed), weight * voxels(alone) + (1 - weight) * before, atol=0.01)
    assert not voxels(composed.spread)[~mask].any()


def test_the_whole_slice_is_the_papers_and_has_no_weight(predictor):
    case = make(sitk.sitkFloat32)
    prediction = predictor.predict(case, PredictionOptions(sample_count=1, compose=False))
    generated = voxels(prediction.generated) > 0
    assert prediction.weight is None
    assert np.array_equal(generated.all(axis=(1, 2)), generated.any(axis=(1, 2)))
    assert (voxels(prediction.samples[0]) != voxels(case.image))[generated].mean() > 0.9


def test_previews_look_as_the_volume_will(predictor):
    pictures, case = Pictures(), make(sitk.sitkFloat32)
    prediction = predictor.predict(case, PredictionOptions(sample_count=1), listener=pictures)
    inside = (..., slice(2, 62))  # the image is four columns narrower than its slices
    for row, index in enumerate(prediction.slices.indices.tolist()):
        plane, volume = pictures.planes[None, index], prediction.expected_pixels[row]
        np.testing.assert_allclose(plane[inside], volume[inside], atol=1e-3)


def test_every_slice_with_gtv_is_generated_and_no_other(predictor):
    case = make()
    generated = voxels(predictor.predict(case).generated).any(axis=(1, 2))
    assert np.array_equal(generated, voxels(case.gtv).any(axis=(1, 2)))


def test_the_inputs_are_not_modified(predictor):
    case = make()
    before = voxels(case.image), voxels(case.gtv)
    predictor.predict(case)
    assert np.array_equal(voxels(case.image), before[0])
    assert np.array_equal(voxels(case.gtv), before[1])


def test_the_same_seed_gives_the_same_voxels(predictor):
    first, second = (voxels(predictor.predict(make()).samples[0]) for _ in range(2))
    assert np.array_equal(first, second)


def test_the_batch_size_does_not_matter(predictor):
    case = make(sitk.sitkFloat32)
    results = [
        voxels(predictor.predict(case, PredictionOptions(sample_count=2, batch_size=batch)).samples[1])
        for batch in (1, 2, 8)
    ]
    for other in results[1:]:
        assert np.abs(other - results[0]).max() <= FLOAT_TOLERANCE * range_of(case)


def test_another_seed_gives_another_image(predictor):
    first, second = (voxels(predictor.predict(make(), PredictionOptions(seed=s)).samples[0]) for s in (1, 2))
    assert not np.array_equal(first, second)


def test_a_slice_keeps_its_position_when_the_volume_is_cropped(predictor):
    case = make(sitk.sitkFloat32)
    whole = predictor.predict(case)
    inner = slice(int(whole.slices.indices[0]), int(whole.slices.indices[-1]) + 1)
    cropped = predictor.predict(make_case(case.image[:, :, inner], case.gtv[:, :, inner]))
    assert np.array_equal(whole.slices.positions_mm, cropped.slices.positions_mm)


def test_another_class_changes_the_tumor_under_the_same_noise(predictor):
    case = make(sitk.sitkFloat32)
    short, long = (
        voxels(predictor.predict(case, PredictionOptions(classes=(name,))).samples[0]) for name in ("short", "long")
    )
    inside = voxels(case.gtv) > 0
    assert np.abs(short - long)[inside].mean() > 1e-3 * range_of(case)


def test_the_classes_predicted_probabilities_sum_to_one(predictor):
    choice = predictor.predict(make()).class_choice
    assert choice.class_source == "predicted"
    assert sum(choice.probabilities.values()) == pytest.approx(1.0)
    assert choice.probabilities[choice.name] == max(choice.probabilities.values())


@pytest.mark.parametrize("name", ["quartile1", "quartile4"])
def test_four_classes_can_be_chosen(predictor, name):
    options = PredictionOptions(scheme="4-class", classes=(name,))
    choice = predictor.predict(make(), options).class_choice
    assert (choice.name, choice.class_source) == (name, "chosen")


def test_no_class_uses_the_null_token(predictor):
    options = PredictionOptions(scheme="none", guidance_scale=1.0)
    assert predictor.predict(make(), options).class_choice.class_token == predictor.bundle.null_token


def test_the_spread_describes_the_samples(predictor):
    prediction = predictor.predict(make(sitk.sitkFloat32), PredictionOptions(sample_count=3))
    stack = np.stack([voxels(sample) for sample in prediction.samples])
    np.testing.assert_allclose(voxels(prediction.spread), stack.std(axis=0, ddof=1), atol=0.05)


def test_encodings_are_kept_for_the_next_class(predictor, monkeypatch):
    case = make()
    predictor.predict(case)
    autoencoder = predictor.model.networks.image_autoencoder
    monkeypatch.setattr(type(autoencoder), "encode", lambda *_: pytest.fail("encoded again"))
    predictor.predict(case, PredictionOptions(classes=("short",)))


def test_no_change_of_the_latent_gives_the_reconstructed_input(tmp_path, monkeypatch):
    folder = write_tiny_bundle(tmp_path / "b", change_scale=[2.0] * 4)
    predictor = Predictor(open_bundle(folder), device="cpu", precision="float32")
    monkeypatch.setattr(sampling, "sample_latents", lambda *a, **k: torch.zeros(len(k["positions_mm"]), 4, 16, 16))
    sources = torch.randn(2, 8, 16, 16)
    images = generate_slices(
        predictor.model, Conditions(sources, np.zeros(2), 0), predictor.bundle.default_sampling, seed=1, sample=0
    )
    expected = predictor.model.networks.image_autoencoder.decode(sources[:, :4])[:, 0].numpy()
    np.testing.assert_allclose(images, expected, atol=1e-5)


def test_a_change_is_divided_by_its_scale(tmp_path, monkeypatch):
    folder = write_tiny_bundle(tmp_path / "b", change_scale=[1.0, 2.0, 4.0, 8.0])
    predictor = Predictor(open_bundle(folder), device="cpu", precision="float32")
    monkeypatch.setattr(sampling, "sample_latents", lambda *a, **k: torch.ones(1, 4, 16, 16))
    decoded = []
    monkeypatch.setattr(predictor.model.networks.image_autoencoder, "decode", lambda z: decoded.append(z) or z)
    conditions = Conditions(torch.zeros(1, 8, 16, 16), np.zeros(1), 0)
    generate_slices(predictor.model, conditions, SamplingOptions(steps=2), seed=1, sample=0)
    assert decoded[0][0, :, 0, 0].tolist() == [1.0, 0.5, 0.25, 0.125]


def test_only_windows_are_denoised_and_nothing_is_left_outside_of_them(predictor, monkeypatch):
    shown, decoded = [], []
    denoiser = type(predictor.model.networks.denoiser)
    forward = denoiser.forward
    monkeypatch.setattr(denoiser, "forward", lambda self, *a: shown.append(a[0].shape[-2:]) or forward(self, *a))
    decode = predictor.model.networks.image_autoencoder.decode
    monkeypatch.setattr(
        predictor.model.networks.image_autoencoder, "decode", lambda z: decoded.append(z.clone()) or decode(z)
    )
    windows = Windows([np.array([[4, 8]])], 8)
    conditions = Conditions(torch.zeros(1, 8, 16, 16), np.zeros(1), 0, windows=windows)
    generate_slices(predictor.model, conditions, SamplingOptions(steps=2), seed=1, sample=0)
    assert set(shown) == {(8, 8)}
    inside = torch.zeros(16, 16, dtype=torch.bool)
    inside[4:12, 8:16] = True
    (latents,) = decoded
    assert (latents[0, :, ~inside] == 0).all() and (latents[0, :, inside] != 0).all()


def test_detail_is_added_to_what_is_decoded(predictor):
    plain = Conditions(torch.zeros(1, 8, 16, 16), np.zeros(1), 0)
    without = generate_slices(predictor.model, plain, SamplingOptions(steps=2), seed=1, sample=0)
    detail = np.random.default_rng(1).normal(size=without.shape).astype(np.float32)
    detailed = replace(plain, detail=detail)
    images = generate_slices(predictor.model, detailed, SamplingOptions(steps=2), seed=1, sample=0)
    np.testing.assert_array_equal(images, without + detail)


def test_guidance_is_refused_by_a_bundle_without_label_dropout(tmp_path):
    predictor = Predictor(open_bundle(write_tiny_bundle(tmp_path / "b", label_dropout=0.0)), device="cpu")
    with pytest.raises(GuidanceError):
        predictor.predict(make(), PredictionOptions(guidance_scale=2.0))


def test_no_class_is_refused_by_a_bundle_without_label_dropout(tmp_path):
    predictor = Predictor(open_bundle(write_tiny_bundle(tmp_path / "b", label_dropout=0.0)), device="cpu")
    with pytest.raises(GuidanceError, match="null class"):
        predictor.predict(make(), PredictionOptions(scheme="none"))


def test_the_first_scheme_of_the_bundle_is_the_default(predictor):
    assert predictor.predict(make()).class_choice.scheme == "2-class"


@pytest.mark.parametrize("options", [{"scheme": "3-class"}, {"classes": ("medium",)}])
def test_unknown_classes_are_refused(predictor, options):
    with pytest.raises(OptionError):
        predictor.predict(make(), PredictionOptions(**options))


def test_a_gtv_outside_the_field_of_view_is_refused(predictor):
    size, spacing = (512, 64, 6), (0.95, 0.95, 5.0)
    image = phantoms.head(size, spacing, center=phantoms.GTV_CENTER)
    far = phantoms.gtv(size, spacing, center=phantoms.GTV_CENTER, at=(225.0, -15.0, 20.0))
    with pytest.raises(NoOverlapError):
        predictor.predict(make_case(image, far))


# The expected image


class Pictures(Listener):
    """What is shown, in order: pictures by sample, None for the expected image, and its volume."""

    def __init__(self):
        self.shown, self.planes = [], {}

    def slice_done(self, survival_class, sample, index, pixels):
        self.shown.append(sample)
        self.planes[sample, index] = pixels

    def expected_done(self, survival_class, volume):
        self.shown.append("volume")
        self.volume = volume


@pytest.fixture(scope="module")
def noise_predictor(tmp_path_factory):
    """A model that predicts noise, as the authors' checkpoints do."""
    folder = write_tiny_bundle(tmp_path_factory.mktemp("epsilon") / "tiny", prediction="epsilon")
    return Predictor(open_bundle(folder), device="cpu", precision="float32")


def test_the_expected_image_appears_before_any_sample(predictor):
    pictures, case = Pictures(), make()
    prediction = predictor.predict(case, PredictionOptions(sample_count=2), listener=pictures)
    count = len(prediction.slices.indices)
    assert pictures.shown == [None] * count + ["volume"] + [0] * count + [1] * count
    assert np.array_equal(voxels(pictures.volume), voxels(prediction.expected))


def test_the_expected_image_takes_one_evaluation_and_no_noise(predictor, monkeypatch):
    calls = []
    denoiser = type(predictor.model.networks.denoiser)
    forward = denoiser.forward
    monkeypatch.setattr(denoiser, "forward", lambda self, *a: calls.append(len(a[0])) or forward(self, *a))
    first, second = (
        predictor.predict(make(), PredictionOptions(sample_count=0, seed=seed, guidance_scale=2.0, batch_size=8))
        for seed in (1, 2)
    )
    assert calls == [2 * len(first.slices.indices)] * 2
    assert np.array_equal(voxels(first.expected), voxels(second.expected))
    assert first.samples == [] and first.spread is None
    assert first.predicted is first.expected and first.predicted_name == "expected image"


def test_the_expected_image_of_a_noise_model_is_the_mean_of_a_pair_that_is_drawn_once(noise_predictor, monkeypatch):
    drawn, pictures, case = companies(monkeypatch), Pictures(), make(sitk.sitkFloat32)
    options = PredictionOptions(sample_count=2, batch_size=3, compose=False)
    prediction = noise_predictor.predict(case, options, listener=pictures)
    assert pictures.shown[0] is None
    assert len(drawn) == 2 * 2  # pictures, chunks
    for index in prediction.slices.indices.tolist():
        pair = pictures.planes[0, index] + pictures.planes[1, index]
        np.testing.assert_array_equal(pictures.planes[None, index], pair / np.float32(2))
    assert prediction.expected_method == "mean of an antithetic pair of samples"
    assert not np.array_equal(*map(voxels, prediction.samples))


@pytest.mark.parametrize("count", [0, 1])
def test_the_expected_image_of_a_noise_model_does_not_depend_on_the_number_of_samples(noise_predictor, count):
    several = noise_predictor.predict(make(), PredictionOptions(sample_count=2))
    fewer = noise_predictor.predict(make(), PredictionOptions(sample_count=count))
    assert np.array_equal(voxels(fewer.expected), voxels(several.expected))
    assert len(fewer.samples) == count


def test_slices_of_an_expected_image_can_be_made_by_themselves(noise_predictor):
    conditions = Conditions(torch.zeros(2, 8, 16, 16), np.array([0.0, 5.0]), 0)
    expected, first, second = (
        generate_slices(noise_predictor.model, conditions, noise_predictor.bundle.default_sampling, seed=3, sample=s)
        for s in (None, 0, 1)
    )
    np.testing.assert_array_equal(expected, (first + second) / np.float32(2))


def test_both_samples_of_an_expected_image_count_as_steps_one_after_the_other(noise_predictor):
    told, conditions = [], Conditions(torch.zeros(1, 8, 16, 16), np.array([0.0]), 0)
    options = SamplingOptions(steps=2)
    progress = Progress("none", working=1, step=1, steps=9)
    watcher = Watcher(lambda progress: told.append(progress.step))
    generate_slices(
        noise_predictor.model, conditions, options, seed=3, sample=None, listener=watcher, progress=progress
    )
    assert told == [2, 3, 3, 4, 5, 5]  # two steps and the end of the decoder, twice


@pytest.mark.parametrize("kind", ["v_prediction", "epsilon"])
def test_progress_is_told_in_order_whatever_the_model_predicts(predictor, noise_predictor, kind):
    told = []
    model = {"v_prediction": predictor, "epsilon": noise_predictor}[kind]
    model.predict(make(), PredictionOptions(sample_count=3, batch_size=2), listener=Watcher(told.append))
    parts = [progress.sampled for progress in told]
    assert parts == sorted(parts)
    assert (parts[0], parts[-1]) == (0.0, pytest.approx(1.0))
    assert list(dict.fromkeys(progress.sample for progress in told)) == [None, 0, 1, 2]


class Watcher(Listener):
    def __init__(self, on_progress):
        self.progress = on_progress


def stop_half_way(progress):
    if progress.sampled > 0.5:
        raise CancelledError("Stop.")


def test_progress_grows_to_one(predictor):
    fractions = []
    predictor.predict(
        make(),
        PredictionOptions(sample_count=2, batch_size=2),
        listener=Watcher(lambda progress: fractions.append(progress.sampled)),
    )
    assert fractions == sorted(fractions)
    assert fractions[-1] == pytest.approx(1.0)


def test_a_cancelled_request_continues_with_its_finished_slices(predictor, tmp_path, monkeypatch):
    case, options = make(), PredictionOptions(batch_size=1, sample_count=1)
    expected = voxels(predictor.predict(case, options).samples[0])

    with pytest.raises(CancelledError):
        predictor.predict(case, options, listener=Watcher(stop_half_way), unfinished=tmp_path / "unfinished")
    kept = len(list((tmp_path / "unfinished").rglob("*.npy")))
    assert kept >= 1

    calls = []
    monkeypatch.setattr(engine, "generate_slices", lambda *a, **k: calls.append(1) or generate_slices(*a, **k))
    result = predictor.predict(case, options, unfinished=tmp_path / "unfinished")
    assert len(calls) == 2 * len(result.slices.indices) - kept
    assert np.array_equal(voxels(result.samples[0]), expected)


def test_finished_slices_of_another_seed_are_not_used(predictor, tmp_path):
    with pytest.raises(CancelledError):
        predictor.predict(make(), PredictionOptions(batch_size=1), listener=Watcher(stop_half_way), unfinished=tmp_path)
    other = PredictionOptions(seed=5)
    fresh = voxels(predictor.predict(make(), other).samples[0])
    assert np.array_equal(voxels(predictor.predict(make(), other, unfinished=tmp_path).samples[0]), fresh)


def kept_files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.npy"))


def stop_at(number):
    """A listener that stops a prediction at the n-th event that may stop it."""
    counted = itertools.count()

    def stop(*_):
        if next(counted) == number:
            raise CancelledError("Stop.")

    listener = Listener()
    listener.progress = listener.slice_done = stop
    return listener


def companies(monkeypatch):
    """Records which slices are sampled together."""
    found = []

    def record(model, conditions, *arguments, **options):
        found.append(tuple(conditions.positions_mm.tolist()))
        return generate_slices(model, conditions, *arguments, **options)

    monkeypatch.setattr(engine, "generate_slices", record)
    return found


def test_wherever_it_was_stopped_a_prediction_continues_to_the_same_voxels(predictor, tmp_path, monkeypatch):
    case, options = make(sitk.sitkFloat32), PredictionOptions(batch_size=3, sample_count=1)
    together = companies(monkeypatch)
    whole = predictor.predict(case, options)
    undisturbed = set(together)
    assert [len(company) for company in together] == [3, 1] * 2
    for number in range(40):
        folder = tmp_path / str(number)
        try:
            predictor.predict(case, options, listener=stop_at(number), unfinished=folder)
        except CancelledError:
            result = predictor.predict(case, options, unfinished=folder)
            assert np.array_equal(voxels(result.samples[0]), voxels(whole.samples[0]))
            assert np.array_equal(voxels(result.expected), voxels(whole.expected))
            continue
        break
    assert number > 10
    assert set(together) == undisturbed


def test_a_prediction_continues_with_as_many_slices_at_once_as_it_began_with(predictor, tmp_path, monkeypatch):
    case, options = make(), PredictionOptions(sample_count=1)
    monkeypatch.setattr(slice_model, "batch_size", lambda wanted, *_: wanted or 2)
    with pytest.raises(CancelledError):
        predictor.predict(case, options, listener=Watcher(stop_half_way), unfinished=tmp_path)
    kept = len(kept_files(tmp_path))
    monkeypatch.setattr(slice_model, "batch_size", lambda wanted, *_: wanted or 3)
    together = companies(monkeypatch)
    result = predictor.predict(case, options, unfinished=tmp_path)
    assert result.options.batch_size == 2
    assert sum(map(len, together)) == 2 * len(result.slices.indices) - kept


def damage(path, kind):
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "cut off":
        path.write_bytes(path.read_bytes()[:200])
    elif kind == "text":
        path.write_text("no array")
    elif kind == "gone":
        path.unlink()
    else:
        arrays = {"shape": np.zeros((3, 3), np.float32), "type": np.zeros((64, 64)), "NaN": np.full((64, 64), np.nan)}
        np.save(path, arrays[kind].astype(np.float32) if kind == "NaN" else arrays[kind])


@pytest.mark.parametrize("kind", ["empty", "cut off", "text", "gone", "shape", "type", "NaN"])
@pytest.mark.parametrize("picture", ["expected", "sample000"])
def test_a_damaged_kept_slice_is_sampled_again_with_those_beside_it(predictor, tmp_path, monkeypatch, kind, picture):
    case, options = make(), PredictionOptions(batch_size=2, sample_count=1)
    expected = voxels(predictor.predict(case, options, unfinished=tmp_path).samples[0])
    damage(next(tmp_path.rglob(f"{picture}_slice0001.npy")), kind)
    together = companies(monkeypatch)
    result = predictor.predict(case, options, unfinished=tmp_path)
    assert together == [tuple(result.slices.positions_mm[:2].tolist())]
    assert np.array_equal(voxels(result.samples[0]), expected)


def moved(case, millimeters):
    image, gtv = sitk.Image(case.image), sitk.Image(case.gtv)
    for volume in (image, gtv):
        x, y, z = volume.GetOrigin()
        volume.SetOrigin((x, y, z + millimeters))
    return make_case(image, gtv)


def test_kept_slices_of_another_position_are_not_used(predictor, tmp_path):
    options = PredictionOptions(batch_size=2)
    predictor.predict(make(), options, unfinished=tmp_path)
    other = moved(make(), 1.3)
    fresh = voxels(predictor.predict(other, options).samples[0])
    assert np.array_equal(voxels(predictor.predict(other, options, unfinished=tmp_path).samples[0]), fresh)
    assert not np.array_equal(fresh, voxels(predictor.predict(make(), options).samples[0]))


@pytest.fixture
def run_of(predictor, tmp_path):
    """What a prediction with changed options is kept under; the arrays are those of one case."""
    slices = predictor.read_slices(make())

    def build(slices=slices, **changes):
        options = predictor.model.resolve(PredictionOptions(**changes))
        return engine._Run(predictor.model, slices, options, Listener(), Progress("predicted"), tmp_path)

    return build


@pytest.mark.parametrize("entry", settings(PredictionOptions), ids=lambda entry: entry.attribute)
def test_kept_slices_depend_on_every_setting_but_how_many_there_are(run_of, entry):
    values = {
        "sampler": "dpmpp", "guidance_form": "algorithm2", "scheme": "4-class", "classes": ("long",), "eta": 0.5,
        "days_since_rt": 90.0, "device": "cuda:7", "precision": "bfloat16", "temperature": 0.5, "compose": False,
        "class_weight": 0.5,
    }  # fmt: skip
    run = run_of()
    value = values.get(entry.attribute, 5)
    ddim = {"sampler": "ddim"} if entry.attribute == "eta" else {}
    before = replace(run, options=replace(run.options, **ddim))
    after = replace(run, options=replace(run.options, **ddim, **{entry.attribute: value}))
    assert (before._key == after._key) == (entry.attribute in ("sample_count", "batch_size"))


def test_kept_slices_depend_on_version_and_bundle_and_on_which_slices_they_are(run_of, predictor, monkeypatch):
    run = run_of()
    keys = {run._key, replace(run, slices=replace(run.slices, indices=run.slices.indices[1:]))._key}
    monkeypatch.setattr(engine, "__version__", "another")
    keys.add(replace(run)._key)
    monkeypatch.undo()
    monkeypatch.setitem(vars(predictor.bundle), "sha256", "another")
    keys.add(replace(run)._key)
    assert len(keys) == 4


# Refused before any work


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"scheme": "none", "classes": ("short",)}, "Without a class scheme there is no class 'short'"),
        ({"scheme": "none", "classes": ("typo",)}, "Without a class scheme there is no class 'typo'"),
        ({"scheme": "typo", "classes": ("short",)}, "no class scheme 'typo'"),
        ({"classes": ("shrot",)}, "Unknown survival class 'shrot'"),
        ({"scheme": "4-class", "classes": ("short",)}, "Unknown survival class 'short'"),
        ({"days_since_rt": 90.0}, "not trained with the time"),
        ({"steps": 300, "sampler": "ddim"}, "300 steps"),
        ({"eta": 0.5}, "no meaning for unipc"),
        ({"classes": ("short", "long")}, "one after the other"),
    ],
)
def test_what_the_model_cannot_do_is_refused_before_any_work(predictor, monkeypatch, options, sentence):
    monkeypatch.setattr(engine, "read_slices", lambda *_: pytest.fail("work began"))
    with pytest.raises(OptionError, match=sentence):
        predictor.predict(make(), PredictionOptions(**options))


def test_a_class_cannot_be_predicted_without_classifier_which_shows_before_any_work(tmp_path, monkeypatch):
    description = json.loads((write_tiny_bundle(tmp_path / "b") / "bundle.json").read_text("utf-8"))
    del description["classifier"]
    (tmp_path / "b" / "bundle.json").write_text(json.dumps(description), "utf-8")
    predictor = Predictor(open_bundle(tmp_path / "b"), "cpu", "float32")
    monkeypatch.setattr(engine, "read_slices", lambda *_: pytest.fail("work began"))
    with pytest.raises(OptionError, match="no survival classifier"):
        predictor.predict(make(), PredictionOptions(classes=("predicted",)))


@pytest.mark.parametrize("name", ["auto", "predicted", "none"])
def test_no_class_may_be_asked_for_by_name(predictor, name):
    choice = predictor.predict(make(), PredictionOptions(scheme="none", classes=(name,))).class_choice
    assert (choice.name, choice.class_source, choice.class_token) == ("none", "none", predictor.bundle.null_token)


def test_no_class_needs_no_scheme(predictor):
    prediction = predictor.predict(make(), PredictionOptions(classes=("none",)))
    assert (prediction.class_choice.class_token, prediction.options.scheme) == (predictor.bundle.null_token, "none")


# Numbers


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_slices_that_are_not_finite_are_never_written(predictor, monkeypatch, value):
    autoencoder = type(predictor.model.networks.image_autoencoder)
    monkeypatch.setattr(autoencoder, "decode", lambda self, latents: torch.full((len(latents), 1, 64, 64), value))
    with pytest.raises(BundleError, match="not finite"):
        predictor.predict(make())


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_denoiser_computes_in_the_precision_that_was_asked_for(tiny_bundle, precision):
    predictor, seen = Predictor(open_bundle(tiny_bundle), "cpu", precision), set()
    for module in predictor.model.networks.denoiser.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda _module, _inputs, output: seen.add(output.dtype))
    predictor.predict(make(), PredictionOptions(sample_count=1))
    assert seen == {getattr(torch, precision)}


def test_an_encoding_made_with_other_company_is_not_used(predictor, monkeypatch):
    case, made = make(), []
    encode = type(predictor.model.networks.image_autoencoder).encode
    monkeypatch.setattr(
        type(predictor.model.networks.gtv_autoencoder), "encode", lambda self, x: made.append(len(x)) or encode(self, x)
    )
    predictor.model._encodings.clear()
    for batch in (1, 2, 2, 1):
        predictor.predict(case, PredictionOptions(batch_size=batch))
    assert sum(made) == 2 * 2 * len(predictor.read_slices(case).indices)
