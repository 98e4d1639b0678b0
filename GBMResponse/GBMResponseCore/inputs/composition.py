"""Where a prediction shows, and where the input stays: w input + (1 - w) prediction, w rising with the distance.

The model changes noise, gain and the place of the skull everywhere (it has learned them from its training pairs), but
knows something about the surroundings of the GTV only. The paper shows the whole slice.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage


@dataclass(frozen=True)
class Composition:
    """Distances from the GTV in the plane of a slice, in the model's pixels.

    :param inner: up to here the prediction alone shows.
    :param outer: from here on the input alone.
    :raises ValueError: they are not in order.
    """

    inner: float = 8.0
    outer: float = 24.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.inner < self.outer:
            raise ValueError(f"a prediction cannot fade out from {self.inner} to {self.outer} pixels")

    def shares(self, gtv: np.ndarray) -> np.ndarray:
        """Share of the prediction, 1 - w, in each pixel of slices (n, H, W), float32; 0 in a slice without GTV."""
        shares = np.zeros(gtv.shape, np.float32)
        for share, mask in zip(shares, gtv, strict=True):
            if mask.any():
                distance = ndimage.distance_transform_edt(~mask)
                share[:] = np.clip((self.outer - distance) / (self.outer - self.inner), 0.0, 1.0)
        return shares
