"""The survival classifier's network: a 2-D residual network with basic blocks (He et al. 2016, arXiv 1512.03385).

Written anew to compute what MONAI's `ResNet` (Apache-2.0) computes in two dimensions, with the same arguments,
parameter names and initial weights, so that classifiers trained with that one load strictly.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


class _Block(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut, which is projected where the size or the channels change."""

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        # Made first and registered last: a seed gives the weights, and an optimizer the order, that they always had.
        projection = None
        if stride != 1 or in_channels != channels:
            projection = nn.Sequential(nn.Conv2d(in_channels, channels, 1, stride), nn.BatchNorm2d(channels))
        self.conv1 = nn.Conv2d(in_channels, channels, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.downsample = projection

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = functional.relu(self.bn1(self.conv1(x)))
        return functional.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet(nn.Module):
    """Logits of images (B, n_input_channels, H, W) of any size: (B, num_classes).

    :param layers: number of blocks of each of the four stages.
    :param block_inplanes: channels of each stage; every stage but the first halves the size.
    :param conv1_t_size, conv1_t_stride: kernel size and stride of the first convolution; a maximum of 3 x 3 at stride 2
        follows it.
    """

    def __init__(
        self,
        layers: Sequence[int],
        block_inplanes: Sequence[int],
        n_input_channels: int = 3,
        num_classes: int = 400,
        conv1_t_size: int = 7,
        conv1_t_stride: int = 1,
    ) -> None:
        super().__init__()
        first, padding = block_inplanes[0], conv1_t_size // 2
        self.conv1 = nn.Conv2d(n_input_channels, first, conv1_t_size, conv1_t_stride, padding, bias=False)
        self.bn1 = nn.BatchNorm2d(first)
        self.layer1 = _stage(first, first, layers[0], stride=1)
        self.layer2 = _stage(first, block_inplanes[1], layers[1], stride=2)
        self.layer3 = _stage(block_inplanes[1], block_inplanes[2], layers[2], stride=2)
        self.layer4 = _stage(block_inplanes[2], block_inplanes[3], layers[3], stride=2)
        self.fc = nn.Linear(block_inplanes[3], num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(self.fc.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(x, 3, stride=2, padding=1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return self.fc(x.mean(dim=(2, 3)))


def _stage(in_channels: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
    later = (_Block(channels, channels, 1) for _ in range(blocks - 1))
    return nn.Sequential(_Block(in_channels, channels, stride), *later)
