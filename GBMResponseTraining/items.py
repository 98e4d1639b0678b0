"""Random training items: what one step of each network sees."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from GBMResponseCore.survival import ClassScheme

from .slice_store import SliceStore

Item = Callable[[np.random.Generator], object]


def image_crops(sources: Sequence[np.ndarray], shares: Sequence[float], crop: int) -> Item:
    """Square crops of normalised slices with a random gain and left-right flip, as (1, crop, crop) tensors.

    :param sources: arrays (n, H, W); source i is drawn with probability shares[i].
    """

    def make(rng: np.random.Generator) -> torch.Tensor:
        slices = sources[rng.choice(len(sources), p=shares)]
        image = slices[rng.integers(len(slices))]
        # Crops of air teach nothing: try a few places and keep the brightest.
        places = [tuple(rng.integers(0, side - crop + 1) for side in image.shape) for _ in range(3)]
        row, column = max(places, key=lambda p: image[p[0] : p[0] + crop : 8, p[1] : p[1] + crop : 8].mean())
        patch = image[row : row + crop, column : column + crop].astype(np.float32)
        patch = (patch + 1.0) * rng.uniform(0.85, 1.1) - 1.0
        return _tensor(_maybe_flipped(patch, rng))[None]

    return make


def gtv_crops(gtv: np.ndarray, crop: int) -> Item:
    """Square crops of GTV masks (n, H, W) around the contour, as (1, crop, crop) float tensors of 0 and 1."""

    def make(rng: np.random.Generator) -> torch.Tensor:
        mask = gtv[rng.integers(len(gtv))]
        inside = np.argwhere(mask)
        center = inside[rng.integers(len(inside))] if len(inside) else np.array(mask.shape) // 2
        corner = center - rng.integers(0, crop, size=2)
        row, column = (int(np.clip(c, 0, side - crop)) for c, side in zip(corner, mask.shape, strict=True))
        return _tensor(_maybe_flipped(mask[row : row + crop, column : column + crop], rng).astype(np.float32))[None]

    return make


def classifier_items(store: SliceStore, scheme: ClassScheme, pooling: int, left_out: np.ndarray) -> Item:
    """Whole slices with GTV, average-pooled: `inputs` (2, H / pooling, W / pooling), `label` class index.

    :param left_out: bool (n,), slices never shown.
    """
    usable = np.flatnonzero(~left_out)
    labels = np.array([scheme.classes.index(scheme.of_survival(days)) for days in store.survival_days])

    def make(rng: np.random.Generator) -> dict[str, torch.Tensor]:
        index = int(rng.choice(usable))
        pair = np.stack([store.pre[index], store.gtv[index]]).astype(np.float32)
        pair[0] = (pair[0] + 1.0) * rng.uniform(0.9, 1.1) - 1.0
        inputs = torch.nn.functional.avg_pool2d(_tensor(_maybe_flipped(pair, rng)), pooling)
        return {"inputs": inputs, "label": torch.tensor(labels[index])}

    return make


def latent_items(
    latents: dict[str, np.ndarray], gtv: np.ndarray, tokens: np.ndarray, change_scale: np.ndarray | None = None
) -> Item:
    """Items of the diffusion model.

    :param latents: `pre`, `gtv`, `post`, each (n, C, h, w).
    :param gtv: masks at latent resolution (n, h, w) in [0, 1].
    :param tokens: class tokens (n, schemes); one scheme is drawn per item.
    :param change_scale: per channel (C,): the target is (post - pre) times this; None: post itself, as in the paper.
    """

    def make(rng: np.random.Generator) -> dict[str, torch.Tensor]:
        index = int(rng.integers(len(tokens)))
        sources = np.concatenate([latents["pre"][index], latents["gtv"][index]]).astype(np.float32)
        target = latents["post"][index].astype(np.float32)
        if change_scale is not None:
            target = (target - latents["pre"][index].astype(np.float32)) * change_scale[:, None, None]
        return {
            "sources": _tensor(sources),
            "target": _tensor(target.astype(np.float32)),
            "gtv": _tensor(gtv[index].astype(np.float32))[None],
            "token": torch.tensor(int(rng.choice(tokens[index]))),
        }

    return make


def _maybe_flipped(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # The last axis runs from patient right to left in every stack, whatever the input's orientation was.
    return array[..., ::-1] if rng.random() < 0.5 else array


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
