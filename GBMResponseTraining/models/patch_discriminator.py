"""The PatchGAN discriminator of the autoencoders (Isola et al. 2017, arXiv 1611.07004).

Written anew with the layers, parameter names and initial weights of MONAI's `PatchDiscriminator` (Apache-2.0), so that
checkpoints of trainings that used that one can be continued.
"""

import torch
from torch import nn

_GROUPS = 32
_INITIAL_STD = 0.02


class PatchDiscriminator(nn.Sequential):
    """Verdicts on overlapping patches: images (B, 1, H, W) to a list of each layer's output, the verdicts last.

    Verdicts (B, 1, h, w) are unbounded, as the hinge loss wants them: above 0 real, below 0 made.

    :param channels: of the first layer, twice as many in each further one; a multiple of 16.
    :param layers: number of layers between the first and the last; all but the last of them halve the size.
    """

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.add_module("initial_conv", _layer(1, channels, stride=2, normalized=False))
        for index in range(layers):
            stride = 1 if index == layers - 1 else 2
            self.add_module(str(index), _layer(channels, 2 * channels, stride, normalized=True))
            channels *= 2
        self.add_module("final_conv", _named(conv=nn.Conv2d(channels, 1, 4, padding=1)))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=_INITIAL_STD)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        outputs = []
        for layer in self:
            images = layer(images)
            outputs.append(images)
        return outputs


def _layer(in_channels: int, channels: int, stride: int, normalized: bool) -> nn.Sequential:
    convolution = nn.Conv2d(in_channels, channels, 4, stride, padding=1, bias=not normalized)
    norm = {"N": nn.GroupNorm(_GROUPS, channels)} if normalized else {}
    return _named(conv=convolution, adn=_named(**norm, A=nn.LeakyReLU(0.2)))


def _named(**modules: nn.Module) -> nn.Sequential:
    """A sequence whose steps have names."""
    sequence = nn.Sequential()
    for name, module in modules.items():
        sequence.add_module(name, module)
    return sequence
