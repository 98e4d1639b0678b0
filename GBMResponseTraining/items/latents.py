"""Encode a slice store once: latents of pre, post and GTV, also of the flipped slices, for the diffusion model."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from GBMResponseCore.files import make_folder, note_removed, write_json
from GBMResponseCore.model.networks import LatentAutoencoder
from scipy import ndimage
from tqdm import tqdm

from ..store.slice_store import SliceStore, write_array
from .fingerprints import latents_sha256
from .processes import is_first, wait_for

_SCALE_SLICES = 256
_PARTS = ("pre", "post", "gtv")
CHANGE_SCALE = "change_scale.json"
"""File beside the latents that holds what :func:`residual_scale` found in them."""


@dataclass(frozen=True)
class LatentStore:
    """Memory-mapped float16 latents (F, n, C, h, w) of the n slices of a store; F is 2 with flipped slices, else 1.

    `mask` holds the GTV averaged to the size of the latents, float16 (F, n, h, w) in [0, 1].
    """

    pre: np.ndarray
    post: np.ndarray
    gtv: np.ndarray
    mask: np.ndarray

    @property
    def versions(self) -> int:
        return len(self.pre)


def encode_store(
    store: SliceStore,
    folder: Path,
    autoencoders: dict[str, LatentAutoencoder],
    downsampling: int,
    flip: bool,
    batch: int = 16,
    device: torch.device | str = "cpu",
    bfloat16: bool = False,
) -> LatentStore:
    """Return the latents of a store, which the first process makes if they are missing or of another encoder.

    :param autoencoders: `image` and `gtv`.
    :param bfloat16: encode with bfloat16 autocast, as the networks are trained.
    :raises OutputFolderError: if they cannot be written.
    """
    make_folder(folder)
    made_with = folder / "made_with.json"
    wanted: dict[str, Any] = {name: latents_sha256(network) for name, network in autoencoders.items()}
    wanted |= {"slices": len(store), "flip": flip}

    def complete() -> bool:
        return made_with.is_file() and json.loads(made_with.read_text(encoding="utf-8")) == wanted

    if not complete() and is_first():
        for outdated in (made_with, folder / CHANGE_SCALE):
            note_removed(outdated)
            outdated.unlink(missing_ok=True)
        for name in _PARTS:
            autoencoder = autoencoders["gtv" if name == "gtv" else "image"].to(device)
            _encode(getattr(store, name), folder / f"{name}.npy", autoencoder, flip, batch, name, device, bfloat16)
            autoencoder.cpu()
        mask = gtv_at_latent_size(store.gtv, downsampling)
        versions = [mask, mask[..., ::-1]] if flip else [mask]
        write_array(folder / "mask.npy", (len(versions), *mask.shape), versions, np.dtype(np.float16))
        write_json(wanted, made_with)
    wait_for(complete)
    return LatentStore(**{name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in (*_PARTS, "mask")})


def residual_scale(latents: LatentStore, rows: np.ndarray, margin: int | None = None) -> np.ndarray:
    """Per-channel factor (C,) that brings the change post - pre of the latents of `rows` to unit variance.

    :param margin: count what is this near to the GTV, in latent pixels, where most of the change is; None: everything.
    """
    chosen = rows[:: max(1, len(rows) // _SCALE_SLICES)]
    change = latents.post[0, chosen].astype(np.float32) - latents.pre[0, chosen].astype(np.float32)
    values = change.swapaxes(1, 3).reshape(-1, change.shape[1])
    if margin is not None:
        near = np.stack([near_gtv(latents.mask[0, row], margin) for row in chosen])
        values = change.transpose(0, 2, 3, 1)[near > 0]
    return 1.0 / np.maximum(values.std(axis=0), 1e-6)


def with_coarse_first(factor: np.ndarray, latent_scale: np.ndarray, power: float) -> np.ndarray:
    """Factors (C,) of :func:`residual_scale`, larger ones for channels that hold more of the image.

    If every channel has the same variance, noise hides the coarse and the fine ones at the same time steps, so that all
    of them must be decided at once. Images are decided from coarse to fine because their fine structure is weak
    (Skorokhodov et al. 2025, arXiv 2502.14831).

    :param latent_scale: per channel, that of the standardized latents, see
        `GBMResponseCore.model.networks.LatentAutoencoder`.
    :param power: SDs of the scaled change are the amplitudes in the unscaled latents to this power; their mean square
        is 1.
    """
    amplitude = (1.0 / (factor * latent_scale)) ** power
    return factor * amplitude / np.sqrt(np.mean(amplitude**2))


def near_gtv(mask: np.ndarray, margin: int) -> np.ndarray:
    """A mask (h, w) in [0, 1], as it is or, with a margin in pixels, 1 in all pixels so near to the GTV."""
    if not margin:
        return np.asarray(mask, np.float32)
    return ndimage.binary_dilation(mask > 0, np.ones((2 * margin + 1,) * 2)).astype(np.float32)


def gtv_at_latent_size(gtv: np.ndarray, downsampling: int) -> np.ndarray:
    """Average masks (n, H, W) over blocks: float16 (n, H / downsampling, W / downsampling) in [0, 1]."""
    count, height, width = gtv.shape
    blocks = gtv.reshape(count, height // downsampling, downsampling, width // downsampling, downsampling)
    return blocks.mean(axis=(2, 4), dtype=np.float32).astype(np.float16)


@torch.inference_mode()
def _encode(
    slices: np.ndarray,
    path: Path,
    autoencoder: LatentAutoencoder,
    flip: bool,
    batch: int,
    name: str,
    device: torch.device | str,
    bfloat16: bool,
) -> None:
    versions = (False, True) if flip else (False,)
    starts = [(flipped, start) for flipped in versions for start in range(0, len(slices), batch)]

    def encoded(flipped: bool, start: int) -> np.ndarray:
        chunk = slices[start : start + batch].astype(np.float32)
        chunk = np.ascontiguousarray(chunk[..., ::-1]) if flipped else chunk
        images = torch.from_numpy(chunk)[:, None].to(device)
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
            latents = autoencoder.encode(images)
        return latents.float().cpu().numpy().astype(np.float16)

    size = encoded(False, 0).shape[1:]
    chunks = (encoded(*which) for which in tqdm(starts, desc=f"Encoding {name}", unit="batch"))
    write_array(path, (len(versions), len(slices), *size), chunks, np.dtype(np.float16))
