"""LPIPS with AlexNet, the perceptual distance of the paper's Table 1 (Zhang et al. 2018, arXiv 1801.03924, v0.1).

The linear heads are in this package. The AlexNet backbone (torchvision's ImageNet weights) is not and is looked for in:

1. the file that the environment variable GBMRESPONSE_LPIPS_BACKBONE names: `.pth` (a state dict), `.npz` or
   `.safetensors`, with torchvision's names `features.0.weight` ... `features.10.bias`;
2. `alexnet-owt-7be5be79.pth` in the checkpoint folder of torch.hub, usually `~/.cache/torch/hub/checkpoints`, where
   torchvision puts it.

Without a backbone there is no LPIPS; nothing takes its place.
"""

import os
from pathlib import Path

import numpy as np
import torch
from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.files import check_file
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

BACKBONE_VARIABLE = "GBMRESPONSE_LPIPS_BACKBONE"
BACKBONE_FILE = "alexnet-owt-7be5be79.pth"
MISSING_BACKBONE = (
    f"LPIPS is left out: its AlexNet backbone was not found. Put {BACKBONE_FILE} "
    f"(https://download.pytorch.org/models/{BACKBONE_FILE}) into the folder ~/.cache/torch/hub/checkpoints, or let the "
    f"environment variable {BACKBONE_VARIABLE} name a file with AlexNet's weights."
)

_HEADS = Path(__file__).with_name("weights") / "lpips_alex_heads.safetensors"
_CONVOLUTIONS = ("features.0", "features.3", "features.6", "features.8", "features.10")
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


class LPIPSBackboneError(GBMResponseError):
    """There is no AlexNet, or the file is none."""

    code = "lpips-backbone"
    exit_code = 80
    remedy = f"Let {BACKBONE_VARIABLE} name a file with torchvision's AlexNet weights, or unset it."


class LPIPS(nn.Module):
    """Perceptual distance of two batches of slices (B, 1, H, W) in [-1, 1], at least 63 x 63 pixels.

    Of each of AlexNet's five feature maps, scaled to length 1 over the channels at every pixel, the squared difference
    is weighted by a head and averaged over the pixels; the distance is the sum of the five. It is differentiable in
    both images; the weights are fixed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(3, 64, 11, stride=4, padding=2),
                nn.Conv2d(64, 192, 5, padding=2),
                nn.Conv2d(192, 384, 3, padding=1),
                nn.Conv2d(384, 256, 3, padding=1),
                nn.Conv2d(256, 256, 3, padding=1),
            ]
        )
        self.heads = nn.ModuleList(nn.Conv2d(layer.out_channels, 1, 1, bias=False) for layer in self.convolutions)
        self.load_state_dict(load_file(_HEADS), strict=False)
        self.register_buffer("shift", torch.tensor(_SHIFT).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor(_SCALE).view(1, 3, 1, 1))
        self.requires_grad_(False).eval()

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Return the distance of each pair, (B,)."""
        distance = torch.zeros(len(first), device=first.device)
        for head, a, b in zip(self.heads, self._features(first), self._features(second), strict=True):
            distance = distance + head((a - b) ** 2).mean(dim=(1, 2, 3))
        return distance

    def _features(self, images: Tensor) -> list[Tensor]:
        maps = (images - self.shift) / self.scale
        features = []
        for level, convolution in enumerate(self.convolutions):
            if level in (1, 2):
                maps = functional.max_pool2d(maps, 3, 2)
            maps = functional.relu(convolution(maps))
            features.append(functional.normalize(maps, dim=1, eps=1e-10))
        return features


def find_backbone() -> Path | None:
    """Return the file with AlexNet's weights, or None; see the module's text for the places.

    :raises MissingFileError, EmptyFileError: the environment variable names no file.
    """
    named = os.environ.get(BACKBONE_VARIABLE)
    if named:
        return check_file(Path(named).expanduser(), "LPIPS backbone")
    path = Path(torch.hub.get_dir()) / "checkpoints" / BACKBONE_FILE
    return path if path.is_file() else None


def load_lpips(backbone: Path | None = None) -> LPIPS:
    """Return LPIPS with the given backbone, or the one of :func:`find_backbone`.

    :raises LPIPSBackboneError: there is none, or the file does not hold AlexNet.
    """
    path = backbone or find_backbone()
    if path is None:
        raise LPIPSBackboneError(MISSING_BACKBONE)
    weights = _read(check_file(path, "LPIPS backbone"))
    model = LPIPS()
    try:
        for convolution, name in zip(model.convolutions, _CONVOLUTIONS, strict=True):
            convolution.load_state_dict({part: weights[f"{name}.{part}"].float() for part in ("weight", "bias")})
    except (KeyError, RuntimeError) as error:
        raise LPIPSBackboneError(f"The file {path.name} does not hold AlexNet's weights ({error}).") from error
    return model


def load_lpips_if_present() -> LPIPS | None:
    """LPIPS, or None without a backbone; then say :data:`MISSING_BACKBONE` to the user.

    :raises LPIPSBackboneError, MissingFileError: a file is there, or named, but cannot be used.
    """
    path = find_backbone()
    return None if path is None else load_lpips(path)


def _read(path: Path) -> dict[str, Tensor]:
    try:
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # each of the three readers has error types of its own
        raise LPIPSBackboneError(f"The file {path.name} cannot be read as weights.") from error
