"""LPIPS with a random backbone; its true values where the backbone is there."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from GBMResponseCore.errors import MissingFileError
from safetensors.torch import save_file

from GBMResponseTraining.models.lpips import (
    BACKBONE_FILE,
    BACKBONE_VARIABLE,
    LPIPS,
    LPIPSBackboneError,
    find_backbone,
    load_lpips,
    load_lpips_if_present,
)

REPOSITORY = Path(__file__).resolve().parents[4]
DATA = Path(os.environ.get("GBMRESPONSE_SHARED", REPOSITORY.parent / "shared")) / "data"
SHARED = DATA / "lpips-alexnet" / "alexnet_features_torchvision_names.npz"
LAYERS = ("features.0", "features.3", "features.6", "features.8", "features.10")


@pytest.fixture(scope="module")
def weights():
    torch.manual_seed(0)
    return {
        f"{name}.{part}": getattr(layer, part).clone()
        for name, layer in zip(LAYERS, LPIPS().convolutions, strict=True)
        for part in ("weight", "bias")
    }


@pytest.fixture(scope="module")
def backbone(weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("backbone") / "alexnet.npz"
    np.savez(path, **{name: tensor.numpy() for name, tensor in weights.items()})
    return path


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No environment variable and an empty torch.hub folder."""
    monkeypatch.delenv(BACKBONE_VARIABLE, raising=False)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    return tmp_path


def images(count=2, size=64):
    generator = torch.Generator().manual_seed(1)
    return torch.rand((count, 1, size, size), generator=generator) * 2 - 1


def waves():
    """Two pictures that every machine draws the same, (1, 1, 96, 96)."""
    axis = np.linspace(-1, 1, 96, dtype=np.float32)
    wave = np.sin(8 * np.pi * axis)[:, None] * np.cos(6 * np.pi * axis)[None]
    return (torch.from_numpy(image[None, None]) for image in (wave, 0.5 * wave + 0.3 * axis[None]))


def test_a_picture_has_no_distance_from_itself(backbone):
    assert load_lpips(backbone)(images(), images()).tolist() == [0.0, 0.0]


def test_the_distance_grows_with_the_noise(backbone):
    model, x = load_lpips(backbone), images(1)
    noise = images(2)[1:]
    near, far = (float(model(x, x + amount * noise)) for amount in (0.05, 0.5))
    assert 0 < near < far


def test_pairs_of_a_batch_do_not_mix(backbone):
    model, x, y = load_lpips(backbone), images(2), images(2).flip(0)
    assert torch.allclose(model(x, y), torch.cat([model(x[:1], y[:1]), model(x[1:], y[1:])]))


def test_the_gradient_reaches_the_picture_and_no_weight(backbone):
    model = load_lpips(backbone)
    x = images().requires_grad_()
    model(x, images().flip(0)).sum().backward()
    assert x.grad.abs().sum() > 0
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_gradient_is_finite_on_an_even_background(backbone):
    model = load_lpips(backbone)
    x = torch.full((1, 1, 64, 64), -1.0, requires_grad=True)
    model(x, images(1)).sum().backward()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("name", ["alexnet.pth", "alexnet.safetensors"])
def test_other_file_formats_hold_the_same_backbone(weights, backbone, tmp_path, name):
    path = tmp_path / name
    (torch.save if name.endswith(".pth") else save_file)(weights, path)
    x, y = images(), images().flip(0)
    assert torch.equal(load_lpips(path)(x, y), load_lpips(backbone)(x, y))


def test_the_environment_variable_names_the_backbone(backbone, monkeypatch):
    monkeypatch.setenv(BACKBONE_VARIABLE, str(backbone))
    assert find_backbone() == backbone


def test_the_backbone_of_torchvision_is_found(nowhere, weights):
    path = nowhere / "hub" / "checkpoints" / BACKBONE_FILE
    path.parent.mkdir(parents=True)
    torch.save(weights, path)
    assert find_backbone() == path
    assert isinstance(load_lpips_if_present(), LPIPS)


def test_without_backbone_there_is_no_lpips(nowhere):
    assert load_lpips_if_present() is None
    with pytest.raises(LPIPSBackboneError, match=BACKBONE_FILE):
        load_lpips()


def test_a_named_backbone_must_exist(nowhere, monkeypatch):
    monkeypatch.setenv(BACKBONE_VARIABLE, str(nowhere / "absent.pth"))
    with pytest.raises(MissingFileError):
        load_lpips_if_present()


def test_another_network_is_refused(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, **{"conv.weight": np.zeros(3)})
    with pytest.raises(LPIPSBackboneError, match="does not hold AlexNet"):
        load_lpips(path)


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "damaged.pth"
    path.write_bytes(b"not weights")
    with pytest.raises(LPIPSBackboneError, match="cannot be read"):
        load_lpips(path)


def test_values_of_the_reference_implementation():
    """PyPI `lpips` 0.1.4 with this backbone gives 0.0350287 for this pair."""
    path = SHARED if SHARED.is_file() else find_backbone()
    if path is None:
        pytest.skip(f"no AlexNet backbone in {DATA} nor in the places that docs/evaluation.md names")
    assert float(load_lpips(path)(*waves())) == pytest.approx(0.0350287, abs=1e-6)
