"""SHA-256 of what networks are made of and from, 64 hexadecimal digits each."""

import hashlib
import json
from typing import Any

import numpy as np
import torch

from ..store.slice_store import SliceStore

_SLICES = 64


def weights_sha256(network: torch.nn.Module) -> str:
    """Of all weights and buffers of a network."""
    return _sha256(network.state_dict())


def _sha256(state: dict[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(state):
        digest.update(name.encode())
        digest.update(state[name].cpu().numpy().tobytes())
    return digest.hexdigest()


def latents_sha256(autoencoder: torch.nn.Module) -> str:
    """Of all that the latents of an autoencoder depend on: not of its decoder."""
    state, decoder = autoencoder.state_dict(), ("decoder.", "post_quant_conv.")
    return _sha256(
        {name: value for name, value in state.items() if not name.removeprefix("model.").startswith(decoder)}
    )


def store_sha256(store: SliceStore) -> str:
    """Of the records of a slice store, and of slices evenly spread over it: to read all of them takes too long."""
    digest = hashlib.sha256(json.dumps(store.patients, sort_keys=True).encode())
    digest.update(np.asarray(store.patient).tobytes())
    rows = np.linspace(0, len(store) - 1, min(_SLICES, len(store))).astype(int)
    for array in (store.pre, store.post, store.gtv):
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array[rows]).tobytes())
    return digest.hexdigest()


def content_sha256(content: Any) -> str:
    """Of JSON values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
