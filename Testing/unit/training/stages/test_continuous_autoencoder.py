"""Training of autoencoders of blocks, and what the new terms of the loss do."""

import dataclasses
import json

import pytest
import torch
from GBMResponseCore.model.networks import decode_continuous, encode_continuous
from small_store import write_small_store
from smoke_run import smoke_run

from GBMResponseTraining.items.fingerprints import latents_sha256, weights_sha256
from GBMResponseTraining.models.autoencoder import AutoencoderModule
from GBMResponseTraining.settings.networks import Autoencoder, ConfigurationError, Training
from GBMResponseTraining.stages.autoencoder import train_autoencoder
from GBMResponseTraining.stages.training_run import TrainingRun

TRAINING = Training(batch_size=2, learning_rate=1e-3, steps=4)
SMALL = Autoencoder(TRAINING, "continuous", channels=(8, 8), blocks=1, latent_channels=8, codes=32)


def settings(architecture):
    values = {"architecture": architecture, "channels": "[8, 8]", "latent_channels": 8}
    if architecture == "continuous":
        values["quantize_from"] = 0
    parts = ("image_autoencoder", "gtv_autoencoder")
    return [f"{part}.{name}={value}" for part in parts for name, value in values.items()]


@pytest.fixture(scope="module", params=["product", "continuous"])
def run(request, tmp_path_factory):
    """A run with a trained image autoencoder."""
    store = write_small_store(tmp_path_factory.mktemp("store") / "store")
    folder = tmp_path_factory.mktemp("run") / "run"
    assert smoke_run(store, folder, "train", "image-autoencoder", settings=settings(request.param)) == 0
    return TrainingRun.reopen(folder)


def test_training_standardizes_every_latent_channel(run):
    autoencoder = train_autoencoder(run, "image")
    with torch.inference_mode():
        images = torch.from_numpy(run.store.batch(run.rows("train"))["pre"])[:, None]
        assert autoencoder.encode(images).std(dim=(0, 2, 3)).median() == pytest.approx(1.0, abs=0.3)
    stated = json.loads((run.folder / "image_autoencoder" / "standardization.json").read_text("utf-8"))
    assert len(stated["shift"]) == len(stated["scale"]) == 8


def test_the_whole_chain_ends_in_a_bundle(tmp_path):
    from GBMResponseCore.model.bundle import open_bundle

    store = write_small_store(tmp_path / "store")
    assert smoke_run(store, tmp_path / "run", "export", "no-class", settings=settings("continuous")) == 0
    bundle = open_bundle(tmp_path / "run" / "bundles" / "no-class")
    assert bundle.latent_channels == 8
    assert bundle.load_networks().image_autoencoder.codebooks.numel() == 0


def test_filling_the_codebooks_gives_each_half_its_own_latents():
    module = AutoencoderModule(dataclasses.replace(SMALL, architecture="product", quantize_from=0.5), 4)
    module.all_gather = lambda tensor: tensor
    images = torch.rand((2, 1, 32, 32)) * 2 - 1
    module._fill_codebook(images)
    with torch.no_grad():
        rows = module.model.encoder(images).permute(0, 2, 3, 1).reshape(-1, 8)
    for half, codes in zip(rows.chunk(2, dim=1), module.model.codes, strict=True):
        assert torch.cdist(codes, half).min(1).values.max() < 0.05


def test_codes_of_both_halves_learn():
    module = AutoencoderModule(dataclasses.replace(SMALL, architecture="product"), 4)
    losses = module._losses(torch.rand((2, 1, 32, 32)), quantized=True)[1]
    losses["codebook"].backward()
    assert (module.model.codes.grad.abs().sum(dim=(1, 2)) > 0).all()


def test_latents_are_disturbed_in_training_alone():
    module = AutoencoderModule(dataclasses.replace(SMALL, latent_noise=0.5), 4)
    images = torch.rand((2, 1, 32, 32))
    calm = module.eval()._losses(images, quantized=True)[1]["l1"]
    assert module.train()._losses(images, quantized=True)[1]["l1"] > calm + 0.01


def test_the_disturbance_of_a_step_is_always_the_same():
    latents = torch.randn((2, 8, 4, 4))
    first, again = (AutoencoderModule(dataclasses.replace(SMALL, latent_noise=0.5), 4) for _ in range(2))
    first._batch = again._batch = 3
    assert torch.equal(first._disturbed(latents), again._disturbed(latents))


def test_the_disturbance_differs_from_step_to_step():
    module = AutoencoderModule(dataclasses.replace(SMALL, latent_noise=0.5), 4)
    latents = torch.randn((2, 8, 4, 4))
    first = module._disturbed(latents)
    module._batch = 1
    assert not torch.equal(first, module._disturbed(latents))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent_channels": 17}, "latent_channels exceed"),
        ({"architecture": "product", "latent_channels": 7}, "must be even"),
        ({"quantize_from": 0.5}, "never quantized"),
        ({"architecture": "product", "latent_noise": 0.1}, "latent_noise is for continuous"),
        ({"architecture": "residual", "groups": 8, "decoder_blocks": 2}, "decoder_blocks is not known"),
        ({"noise": -0.1}, "must be 0 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ConfigurationError, match=f"(?i){message}"):
        dataclasses.replace(SMALL, **changes)


def test_a_frozen_encoder_keeps_the_latents_while_the_decoder_learns(run, tmp_path):
    """Also what was made from the latents stays good: it does not depend on the decoder."""
    before = train_autoencoder(run, "image")
    architecture = run.configuration.image_autoencoder.architecture
    start = {"start": run.folder / "image_autoencoder", "frozen_encoder": True, "quantize_from": 0}
    chosen = [*settings(architecture), *(f"image_autoencoder.{name}={value}" for name, value in start.items())]
    store = write_small_store(tmp_path / "store")
    assert smoke_run(store, tmp_path / "run", "train", "image-autoencoder", settings=chosen) == 0
    after = train_autoencoder(TrainingRun.reopen(tmp_path / "run"), "image")
    images = torch.rand((2, 1, 64, 64)) * 2 - 1
    assert torch.equal(*(encode_continuous(one.model, images) for one in (before, after)))
    assert not torch.equal(*(decode_continuous(one.model, before.encode(images)) for one in (before, after)))
    assert latents_sha256(before.model) == latents_sha256(after.model)
    assert weights_sha256(before.model) != weights_sha256(after.model)
