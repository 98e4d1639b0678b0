"""The classifier's ResNet computes what MONAI's computes. The reference numbers were made with MONAI 1.6.1."""

from pathlib import Path

import pytest
import torch
from GBMResponseCore.errors import BundleSchemaError
from GBMResponseCore.model.manifest import default_bundle
from GBMResponseCore.model.networks import build_classifier
from GBMResponseCore.model.resnet import ResNet
from reference_weights import fill, wave
from safetensors.torch import load_file

CONFIG = {
    "_class_name": "ResNet", "block": "basic", "layers": [2, 1, 1, 1], "block_inplanes": [4, 4, 8, 12],
    "n_input_channels": 2, "num_classes": 3, "conv1_t_size": 5, "conv1_t_stride": 2,
}  # fmt: skip


def test_the_logits_are_those_of_monai_for_known_weights():
    expected = [[0.105322853, 0.305353642, 0.101710506], [0.107286304, 0.307327509, 0.103694551]]
    with torch.inference_mode():
        logits = fill(build_classifier(CONFIG))(wave((2, 2, 41, 36), 0.37))
    torch.testing.assert_close(logits, torch.tensor(expected), rtol=1e-5, atol=1e-6)


def test_the_shipped_classifier_loads_strictly_and_gives_the_logits_that_monai_gives():
    folder = Path(default_bundle()) / "classifier"
    config = {
        "_class_name": "ResNet", "block": "basic", "layers": [1, 1, 1, 1], "block_inplanes": [16, 32, 64, 96],
        "n_input_channels": 2, "num_classes": 4, "conv1_t_size": 5, "conv1_t_stride": 2,
    }  # fmt: skip
    model = build_classifier(config).eval()
    model.load_state_dict(load_file(folder / "diffusion_pytorch_model.safetensors"), strict=True)
    with torch.inference_mode():
        logits = model(wave((1, 2, 64, 64), 0.37))
    expected = torch.tensor([[-1.095749259, 1.990904331, 1.332508564, 0.341661841]])
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-5)


def test_the_parameters_have_the_names_and_the_order_of_monai():
    """An optimizer's state goes by the order."""
    norm = [f"bn.{name}" for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")]
    block = ["conv1.weight", *(n.replace("bn", "bn1") for n in norm), "conv2.weight"]
    block += [n.replace("bn", "bn2") for n in norm]
    projection = ["downsample.0.weight", "downsample.0.bias", *(n.replace("bn", "downsample.1") for n in norm)]
    names = ["conv1.weight", *(n.replace("bn", "bn1") for n in norm)]
    for place, has_projection in (("1.0", False), ("1.1", False), ("2.0", True), ("3.0", True), ("4.0", True)):
        names += [f"layer{place}.{name}" for name in block + (projection if has_projection else [])]
    assert list(build_classifier(CONFIG).state_dict()) == [*names, "fc.weight", "fc.bias"]


def test_convolutions_start_from_the_fan_out_and_the_last_bias_from_zero():
    torch.manual_seed(0)
    state = ResNet([1, 1, 1, 1], [16, 32, 64, 96], num_classes=4).state_dict()
    assert state["layer4.0.conv2.weight"].std().item() == pytest.approx((2 / (96 * 9)) ** 0.5, rel=0.02)
    assert not state["fc.bias"].any()
    assert (state["layer2.0.downsample.1.weight"] == 1).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"_class_name": "VGG"}, "Unknown classifier 'VGG'"),
        ({"block": "bottleneck"}, "Unknown block 'bottleneck'"),
        ({"norm": "instance"}, "norm"),
        ({"layers": [1, 1]}, "not one of a ResNet"),
    ],
)
def test_another_network_is_refused_with_its_reason(change, words):
    with pytest.raises(BundleSchemaError, match=words):
        build_classifier(CONFIG | change)
