"""Random training items: what one step of each network sees.

Every slice is shown once per epoch, in an order that the seed and the epoch decide. All randomness of a training step
is part of its items, so that a step is the same however many devices share it.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from GBMResponseCore.model.classes import ClassScheme
from scipy import ndimage
from torch.utils.data import Dataset

from ..settings.networks import Classifier
from ..store.slice_store import SINGLE_IMAGES, SliceStore, as_float32
from .class_labels import true_class

Item = Callable[[np.random.Generator, int], Any]
"""Make item `index` of a training stream, drawing from its own random generator."""

NO_GAIN = (1.0, 1.0)


class Epochs:
    """Shuffled passes over `rows`: entry `index` of the endless list that they make.

    :param rows: what is shown (n,).
    """

    def __init__(self, rows: Sequence[int] | np.ndarray, seed: int) -> None:
        self._rows = np.asarray(rows)
        order = np.random.default_rng
        self._order = lru_cache(maxsize=2)(lambda epoch: order([seed, epoch]).permutation(len(self._rows)))

    def __len__(self) -> int:
        return len(self._rows)

    def __call__(self, index: int) -> int:
        epoch, place = divmod(index, len(self._rows))
        return int(self._rows[self._order(epoch)[place]])


class Fixed(Dataset):
    """Validation items: `make(row)` for each of `rows`, the same in every validation."""

    def __init__(self, make: Callable[[int], object], rows: Sequence[int] | np.ndarray) -> None:
        self._make = make
        self._rows = [int(row) for row in rows]

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> object:
        return self._make(self._rows[index])


def image_items(
    store: SliceStore,
    rows: np.ndarray,
    crop: int | None,
    seed: int,
    extra: Sequence[SliceStore] = (),
    extra_share: float = 0.0,
    gain: tuple[float, float] = NO_GAIN,
    blur: float = 0.0,
    noise: float = 0.0,
) -> Item:
    """Pre and post slices of `rows` with a random gain and left-right flip, as (1, side, side) tensors.

    :param crop: side of square crops; None takes whole slices.
    :param extra: stores all of whose slices are shown too, in `extra_share` of the items.
    :param gain: limits of the factor of the brightness above black.
    :param blur, noise: largest SD of blur, in pixels, and of noise, which half of the items get, each drawn evenly.
    """
    epochs = Epochs(images_of(store, rows), seed)
    others = [(other, row) for other in extra for row in images_of(other, np.arange(len(other)))]

    def make(rng: np.random.Generator, index: int) -> torch.Tensor:
        if others and rng.random() < extra_share:
            image = _image(*others[rng.integers(len(others))])
        else:
            image = _image(store, epochs(index))
        if crop is not None:
            # Crops of air teach nothing: try a few places and keep the brightest.
            places = [tuple(rng.integers(0, side - crop + 1) for side in image.shape) for _ in range(3)]
            row, column = max(places, key=lambda p: image[p[0] : p[0] + crop : 8, p[1] : p[1] + crop : 8].mean())
            image = image[row : row + crop, column : column + crop]
        patch = (as_float32(image) + 1.0) * rng.uniform(*gain) - 1.0
        if (blur or noise) and rng.random() < 0.5:
            patch = ndimage.gaussian_filter(patch, rng.uniform(0, blur))
            patch += rng.uniform(0, noise) * rng.standard_normal(patch.shape, dtype=np.float32)
        return _tensor(_maybe_flipped(patch, rng))[None]

    return make


def image_validation(store: SliceStore, rows: np.ndarray) -> Fixed:
    """Whole pre and post slices of `rows`."""
    return Fixed(lambda row: _tensor(as_float32(_image(store, row)))[None], images_of(store, rows))


def images_of(store: SliceStore, rows: np.ndarray) -> np.ndarray:
    """Pre and post slices of `rows`, as :func:`_image` counts them; images without a follow-up once."""
    single = [number for number, record in enumerate(store.patients) if record.get(SINGLE_IMAGES)]
    paired = rows[~np.isin(np.asarray(store.patient)[rows], single)]
    return np.concatenate([rows, paired + len(store)])


def gtv_items(store: SliceStore, rows: np.ndarray, crop: int | None, seed: int) -> Item:
    """GTV masks of `rows`, left-right flipped at random, as (1, side, side) float tensors of 0 and 1."""
    epochs = Epochs(rows, seed)

    def make(rng: np.random.Generator, index: int) -> torch.Tensor:
        mask = store.gtv[epochs(index)]
        if crop is not None:
            inside = np.argwhere(mask)
            center = inside[rng.integers(len(inside))] if len(inside) else np.array(mask.shape) // 2
            corner = center - rng.integers(0, crop, size=2)
            row, column = (int(np.clip(c, 0, side - crop)) for c, side in zip(corner, mask.shape, strict=True))
            mask = mask[row : row + crop, column : column + crop]
        return _tensor(_maybe_flipped(mask, rng).astype(np.float32))[None]

    return make


def gtv_validation(store: SliceStore, rows: np.ndarray) -> Fixed:
    """Whole GTV masks of `rows`."""
    return Fixed(lambda row: _tensor(store.gtv[row].astype(np.float32))[None], rows)


def classifier_items(store: SliceStore, rows: np.ndarray, scheme: ClassScheme, settings: Classifier, seed: int) -> Item:
    """Whole slices with GTV, average-pooled: `inputs` (1 or 2, H / pooling, W / pooling), `label` class index."""
    epochs = Epochs(rows, seed)

    def make(rng: np.random.Generator, index: int) -> dict[str, torch.Tensor]:
        row = epochs(index)
        pair = _pair(store, row)
        pair[0] = (pair[0] + 1.0) * rng.uniform(*settings.gain) - 1.0
        return _classifier_item(_maybe_flipped(pair, rng), store, row, scheme, settings)

    return make


def classifier_validation(store: SliceStore, rows: np.ndarray, scheme: ClassScheme, settings: Classifier) -> Fixed:
    """Whole slices of `rows` as they are."""
    return Fixed(lambda row: _classifier_item(_pair(store, row), store, row, scheme, settings), rows)


def _image(store: SliceStore, row: int) -> np.ndarray:
    """Slice `row` of pre, or of post from row `len(store)` on."""
    return store.pre[row] if row < len(store) else store.post[row - len(store)]


def _pair(store: SliceStore, row: int) -> np.ndarray:
    return np.stack([as_float32(store.pre[row]), as_float32(store.gtv[row])])


def _classifier_item(
    pair: np.ndarray, store: SliceStore, row: int, scheme: ClassScheme, settings: Classifier
) -> dict[str, torch.Tensor]:
    label = true_class(store.patients[store.patient[row]], scheme)
    inputs = torch.nn.functional.avg_pool2d(_tensor(pair[: settings.input_channels]), settings.pooling)
    return {"inputs": inputs, "label": torch.tensor(label)}


def _maybe_flipped(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    # The last axis runs from patient right to left in every stack, whatever the input's orientation was.
    return array[..., ::-1] if rng.random() < 0.5 else array


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
