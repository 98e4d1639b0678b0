"""Encode a slice store once: latents of pre, post and GTV for the diffusion model."""

import os
from pathlib import Path

import numpy as np
import torch
from GBMResponseCore.networks import LatentCodec
from tqdm import tqdm

from .slice_store import SliceStore

_SCALE_SLICES = 256


def encode_store(
    store: SliceStore, folder: Path, image_codec: LatentCodec, gtv_codec: LatentCodec, batch: int = 16
) -> dict[str, np.ndarray]:
    """Return memory-mapped float16 latents (n, C, h, w) of `pre`, `post` and `gtv`, computing what is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    latents = {}
    for name, codec in (("pre", image_codec), ("post", image_codec), ("gtv", gtv_codec)):
        path = folder / f"{name}.npy"
        if not path.is_file():
            encoded = _encode(getattr(store, name), codec, batch, name)
            temporary = path.with_suffix(".partial")
            with temporary.open("wb") as file:
                np.save(file, encoded)
            os.replace(temporary, path)
        latents[name] = np.load(path, mmap_mode="r")
    return latents


def change_scale(pre: np.ndarray, post: np.ndarray) -> np.ndarray:
    """Per-channel factor (C,) that brings the change post - pre of latents (n, C, h, w) to unit variance."""
    step = max(1, len(pre) // _SCALE_SLICES)
    change = post[::step].astype(np.float32) - pre[::step].astype(np.float32)
    return 1.0 / np.maximum(change.std(axis=(0, 2, 3)), 1e-6)


def gtv_at_latent_size(gtv: np.ndarray, downsampling: int) -> np.ndarray:
    """Average masks (n, H, W) over blocks: float16 (n, H / downsampling, W / downsampling) in [0, 1]."""
    count, height, width = gtv.shape
    blocks = gtv.reshape(count, height // downsampling, downsampling, width // downsampling, downsampling)
    return blocks.mean(axis=(2, 4), dtype=np.float32).astype(np.float16)


@torch.inference_mode()
def _encode(slices: np.ndarray, codec: LatentCodec, batch: int, name: str) -> np.ndarray:
    starts = tqdm(range(0, len(slices), batch), desc=f"Encoding {name}", unit="batch")
    chunks = [codec.encode(torch.from_numpy(slices[s : s + batch].astype(np.float32))[:, None]) for s in starts]
    return torch.cat(chunks).numpy().astype(np.float16)
