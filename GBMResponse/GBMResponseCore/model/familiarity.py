"""How an image autoencoder sees slices: whether it can draw them, and where their latents lie.

Both are compared with the training patients' in `measure/guard.py`: an autoencoder draws well only what it has
learned (An and Cho 2015, SNU Data Mining Center 2015-2), and latents of other images lie elsewhere (Lee et al. 2018,
arXiv 1807.03888).
"""

import numpy as np
import torch

from .manifest import REBUILT
from .networks import LatentAutoencoder

_MOST_SLICES = 3
"""They are decoded, too: more would take longer than the rest of a check."""
_HEAD = -0.8


@torch.inference_mode()
def autoencoder_features(autoencoder: LatentAutoencoder, pre: np.ndarray) -> dict[str, float]:
    """Features of evenly spaced slices of a patient (k, H, W), normalized.

    :return: mean absolute error of the head as the autoencoder draws it; mean and SD of each channel of the latents.
    """
    rows = np.unique(np.rint(np.linspace(0, len(pre) - 1, min(_MOST_SLICES, len(pre)))).astype(int))
    images = torch.from_numpy(np.ascontiguousarray(pre[rows], np.float32))[:, None].to(autoencoder.shift.device)
    latents = [autoencoder.encode(image[None]) for image in images]  # one at a time, so that no company changes it
    drawn = torch.cat([autoencoder.decode(entry) for entry in latents])
    head = images > _HEAD
    if not head.any():
        return {}
    error = (drawn - images).abs()[head].mean()
    values = torch.cat(latents).float().transpose(0, 1).flatten(1).cpu().numpy()
    features = {REBUILT: float(error)}
    for channel, row in enumerate(values):
        features |= {f"latent_{channel}_mean": float(row.mean()), f"latent_{channel}_sd": float(row.std())}
    return features
