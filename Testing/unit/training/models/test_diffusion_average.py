"""The moving average of the denoiser's weights."""

import copy

import pytest
import torch

from GBMResponseTraining.models.diffusion import DiffusionModule
from GBMResponseTraining.models.unet_config import noise_schedule, unet_config
from GBMResponseTraining.settings.reader import load_configuration

SETTINGS = load_configuration("smoke").diffusion


@pytest.fixture
def module():
    torch.manual_seed(0)
    unet = unet_config(SETTINGS, 3, latent_channels=4, latent_size=16)
    return DiffusionModule(SETTINGS, unet, noise_schedule(SETTINGS.prediction), steps=10)


def step(module):
    """One step that moves every weight by 1; no loss is needed."""
    optimizer = torch.optim.SGD(module.denoiser.parameters(), lr=1.0)

    def closure():
        for parameter in module.denoiser.parameters():
            parameter.grad = -torch.ones_like(parameter)

    module.optimizer_step(0, 0, optimizer, closure)


def distance(module):
    """How far the average is behind the weights."""
    return float((next(module.denoiser.parameters()) - next(module.ema.parameters())).detach().mean())


def test_the_average_follows_the_weights_faster_at_the_beginning(module):
    module.on_train_start()
    behind = 0.0
    for count in range(1, 4):
        step(module)
        behind = (behind + 1.0) * min(SETTINGS.ema_decay, (1 + count) / (10 + count))
        assert distance(module) == pytest.approx(behind, rel=1e-4)


def test_a_continued_training_goes_on_with_the_same_average(module):
    module.on_train_start()
    step(module)
    continued = copy.deepcopy(module)
    continued.load_state_dict(module.state_dict())
    continued.on_train_start()
    for one in (module, continued):
        step(one)
    assert int(continued.ema_updates) == 2
    assert distance(continued) == distance(module)


def test_no_step_reads_a_number_from_the_device(module, monkeypatch):
    """On a GPU each such read waits until everything before it is done."""
    module.on_train_start()
    for name in ("__int__", "__float__", "__bool__", "item", "tolist", "cpu"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_, name=name: pytest.fail(f"{name} waits for the device"))
    module.optimizer_step(0, 0, torch.optim.SGD(module.denoiser.parameters(), lr=1.0), lambda: None)
