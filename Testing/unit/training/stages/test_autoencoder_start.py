"""A last phase of an autoencoder's training that starts from the weights of a finished stage."""

import dataclasses
import shutil

import pytest
import torch
from small_store import write_small_store
from smoke_run import smoke_run

from GBMResponseTraining.models.autoencoder import AutoencoderModule
from GBMResponseTraining.settings.networks import ConfigurationError
from GBMResponseTraining.settings.reader import load_configuration

SMOKE = load_configuration("smoke")
WHOLE = ("image_autoencoder.crop=null", "image_autoencoder.quantize_from=0")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def first(store, tmp_path_factory):
    """The finished image autoencoder of a run."""
    run = tmp_path_factory.mktemp("first") / "run"
    assert train(store, run) == 0
    return run / "image_autoencoder"


def train(store, run, *settings):
    return smoke_run(store, run, "train", "image-autoencoder", settings=settings)


def weights(stage):
    return torch.load(stage / "last.ckpt", weights_only=True)["state_dict"]


def test_a_phase_begins_with_the_weights_it_starts_from(store, first, tmp_path):
    # With so small a step the weights hardly move; fresh ones would be far away.
    still = "image_autoencoder.training.learning_rate=1e-9"
    assert train(store, tmp_path / "run", *WHOLE, still, f"image_autoencoder.start={first}") == 0
    begun, ended = weights(first), weights(tmp_path / "run" / "image_autoencoder")
    torch.testing.assert_close(ended["model.decoder.conv_out.weight"], begun["model.decoder.conv_out.weight"])


def test_an_unfinished_stage_is_refused(store, tmp_path, capsys):
    assert train(store, tmp_path / "run", *WHOLE, f"image_autoencoder.start={tmp_path}") == 50
    assert "no finished stage" in capsys.readouterr().err


def test_an_unfinished_stage_is_refused_before_another_network_is_trained(store, tmp_path):
    settings = ("gtv_autoencoder.quantize_from=0", f"gtv_autoencoder.start={tmp_path}")
    assert train(store, tmp_path / "run", *settings) == 50
    assert not (tmp_path / "run").exists()


def test_a_finished_phase_needs_its_start_no_more(store, first, tmp_path):
    start = shutil.copytree(first, tmp_path / "start")
    settings = (*WHOLE, f"image_autoencoder.start={start}")
    assert train(store, tmp_path / "run", *settings) == 0
    shutil.rmtree(start)
    assert train(store, tmp_path / "run", *settings) == 0


def test_another_network_is_refused(store, first, tmp_path, capsys):
    other = "image_autoencoder.codes=16"
    assert train(store, tmp_path / "run", *WHOLE, other, f"image_autoencoder.start={first}") == 50
    assert "another network" in capsys.readouterr().err


def test_codes_that_are_there_need_no_filling():
    with pytest.raises(ConfigurationError, match="quantize_from"):
        dataclasses.replace(SMOKE.image_autoencoder, start="run/image_autoencoder", quantize_from=0.5)


def test_the_squared_error_is_added_to_the_reconstruction_loss():
    settings = dataclasses.replace(SMOKE.image_autoencoder, squared_weight=3.0)
    module = AutoencoderModule(settings, 4)
    images = torch.rand(2, 1, 32, 32)
    reconstruction, losses = module._losses(images, quantized=False)
    expected = losses["l1"] + 3.0 * (reconstruction - images).square().mean()
    torch.testing.assert_close(losses["reconstruction"], expected)
