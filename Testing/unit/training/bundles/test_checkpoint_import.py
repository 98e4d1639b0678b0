"""Import of the authors' checkpoints: parity on randomly initialized networks of their configuration at small widths.

The checkpoints are made here: networks with random weights, renamed to the layout of the released code and wrapped as
Lightning does.
"""

import re
from dataclasses import replace
from pathlib import PurePosixPath

import phantoms
import pytest
import torch
import yaml
from diffusers import UNet2DConditionModel, UNet2DModel
from GBMResponseCore.errors import (
    GBMResponseError,
    GuidanceError,
    MissingFileError,
    OptionError,
    OutputFolderError,
    UnreadableFileError,
)
from GBMResponseCore.inputs.case import make_case
from GBMResponseCore.model.bundle import WEIGHTS, open_bundle
from GBMResponseCore.model.networks import LatentAutoencoder, build_denoiser
from GBMResponseCore.model.plain_vqvae import PlainVQVAE
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions
from rows import nightly
from small_store import SPLIT, write_small_store
from torch.nn import functional

from GBMResponseTraining.bundles.checkpoint_import import ClassStatement, ImportRequest, import_checkpoint
from GBMResponseTraining.bundles.checkpoint_import.project_config import read_project_config
from GBMResponseTraining.bundles.checkpoint_import.unet import unet_config
from GBMResponseTraining.cli import main

TOLERANCE = 1e-5
"""Largest difference of float32 outputs, whose standard deviation is about 1."""

COMMON = {
    "sample_size": 16, "in_channels": 12, "out_channels": 4, "block_out_channels": (32, 64, 96, 128),
    "layers_per_block": 2, "norm_num_groups": 32, "norm_eps": 1e-5, "flip_sin_to_cos": True, "freq_shift": 0,
}  # fmt: skip
HEAD = 16
ATTENTION_BLOCKS = {"down_blocks": (1, 2), "up_blocks": (1, 2)}


def randomized(module):
    """Give every parameter a value that is not its initial one: zero biases and unit norms hide mistakes."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return module.eval()


def reference_unet(with_class):
    torch.manual_seed(1)
    kind, extra = ("CrossAttn", {"cross_attention_dim": 4, "attention_head_dim": (2, 4, 6, 8)}) if with_class else (
        "Attn", {"attention_head_dim": HEAD})  # fmt: skip
    blocks = {
        "down_block_types": ("DownBlock2D", f"{kind}DownBlock2D", f"{kind}DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", f"{kind}UpBlock2D", f"{kind}UpBlock2D", "UpBlock2D"),
    }
    return randomized((UNet2DConditionModel if with_class else UNet2DModel)(**COMMON, **blocks, **extra))


def vqvae(seed):
    torch.manual_seed(seed)
    return randomized(PlainVQVAE(block_out_channels=(32, 64, 64), num_vq_embeddings=16))


# diffusers name to LDM name: blocks are numbered through, two residual layers and one down- or upsampling per level
TOP = {
    "time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2",
}  # fmt: skip
RESIDUAL = {
    "norm1": "in_layers.0", "conv1": "in_layers.2", "time_emb_proj": "emb_layers.1", "norm2": "out_layers.0",
    "conv2": "out_layers.3", "conv_shortcut": "skip_connection",
}  # fmt: skip


def ldm_name(name):
    if name.rsplit(".", 1)[0] in TOP:
        module, kind = name.rsplit(".", 1)
        return f"{TOP[module]}.{kind}"
    if ".resnets." in name:
        head, layer, kind = name.rsplit(".", 2)
        name = f"{head}.{RESIDUAL[layer]}.{kind}"
    part, block, kind, layer, rest = re.fullmatch(
        r"(?:(down_blocks|up_blocks)\.(\d)|mid_block)\.(resnets|attentions|downsamplers|upsamplers)\.(\d)\.(.*)", name
    ).groups()
    if part is None:
        return f"middle_block.{2 * int(layer) if kind == 'resnets' else 1}.{rest}"
    first = 3 * int(block) + (part == "down_blocks")
    side = "input_blocks" if part == "down_blocks" else "output_blocks"
    if kind == "downsamplers":
        return f"{side}.{first + 2}.0.{rest.replace('conv', 'op')}"
    if kind == "upsamplers":
        return f"{side}.{first + 2}.{2 if int(block) in ATTENTION_BLOCKS[part] else 1}.{rest}"
    return f"{side}.{first + int(layer)}.{int(kind == 'attentions')}.{rest}"


def joined_attention(state):
    """Undo diffusers' split of self-attention: per head, q over k over v, as one-dimensional convolutions."""
    result = {}
    for name, tensor in state.items():
        if ".to_q." in name:
            parts = [state[name.replace(".to_q.", f".to_{part}.")] for part in "qkv"]
            stacked = torch.stack([part.reshape(-1, HEAD, *part.shape[1:]) for part in parts], dim=1)
            joined = stacked.reshape(-1, *tensor.shape[1:])
            result[name.replace("to_q", "qkv")] = joined[..., None] if name.endswith("weight") else joined
        elif ".to_out.0." in name:
            result[name.replace("to_out.0", "proj_out")] = tensor[..., None] if name.endswith("weight") else tensor
        elif ".to_k." not in name and ".to_v." not in name:
            result[name.replace("group_norm", "norm")] = tensor
    return result


def lightning_checkpoint(unet, image, gtv, table=None, averaged=True):
    """Return a checkpoint; with a moving average the raw UNet weights are another network's."""
    state = unet.state_dict()
    weights = {
        ldm_name(name): tensor for name, tensor in (state if table is not None else joined_attention(state)).items()
    }
    content = {"betas": torch.zeros(1000), "logvar": torch.zeros(1000)}
    for name, tensor in weights.items():
        content[f"model.diffusion_model.{name}"] = torch.full_like(tensor, 0.1) if averaged else tensor
        if averaged:
            content["model_ema.diffusion_model" + name.replace(".", "")] = tensor
    if averaged:
        content |= {"model_ema.decay": torch.tensor(0.9999), "model_ema.num_updates": torch.tensor(7)}
    for modality, model in (("preMRI", image), ("gtv", gtv), ("postMRI", image)):
        content |= {f"first_stage_model.{modality}.{name}": tensor for name, tensor in model.state_dict().items()}
        content[f"first_stage_model.{modality}.loss.discriminator.main.0.weight"] = torch.zeros(3)
    if table is not None:
        content["cond_stage_model.embedding.weight"] = table
    return {"epoch": 3, "global_step": 9, "pytorch-lightning_version": "2.3.0", "state_dict": content}


def project(with_class, **changes):
    unet = {
        "image_size": 16, "in_channels": 4, "out_channels": 4, "model_channels": 32, "attention_resolutions": [4, 2],
        "num_res_blocks": 2, "channel_mult": [1, 2, 3, 4], "num_head_channels": HEAD,
        "use_spatial_transformer": with_class, "transformer_depth": 1,
    }  # fmt: skip
    stage = {"target": "models.ClassEmbedder", "params": {"n_classes": 2, "embed_dim": 4, "key": "class"}}
    params = {
        "linear_start": 0.0015, "linear_end": 0.0195, "timesteps": 1000, "ddim_steps": 200, "image_size": 16,
        "channels": 4, "source_keys": ["preMRI", "gtv"], "noised_source": False, "unet_config": {"params": unet},
        "cond_stage_config": stage if with_class else "__is_unconditional__",
    }  # fmt: skip
    return {
        "model": {"params": {**params, **changes}},
        "data": {"params": {"normalization": "max", "tanh_range": True, "resize_size": 64}},
    }


class Run:
    """A faked training run: its networks, checkpoint and YAML."""

    def __init__(self, folder, with_class, averaged=True):
        self.folder = folder
        self.unet, self.image, self.gtv = reference_unet(with_class), vqvae(2), vqvae(3)
        self.table = torch.randn(3, 4) if with_class else None
        self.checkpoint = lightning_checkpoint(self.unet, self.image, self.gtv, self.table, averaged)
        self.request = ImportRequest(folder / "ldm.ckpt", folder / "ldm-project.yaml", folder / "bundle")
        torch.save(self.checkpoint, self.request.ldm)
        self.request.config.write_text(yaml.safe_dump(project(with_class)), "utf-8")

    def changed(self, name, state):
        """Return a request for the same run with another state dict."""
        path = self.folder / f"{name}.ckpt"
        torch.save({**self.checkpoint, "state_dict": state}, path)
        return replace(self.request, ldm=path, out=self.folder / name)

    def configured(self, name, config):
        """Return a request for the same run with another YAML."""
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump(config), "utf-8")
        return replace(self.request, config=path, out=self.folder / name)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("with_class"), with_class=True)


@pytest.fixture(scope="module")
def bundle(run):
    return open_bundle(import_checkpoint(run.request))


@pytest.fixture(scope="module")
def networks(bundle):
    return bundle.load_networks()


@pytest.fixture(scope="module")
def classless(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("classless"), with_class=False, averaged=False)


def latents():
    generator = torch.Generator().manual_seed(5)
    return torch.randn(2, 4, 16, 16, generator=generator), torch.randn(2, 8, 16, 16, generator=generator)


def difference(first, second):
    return (first - second).abs().max().item()


@torch.no_grad()
def reference_output(run, tokens, timestep):
    noisy, sources = latents()
    condition = [run.table[tokens][:, None]] if run.table is not None else []
    return run.unet(torch.cat([sources, noisy], dim=1), timestep, *condition).sample


@torch.no_grad()
def imported_output(networks, tokens, timestep):
    noisy, sources = latents()
    return networks.denoiser(noisy, sources, torch.tensor(timestep), tokens)


@pytest.mark.parametrize("timestep", [1, 500, 996])
@pytest.mark.parametrize("tokens", [[0, 1], [2, 0]])
def test_the_class_unet_gives_the_same_output(run, networks, tokens, timestep):
    tokens = torch.tensor(tokens)
    expected = reference_output(run, tokens, timestep)
    assert expected.std() > 0.1
    assert difference(imported_output(networks, tokens, timestep), expected) <= TOLERANCE


def test_projecting_a_one_hot_token_is_looking_it_up(run, networks):
    projected = networks.denoiser.unet.encoder_hid_proj(torch.eye(3))
    assert torch.equal(projected, run.table)


def test_the_class_changes_the_output(networks):
    first, second = (imported_output(networks, torch.tensor([token] * 2), 500) for token in (0, 1))
    assert difference(first, second) > 100 * TOLERANCE


def test_the_unet_without_class_gives_the_same_output_from_raw_weights(classless, caplog):
    bundle = open_bundle(import_checkpoint(classless.request))
    tokens = torch.tensor([0, 0])
    output = imported_output(bundle.load_networks(), tokens, 500)
    assert difference(output, reference_output(classless, tokens, 500)) <= TOLERANCE
    assert bundle.schemes == {}
    assert "no moving average" in caplog.text
    assert "raw" in bundle.description["description"]


@pytest.mark.parametrize(("with_class", "millions"), [(True, 164.95), (False, 131.67)])
def test_the_published_widths_give_the_published_number_of_parameters(tmp_path, with_class, millions):
    config = project(with_class, image_size=64)
    config["model"]["params"]["unet_config"]["params"]["model_channels"] = 160
    path = tmp_path / "project.yaml"
    path.write_text(yaml.safe_dump(config), "utf-8")
    with torch.device("meta"):
        unet = build_denoiser(unet_config(read_project_config(path)), patch_size=1).unet
    assert sum(parameter.numel() for parameter in unet.parameters()) == pytest.approx(millions * 1e6, rel=1e-4)


@torch.no_grad()
def test_self_attention_is_split_in_the_released_order(classless):
    """The released formula on the checkpoint's own tensors, against diffusers' layer with the split ones."""
    state = classless.checkpoint["state_dict"]
    weight = {name: state[f"model.diffusion_model.middle_block.1.{name}"] for name in (
        "norm.weight", "norm.bias", "qkv.weight", "qkv.bias", "proj_out.weight", "proj_out.bias")}  # fmt: skip
    x = torch.randn(2, 128, 4, 4)
    flat = functional.group_norm(x.flatten(2), 32, weight["norm.weight"], weight["norm.bias"], eps=1e-5)
    qkv = functional.conv1d(flat, weight["qkv.weight"], weight["qkv.bias"]).reshape(2 * 8, 3 * HEAD, 16)
    q, k, v = qkv.split(HEAD, dim=1)
    attended = v @ (q.transpose(1, 2) @ k / HEAD**0.5).softmax(dim=-1).transpose(1, 2)
    output = functional.conv1d(attended.reshape(2, 128, 16), weight["proj_out.weight"], weight["proj_out.bias"])
    layer = classless.unet.mid_block.attentions[0]
    assert difference(layer(x), x + output.reshape(x.shape)) <= TOLERANCE


@torch.no_grad()
def test_the_autoencoders_give_the_same_images_and_codes(run, networks):
    images = torch.rand(2, 1, 64, 64) * 2 - 1
    for model, autoencoder in ((run.image, networks.image_autoencoder), (run.gtv, networks.gtv_autoencoder)):
        reference = LatentAutoencoder(model, [0.0] * 4, [1.0] * 4)
        assert torch.equal(autoencoder.encode(images), reference.encode(images))
    sampled = torch.randn(2, 4, 16, 16)
    assert (
        difference(networks.image_autoencoder.decode(sampled), run.image.decoder(run.image.post_quant_conv(sampled)))
        == 0
    )


def test_autoencoders_can_come_from_their_own_checkpoints(run):
    paths = {}
    for part, model in (("image_autoencoder", vqvae(8)), ("gtv_autoencoder", vqvae(9))):
        paths[part] = run.folder / f"{part}.ckpt"
        state = {**model.state_dict(), "loss.discriminator.main.0.weight": torch.zeros(3)}
        torch.save({"state_dict": state}, paths[part])
    bare = {k: v for k, v in run.checkpoint["state_dict"].items() if not k.startswith("first_stage_model.")}
    request = replace(run.changed("separate", bare), **paths)
    imported = open_bundle(import_checkpoint(request)).load_networks()
    assert torch.equal(imported.image_autoencoder.codebooks[0], vqvae(8).quantize["embedding"].weight)
    assert torch.equal(imported.gtv_autoencoder.codebooks[0], vqvae(9).quantize["embedding"].weight)
    with pytest.raises(UnreadableFileError, match="--image-autoencoder"):
        import_checkpoint(replace(request, out=run.folder / "none", image_autoencoder=None))


def test_half_precision_changes_the_output_little(run, networks):
    folder = import_checkpoint(replace(run.request, out=run.folder / "half", half=True))
    tokens = torch.tensor([0, 1])
    expected = imported_output(networks, tokens, 500)
    error = difference(imported_output(open_bundle(folder).load_networks(), tokens, 500), expected)
    assert TOLERANCE < error < 0.01 * expected.abs().max()


def test_the_bundle_says_what_it_does(bundle):
    description = bundle.description
    papers = {"sampler": "ddim", "steps": 200, "guidance_scale": 1.0, "eta": 1.0, "noise_length": 0.0}
    assert description["sampling"] == papers
    assert description["latents"]["image"] == {"shift": [0.0] * 4, "scale": [1.0] * 4}
    assert not description["latents"]["requantize"]
    assert (bundle.scheduler_config["prediction_type"], bundle.scheduler_config["beta_end"]) == ("epsilon", 0.0195)
    assert bundle.normalization.kind == "max"
    assert bundle.in_plane_rule.size == 64
    assert bundle.null_token == 2
    assert "short survival" in description["description"]


def test_classes_are_numbers_without_a_statement(bundle):
    classes = bundle.schemes["2-class"].classes
    assert [(entry.name, entry.token, entry.min_days, entry.max_days) for entry in classes] == [
        ("class0", 0, None, None), ("class1", 1, None, None)]  # fmt: skip
    with pytest.raises(OptionError, match="not known"):
        bundle.schemes["2-class"].of_survival(400)


def test_stated_classes_are_ordered_by_survival_and_keep_their_integers():
    scheme = ClassStatement(["long", "short"], [400.0], longest_first=True).scheme(2)
    assert [(entry.name, entry.token) for entry in scheme.classes] == [("short", 1), ("long", 0)]
    assert scheme.of_survival(399).token == 1


@pytest.mark.parametrize(
    "statement",
    [
        ClassStatement(["short"]),
        ClassStatement(["short", "short"]),
        ClassStatement(["none", "long"]),
        ClassStatement(thresholds=[300, 500]),
        ClassStatement(thresholds=[-1]),
    ],
)
def test_statements_that_do_not_fit_are_refused(statement):
    with pytest.raises(OptionError):
        statement.scheme(2)


def phantom_case():
    size, spacing = (60, 64, 12), (0.95, 0.95, 5.0)
    center = phantoms.GTV_CENTER
    return make_case(phantoms.head(size, spacing, center=center), phantoms.gtv(size, spacing, center=center))


def test_an_imported_bundle_predicts_for_a_chosen_class_only(bundle):
    predictor = Predictor(bundle, device="cpu", precision="float32")
    options = PredictionOptions(classes=("class1",), steps=2)
    case = phantom_case()
    prediction = predictor.predict(case, options)
    assert (prediction.class_choice.class_token, prediction.class_choice.class_source) == (1, "chosen")
    assert prediction.samples[0].GetSize() == case.image.GetSize()
    with pytest.raises(OptionError, match="--class"):
        predictor.predict(case, replace(options, classes=("predicted",)))
    with pytest.raises(GuidanceError):
        predictor.predict(case, replace(options, guidance_scale=2.0))


def test_noised_sources_are_refused_with_the_reason(run):
    with pytest.raises(OptionError, match="time step per modality"):
        import_checkpoint(run.configured("noisy", project(True, noised_source=True)))


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"source_keys": ["gtv", "preMRI"]}, "source_keys"),
        ({"parameterization": "v"}, "parameterization"),
        ({"scale_by_std": True}, "scale_by_std"),
        ({"linear_end": None}, "linear_end"),
        ({"cond_stage_config": {"target": "models.BERTEmbedder"}}, "conditions the UNet"),
    ],
)
def test_unsupported_settings_are_named(run, changes, named):
    with pytest.raises(OptionError, match=named):
        import_checkpoint(run.configured("unsupported", project(True, **changes)))


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        ("model_ema.diffusion_modelout2bias", "moving average"),
        ("cond_stage_model.embedding.weight", "class embedding"),
        ("first_stage_model.gtv.encoder.mid.block_1.conv1.bias", "gtv VQ-VAE.*1 missing"),
        ("first_stage_model.preMRI.quant_conv.weight", r"quant_conv\.weight"),
    ],
)
def test_missing_weights_are_named(run, lost, named):
    state = {name: tensor for name, tensor in run.checkpoint["state_dict"].items() if name != lost}
    if "preMRI" in lost:
        del state[lost.replace("preMRI", "postMRI")]
    request = run.changed("incomplete", state)
    with pytest.raises(UnreadableFileError, match=named):
        import_checkpoint(request)
    assert not request.out.exists()


def test_weights_of_another_width_are_refused(run):
    config = project(True)
    config["model"]["params"]["unet_config"]["params"]["model_channels"] = 64
    with pytest.raises(UnreadableFileError, match="of another shape"):
        import_checkpoint(run.configured("wide", config))


def test_an_unknown_unet_tensor_is_refused(run):
    state = {**run.checkpoint["state_dict"], "model.diffusion_model.label_emb.weight": torch.zeros(2)}
    state["model_ema.diffusion_modellabel_embweight"] = torch.zeros(2)
    with pytest.raises(UnreadableFileError, match="of which"):
        import_checkpoint(run.changed("unknown", state))


def test_different_autoencoders_for_pre_and_post_are_refused(run):
    state = dict(run.checkpoint["state_dict"])
    state["first_stage_model.postMRI.quant_conv.bias"] = torch.ones(4)
    with pytest.raises(OptionError, match="different autoencoders"):
        import_checkpoint(run.changed("different", state))


def test_a_checkpoint_that_needs_its_pickle_is_not_loaded(run, tmp_path):
    path = tmp_path / "objects.ckpt"
    torch.save({**run.checkpoint, "hyper_parameters": PurePosixPath("x")}, path)
    with pytest.raises(UnreadableFileError, match="execute code") as caught:
        import_checkpoint(replace(run.request, ldm=path, out=tmp_path / "bundle"))
    assert "isolation" in caught.value.remedy


@pytest.mark.parametrize("content", [b"", b"no checkpoint"])
def test_files_that_are_no_checkpoint_are_refused(run, tmp_path, content):
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(GBMResponseError):
        import_checkpoint(replace(run.request, ldm=path, out=tmp_path / "bundle"))
    with pytest.raises(MissingFileError):
        import_checkpoint(replace(run.request, ldm=tmp_path / "missing.ckpt", out=tmp_path / "bundle"))


def test_an_existing_folder_is_not_overwritten(run, tmp_path):
    with pytest.raises(OutputFolderError):
        import_checkpoint(replace(run.request, out=tmp_path))


def test_the_command_imports(run, tmp_path, capsys):
    arguments = ["import-checkpoint", "--ldm", str(run.request.ldm), "--config", str(run.request.config)]
    out = ["--out", str(tmp_path / "bundle"), "--name", "cfb-2c"]
    assert main([*arguments, *out, "--class-names", "short", "long", "--thresholds", "450"]) == 0
    bundle = open_bundle(tmp_path / "bundle")
    assert bundle.name == "cfb-2c"
    assert bundle.schemes["2-class"].of_survival(449).name == "short"
    assert main([*arguments, *out]) == OutputFolderError.exit_code
    assert "exists already" in capsys.readouterr().err


def fine_tuned(request, folder):
    """Exit code of a short fine-tuning of an imported run, and the new bundle."""
    parent = import_checkpoint(request)
    record = {"preprocessing": open_bundle(parent).description["preprocessing"]}
    store = write_small_store(folder / "store", **dict.fromkeys(SPLIT, record))
    settings = ("steps=2", "batch_size=1", "validate_every=2")
    words = [word for setting in settings for word in ("--set", f"diffusion.training.{setting}")]
    words += ["--set", "diffusion.preview_steps=2", "--set", "diffusion.preview_slices=1", "--accelerator", "cpu"]
    where = ("--bundle", parent, "--store", store, "--run", folder / "run")
    return main([str(word) for word in ("finetune", *where, *words)]), folder / "run" / "bundles"


@nightly
@pytest.mark.parametrize("with_class", [True, False], ids=lambda with_class: f"class: {with_class}")
def test_an_imported_model_is_fine_tuned(with_class, tmp_path):
    classes = ClassStatement(["short", "long"], [420.0]) if with_class else ClassStatement()
    request = replace(Run(tmp_path, with_class).request, classes=classes)
    exit_code, bundles = fine_tuned(request, tmp_path)
    assert exit_code == 0
    before, after = open_bundle(request.out), open_bundle(bundles / ("2-class" if with_class else "no-class"))
    for name in ("preprocessing", "latents", "conditioning", "sampling"):
        assert after.description[name] == before.description[name]
    for part in ("image_autoencoder", "gtv_autoencoder"):
        name = f"{part}/{WEIGHTS}"
        assert after.files[name]["sha256"] == before.files[name]["sha256"]
    networks = [bundle.load_networks() for bundle in (before, after)]
    first, second = (entry.denoiser.unet.conv_in.weight for entry in networks)
    assert 0 < (first - second).abs().max() < 0.01


def test_classes_without_limits_say_nothing_about_survival(tmp_path, capsys):
    exit_code, bundles = fine_tuned(Run(tmp_path, with_class=True).request, tmp_path)
    assert exit_code == 34
    assert "--thresholds" in capsys.readouterr().err
    assert not bundles.exists()
