"""Decode the part of a slice that composition uses, and not the rest.

A decoder's group normalization divides by statistics of the whole slice, so that a box by itself comes out with other
gray levels. Therefore some slices of the input are decoded as a whole, and every box is normalized by their statistics,
interpolated along the patient. What is left are the box's rim, which a margin keeps away, and attention, if the decoder
has it: on one slice the box is compared with the whole, and where they differ by more than `TOLERANCE`, whole slices
are decoded. Measured in docs/outputs.md.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import nn

from .networks import LatentAutoencoder

TOLERANCE = 0.02
"""Largest difference of a pixel, times its share, from a whole decode; the range from black to white is 2."""
_MARGINS = (2, 4, 8)
"""Of a box, in latent pixels, from the smallest one on."""
_LARGEST_BOX = 0.5
"""Part of a slice from which on boxes are not worth it."""
_REFERENCE_MM = 20.0
"""Largest distance of slices that are decoded as a whole, if there are slices between them."""

_Statistics = dict[str, tuple[torch.Tensor, torch.Tensor]]
"""Mean and variance (n, groups) of each normalization, by its name."""


@dataclass(frozen=True, eq=False)
class Crops:
    """Boxes of one size, one in each of n slices, and how to normalize there.

    :param corners: first row and column of each, latent pixels (n, 2).
    :param size: rows and columns of all, latent pixels.
    """

    corners: np.ndarray
    size: tuple[int, int]
    statistics: _Statistics

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, rows: slice | list[int]) -> "Crops":
        """Those of some of the slices."""
        statistics = {name: (mean[rows], variance[rows]) for name, (mean, variance) in self.statistics.items()}
        return replace(self, corners=self.corners[rows], statistics=statistics)

    def cut(self, planes: torch.Tensor, factor: int = 1) -> torch.Tensor:
        """The boxes of planes (n, C, factor * h, factor * w)."""
        height, width = (factor * length for length in self.size)
        boxes = []
        for plane, (row, column) in zip(planes, (factor * self.corners).tolist(), strict=True):
            boxes.append(plane[:, row : row + height, column : column + width])
        return torch.stack(boxes)

    def decode(self, autoencoder: LatentAutoencoder, latents: torch.Tensor) -> torch.Tensor:
        """Latents (n, C, h, w) to images (n, 1, H, W), black outside the boxes."""
        with _normalized_by(autoencoder.model.decoder, self._apply):
            boxes = autoencoder.decode(self.cut(latents))
        factor = boxes.shape[-1] // self.size[1]
        images = boxes.new_full((len(latents), 1, *(factor * length for length in latents.shape[-2:])), -1.0)
        for image, box, (row, column) in zip(images, boxes, (factor * self.corners).tolist(), strict=True):
            image[:, row : row + box.shape[-2], column : column + box.shape[-1]] = box
        return images

    def _apply(self, name: str, norm: nn.GroupNorm, inputs: torch.Tensor) -> torch.Tensor:
        mean, variance = self.statistics[name]
        per_group = inputs.shape[1] // norm.num_groups
        factor = (variance + norm.eps).rsqrt().repeat_interleave(per_group, dim=1) * norm.weight
        offset = norm.bias - mean.repeat_interleave(per_group, dim=1) * factor
        return inputs * factor[..., None, None] + offset[..., None, None]


def find_crops(
    autoencoder: LatentAutoencoder,
    latents: torch.Tensor,
    shares: np.ndarray,
    positions_mm: np.ndarray,
    pulse: Callable[[], None] | None = None,
) -> Crops | None:
    """Boxes around what composition shows of slices, or None where whole slices are to be decoded.

    :param latents: of the input (n, C, h, w).
    :param shares: of the prediction in each pixel (n, H, W).
    :param positions_mm: along the patient (n,).
    :param pulse: called before each decode; may raise to stop.
    """
    references = _references(np.asarray(positions_mm), _has_norms(autoencoder.model.decoder))
    boxes = [_boxes(shares, latents.shape[-2:], margin) for margin in _MARGINS]
    boxes = [(corners, size) for corners, size in boxes if np.prod(size) <= _LARGEST_BOX * np.prod(latents.shape[-2:])]
    if not boxes:
        return None
    found: list[_Statistics] = []
    for row in references:
        if pulse:
            pulse()
        statistics, whole = _decode_whole(autoencoder, latents[row : row + 1])
        found.append(statistics)
        if len(found) == (len(references) + 1) // 2:
            middle = row, statistics, whole
    row, own, whole = middle
    share = torch.from_numpy(shares[row]).to(whole.device)
    for corners, size in boxes:
        part = Crops(corners[row : row + 1], size, own).decode(autoencoder, latents[row : row + 1])
        if bool(((part - whole)[0, 0].abs() * share).max() <= TOLERANCE):
            parts = _parts(np.asarray(positions_mm), references).to(whole.device)
            statistics = {
                name: tuple(parts @ torch.cat([entry[name][k] for entry in found]) for k in (0, 1)) for name in own
            }
            return Crops(corners, size, statistics)
    return None


def _has_norms(decoder: nn.Module) -> bool:
    return any(isinstance(module, nn.GroupNorm) for module in decoder.modules())


def _references(positions_mm: np.ndarray, statistics: bool) -> list[int]:
    """Slices to decode as a whole: the outermost, and others evenly between them.

    :param statistics: of normalizations are needed; if not, one in the middle to compare boxes with is enough.
    """
    order = np.argsort(positions_mm)
    if not statistics:
        return [int(order[len(order) // 2])]
    extent = positions_mm[order[-1]] - positions_mm[order[0]]
    count = min(int(np.ceil(extent / _REFERENCE_MM)) + 1, len(order))
    return order[np.unique(np.linspace(0, len(order) - 1, count).round().astype(int))].tolist()


def _parts(positions_mm: np.ndarray, references: list[int]) -> torch.Tensor:
    """How much each of the references has in the statistics of each slice, linear in between (n, references)."""
    at = positions_mm[references]
    columns = [np.interp(positions_mm, at, row) for row in np.eye(len(references))]
    return torch.from_numpy(np.stack(columns, axis=1).astype(np.float32))


def _boxes(shares: np.ndarray, latent_size: tuple[int, int], margin: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Corners (n, 2) and common size of boxes around the pixels with a share, in latent pixels."""
    corners, sizes = [], []
    for axis, length in enumerate(latent_size):
        factor = shares.shape[1 + axis] // length
        shown = np.any(shares > 0, axis=2 - axis)  # slices x rows, or slices x columns
        first = np.where(shown.any(axis=1), shown.argmax(axis=1), 0) // factor
        last = np.where(shown.any(axis=1), shown.shape[1] - 1 - shown[:, ::-1].argmax(axis=1), 0) // factor
        size = min(int((last - first).max()) + 1 + 2 * margin, length)
        corners.append(np.clip((first + last + 1 - size) // 2, 0, length - size))
        sizes.append(size)
    return np.stack(corners, axis=1), (sizes[0], sizes[1])


def _decode_whole(autoencoder: LatentAutoencoder, latents: torch.Tensor) -> tuple[_Statistics, torch.Tensor]:
    """Statistics of all normalizations, and the image."""
    statistics: _Statistics = {}

    def record(name: str, norm: nn.GroupNorm, inputs: torch.Tensor) -> torch.Tensor:
        variance, mean = torch.var_mean(inputs.reshape(len(inputs), norm.num_groups, -1), dim=2, correction=0)
        statistics[name] = mean, variance
        return nn.GroupNorm.forward(norm, inputs)

    with _normalized_by(autoencoder.model.decoder, record):
        return statistics, autoencoder.decode(latents)


@contextmanager
def _normalized_by(
    decoder: nn.Module, normalize: Callable[[str, nn.GroupNorm, torch.Tensor], torch.Tensor]
) -> Iterator[None]:
    """Let a function do the work of every group normalization of a decoder; it is told the layer's name."""
    norms = [(name, module) for name, module in decoder.named_modules() if isinstance(module, nn.GroupNorm)]
    try:
        for name, norm in norms:
            norm.forward = lambda inputs, name=name, norm=norm: normalize(name, norm, inputs)
        yield
    finally:
        for _, norm in norms:
            vars(norm).pop("forward", None)
