"""The authors' VQ-VAEs, whose sizes are read off their weights."""

from pathlib import Path
from typing import Any

import torch
from GBMResponseCore.errors import OptionError, UnreadableFileError
from GBMResponseCore.model.networks import build_autoencoder
from torch import nn

from .state_dict import StateDict, load_strictly, read_state_dict, with_prefix

_CONVOLUTION = "encoder.down.{}.block.{}.conv1.weight"


def autoencoder_weights(ldm: StateDict, modality: str, separate: Path | None) -> StateDict:
    """Return the weights of one VQ-VAE.

    :param ldm: state dict of the LDM checkpoint, which holds `first_stage_model.<modality>`.
    :param modality: `preMRI` or `gtv`.
    :param separate: VQ-VAE checkpoint to read instead.
    :raises OptionError: pre- and post-treatment MRI have different autoencoders.
    """
    if separate is not None:
        weights = read_state_dict(separate)
    else:
        weights = with_prefix(ldm, f"first_stage_model.{modality}.")
        if modality == "preMRI":
            _check_shared(weights, with_prefix(ldm, "first_stage_model.postMRI."))
    return {name: tensor for name, tensor in weights.items() if not name.startswith("loss.")}


def convert_vqvae(weights: StateDict, what: str) -> tuple[nn.Module, dict[str, Any]]:
    """Build `PlainVQVAE` with its weights, and its configuration.

    :raises UnreadableFileError: the weights are not those of the released VQ-VAE.
    """
    config = _config(weights, what)
    model = build_autoencoder(config)
    load_strictly(model, weights, what)
    return model, config


def _config(weights: StateDict, what: str) -> dict[str, Any]:
    needed = ("encoder.conv_in.weight", "decoder.conv_out.weight", "quant_conv.weight", "quantize.embedding.weight")
    for name in (*needed, _CONVOLUTION.format(0, 0)):
        if name not in weights:
            raise UnreadableFileError(
                f"The {what} is not in the checkpoint: {name} is missing.",
                "Give its own checkpoint with --image-autoencoder or --gtv-autoencoder.",
            )
    widths: list[int] = []
    while (convolution := weights.get(_CONVOLUTION.format(len(widths), 0))) is not None:
        widths.append(len(convolution))
    blocks = 0
    while _CONVOLUTION.format(0, blocks) in weights:
        blocks += 1
    codes, latent_channels = weights["quantize.embedding.weight"].shape
    return {
        "_class_name": "PlainVQVAE",
        "in_channels": weights["encoder.conv_in.weight"].shape[1],
        "out_channels": len(weights["decoder.conv_out.weight"]),
        "block_out_channels": widths,
        "layers_per_block": blocks,
        "latent_channels": latent_channels,
        "num_vq_embeddings": codes,
        "norm_num_groups": 32,
    }


def _check_shared(pre: StateDict, post: StateDict) -> None:
    if post and not (pre.keys() == post.keys() and all(torch.equal(pre[name], post[name]) for name in pre)):
        raise OptionError(
            "The run has different autoencoders for pre- and post-treatment MRI; a bundle holds one for both.",
            "Import a run with postMRI: preMRI in first_stage_config.",
        )
