"""What a loaded bundle decides: the precision of its denoiser."""

import pytest
import torch
from GBMResponseCore.model import runtime
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.slice_model import SliceModel
from GBMResponseCore.request import SamplingOptions


@pytest.fixture
def model(tiny_bundle, monkeypatch):
    monkeypatch.setattr(runtime, "has_fast_bfloat16", lambda device: True)
    monkeypatch.setattr(runtime, "BFLOAT16_GAIN", 0.0)
    monkeypatch.setattr(runtime, "WORTH_SECONDS", 0.0)
    return SliceModel(open_bundle(tiny_bundle), "cpu")


def rounding(model, monkeypatch, error):
    """Makes bfloat16 wrong by a part of the difference that the class makes; returns the sizes of the batches."""
    batches, forward = [], model.networks.denoiser.forward

    def inexact(noisy, sources, timesteps, tokens, days=None):
        batches.append(len(noisy))
        with torch.autocast("cpu", enabled=False):
            output = forward(noisy, sources, timesteps, tokens, days)
        known = (tokens != model.bundle.null_token).view(-1, 1, 1, 1)
        return output * (1 + error * known) if torch.is_autocast_enabled("cpu") else output

    monkeypatch.setattr(model.networks.denoiser, "forward", inexact)
    return batches


def test_the_precision_is_judged_on_what_guidance_makes_of_it(model, monkeypatch):
    rounding(model, monkeypatch, error=0.025)
    assert model.precision(SamplingOptions(guidance_scale=1.0)) == torch.bfloat16
    assert model.precision(SamplingOptions(guidance_scale=10.0)) == torch.float32
    assert model.precision(SamplingOptions(guidance_scale=11.0, guidance_form="algorithm2")) == torch.float32


def test_the_precision_is_judged_once_per_guidance_scale(model, monkeypatch):
    batches = rounding(model, monkeypatch, error=0.0)
    for scale in (1.0, 2.0, 1.0, 2.0):
        model.precision(SamplingOptions(guidance_scale=scale))
    assert batches == [1] * 8 + [2] * 8


def test_the_precision_does_not_depend_on_the_cases_before(tiny_bundle, model, monkeypatch):
    seen = []
    for other in (model, SliceModel(open_bundle(tiny_bundle), "cpu")):
        forward = other.networks.denoiser.forward
        monkeypatch.setattr(
            other.networks.denoiser, "forward", lambda noisy, *a, f=forward: seen.append(noisy) or f(noisy, *a)
        )
        torch.manual_seed(len(seen))
        other.precision(SamplingOptions(guidance_scale=1.0))
    assert all(torch.equal(noisy, seen[0]) for noisy in seen)
