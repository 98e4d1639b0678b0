"""A model of windows around the GTV, from the training to a prediction."""

import json
from dataclasses import replace

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
import torch
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.sampling import Conditions, generate_slices
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions
from scipy import ndimage
from small_store import SIZE, write_small_store
from smoke_run import smoke_run

WINDOW = 16
"""Pixels; the latents are four times smaller."""
REACH = 24
"""Pixels around a latent that its decoder draws."""
SETTINGS = [
    f"diffusion.window={WINDOW}",
    "diffusion.window_margin=4",
    "diffusion.window_overlap=8",
    "diffusion.gtv_margin=4",
    "diffusion.late_share=0.15",
    "diffusion.ema_decay=0.1",
    "diffusion.second_ema_decay=0.3",
    "diffusion.fold=1",
    "diffusion.keep_detail=true",
    # Without normalization, so that the decoder draws the rest of a slice as if nothing had changed.
    *(f"{part}_autoencoder.{name}={value}" for part in ("image", "gtv") for name, value in (
        ("architecture", "continuous"), ("channels", "[8, 8]"), ("latent_channels", 8), ("quantize_from", 0)
    )),
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    store = write_small_store(tmp_path_factory.mktemp("store") / "store")
    run = tmp_path_factory.mktemp("run") / "run"
    assert smoke_run(store, run, "export", "2-class", settings=SETTINGS) == 0
    return run


@pytest.fixture(scope="module")
def bundle(run):
    return open_bundle(run / "bundles" / "2-class")


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    folder = tmp_path_factory.mktemp("case")
    grid = ((SIZE, SIZE, 30), (3.5, 3.5, 5.0))
    image, gtv = phantoms.head(*grid), phantoms.gtv(*grid)
    for name, volume in (("image", image), ("gtv", gtv)):
        sitk.WriteImage(volume, str(folder / f"{name}.nii.gz"))
    return load_case(folder / "image.nii.gz", folder / "gtv.nii.gz")


def test_the_bundle_says_where_its_windows_lie(bundle):
    assert bundle.description["latents"]["windows"] == {"size": 4, "margin": 1, "overlap": 2}


@pytest.mark.parametrize("compose", [False, True])
def test_a_prediction_is_the_input_where_nothing_changes(bundle, case, compose):
    """To the last noise: the autoencoder, which has learned next to nothing here, does not show."""
    predictor = Predictor(bundle, "cpu", "float32")
    options = PredictionOptions(sample_count=1, compose=compose, seed=3)
    slices = predictor.read_slices(case)
    prediction = predictor.predict(case, options, slices=slices)
    unchanged = predictor.unchanged(slices, prediction.options)
    gtv = slices.gtv[slices.indices].astype(np.float32)
    kept = np.ones((len(gtv), SIZE, SIZE), bool)
    for row, top, left in predictor.model.windows(gtv).places():
        kept[row, 4 * top : 4 * top + WINDOW, 4 * left : 4 * left + WINDOW] = False
    far = ~ndimage.binary_dilation(~kept, np.ones((1, 3, 3)), iterations=REACH)
    assert far.any()
    for volume in (prediction.expected, *prediction.samples):
        predicted = slices.read(volume)
        np.testing.assert_allclose(predicted[far], unchanged[far], atol=2e-3)  # int16 voxels
        assert np.abs(predicted - unchanged)[~kept].max() > 0.01
    shares = bundle.composition.shares(gtv > 0) if compose else None
    input_again = slices.read(slices.to_volume(slices.pre, shares)[0])  # there and back is interpolated
    np.testing.assert_allclose(unchanged, input_again, atol=2e-3)


def test_a_change_is_added_to_the_input(bundle, case):
    """What is decoded of the change counts, not what is decoded of the input."""
    predictor = Predictor(bundle, "cpu", "float32")
    model, slices = predictor.model, predictor.read_slices(case)
    pre, gtv = slices.pre, slices.gtv[slices.indices].astype(np.float32)
    sources = model.encode(pre, gtv, 2, slices.indices)
    conditions = Conditions(sources, slices.positions_mm, 0, windows=model.windows(gtv))
    detail = model.detail(pre, sources, None, 2)
    plain, kept = (
        generate_slices(model, one, bundle.default_sampling, seed=1, sample=0)
        for one in (conditions, replace(conditions, detail=detail))
    )
    np.testing.assert_allclose(kept - pre, plain - model.decode_unchanged(sources, None, 2), atol=1e-5)


def test_the_validation_chooses_between_the_averages(run):
    stage = run / "diffusion" / "2-class"
    selected = json.loads((stage / "finished.json").read_text("utf-8"))["selected"]
    state = torch.load(stage / selected, weights_only=True)["state_dict"]
    chosen = "second_ema" if bool(state["second_is_better"]) else "ema"
    weights = open_bundle(run / "bundles" / "2-class").load_networks().denoiser.unet.conv_in.weight
    torch.testing.assert_close(weights, state[f"{chosen}.unet.conv_in.weight"], atol=1e-3, rtol=1e-2)
    assert not torch.equal(state["ema.unet.conv_in.weight"], state["second_ema.unet.conv_in.weight"])


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (["diffusion.window=32", "diffusion.window_overlap=32"], "between 0 and window"),
        (
            ["diffusion.window=32", "diffusion.window_overlap=8", "diffusion.predict_change=false"],
            "must predict the change",
        ),
    ],
)
def test_windows_that_cannot_be_are_refused(tmp_path, settings, sentence, capsys):
    store = write_small_store(tmp_path / "store")
    assert smoke_run(store, tmp_path / "run", "train", "diffusion", "2-class", settings=settings) == 50
    assert sentence in capsys.readouterr().err
