"""A diffusion model's training that starts from the averaged weights of a finished one."""

import pytest
import torch
from small_store import write_small_store
from smoke_run import smoke_run

STILL = "diffusion.training.learning_rate=1e-9"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store") / "store")


@pytest.fixture(scope="module")
def first(store, tmp_path_factory):
    """The finished diffusion model of a run."""
    run = tmp_path_factory.mktemp("first") / "run"
    assert train(store, run) == 0
    return run / "diffusion" / "2-class"


def train(store, run, *settings, name="2-class"):
    return smoke_run(store, run, "train", "diffusion", name, settings=settings)


def weights(stage, which):
    state = torch.load(stage / "last.ckpt", weights_only=True)["state_dict"]
    return state[f"{which}.unet.conv_in.weight"]


def test_a_training_begins_with_the_averaged_weights_it_starts_from(store, first, tmp_path):
    # With so small a step the weights hardly move; fresh ones would be far away.
    assert train(store, tmp_path / "run", STILL, f"diffusion.start={first}") == 0
    ended = tmp_path / "run" / "diffusion" / "2-class"
    begun = weights(first, "ema")
    torch.testing.assert_close(weights(ended, "denoiser"), begun)
    torch.testing.assert_close(weights(ended, "ema"), begun)


def test_an_unfinished_stage_is_refused_before_another_network_is_trained(store, tmp_path, capsys):
    assert train(store, tmp_path / "run", f"diffusion.start={tmp_path}") == 50
    assert "no finished stage" in capsys.readouterr().err
    assert not (tmp_path / "run" / "image_autoencoder" / "last.ckpt").exists()


def test_a_model_of_other_classes_is_refused(store, first, tmp_path, capsys):
    assert train(store, tmp_path / "run", f"diffusion.start={first}", name="4-class") == 50
    assert "another network" in capsys.readouterr().err
