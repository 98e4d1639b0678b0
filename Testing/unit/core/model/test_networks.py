"""Networks from configurations, and the authors' plain VQ-VAE."""

import dataclasses

import pytest
import torch
from GBMResponseCore.errors import BundleSchemaError
from GBMResponseCore.model.networks import (
    Denoiser,
    LatentAutoencoder,
    build_autoencoder,
    build_classifier,
    build_denoiser,
)
from GBMResponseCore.model.plain_vqvae import PlainVQVAE

from GBMResponseTraining.models.unet_config import unet_config
from GBMResponseTraining.settings.networks import ConfigurationError
from GBMResponseTraining.settings.reader import load_configuration

SMOKE = load_configuration("smoke")
SMALL_RESIDUAL = SMOKE.image_autoencoder.network()
SMALL_PLAIN = {"_class_name": "PlainVQVAE", "block_out_channels": [32, 32, 32], "num_vq_embeddings": 16}


def test_the_plain_vqvae_has_the_released_number_of_parameters():
    parameters = sum(parameter.numel() for parameter in PlainVQVAE().parameters())
    assert parameters == pytest.approx(9.65e6, rel=0.001)


@pytest.mark.parametrize(
    "key",
    [
        "encoder.down.0.block.1.norm1.weight",
        "encoder.down.1.downsample.conv.bias",
        "encoder.mid.block_1.conv1.weight",
        "decoder.up.2.upsample.conv.weight",
        "decoder.up.0.block.2.conv1.bias",
        "quantize.embedding.weight",
        "post_quant_conv.weight",
    ],
)
def test_the_plain_vqvae_has_the_released_key_names(key):
    assert key in PlainVQVAE(block_out_channels=(32, 32, 32), num_vq_embeddings=16).state_dict()


@pytest.mark.parametrize("config", [SMALL_PLAIN, SMALL_RESIDUAL])
def test_an_autoencoder_compresses_four_times(config):
    autoencoder = LatentAutoencoder(build_autoencoder(config), [0.1] * 4, [2.0] * 4)
    latents = autoencoder.encode(torch.zeros(2, 1, 64, 32))
    assert latents.shape == (2, 4, 16, 8)
    assert autoencoder.decode(latents).shape == (2, 1, 64, 32)


def test_encoded_latents_are_standardized_codes():
    autoencoder = LatentAutoencoder(build_autoencoder(SMALL_RESIDUAL), [0.5, 0, 0, 0], [2.0, 1, 1, 1])
    latents = autoencoder.encode(torch.randn(1, 1, 32, 32))
    rows = (latents / autoencoder.scale + autoencoder.shift).permute(0, 2, 3, 1).reshape(-1, 4)
    assert torch.cdist(rows, autoencoder.codebooks[0]).min(1).values.max() < 1e-3


def test_folding_keeps_pixels_in_place():
    class Passthrough(torch.nn.Module):
        config = {}

        def forward(self, stacked, timesteps, class_labels=None):
            class Output:
                sample = stacked[:, -16:]

            return Output

    noisy = torch.randn(1, 4, 8, 8)
    output = Denoiser(Passthrough(), patch_size=2)(noisy, torch.randn(1, 8, 8, 8), torch.tensor(1), torch.tensor([0]))
    # unshuffle interleaves channels: the last 16 are those of the noisy latent, in its own order
    assert torch.equal(output, noisy)


def test_every_token_changes_the_denoiser():
    torch.manual_seed(0)
    denoiser = build_denoiser(unet(), SMOKE.diffusion.fold).eval()
    noisy, sources = torch.randn(1, 4, 32, 32), torch.randn(1, 8, 32, 32)
    with torch.no_grad():
        outputs = [denoiser(noisy, sources, torch.tensor(500), torch.tensor([token])) for token in range(7)]
    differences = [(outputs[i] - outputs[j]).abs().max() for i in range(7) for j in range(i)]
    assert min(differences) > 1e-4


def test_a_model_without_class_ignores_the_token():
    config = {
        "_class_name": "UNet2DModel", "sample_size": 16, "in_channels": 12, "out_channels": 4, "layers_per_block": 1,
        "block_out_channels": [16, 16], "norm_num_groups": 8, "down_block_types": ["DownBlock2D", "AttnDownBlock2D"],
        "up_block_types": ["AttnUpBlock2D", "UpBlock2D"],
    }  # fmt: skip
    denoiser = build_denoiser(config, patch_size=1).eval()
    noisy, sources = torch.randn(2, 4, 16, 16), torch.randn(2, 8, 16, 16)
    assert not denoiser.uses_class
    with torch.no_grad():
        first = denoiser(noisy, sources, torch.tensor(9), torch.tensor([0, 0]))
        assert torch.equal(first, denoiser(noisy, sources, torch.tensor(9), torch.tensor([1, 1])))


@pytest.mark.parametrize("build", [build_autoencoder, build_classifier, lambda config: build_denoiser(config, 1)])
def test_unknown_network_classes_are_refused(build):
    with pytest.raises(BundleSchemaError, match="Pickle"):
        build({"_class_name": "Pickle"})


def unet(tokens=7, **changes):
    return unet_config(dataclasses.replace(SMOKE.diffusion, **changes), tokens, latent_channels=4, latent_size=16)


def output(denoiser, token, days=None):
    torch.manual_seed(0)
    noisy, sources = torch.randn(1, 4, 16, 16), torch.randn(1, 8, 16, 16)
    days = None if days is None else torch.tensor([days])
    with torch.inference_mode():
        return denoiser.eval()(noisy, sources, torch.tensor(500), torch.tensor([token]), days)


@pytest.mark.parametrize("in_cross_attention", [True, False])
@pytest.mark.parametrize("in_time_embedding", [True, False])
def test_the_class_enters_where_the_settings_say(in_cross_attention, in_time_embedding):
    config = unet(class_in_cross_attention=in_cross_attention, class_in_time_embedding=in_time_embedding)
    denoiser = build_denoiser(config, SMOKE.diffusion.fold)
    assert denoiser.uses_class == (in_cross_attention or in_time_embedding)
    assert torch.equal(output(denoiser, 0), output(denoiser, 1)) != denoiser.uses_class


@pytest.mark.parametrize("in_cross_attention", [True, False])
def test_an_eased_denoiser_computes_fewer_products_and_answers_the_same(in_cross_attention):
    denoiser = build_denoiser(unet(class_in_cross_attention=in_cross_attention), SMOKE.diffusion.fold)
    answers, counts = [], []
    for _ in range(2):
        with torch.profiler.profile() as profile:
            answers.append([output(denoiser, token) for token in range(3)])
        counts.append(sum(event.count for event in profile.key_averages() if event.key == "aten::linear"))
        denoiser.ease()
    for before, after in zip(*answers, strict=True):
        torch.testing.assert_close(after, before, rtol=0.0, atol=1e-5)
    assert (counts[1] < counts[0]) == in_cross_attention


def test_settings_without_tokens_make_a_model_without_class():
    denoiser = build_denoiser(unet(tokens=0), SMOKE.diffusion.fold)
    assert not denoiser.uses_class
    assert torch.equal(output(denoiser, 0), output(denoiser, 1))


def test_days_change_the_output_and_unknown_days_equal_none():
    denoiser = build_denoiser(unet(days_since_rt=True), SMOKE.diffusion.fold)
    assert denoiser.uses_days
    assert not torch.equal(output(denoiser, 0, 60.0), output(denoiser, 0, 120.0))
    assert torch.equal(output(denoiser, 0, float("nan")), output(denoiser, 0))


def test_a_model_without_days_ignores_them():
    denoiser = build_denoiser(unet(), SMOKE.diffusion.fold)
    assert torch.equal(output(denoiser, 0, 60.0), output(denoiser, 0, 120.0))


def test_days_without_class_are_refused():
    with pytest.raises(ConfigurationError, match="without class"):
        unet(tokens=0, days_since_rt=True)


def test_neighbors_need_room_in_the_first_layer():
    channels = 4 * SMOKE.diffusion.fold**2
    assert unet(neighbor_slices=2)["in_channels"] - unet()["in_channels"] == 4 * channels


@pytest.mark.parametrize(("classes", "width", "millions"), [(0, None, 131.67), (2, 4, 164.95), (4, 8, 164.95)])
def test_the_paper_preset_has_the_sizes_of_the_released_unets(classes, width, millions):
    settings = load_configuration("paper").diffusion
    config = unet_config(settings, classes + 1 if classes else 0, latent_channels=4, latent_size=64)
    assert config.get("cross_attention_dim") == width
    with torch.device("meta"):
        parameters = sum(parameter.numel() for parameter in build_denoiser(config, 1).parameters())
    # The class table is a layer here, with a bias.
    assert parameters / 1e6 == pytest.approx(millions, rel=1e-3)


def test_the_paper_preset_has_the_released_autoencoder():
    with torch.device("meta"):
        ours = build_autoencoder(load_configuration("paper").image_autoencoder.network()).state_dict()
        released = PlainVQVAE().state_dict()
    assert {name: tensor.shape for name, tensor in ours.items()} == {n: t.shape for n, t in released.items()}
