"""The PatchGAN discriminator computes what MONAI's computes. The reference numbers were made with MONAI 1.6.1."""

import pytest
import torch
from reference_weights import fill, wave

from GBMResponseTraining.models.patch_discriminator import PatchDiscriminator

VERDICTS = [
    -2.051398516, -2.827406406, 1.865111709, 3.383756876, 2.669297457, 2.936611652,
    -1.794429779, -1.879336476, -1.703680038, -0.039327681, 2.972586155, 0.68469429,
    -0.502268791, -4.033723831, -3.25059986, 1.360905886, 2.129538298, 5.582455635,
    2.019014359, -2.936096191, -2.715691090, -5.641141891, -2.024292707, 1.442337155,
]  # fmt: skip


def test_verdicts_are_those_of_monai_for_known_weights():
    with torch.inference_mode():
        outputs = fill(PatchDiscriminator(channels=16, layers=2))(wave((1, 1, 32, 24), 0.37))
    assert [tuple(output.shape[1:]) for output in outputs] == [(16, 16, 12), (32, 8, 6), (64, 7, 5), (1, 6, 4)]
    torch.testing.assert_close(outputs[-1].flatten(), torch.tensor(VERDICTS), rtol=1e-4, atol=1e-5)
    means = [output.mean().item() for output in outputs[:3]]
    assert means == pytest.approx([0.36317967, 0.33695997, 0.33907387], rel=1e-4)


def test_the_parameters_have_the_names_and_the_order_of_monai():
    names = ["initial_conv.conv.weight", "initial_conv.conv.bias"]
    for layer in range(3):
        names += [f"{layer}.{name}" for name in ("conv.weight", "adn.N.weight", "adn.N.bias")]
    names += ["final_conv.conv.weight", "final_conv.conv.bias"]
    assert list(PatchDiscriminator(channels=32, layers=3).state_dict()) == names


def test_convolutions_start_small_and_normalizations_at_one():
    torch.manual_seed(0)
    state = PatchDiscriminator(channels=32, layers=3).state_dict()
    assert state["2.conv.weight"].std().item() == pytest.approx(0.02, rel=0.01)
    assert not state["initial_conv.conv.bias"].any() and not state["final_conv.conv.bias"].any()
    assert (state["1.adn.N.weight"] == 1).all() and not state["1.adn.N.bias"].any()
