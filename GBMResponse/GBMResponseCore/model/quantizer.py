"""Exact nearest-code search for a vector-quantized latent.

A distance matrix over 8192 codes costs 134 MB and 133 ms per slice on two CPU cores; a k-d tree over the 4-D codes
finds the same indices in 8 ms (`Testing/benchmarks/bench_quantizer.py`).
"""

import numpy as np
import torch
from scipy.spatial import cKDTree

_ROWS_PER_CHUNK = 8192


def nearest_code_indices(vectors: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Return, for each row of `vectors` (N, d), the index of the closest row of `codes` (K, d), as int64 (N,)."""
    if vectors.device.type == "cpu":
        tree = cKDTree(codes.detach().float().numpy())
        _, indices = tree.query(vectors.detach().float().numpy())
        return torch.from_numpy(np.asarray(indices, dtype=np.int64))
    chunks = vectors.detach().float().split(_ROWS_PER_CHUNK)
    return torch.cat([torch.cdist(chunk, codes.detach().float()).argmin(1) for chunk in chunks])


def quantize(latents: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
    """Replace every position of `latents` (B, d, h, w) by its nearest code; no gradient passes through."""
    batch, channels, height, width = latents.shape
    rows = latents.permute(0, 2, 3, 1).reshape(-1, channels)
    nearest = codes.detach()[nearest_code_indices(rows, codes)].to(latents.dtype)
    return nearest.reshape(batch, height, width, channels).permute(0, 3, 1, 2).contiguous()
