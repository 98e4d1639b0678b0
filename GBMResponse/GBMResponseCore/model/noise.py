"""The noise of samples: it belongs to a pair of samples and a physical slice, never to a batch, an order or a class.

Samples come in antithetic pairs (Hammersley and Morton 1956): the second of a pair takes the noise of the first with
the opposite sign. Both are draws from the same distribution, and what is odd in the noise cancels in their mean.

Slices are sampled one by one, so independent noise lets a lesion change its looks from slice to slice. With a length,
the start noise is n(z) = sum of w_k(z) n_k over anchors at fixed places along the patient, with independent standard
normal n_k and sum of w_k(z)^2 = 1: every slice by itself has exactly the noise that the model was trained with, and
neighbors have similar noise, whatever the slice distance.
"""

import hashlib
import math
from collections.abc import Sequence

import torch

_ANCHORS_PER_LENGTH = 2
"""Dense enough that the correlation depends on the distance alone, to .01."""
_REACH = 4.0
"""Anchors farther away than this number of standard deviations of the weights have none."""


def pair_and_sign(sample: int) -> tuple[int, int]:
    """The pair of a sample, both counted from 0, and the sign of its noise, 1 or -1."""
    return sample // 2, 1 - 2 * (sample % 2)


def slice_generator(seed: int, pair: int, position_mm: float, purpose: str = "start") -> torch.Generator:
    """Return a CPU generator that belongs to one physical slice of one pair of samples.

    :param position_mm: position of the slice center along its normal; rounded to 0.1 mm.
    """
    return _generator(f"{seed}/{pair}/{round(position_mm * 10)}/{purpose}")


def draw_noise(
    seed: int, pair: int, positions_mm: Sequence[float], shape: tuple[int, int, int], length_mm: float = 0.0
) -> torch.Tensor:
    """Return the start noise of a pair's first sample (slices, *shape), float32 on the CPU, standard normal.

    :param length_mm: distance at which the correlation of two slices is one half: it is 2 ** -(d / length) ** 2.
        0: slices are independent.
    """
    if not length_mm:
        return torch.stack([torch.randn(shape, generator=slice_generator(seed, pair, z)) for z in positions_mm])
    anchors: dict[int, torch.Tensor] = {}
    planes = []
    for position in positions_mm:
        plane = torch.zeros(shape)
        for anchor, weight in anchor_weights(position, length_mm).items():
            if anchor not in anchors:
                generator = _generator(f"{seed}/{pair}/anchor {anchor} of {length_mm:g} mm/start")
                anchors[anchor] = torch.randn(shape, generator=generator)
            plane += weight * anchors[anchor]
        planes.append(plane)
    return torch.stack(planes)


def anchor_weights(position_mm: float, length_mm: float) -> dict[int, float]:
    """Weights of the anchors of a slice, by anchor; the sum of their squares is 1.

    :param position_mm: rounded to 0.1 mm, so that a position has one noise in whatever volume it is found.
    """
    position, spacing = round(position_mm * 10) / 10, length_mm / _ANCHORS_PER_LENGTH
    deviation = length_mm / (2.0 * math.sqrt(math.log(2.0)))
    first = math.ceil((position - _REACH * deviation) / spacing)
    last = math.floor((position + _REACH * deviation) / spacing)
    weights = {k: math.exp(-0.5 * ((k * spacing - position) / deviation) ** 2) for k in range(first, last + 1)}
    norm = math.sqrt(sum(weight**2 for weight in weights.values()))
    return {anchor: weight / norm for anchor, weight in weights.items()}


def _generator(key: str) -> torch.Generator:
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") >> 1)
