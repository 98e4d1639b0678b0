"""The noise of samples: it belongs to a pair of samples and a physical slice, never to a batch, an order or a class.

Samples come in antithetic pairs (Hammersley and Morton 1956): the second of a pair takes the noise of the first with
the opposite sign. Both are draws from the same distribution, and what is odd in the noise cancels in their mean.
"""

import hashlib
from collections.abc import Sequence

import torch


def pair_and_sign(sample: int) -> tuple[int, int]:
    """The pair of a sample, both counted from 0, and the sign of its noise, 1 or -1."""
    return sample // 2, 1 - 2 * (sample % 2)


def slice_generator(seed: int, pair: int, position_mm: float, purpose: str = "start") -> torch.Generator:
    """Return a CPU generator that belongs to one physical slice of one pair of samples.

    :param position_mm: position of the slice center along its normal; rounded to 0.1 mm.
    """
    key = f"{seed}/{pair}/{round(position_mm * 10)}/{purpose}".encode()
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key).digest()[:8], "little") >> 1)


def draw_noise(seed: int, pair: int, positions_mm: Sequence[float], shape: tuple[int, int, int]) -> torch.Tensor:
    """Return the start noise of a pair's first sample (slices, *shape), float32 on the CPU, standard normal."""
    return torch.stack([torch.randn(shape, generator=slice_generator(seed, pair, z)) for z in positions_mm])
