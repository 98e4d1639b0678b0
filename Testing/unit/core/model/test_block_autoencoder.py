"""The autoencoder of blocks: what it is untrained, what its latents depend on, and bundles that have it."""

import json

import numpy as np
import phantoms
import pytest
import SimpleITK as sitk
import torch
from GBMResponseCore.errors import BundleSchemaError
from GBMResponseCore.inputs.case import make_case
from GBMResponseCore.model.block_autoencoder import BlockAutoencoder, block_cosines
from GBMResponseCore.model.bundle import Bundle, open_bundle
from GBMResponseCore.model.networks import LatentAutoencoder, codebooks
from GBMResponseCore.prediction import Predictor
from tiny_bundle import write_tiny_bundle


def small(**settings):
    torch.manual_seed(0)
    sizes = {"block_out_channels": (8, 8), "encoder_blocks": 1, "decoder_blocks": 1}
    return BlockAutoencoder(**{**sizes, **settings}).eval()


def disturbed(model):
    """The model with weights that are no longer those it begins with."""
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return model


def description(folder):
    return json.loads((folder / "bundle.json").read_text("utf-8"))


def random_images(count=2, side=64):
    return torch.rand((count, 1, side, side), generator=torch.Generator().manual_seed(1)) * 2 - 1


def test_the_functions_of_a_block_are_orthonormal():
    functions = block_cosines(4, 16).flatten(1)
    torch.testing.assert_close(functions @ functions.T, torch.eye(16), atol=1e-6, rtol=0)


def test_the_first_latent_of_a_new_network_is_the_mean_of_a_block():
    images = random_images()
    means = torch.nn.functional.avg_pool2d(images + 1, 4)
    torch.testing.assert_close(small().encoder(images)[:, :1], 4 * means)


@torch.inference_mode()
def test_a_new_network_with_a_latent_per_pixel_loses_nothing():
    model, images = small(latent_channels=16), random_images()
    torch.testing.assert_close(model.decoder(model.encoder(images)), images, atol=1e-5, rtol=0)


@torch.inference_mode()
def test_latents_of_a_crop_are_a_crop_of_the_latents():
    model, images = disturbed(small()), random_images(1, 128)
    whole, crop = model.encoder(images), model.encoder(images[..., 32:96, 32:96])
    rim = 5
    inside = slice(8 + rim, 24 - rim)
    torch.testing.assert_close(crop[..., rim:-rim, rim:-rim], whole[..., inside, inside], atol=1e-5, rtol=1e-4)


@torch.inference_mode()
def test_both_halves_of_the_latents_are_codes_of_their_own():
    autoencoder = LatentAutoencoder(small(codebooks=2, num_vq_embeddings=16), [0.0] * 8, [1.0] * 8)
    rows = autoencoder.encode(random_images()).permute(0, 2, 3, 1).reshape(-1, 8)
    for half, codes in zip(rows.chunk(2, dim=1), codebooks(autoencoder.model), strict=True):
        assert {tuple(row) for row in half.tolist()} <= {tuple(code) for code in codes.tolist()}


@torch.inference_mode()
def test_continuous_latents_are_not_changed_by_requantizing():
    model, images = small(), random_images()
    first, second = (LatentAutoencoder(model, [0.0] * 8, [1.0] * 8, requantize=again) for again in (False, True))
    torch.testing.assert_close(first.decode(first.encode(images)), second.decode(second.encode(images)))


def test_more_latents_than_pixels_of_a_block_are_refused():
    with pytest.raises(ValueError, match="latent_channels"):
        small(latent_channels=17)


def test_a_bundle_whose_codebooks_do_not_divide_its_latents_is_refused(tmp_path):
    folder = write_tiny_bundle(tmp_path / "bundle", architecture="product")
    config = folder / "image_autoencoder" / "config.json"
    config.write_text(config.read_text("utf-8").replace('"codebooks": 2', '"codebooks": 3'), encoding="utf-8")
    bundle = Bundle(folder, description(folder))
    with pytest.raises(BundleSchemaError, match="image_autoencoder"):
        bundle.load_networks()


@pytest.fixture(scope="module", params=["product", "continuous"])
def predictor(request, tmp_path_factory):
    folder = write_tiny_bundle(tmp_path_factory.mktemp("bundles") / "bundle", architecture=request.param)
    return Predictor(open_bundle(folder), device="cpu", precision="float32")


def test_a_bundle_with_eight_latent_channels_encodes_to_them(predictor):
    slices = np.zeros((2, 64, 64), np.float32)
    assert predictor.model.encode(slices, slices > 0, batch=2).shape == (2, 16, 16, 16)


def test_a_bundle_with_eight_latent_channels_predicts(predictor):
    size, spacing, center = (60, 64, 12), (0.95, 0.95, 5.0), phantoms.GTV_CENTER
    image = phantoms.head(size, spacing, center=center)
    prediction = predictor.predict(make_case(image, phantoms.gtv(size, spacing, center=center)))
    generated = sitk.GetArrayFromImage(prediction.generated) > 0
    made, given = (sitk.GetArrayFromImage(volume) for volume in (prediction.samples[0], image))
    assert (made[generated] != given[generated]).any()
    assert np.array_equal(made[~generated], given[~generated])


def test_blocks_larger_than_any_slice_are_refused_before_their_functions_are_counted():
    with pytest.raises(ValueError, match="larger than any slice"):
        small(patch=10**5)
