"""Bundles: what is accepted, what is refused and why."""

import json
import shutil

import numpy as np
import pytest
from GBMResponseCore.errors import BundleError, BundleIntegrityError, BundleSchemaError
from GBMResponseCore.inputs.composition import Composition
from GBMResponseCore.measure.enhancement import EnhancementRule
from GBMResponseCore.model.bundle import WEIGHTS, open_bundle
from tiny_bundle import write_tiny_bundle


@pytest.fixture
def copied(tiny_bundle, tmp_path):
    return shutil.copytree(tiny_bundle, tmp_path / "copied")


def edit(folder, change):
    path = folder / "bundle.json"
    description = json.loads(path.read_text("utf-8"))
    change(description)
    path.write_text(json.dumps(description), "utf-8")


def test_a_written_bundle_opens_and_loads(tiny_bundle):
    networks = open_bundle(tiny_bundle).load_networks()
    assert not networks.denoiser.training
    assert networks.classifier is not None


def test_the_parts_open_with_diffusers_own_loader(tiny_bundle):
    from diffusers import UNet2DConditionModel, VQModel

    assert UNet2DConditionModel.from_pretrained(tiny_bundle / "denoiser").config.encoder_hid_dim == 7
    assert VQModel.from_pretrained(tiny_bundle / "image_autoencoder").config.latent_channels == 4


def test_the_gtv_decoder_is_not_shipped(tiny_bundle):
    from safetensors import safe_open

    with safe_open(tiny_bundle / "gtv_autoencoder" / WEIGHTS, "pt") as weights:
        assert not [name for name in weights.keys() if name.startswith("decoder.")]


@pytest.mark.parametrize("part", ["denoiser", "image_autoencoder", "gtv_autoencoder", "classifier"])
def test_one_flipped_byte_in_a_weight_file_is_refused(copied, part):
    path = copied / part / WEIGHTS
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleIntegrityError, match=part) as caught:
        open_bundle(copied)
    assert caught.value.exit_code == 32


def test_a_bundle_may_say_where_a_prediction_fades_out(tiny_bundle, copied):
    assert open_bundle(tiny_bundle).composition == Composition(8.0, 24.0)
    edit(copied, lambda description: description.update(composition={"inner": 4, "outer": 12.5}))
    assert open_bundle(copied).composition == Composition(4.0, 12.5)


@pytest.mark.parametrize("wrong", [{"inner": 8}, {"inner": 8, "outer": 8}, {"inner": -1, "outer": 8}, [8, 24]])
def test_an_impossible_composition_is_refused(copied, wrong):
    edit(copied, lambda description: description.update(composition=wrong))
    with pytest.raises(BundleSchemaError, match=r"composition|fade out"):
        open_bundle(copied)


HEAD = {"hidden": [[1.0] * 8, [0.5] * 8], "hidden_bias": [0.0, 1.0], "output": [1.0, -1.0], "output_bias": 0.5}


def test_a_bundle_may_bring_a_head_that_finds_enhancing_tissue(tiny_bundle, copied):
    assert open_bundle(tiny_bundle).enhancement_head is None
    edit(copied, lambda description: description.update(enhancement_head=HEAD))
    rule = EnhancementRule.with_head(open_bundle(copied).enhancement_head)
    assert rule.head.logits(np.ones((1, 8), np.float32)) == pytest.approx([8.0 - 5.0 + 0.5])


@pytest.mark.parametrize(
    "wrong", [{"output": [1.0]}, {"hidden_bias": []}, {"hidden": [[1.0] * 7] * 2}, {"output_bias": None}, {"more": 1}]
)
def test_a_head_whose_weights_do_not_fit_is_refused(copied, wrong):
    edit(copied, lambda description: description.update(enhancement_head={**HEAD, **wrong}))
    with pytest.raises(BundleSchemaError, match="enhancement_head"):
        open_bundle(copied)


def test_a_truncated_file_is_refused(copied):
    path = copied / "denoiser" / "config.json"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(BundleIntegrityError):
        open_bundle(copied)


def test_a_missing_file_is_named(copied):
    (copied / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(BundleError, match="scheduler_config"):
        open_bundle(copied)


def test_a_file_without_hash_is_not_used(copied):
    edit(copied, lambda description: description["files"].pop("denoiser/config.json"))
    with pytest.raises(BundleError, match="lists no file denoiser/config"):
        open_bundle(copied).load_networks()


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_an_unknown_schema_version_is_refused(copied, version):
    edit(copied, lambda description: description.update(schema_version=version))
    with pytest.raises(BundleSchemaError, match="schema version") as caught:
        open_bundle(copied)
    assert caught.value.exit_code == 31


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda d: d.pop("sampling"), "sampling"),
        (lambda d: d["conditioning"].update(label_dropout=2), "label_dropout"),
        (lambda d: d["latents"]["image"].update(scale=[0.0]), "scale"),
        (lambda d: d.update(surprise=1), "surprise"),
        (lambda d: d["files"].update({"../outside": {"size": 1, "sha256": "0" * 64}}), "outside"),
    ],
)
def test_a_wrong_field_is_named(copied, change, place):
    edit(copied, change)
    with pytest.raises(BundleSchemaError, match=place):
        open_bundle(copied)


def test_a_folder_without_description_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        open_bundle(tmp_path)
    with pytest.raises(BundleError, match="no folder 'nowhere'"):
        open_bundle(tmp_path / "nowhere")


def test_a_description_that_is_not_json_is_refused(copied):
    (copied / "bundle.json").write_text("{", "utf-8")
    with pytest.raises(BundleError, match="not readable JSON"):
        open_bundle(copied)


def test_weights_of_another_network_are_refused(tmp_path):
    first, second = (write_tiny_bundle(tmp_path / name) for name in ("first", "second"))
    shutil.copy(first / "classifier" / WEIGHTS, second / "denoiser" / WEIGHTS)
    from GBMResponseTraining.bundles.export import write_description

    description = json.loads((second / "bundle.json").read_text("utf-8"))
    del description["files"], description["schema_version"]
    write_description(second, description)
    with pytest.raises(BundleError, match="denoiser do not fit"):
        open_bundle(second).load_networks()


def test_writing_leaves_no_temporary_folder(tmp_path):
    write_tiny_bundle(tmp_path / "bundle")
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]
