"""The authors' released VQ-VAE: a plain GroupNorm-SiLU-Conv stack without skips or attention.

Re-implemented from the description of the released model (Leclercq et al., doi 10.1007/978-3-032-05472-2_18), with
the same parameter names, so that a state dict of theirs loads strictly. diffusers' `VQModel` cannot hold it, because
its blocks are residual.
"""

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional


class _Block(nn.Module):
    def __init__(self, in_channels: int, out_channels: int, groups: int) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels, eps=1e-6)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv1(functional.silu(self.norm1(x)))


class _Downsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(functional.pad(x, (0, 1, 0, 1)))


class _Upsample(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(functional.interpolate(x, scale_factor=2.0, mode="nearest"))


def _middle(channels: int, groups: int) -> nn.ModuleDict:
    return nn.ModuleDict({"block_1": _Block(channels, channels, groups)})


def _level(in_channels: int, out_channels: int, blocks: int, groups: int) -> nn.Module:
    level = nn.Module()
    level.block = nn.ModuleList(
        _Block(in_channels if index == 0 else out_channels, out_channels, groups) for index in range(blocks)
    )
    return level


class _Encoder(nn.Module):
    def __init__(self, in_channels: int, widths: tuple[int, ...], blocks: int, latent_channels: int, groups: int):
        super().__init__()
        self.conv_in = nn.Conv2d(in_channels, widths[0], 3, padding=1)
        self.down = nn.ModuleList()
        for index, width in enumerate(widths):
            level = _level(widths[max(index - 1, 0)], width, blocks, groups)
            if index < len(widths) - 1:
                level.downsample = _Downsample(width)
            self.down.append(level)
        self.mid = _middle(widths[-1], groups)
        self.norm_out = nn.GroupNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], latent_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv_in(x)
        for level in self.down:
            for block in level.block:
                x = block(x)
            if hasattr(level, "downsample"):
                x = level.downsample(x)
        x = self.mid["block_1"](x)
        return self.conv_out(functional.silu(self.norm_out(x)))


class _Decoder(nn.Module):
    def __init__(self, out_channels: int, widths: tuple[int, ...], blocks: int, latent_channels: int, groups: int):
        super().__init__()
        self.conv_in = nn.Conv2d(latent_channels, widths[-1], 3, padding=1)
        self.mid = _middle(widths[-1], groups)
        # Stored low to high resolution index, as in the released weights, and run from the last to the first.
        self.up = nn.ModuleList()
        for index, width in enumerate(widths):
            level = _level(widths[min(index + 1, len(widths) - 1)], width, blocks + 1, groups)
            if index > 0:
                level.upsample = _Upsample(width)
            self.up.append(level)
        self.norm_out = nn.GroupNorm(groups, widths[0], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[0], out_channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.mid["block_1"](self.conv_in(x))
        for level in reversed(self.up):
            for block in level.block:
                x = block(x)
            if hasattr(level, "upsample"):
                x = level.upsample(x)
        return self.conv_out(functional.silu(self.norm_out(x)))


class PlainVQVAE(ModelMixin, ConfigMixin):
    """Autoencoder of the authors' code: (B, 1, H, W) to (B, latent_channels, H/4, W/4) and back.

    Defaults are the released sizes: 9.65 M parameters, 8192 codes of 4 values.
    """

    @register_to_config
    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        block_out_channels: tuple[int, ...] = (128, 256, 256),
        layers_per_block: int = 2,
        latent_channels: int = 4,
        num_vq_embeddings: int = 8192,
        norm_num_groups: int = 32,
    ) -> None:
        super().__init__()
        widths = tuple(block_out_channels)
        self.encoder = _Encoder(in_channels, widths, layers_per_block, latent_channels, norm_num_groups)
        self.decoder = _Decoder(out_channels, widths, layers_per_block, latent_channels, norm_num_groups)
        self.quantize = nn.ModuleDict({"embedding": nn.Embedding(num_vq_embeddings, latent_channels)})
        self.quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)
        self.post_quant_conv = nn.Conv2d(latent_channels, latent_channels, 1)
        nn.init.uniform_(self.quantize["embedding"].weight, -1.0 / num_vq_embeddings, 1.0 / num_vq_embeddings)
