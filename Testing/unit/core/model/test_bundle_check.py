"""Bundles as they were packed, with right hashes, whose content cannot be used: always an error of the bundle."""

import json
import shutil

import pytest
import torch
from GBMResponseCore.errors import BundleIntegrityError, BundleSchemaError
from GBMResponseCore.model.bundle import WEIGHTS, open_bundle
from safetensors.torch import load_file, save_file

from GBMResponseTraining.bundles.export import write_description

CONFIGS = {
    "denoiser": {
        "a text for a number": lambda c: c.update(layers_per_block="two"),
        "no channels": lambda c: c.update(block_out_channels=[]),
        "other channels": lambda c: c.update(block_out_channels=[2 * n for n in c["block_out_channels"]]),
        "less than nothing": lambda c: c.update(in_channels=-1),
        "layers without end": lambda c: c.update(layers_per_block=10**400),
        "an unknown block": lambda c: c.update(down_block_types=["NoBlock"] * len(c["down_block_types"])),
        "no class of networks": lambda c: c.pop("_class_name"),
    },
    "image_autoencoder": {
        "other latents": lambda c: c.update(latent_channels=5),
        "layers without end": lambda c: c.update(layers_per_block=10**6),
        "a list for a number": lambda c: c.update(num_vq_embeddings=[1]),
    },
    "classifier": {
        "an unknown block": lambda c: c.update(block="nothing"),
        "no layers": lambda c: c.update(layers=[]),
        "layers without end": lambda c: c.update(layers=[10**400, 1, 1, 1]),
    },
    "scheduler": {
        "an unknown schedule": lambda c: c.update(beta_schedule="none"),
        "a text for a number": lambda c: c.update(beta_start="low"),
        "no noise that exists": lambda c: c.update(beta_start=1e9, beta_end=1e9),
        "less than no noise": lambda c: c.update(beta_start=-3.0, beta_end=-2.0, beta_schedule="linear"),
        "no steps": lambda c: c.update(num_train_timesteps=0),
        "too many steps": lambda c: c.update(num_train_timesteps=10**12),
        "a part is missing": lambda c: c.pop("beta_end"),
        "unknown prediction": lambda c: c.update(prediction_type="fortune"),
    },
}
DESCRIPTIONS = {
    "a size that is a text": lambda d: d["preprocessing"]["in_plane"].update(size="64"),
    "a size that no latent has": lambda d: d["preprocessing"]["in_plane"].update(size=66),
    "an unknown rule": lambda d: d["preprocessing"]["in_plane"].update(surprise=1),
    "an unknown normalization": lambda d: d["preprocessing"]["intensity"].update(kind="magic"),
    "a percentile beyond 100": lambda d: d["preprocessing"]["intensity"].update(percentile=101),
    "too few channels in a list": lambda d: d["latents"]["image"].update(shift=[0.0, 0.0]),
    "a scale of changes of other channels": lambda d: d["latents"].update(change_scale=[1.0, 1.0, 1.0]),
    "a number beyond double precision": lambda d: d["latents"]["image"].update(shift=[10**400] * 4),
    "a scale that gives no numbers": lambda d: d["latents"]["image"].update(scale=[1e300] * 4),
    "latents of another size": lambda d: d["latents"].update(downsampling=8),
    "another fold": lambda d: d["latents"].update(fold=1),
    "classes with a gap between them": lambda d: d["conditioning"]["schemes"]["2-class"][0].update(max_days=1.0),
    "other neighbors": lambda d: d.update(neighbour_slices=2),
    "a class beyond the network": lambda d: d["conditioning"].update(null_token=99),
    "a classifier of unknown classes": lambda d: d["classifier"].update(scheme="9-class"),
    "a classifier of too few classes": lambda d: d["classifier"].update(scheme="2-class"),
    "a sampler that cannot": lambda d: d["sampling"].update(eta=0.5),
}


@pytest.fixture
def copied(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "copied")


def describe(folder, change=None):
    """Write bundle.json anew, with right hashes."""
    description = json.loads((folder / "bundle.json").read_text("utf-8"))
    del description["files"], description["schema_version"]
    if change:
        change(description)
    write_description(folder, description)


def load(folder):
    return open_bundle(folder).load_networks()


@pytest.mark.parametrize(
    ("part", "change"), [(part, change) for part, changes in CONFIGS.items() for change in changes]
)  # fmt: skip
def test_a_configuration_that_cannot_be_built_is_an_error_of_the_bundle(copied, part, change):
    path = copied / part / ("scheduler_config.json" if part == "scheduler" else "config.json")
    config = json.loads(path.read_text("utf-8"))
    CONFIGS[part][change](config)
    path.write_text(json.dumps(config), "utf-8")
    describe(copied)
    with pytest.raises(BundleSchemaError) as caught:
        load(copied)
    assert caught.value.exit_code == 31
    assert len(caught.value.message) < 500


@pytest.mark.parametrize("change", DESCRIPTIONS)
def test_a_description_that_does_not_fit_the_networks_is_an_error_of_the_bundle(copied, change):
    describe(copied, DESCRIPTIONS[change])
    with pytest.raises(BundleSchemaError) as caught:
        load(copied)
    assert caught.value.exit_code == 31


@pytest.mark.parametrize("text", ["[]", "7", "{", "[" * 100_000, '{"beta_start": NaN}', '{"beta_start": 1e999}', ""])
@pytest.mark.parametrize("name", ["scheduler/scheduler_config.json", "denoiser/config.json", "classifier/config.json"])
def test_a_file_that_holds_something_else_is_an_error_of_the_bundle(copied, name, text):
    (copied / name).write_text(text, "utf-8")
    describe(copied)
    with pytest.raises(BundleSchemaError):
        load(copied)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"\xff" * 16, b"\x08" + b"\0" * 7 + b"[[[[[[[["])
def test_a_file_without_weights_is_an_error_of_the_bundle(copied, content):
    (copied / "denoiser" / WEIGHTS).write_bytes(content)
    describe(copied)
    with pytest.raises(BundleIntegrityError, match="denoiser"):
        load(copied)


def test_weights_that_end_early_are_an_error_of_the_bundle(copied):
    path = copied / "image_autoencoder" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-10])
    describe(copied)
    with pytest.raises(BundleIntegrityError, match="image_autoencoder"):
        load(copied)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_an_error_of_the_bundle(copied, value):
    path = copied / "classifier" / WEIGHTS
    weights = load_file(path)
    weights["conv1.weight"][0, 0, 0, 0] = value
    save_file(weights, path, metadata={"format": "pt"})
    describe(copied)
    with pytest.raises(BundleIntegrityError, match=r"conv1\.weight"):
        load(copied)


def test_weights_of_another_shape_are_an_error_of_the_bundle(copied):
    path = copied / "denoiser" / WEIGHTS
    weights = load_file(path)
    name = next(name for name, tensor in weights.items() if tensor.ndim == 4)
    weights[name] = torch.cat([weights[name]] * 2)
    save_file(weights, path, metadata={"format": "pt"})
    describe(copied)
    with pytest.raises(BundleSchemaError, match="denoiser"):
        load(copied)


def test_a_description_nested_too_deep_is_an_error_of_the_bundle(copied):
    path = copied / "bundle.json"
    text = path.read_text("utf-8")
    for depth in (900, 100_000):
        path.write_text(text.replace('"ranges": {}', '"ranges": ' + '{"a":' * depth + "1" + "}" * depth), "utf-8")
        try:
            load(copied)  # deep ranges are of no use, and of no harm either
        except BundleSchemaError:
            pass


def test_too_little_memory_is_no_fault_of_the_bundle(copied, monkeypatch):
    def fail(self, *_, **__):
        raise MemoryError

    monkeypatch.setattr(torch.nn.Module, "load_state_dict", fail)
    with pytest.raises(MemoryError):
        load(copied)


def test_an_error_that_only_names_memory_is_one_of_the_bundle(copied, monkeypatch):
    """torch answers wrong arguments with all that it would take, the memory format among them."""

    def fail(self, *_, **__):
        raise TypeError("empty() received an invalid combination of arguments: torch.memory_format memory_format")

    monkeypatch.setattr(torch.nn.Module, "load_state_dict", fail)
    with pytest.raises(BundleSchemaError, match="invalid combination"):
        load(copied)
