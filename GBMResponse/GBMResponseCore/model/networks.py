"""The networks of the method, built from the configurations that a bundle stores.

Autoencoders are `BlockAutoencoder` (continuous or product-quantized), diffusers' `VQModel` (residual) or `PlainVQVAE`
(the authors' release), the denoiser is diffusers' `UNet2DConditionModel` (with class) or `UNet2DModel` (without), the
survival classifier is `ResNet`.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from ..errors import BundleSchemaError
from .loading import of_diffusers
from .quantizer import quantize
from .resnet import ResNet

DAY_FEATURES = 6


class LatentAutoencoder(nn.Module):
    """An autoencoder between images and standardized latents, which are quantized if it has codes.

    :param model: of :func:`build_autoencoder`.
    :param shift: per latent channel, subtracted before scaling.
    :param scale: per latent channel; latents leave as (z - shift) * scale.
    :param requantize: snap latents to the codes before decoding; the authors' code does not.
    """

    def __init__(
        self, model: nn.Module, shift: Sequence[float], scale: Sequence[float], requantize: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.requantize = requantize
        self.register_buffer("shift", torch.tensor(list(shift), dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("scale", torch.tensor(list(scale), dtype=torch.float32).view(1, -1, 1, 1))

    @property
    def codebooks(self) -> torch.Tensor:
        """See :func:`codebooks`."""
        return codebooks(self.model)

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 1, H, W) to standardized latents (B, C, H/4, W/4), quantized if the autoencoder has codes."""
        latents = quantize(encode_continuous(self.model, images), self.codebooks)
        return (latents - self.shift) * self.scale

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Standardized latents (B, C, h, w) to images (B, 1, 4h, 4w)."""
        latents = latents / self.scale + self.shift
        if self.requantize:
            latents = quantize(latents, self.codebooks)
        return decode_continuous(self.model, latents)


def codebooks(model: nn.Module) -> torch.Tensor:
    """Return the codes (G, K, d) of an autoencoder, of each of its G groups of d latent channels; G is 0 without codes.

    Writing to them changes the model.
    """
    if hasattr(model, "codes"):
        return model.codes
    quantizer = model.quantize
    weight = quantizer["embedding"].weight if isinstance(quantizer, nn.ModuleDict) else quantizer.embedding.weight
    return weight[None]


def encode_continuous(model: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """Images (B, 1, H, W) to latents (B, C, h, w) before quantization."""
    return model.quant_conv(model.encoder(images))


def decode_continuous(model: nn.Module, latents: torch.Tensor) -> torch.Tensor:
    """Latents (B, C, h, w), quantized or not, to images (B, 1, H, W)."""
    return model.decoder(model.post_quant_conv(latents))


class Denoiser(nn.Module):
    """The conditional UNet on latents: concatenated sources, class as a cross-attention token and in the time step.

    :param unet: `UNet2DConditionModel`, or `UNet2DModel` for a model without cross-attention. The class is in the time
        step where `num_class_embeds` or a projection says so; in the authors' code it is not.
    :param patch_size: side of the pixel blocks that are moved into channels before the network and back after it; 2
        makes a 64 x 64 latent a 32 x 32 problem at a quarter of the cost, 1 is the paper's layout.
    """

    def __init__(self, unet: nn.Module, patch_size: int = 1) -> None:
        super().__init__()
        self.unet = unet
        self.patch_size = patch_size

    @property
    def uses_class(self) -> bool:
        return self._attends_to_class or bool(self.unet.config.get("num_class_embeds"))

    @property
    def uses_days(self) -> bool:
        """True if the days since the start of radiotherapy are a condition."""
        return self.unet.config.get("class_embed_type") == "simple_projection"

    def ease(self) -> None:
        """Leave out what the class's cross-attention computes in vain.

        For inference only: distributed training waits for gradients of the parameters that are left out.
        """
        if self._attends_to_class:
            processors = self.unet.attn_processors.items()
            self.unet.set_attn_processor({name: _OneToken() if ".attn2." in name else old for name, old in processors})

    @property
    def _attends_to_class(self) -> bool:
        return bool(self.unet.config.get("cross_attention_dim") and self.unet.config.get("encoder_hid_dim"))

    def forward(
        self,
        noisy: torch.Tensor,
        sources: torch.Tensor,
        timesteps: torch.Tensor,
        tokens: torch.Tensor,
        days: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Predict noise or velocity.

        :param noisy: latent at the given time step (B, C, h, w).
        :param sources: source latents in the bundle's order, concatenated (B, S * C, h, w).
        :param timesteps: (B,) or scalar.
        :param tokens: class tokens (B,) int64; ignored by a model without class.
        :param days: days since the start of radiotherapy (B,), NaN where not known; ignored by a model without them.
        :returns: same shape as `noisy`.
        """
        stacked = torch.cat([sources, noisy], dim=1)
        if self.patch_size > 1:
            stacked = functional.pixel_unshuffle(stacked, self.patch_size)
        labels = tokens if self.unet.config.get("num_class_embeds") else None
        if self._attends_to_class:
            one_hot = functional.one_hot(tokens, self.unet.config.encoder_hid_dim).to(stacked.dtype)
            if self.uses_days:
                labels = self._conditions(one_hot, days)
            output = self.unet(stacked, timesteps, one_hot[:, None], class_labels=labels).sample
        else:
            output = self.unet(stacked, timesteps, class_labels=labels).sample
        return functional.pixel_shuffle(output, self.patch_size) if self.patch_size > 1 else output

    def _conditions(self, one_hot: torch.Tensor, days: torch.Tensor | None) -> torch.Tensor:
        """What is projected and added to the time embedding: day features, and the class where the size has room."""
        if days is None:
            days = torch.full((len(one_hot),), torch.nan, device=one_hot.device)
        features = day_features(days).to(one_hot.dtype)
        with_class = self.unet.config.projection_class_embeddings_input_dim > DAY_FEATURES
        return torch.cat([one_hot, features], dim=1) if with_class else features


class _OneToken:
    """Cross-attention to one token, the class: the softmax over it is 1, so neither queries nor keys matter."""

    def __call__(
        self,
        attn: Any,
        hidden_states: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        attention_mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        return attn.to_out[0](attn.to_v(encoder_hidden_states)).expand_as(hidden_states)


def guided_output(
    denoiser: Callable[..., torch.Tensor],
    latents: torch.Tensor,
    sources: torch.Tensor,
    timestep: torch.Tensor,
    tokens: torch.Tensor,
    null_token: int,
    guidance_scale: float,
    days: torch.Tensor | None = None,
    second: tuple[int, float] | None = None,
) -> torch.Tensor:
    """Return the denoiser's output under guidance, with one network call.

    The form is linear, so it holds for noise and for velocity predictions alike. All branches know the days.

    :param second: token of a second class, and its share of the conditional output; None: one class.
    """
    branches = [] if guidance_scale == 1.0 else [torch.full_like(tokens, null_token)]
    branches += [tokens] if second is None else [tokens, torch.full_like(tokens, second[0])]
    if len(branches) == 1:
        return denoiser(latents, sources, timestep, tokens, days)
    count = len(branches)
    every_day = None if days is None else days.repeat(count)
    repeated = (latents.repeat(count, 1, 1, 1), sources.repeat(count, 1, 1, 1))
    outputs = list(denoiser(*repeated, timestep, torch.cat(branches), every_day).chunk(count))
    if second is not None:
        other = outputs.pop()
        outputs[-1] = outputs[-1] + second[1] * (other - outputs[-1])
    if guidance_scale == 1.0:
        return outputs[0]
    unconditional, conditional = outputs
    return unconditional + guidance_scale * (conditional - unconditional)


def day_features(days: torch.Tensor) -> torch.Tensor:
    """Days since the start of radiotherapy (B,) to smooth features (B, 6): known or not, years, two waves of a year.

    All are 0 where the days are NaN, which a model learns to read as "not known".
    """
    known = torch.isfinite(days)
    years = torch.where(known, days, 0.0).float() / 365.0
    angle = 2 * torch.pi * years
    waves = [angle.sin(), angle.cos(), (2 * angle).sin(), (2 * angle).cos()]
    return torch.stack([torch.ones_like(years), years, *waves], dim=1) * known[:, None]


def build_autoencoder(config: dict[str, Any]) -> nn.Module:
    """Build an autoencoder from its configuration, with new weights."""
    library = of_diffusers("VQModel")
    from .block_autoencoder import BlockAutoencoder
    from .plain_vqvae import PlainVQVAE

    constructors = (BlockAutoencoder, library, PlainVQVAE)
    return _from_config(config, {constructor.__name__: constructor for constructor in constructors})


def build_denoiser(config: dict[str, Any], patch_size: int) -> Denoiser:
    """Build the denoiser from its UNet's configuration, with random weights."""
    unet = _from_config(config, {name: of_diffusers(name) for name in ("UNet2DConditionModel", "UNet2DModel")})
    return Denoiser(unet, patch_size)


def build_classifier(config: dict[str, Any]) -> nn.Module:
    """Build the classifier's `ResNet` from its configuration, with random weights.

    :raises BundleSchemaError: it is another network, or has arguments that `ResNet` does not have.
    """
    arguments = dict(config)
    name, block = arguments.pop("_class_name", None), arguments.pop("block", "basic")
    if name != "ResNet":
        raise BundleSchemaError(f"Unknown classifier {name!r}; expected 'ResNet'.")
    if block != "basic":
        raise BundleSchemaError(f"Unknown block {block!r} of the classifier; expected 'basic'.")
    try:
        return ResNet(**arguments)
    except (TypeError, IndexError) as error:
        raise BundleSchemaError(f"The classifier's configuration is not one of a ResNet ({error}).") from None


def _from_config(config: dict[str, Any], constructors: dict[str, Any]) -> nn.Module:
    name = config.get("_class_name")
    if name not in constructors:
        raise BundleSchemaError(f"Unknown network class {name!r}; expected one of {sorted(constructors)}.")
    return constructors[name].from_config(config)
