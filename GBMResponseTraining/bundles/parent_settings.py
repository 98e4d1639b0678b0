"""The settings of a training that a bundle decides, so that its networks can go on learning."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from GBMResponseCore.errors import OptionError
from GBMResponseCore.model.bundle import Bundle
from GBMResponseCore.model.manifest import read_json
from GBMResponseCore.model.networks import DAY_FEATURES, build_autoencoder, build_denoiser

from ..models.unet_config import noise_schedule, unet_config
from ..settings.configuration import Configuration, plain
from ..settings.networks import ConfigurationError

AUTOENCODERS = ("image_autoencoder", "gtv_autoencoder")
_ARCHITECTURES = {"VQModel": "residual", "PlainVQVAE": "plain"}


def parent_settings(bundle: Bundle) -> dict[str, Any]:
    """Sections of a configuration -> what the bundle decides of them.

    :raises OptionError: it has a network that this version does not train.
    """
    try:
        settings: dict[str, Any] = {name: _autoencoder(bundle, name) for name in AUTOENCODERS}
        settings["diffusion"] = _diffusion(bundle)
        settings["classifier"] = _classifier(bundle)
    except (KeyError, IndexError) as error:
        raise _other(bundle, "network") from error
    return settings | {"sampling": dict(bundle.description["sampling"])}


def check_settings(bundle: Bundle, decided: Mapping[str, Any], configuration: Configuration) -> None:
    """Make sure that a training makes another bundle of the same schema, from the same networks.

    :param decided: of :func:`parent_settings`.
    :raises ConfigurationError: a setting that the bundle decides was changed.
    :raises OptionError: it has a network, or a noise schedule, that this version does not train.
    """
    stated = configuration.to_dict()
    for section, values in decided.items():
        for name, value in values.items():
            if stated[section].get(name) != plain(value):
                raise ConfigurationError(
                    f"{section}.{name} is {plain(value)!r} in the bundle {bundle.name} and cannot be changed.",
                    "Leave it out, or train a model of your own with `gbmresponse-train train`.",
                )
    for name in AUTOENCODERS:
        if _complete(build_autoencoder, getattr(configuration, name).network()) != _complete(
            build_autoencoder, _config(bundle, name)
        ):
            raise _other(bundle, name.replace("_", " "))
    settings, side = configuration.diffusion, bundle.in_plane_rule.size // configuration.image_autoencoder.downsampling
    seen = side if bundle.window_rule is None else bundle.window_rule.size
    tokens = bundle.null_token + 1 if bundle.schemes else 0
    unet = unet_config(settings, tokens, bundle.latent_channels, seen)
    if _complete(_unet, unet) != _complete(_unet, _config(bundle, "denoiser")):
        raise _other(bundle, "denoiser")
    if bundle.scheduler_config != noise_schedule(settings.prediction):
        raise _other(bundle, "noise schedule")
    if "classifier" in bundle.description and _config(bundle, "classifier") != configuration.classifier.network():
        raise _other(bundle, "classifier")


def _autoencoder(bundle: Bundle, name: str) -> dict[str, Any]:
    config = _complete(build_autoencoder, _config(bundle, name))
    standard = bundle.description["latents"][name.removesuffix("_autoencoder")]
    raw = set(standard["shift"]) == {0.0} and set(standard["scale"]) == {1.0}
    # Latents are what the denoiser has learned to read: no training may change them.
    settings = {
        "channels": config["block_out_channels"],
        "latent_channels": config["latent_channels"],
        "codes": config["num_vq_embeddings"],
        "standardize": "none" if raw else "per-channel",
        "frozen_encoder": True,
    }
    if config["_class_name"] == "BlockAutoencoder":
        architecture = "product" if config["codebooks"] else "continuous"
        blocks = {"blocks": config["encoder_blocks"], "decoder_blocks": config["decoder_blocks"]}
        return settings | blocks | {"architecture": architecture}
    sizes = {"blocks": config["layers_per_block"], "groups": config["norm_num_groups"]}
    return settings | sizes | {"architecture": _ARCHITECTURES[config["_class_name"]]}


def _diffusion(bundle: Bundle) -> dict[str, Any]:
    config, latents = _complete(_unet, _config(bundle, "denoiser")), bundle.description["latents"]
    widths, heads = config["block_out_channels"], config["attention_head_dim"]
    levels = [level for level, kind in enumerate(config["down_block_types"]) if "Attn" in kind]
    settings = {
        "channels": widths,
        "blocks": config["layers_per_block"],
        "groups": config["norm_num_groups"],
        "attention_levels": levels,
        "fold": latents["fold"],
        "label_dropout": bundle.label_dropout,
        "prediction": bundle.scheduler_config["prediction_type"],
        "predict_change": bundle.residual_scale is not None,
        "keep_detail": latents.get("keep_detail", False),
        "neighbor_slices": bundle.neighbor_slices,
        "days_since_rt": config.get("class_embed_type") == "simple_projection",
        "window": None,
    }
    if bundle.window_rule is not None:
        factor, rule = latents["downsampling"], bundle.window_rule
        lengths = {"window": rule.size, "window_margin": rule.margin, "window_overlap": rule.overlap}
        settings |= {name: factor * length for name, length in lengths.items()}
    if isinstance(heads, list):  # diffusers' name for the number of heads, where the class is attended to
        settings["head_channels"] = widths[levels[-1]] // heads[levels[-1]]
    elif heads is not None:
        settings["head_channels"] = heads
    if bundle.schemes:
        crosses = bool(config.get("cross_attention_dim") and config.get("encoder_hid_dim"))
        settings["class_in_cross_attention"] = crosses
        width = config.get("projection_class_embeddings_input_dim") or 0
        settings["class_in_time_embedding"] = bool(config.get("num_class_embeds")) or width > DAY_FEATURES
        if crosses:
            settings["class_width"] = config["cross_attention_dim"]
    return settings


def _classifier(bundle: Bundle) -> dict[str, Any]:
    if "classifier" not in bundle.description:
        return {}
    config = _config(bundle, "classifier")
    return {
        "scheme": f"{config['num_classes']}-class",
        "layers": config["layers"],
        "channels": config["block_inplanes"],
        "with_gtv": config["n_input_channels"] == 2,
        "pooling": bundle.description["classifier"]["pooling"],
    }


def _config(bundle: Bundle, part: str) -> dict[str, Any]:
    return read_json(bundle.folder / part / "config.json")


def _unet(config: dict[str, Any]) -> torch.nn.Module:
    return build_denoiser(config, 1).unet


def _complete(build: Callable[[dict[str, Any]], torch.nn.Module], config: dict[str, Any]) -> dict[str, Any]:
    """A configuration of a diffusers network with everything that it leaves to a default."""
    with torch.device("meta"):
        known = dict(build(config).config)
    stated = {name: value for name, value in plain(known).items() if not name.startswith("_")}
    return stated | {"_class_name": config["_class_name"]}


def _other(bundle: Bundle, what: str) -> OptionError:
    return OptionError(
        f"The bundle {bundle.name} has a {what} of a kind that this version does not train.",
        "Fine-tune a bundle that this version, or its import of checkpoints, has made.",
    )
