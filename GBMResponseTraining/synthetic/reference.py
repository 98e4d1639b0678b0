"""What the simulation is calibrated to: marginal statistics of CFB-GBM, computed from its published tables.

CFB-GBM, The Cancer Imaging Archive, doi 10.7937/v9pn-2f72 (clinical data and RANO criteria v03 of 2026-06-19, MRI
availability v02 of 2026-01-29). Pairs are the 163 patients with T1-Gd at t0 and t1 and a GTV at t0 (volumes: the 160
of them with both GTVs). No patient's value is stored here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHARES = (0.0, 0.05, 0.25, 0.50, 0.75, 0.95, 1.0)
SOURCE = "CFB-GBM, 163 pairs, doi 10.7937/v9pn-2f72"


@dataclass(frozen=True)
class Reference:
    """Distribution of one quantity: its values at `SHARES`."""

    label: str
    values: tuple[float, float, float, float, float, float, float]

    def at(self, share: float | np.ndarray) -> float | np.ndarray:
        """Value that this share of the cohort does not exceed; linear in the logarithm between known shares."""
        return np.exp(np.interp(share, SHARES, np.log(np.maximum(self.values, 1e-3))))


GTV_T0_ML = Reference("GTV at t0, ml", (0.8, 5.3, 20.4, 34.7, 63.0, 96.3, 181.0))
GTV_T1_ML = Reference("GTV at t1, ml", (0.0, 4.9, 14.7, 33.0, 54.3, 104.5, 183.0))
VOLUME_RATIO = Reference("GTV t1 / t0", (0.0, 0.24, 0.59, 0.87, 1.36, 2.56, 7.2))
INTERVAL_WEEKS = Reference("t0 to t1, weeks", (5.0, 8.0, 12.0, 14.0, 20.0, 28.0, 35.0))
SURVIVAL_WEEKS = Reference("survival from t0, weeks", (9.0, 16.1, 35.0, 56.0, 77.5, 138.8, 238.0))
AGE_YEARS = Reference("age at t0, years", (30.0, 50.0, 60.0, 70.0, 75.0, 80.0, 90.0))

RESPONSE_SHARES = {"CR": 0.006, "PR": 0.10, "MR": 0.15, "SD": 0.506, "PD": 0.238}
LOG_RATIO_SD = 0.75
LOG_RATIO_VOLUME_CORRELATION = -0.28
LOG_SURVIVAL_SD = 0.67
SHORT_SURVIVAL_AUC = {"gtv_t0_ml": 0.51, "gtv_t1_ml": 0.62, "volume_ratio": 0.63, "age_years": 0.62}
"""How well a value tells the patients who live less than the median from the others."""
