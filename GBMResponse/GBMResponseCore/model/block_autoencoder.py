"""The autoencoder of our bundles: a linear code of 4 x 4 blocks of pixels, refined by a network without normalization.

Encoder and decoder begin as the lowest coefficients of a discrete cosine transform of blocks, which by themselves are
a good code, and learn what is left (shortcuts as in Chen et al. 2024, arXiv 2410.10733). There is no normalization, so
what a position becomes depends on its surroundings alone: the latents of a crop are a crop of the latents, but for its
rim.
"""

import math

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from torch import nn
from torch.nn import functional

_LARGEST_BLOCK = 512
_BLACK = -1.0
"""Normalized intensity of air. Images are shifted by it, so that the zeros that convolutions pad with are air."""


def block_cosines(side: int, count: int) -> torch.Tensor:
    """The `count` lowest functions of the orthonormal cosine transform of square blocks, (count, 1, side, side)."""
    steps = torch.arange(side, dtype=torch.float64)
    lines = torch.cos(math.pi / side * (steps + 0.5) * steps[:, None]) * math.sqrt(2.0 / side)
    lines[0] /= math.sqrt(2.0)
    order = sorted(((row, column) for row in range(side) for column in range(side)), key=lambda at: (sum(at), max(at)))
    return torch.stack([torch.outer(lines[row], lines[column]) for row, column in order[:count]])[:, None].float()


class _Block(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = _zero(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.conv2(functional.silu(self.conv1(functional.silu(x))))


class _Encoder(nn.Module):
    def __init__(self, widths: tuple[int, ...], blocks: int, latent_channels: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        side = patch * 2 ** (len(widths) - 1)
        if side > _LARGEST_BLOCK:
            raise ValueError(f"blocks of {side} pixels are larger than any slice")
        self.shortcut = nn.Conv2d(1, latent_channels, side, stride=side, bias=False)
        self.conv_in = nn.Conv2d(patch**2, widths[0], 3, padding=1)
        self.levels = nn.ModuleList()
        for index, width in enumerate(widths):
            halved = [] if index == 0 else [nn.Conv2d(widths[index - 1], width, 2, stride=2)]
            self.levels.append(nn.Sequential(*halved, *(_Block(width) for _ in range(blocks))))
        self.conv_out = _zero(nn.Conv2d(widths[-1], latent_channels, 3, padding=1))
        self.shortcut.weight.data = block_cosines(side, latent_channels)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        images = images - _BLACK
        x = self.conv_in(functional.pixel_unshuffle(images, self.patch))
        for level in self.levels:
            x = level(x)
        return _exactly(self.shortcut, images) + self.conv_out(functional.silu(x))


class _Decoder(nn.Module):
    def __init__(self, widths: tuple[int, ...], blocks: int, latent_channels: int, patch: int) -> None:
        super().__init__()
        self.patch = patch
        side = patch * 2 ** (len(widths) - 1)
        self.shortcut = nn.ConvTranspose2d(latent_channels, 1, side, stride=side, bias=False)
        self.conv_in = nn.Conv2d(latent_channels, widths[-1], 3, padding=1)
        self.levels = nn.ModuleList()
        for index in reversed(range(len(widths))):
            doubled = [nn.Conv2d(widths[index], 4 * widths[index - 1], 1), nn.PixelShuffle(2)] if index else []
            self.levels.append(nn.Sequential(*(_Block(widths[index]) for _ in range(blocks)), *doubled))
        self.conv_out = _zero(nn.Conv2d(widths[0], patch**2, 3, padding=1))
        self.shortcut.weight.data = block_cosines(side, latent_channels)

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        x = self.conv_in(latents)
        for level in self.levels:
            x = level(x)
        detail = functional.pixel_shuffle(self.conv_out(functional.silu(x)), self.patch)
        return _exactly(self.shortcut, latents) + detail + _BLACK


class BlockAutoencoder(ModelMixin, ConfigMixin):
    """Images (B, 1, H, W) to latents (B, latent_channels, H / s, W / s) and back, s = patch * 2^(levels - 1).

    :param block_out_channels: channels at every size, the largest first.
    :param encoder_blocks, decoder_blocks: residual blocks at every size.
    :param patch: side of the pixel blocks that are channels from the start: the networks never see the full size.
    :param codebooks: groups of latent channels that are quantized, each with its own codes (product quantization);
        0 leaves the latents continuous.
    :param num_vq_embeddings: codes of every group.
    """

    @register_to_config
    def __init__(
        self,
        block_out_channels: tuple[int, ...] = (48, 96),
        encoder_blocks: int = 2,
        decoder_blocks: int = 3,
        latent_channels: int = 8,
        patch: int = 2,
        codebooks: int = 0,
        num_vq_embeddings: int = 8192,
    ) -> None:
        super().__init__()
        widths = tuple(block_out_channels)
        if latent_channels > (patch * 2 ** (len(widths) - 1)) ** 2 or (codebooks and latent_channels % codebooks):
            raise ValueError("latent_channels exceed the pixels of a block, or do not divide into the codebooks")
        self.encoder = _Encoder(widths, encoder_blocks, latent_channels, patch)
        self.decoder = _Decoder(widths, decoder_blocks, latent_channels, patch)
        self.quant_conv = nn.Identity()
        self.post_quant_conv = nn.Identity()
        codes = (codebooks, num_vq_embeddings, latent_channels // max(codebooks, 1))
        if codebooks:
            self.codes = nn.Parameter(torch.randn(codes))
        else:
            self.register_buffer("codes", torch.empty(codes), persistent=False)


def _exactly(shortcut: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The shortcut in float32: rounded to bfloat16 in a mixed training, it would be half the error of the whole."""
    with torch.autocast(x.device.type, enabled=False):
        return shortcut(x.float())


def _zero(layer: nn.Conv2d) -> nn.Conv2d:
    """The layer, which adds nothing until it has learned to."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
