"""Which slices stand beside a slice, for models that look at neighbors too (2.5-D)."""

from collections.abc import Sequence

import numpy as np
import torch


def neighbor_rows(stack_indices: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    """Rows (2 * count, n) of the neighbors one step below, one above, two below, ... of each of n slices.

    A neighbor that is not among the slices (the GTV ends there, or has a gap) is replaced by the slice itself.

    :param stack_indices: index of each slice in its stack (n,), each once.
    :param count: neighbors on either side.
    """
    indices = np.asarray(stack_indices)
    row_of = {int(index): row for row, index in enumerate(indices)}
    steps = [sign * distance for distance in range(1, count + 1) for sign in (-1, 1)]
    rows = [[row_of.get(int(index) + step, row) for row, index in enumerate(indices)] for step in steps]
    return np.array(rows, dtype=np.int64).reshape(2 * count, len(indices))


def with_neighbors(sources: torch.Tensor, rows: np.ndarray, channels: int) -> torch.Tensor:
    """Append the pre latents of neighbors to source latents (n, S * C, h, w), whose first C channels are pre latents.

    :param rows: of :func:`neighbor_rows`.
    :param channels: C.
    """
    pre = sources[:, :channels]
    return torch.cat([sources, *(pre[torch.as_tensor(row)] for row in rows)], dim=1)
