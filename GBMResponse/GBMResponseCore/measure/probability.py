"""How likely a voxel enhances: of the samples in which it does, and of what enhances already.

A few samples know no more of one voxel than a few coin tosses, and their tissue may lie a few millimeters beside the
true one. So the share of the samples is smoothed in its slice, a neighborhood probability (Schwartz and Sobash,
doi 10.1175/MWR-D-16-0400.1), and averaged with the smoothed mask of what enhances before treatment, the best forecast
without a model (a linear opinion pool: Stone, doi 10.1214/aoms/1177704873).
"""

from dataclasses import dataclass

import numpy as np

from .enhancement import smoothed


@dataclass(frozen=True)
class ProbabilityRule:
    """Settings, fitted on a bundle's validation patients; as they are by default, the share of the samples.

    :param weight: of the samples, 0 to 1; the rest is that of the mask before.
    :param smoothing_mm, before_mm: standard deviation of the Gaussian over the share, and over the mask before.
    :raises ValueError: one cannot be.
    """

    weight: float = 1.0
    smoothing_mm: float = 0.0
    before_mm: float = 0.0

    def __post_init__(self) -> None:
        if not (0.0 <= self.weight <= 1.0 and self.smoothing_mm >= 0.0 and self.before_mm >= 0.0):
            raise ValueError(f"no probability can be made by {self}")

    def __str__(self) -> str:
        share, rest = f"{self.weight:g} x share of the samples", 1.0 - self.weight
        mask = f"{rest:g} x mask of what enhances before, smoothed by {self.before_mm:g} mm"
        return f"{share}, smoothed by {self.smoothing_mm:g} mm, + {mask}"

    def of(
        self, share: np.ndarray, before: np.ndarray, region: np.ndarray, spacing_mm: tuple[float, float, float]
    ) -> np.ndarray:
        """Probability that each voxel enhances, float32; 0 where enhancement is not looked for.

        :param share: of the samples in which a voxel enhances (n, H, W).
        :param before: what enhances before, bool (n, H, W).
        :param region: where it is looked for, bool (n, H, W); what the user has outlined elsewhere counts, too.
        :param spacing_mm: (slice, row, column).
        """
        where = region | before | (share > 0)
        chance = np.zeros(share.shape, np.float32)
        for weight, mask, sigma in (
            (self.weight, share, self.smoothing_mm),
            (1.0 - self.weight, before, self.before_mm),
        ):
            if weight:
                pixels = (0.0, sigma / spacing_mm[1], sigma / spacing_mm[2])
                chance[where] += weight * smoothed(mask.astype(np.float32), where, pixels)
        return chance
