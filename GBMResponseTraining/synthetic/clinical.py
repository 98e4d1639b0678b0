"""Table values of a simulated patient that no picture depends on. Frequencies follow CFB-GBM's tables."""

import numpy as np

PERFORMANCE_STATUS_SHARES = (0.17, 0.50, 0.27, 0.06)
ELDERLY_YEARS = 70


def draw_clinical(generator: np.random.Generator, age_years: float) -> dict:
    """Sex, build, performance status, radiotherapy scheme and scanner units, ready for JSON."""
    male = bool(generator.random() < 0.6)
    height = generator.normal(175 if male else 162, 7)
    elderly = age_years >= ELDERLY_YEARS
    short_scheme = bool(generator.random() < (0.62 if elderly else 0.12))
    return {
        "gender": "M" if male else "F",
        "height_cm": round(float(height)),
        "weight_kg": round(float(np.clip(generator.normal(25.5, 4), 17, 42) * (height / 100) ** 2)),
        "performance_status": int(generator.choice(4, p=PERFORMANCE_STATUS_SHARES)),
        "who_guideline": int(generator.choice((2016, 2021))),
        "t0_to_radiotherapy_weeks": int(generator.choice(5, p=(0.2, 0.4, 0.25, 0.1, 0.05))),
        "dose_gy": 40.05 if short_scheme else 60.0,
        "fractions": 15 if short_scheme else 30,
        "white_matter_level": [round(float(level), 1) for level in 400 * np.exp(generator.normal(0, 0.45, 2))],
    }


def draw_observation(
    generator: np.random.Generator, interval_days: float, survival_days: float, censored_share: float
) -> dict:
    """What is seen of the survival: all of it, or at random only a part of what follows the second image."""
    censored = bool(generator.random() < censored_share)
    seen = interval_days + generator.random() * (survival_days - interval_days)
    return {"censored": censored, "observed_days": round(float(seen if censored else survival_days), 1)}
