"""Configuration of the denoising UNet from the settings of a run."""

from typing import Any

from GBMResponseCore.model.networks import DAY_FEATURES

from ..settings.networks import ConfigurationError, Diffusion


def noise_schedule(prediction: str) -> dict[str, Any]:
    """The paper's schedule: T = 1000, beta from 0.0015 to 0.0195, linear in its square root."""
    return {
        "_class_name": "DDPMScheduler",
        "num_train_timesteps": 1000,
        "beta_start": 0.0015,
        "beta_end": 0.0195,
        "beta_schedule": "scaled_linear",
        "prediction_type": prediction,
        "clip_sample": False,
    }


def unet_config(settings: Diffusion, tokens: int, latent_channels: int, latent_size: int) -> dict[str, Any]:
    """Return the configuration of a diffusers UNet.

    :param tokens: class tokens including the null token; 0 for a model without class.
    :param latent_size: side of the latents.
    :raises ConfigurationError: days since radiotherapy are asked of a model without class.
    """
    if settings.days_since_rt and not tokens:
        raise ConfigurationError(
            "The configuration without class cannot condition on days since radiotherapy.",
            "Set diffusion.days_since_rt to false, or train a configuration with classes.",
        )
    if latent_size % (settings.fold * 2 ** (len(settings.channels) - 1)):
        raise ConfigurationError(
            f"Latents of side {latent_size} cannot be folded by {settings.fold} and halved at every level.",
            "Use fewer levels or a smaller fold.",
        )
    channels = latent_channels * settings.fold**2
    attention = [level in settings.attention_levels for level in range(len(settings.channels))]
    crosses = bool(tokens) and settings.class_in_cross_attention
    kind = "CrossAttn" if crosses else "Attn"
    common = {
        "sample_size": latent_size // settings.fold,
        "in_channels": (3 + 2 * settings.neighbor_slices) * channels,
        "out_channels": channels,
        "layers_per_block": settings.blocks,
        "block_out_channels": list(settings.channels),
        "down_block_types": [f"{kind if attends else ''}DownBlock2D" for attends in attention],
        "up_block_types": [f"{kind if attends else ''}UpBlock2D" for attends in reversed(attention)],
        "norm_num_groups": settings.groups,
        "norm_eps": 1e-5,
    }
    if not crosses:
        in_time: dict[str, Any] = {"num_class_embeds": tokens} if tokens and settings.class_in_time_embedding else {}
        return {"_class_name": "UNet2DModel", **common, "attention_head_dim": settings.head_channels, **in_time}
    in_time = {"num_class_embeds": tokens} if settings.class_in_time_embedding else {}
    if settings.days_since_rt:
        width = DAY_FEATURES + (tokens if settings.class_in_time_embedding else 0)
        in_time = {
            "class_embed_type": "simple_projection",
            "projection_class_embeddings_input_dim": width,
        }
    return {
        "_class_name": "UNet2DConditionModel",
        **common,
        # diffusers' name for the number of heads.
        "attention_head_dim": [max(1, width // settings.head_channels) for width in settings.channels],
        "cross_attention_dim": settings.class_width or 2 * (tokens - 1),
        "encoder_hid_dim": tokens,
        "encoder_hid_dim_type": "text_proj",
        **in_time,
    }
