"""The authors' UNet (openai's `UNetModel` as in Stable Diffusion) as a diffusers UNet.

Names are mapped by diffusers' own converter for LDM checkpoints. The class embedding table of the conditioning stage
becomes the UNet's `encoder_hid_proj`: projecting a one-hot token with weight table^T and bias 0 is looking it up.
"""

from typing import Any

import torch
from GBMResponseCore.errors import UnreadableFileError
from GBMResponseCore.model.networks import build_denoiser
from torch import nn

from .project_config import ProjectConfig
from .state_dict import StateDict, load_strictly

_LDM_PREFIX = "model.diffusion_model."


def unet_config(project: ProjectConfig) -> dict[str, Any]:
    """Return the configuration of the diffusers UNet for a run: two source latents and the noisy one go in."""
    unet = project.unet
    widths = [unet["model_channels"] * factor for factor in unet["channel_mult"]]
    attends = [2**level in unet["attention_resolutions"] for level in range(len(widths))]
    kind = "CrossAttn" if project.class_count else "Attn"
    common = {
        "sample_size": project.latent_size,
        "in_channels": 3 * project.channels,
        "out_channels": project.channels,
        "layers_per_block": unet["num_res_blocks"],
        "block_out_channels": widths,
        "down_block_types": [f"{kind}DownBlock2D" if attend else "DownBlock2D" for attend in attends],
        "up_block_types": [f"{kind}UpBlock2D" if attend else "UpBlock2D" for attend in reversed(attends)],
        "norm_num_groups": 32,
        "norm_eps": 1e-5,
        "flip_sin_to_cos": True,
        "freq_shift": 0,
    }
    if not project.class_count:
        return {"_class_name": "UNet2DModel", **common, "attention_head_dim": unet["num_head_channels"]}
    return {
        "_class_name": "UNet2DConditionModel",
        **common,
        # diffusers calls the number of heads so here
        "attention_head_dim": [width // unet["num_head_channels"] for width in widths],
        "transformer_layers_per_block": unet.get("transformer_depth", 1),
        "use_linear_projection": bool(unet.get("use_linear_in_transformer", False)),
        "cross_attention_dim": project.class_width,
        "encoder_hid_dim": project.class_count + 1,
        "encoder_hid_dim_type": "text_proj",
    }


def convert_unet(
    weights: StateDict, class_table: torch.Tensor | None, project: ProjectConfig
) -> tuple[nn.Module, dict[str, Any]]:
    """Build the UNet with its weights.

    :param weights: by LDM name, without prefix.
    :param class_table: class embeddings (N + 1, d), the last row unconditional; None for a model without class.
    :returns: `UNet2DConditionModel` or, without class, `UNet2DModel`; and its configuration.
    :raises UnreadableFileError: weights and configuration do not belong together.
    """
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    config = unet_config(project)
    unet = build_denoiser(config, patch_size=1).unet
    converted = convert_ldm_unet_checkpoint({_LDM_PREFIX + name: value for name, value in weights.items()}, config)
    if len(converted) != len(weights):
        raise UnreadableFileError(
            f"The checkpoint holds {len(weights)} UNet tensors, of which {len(converted)} are known.",
            "Check that it is a complete LDM checkpoint of the authors' released code, of the same run as the YAML.",
        )
    if project.class_count:
        if class_table is None:
            raise UnreadableFileError(
                "The checkpoint lacks cond_stage_model.embedding.weight, the class embedding.",
                "Check that checkpoint and YAML belong to the same run.",
            )
        converted["encoder_hid_proj.weight"] = class_table.T
        converted["encoder_hid_proj.bias"] = torch.zeros(class_table.shape[1])
    else:
        converted = _split_attention(converted, project.unet["num_head_channels"])
    load_strictly(unet, converted, "UNet")
    return unet, config


def _split_attention(weights: StateDict, head_channels: int) -> StateDict:
    """Turn LDM's self-attention into diffusers': one qkv convolution into three linear layers.

    The convolution's 3 C output channels run over heads, then over q, k, v, then over the channels of a head.
    """
    result = {}
    for name, tensor in weights.items():
        if ".attentions." not in name:
            result[name] = tensor
            continue
        block, layer, kind = name.rsplit(".", 2)
        if layer == "norm":
            result[f"{block}.group_norm.{kind}"] = tensor
            continue
        matrix = tensor.squeeze(-1) if kind == "weight" else tensor
        if layer == "proj_out":
            result[f"{block}.to_out.0.{kind}"] = matrix
        elif layer == "qkv" and len(matrix) % (3 * head_channels) == 0:
            parts = matrix.reshape(-1, 3, head_channels, *matrix.shape[1:]).unbind(1)
            for part, values in zip("qkv", parts, strict=True):
                result[f"{block}.to_{part}.{kind}"] = values.flatten(0, 1).contiguous()
        else:
            result[name] = tensor
    return result
