"""How long a simulated patient lives. The form is invented; its coefficients are calibrated to CFB-GBM.

What decides is the visible tumor at follow-up and its growth since the pre-treatment image, beside hidden biology and
age. The coefficients were chosen so that GTV, GTV ratio and age tell short from long survivors about as well as in
CFB-GBM (`reference.SHORT_SURVIVAL_AUC`; `report` puts both side by side).
"""

from __future__ import annotations

import numpy as np

from ...datasets.pair import DAYS_PER_WEEK
from .biology import Biology

TYPICAL_WEEKS = 55.0
NOISE_SD = 0.52
LONGEST_DAYS = 1700.0
_EXTENT = {"biopsy": -0.12, "partial": -0.02, "total": 0.08}


def draw_survival_days(
    generator: np.random.Generator,
    biology: Biology,
    *,
    extent: str,
    pre_tumor_ml: float,
    post_tumor_ml: float,
    interval_days: float,
) -> float:
    """Days from the pre-treatment image: log-normal noise on a linear predictor.

    A follow-up image exists, so the patient outlived the interval: shorter lives are drawn again.

    :param extent: of resection: `biopsy`, `partial` or `total`.
    :param pre_tumor_ml, post_tumor_ml: visible tumor in the two images.
    :param interval_days: between them.
    """
    post = np.log1p(post_tumor_ml)
    growth = post - np.log1p(pre_tumor_ml)
    expected = (
        np.log(TYPICAL_WEEKS * DAYS_PER_WEEK)
        - 0.18 * (growth - 0.8)
        - 0.03 * (post - 2.5)
        - 0.05 * biology.growth
        + 0.05 * biology.sensitivity
        + 0.10 * (biology.mgmt_methylated - 0.45)
        - 0.018 * (biology.age_years - 67)
        + _EXTENT[extent]
    )
    earliest = interval_days + DAYS_PER_WEEK
    for _ in range(50):
        days = float(np.exp(expected + NOISE_SD * generator.standard_normal()))
        if earliest <= days <= LONGEST_DAYS:
            return days
    return float(earliest + generator.uniform(0, 60))
