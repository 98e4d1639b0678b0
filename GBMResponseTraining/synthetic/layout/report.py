"""The simulated cohort's distributions beside those of CFB-GBM that it is calibrated to: calibration.md and .png."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from GBMResponseCore.files import write_bytes, write_text
from scipy.stats import rankdata

from ...datasets.pair import DAYS_PER_WEEK
from ..reference import (
    AGE_YEARS,
    GTV_T0_ML,
    GTV_T1_ML,
    INTERVAL_WEEKS,
    LOG_RATIO_SD,
    LOG_RATIO_VOLUME_CORRELATION,
    LOG_SURVIVAL_SD,
    RESPONSE_SHARES,
    SHARES,
    SHORT_SURVIVAL_AUC,
    SOURCE,
    SURVIVAL_WEEKS,
    VOLUME_RATIO,
    Reference,
)
from .cfb_gbm_layout import STATEMENT, response

SMALLEST_ML = 0.01


def cohort_values(records: Sequence[dict]) -> dict[str, np.ndarray]:
    """Columns of the hidden values, with the volume ratio and times in weeks."""
    values = {
        name: np.array([record[name] for record in records], float)
        for name in ("gtv_t0_ml", "gtv_t1_ml", "post_tumor_ml", "age_years")
    }
    values["volume_ratio"] = values["gtv_t1_ml"] / values["gtv_t0_ml"]
    for name in ("interval", "survival"):
        values[f"{name}_weeks"] = np.array([record[f"{name}_days"] for record in records], float) / DAYS_PER_WEEK
    return values


def distributions(values: dict[str, np.ndarray]) -> list[tuple[Reference, np.ndarray]]:
    """Every quantity that is calibrated, with its simulated values."""
    return [
        (GTV_T0_ML, values["gtv_t0_ml"]),
        (GTV_T1_ML, values["gtv_t1_ml"]),
        (VOLUME_RATIO, values["volume_ratio"]),
        (INTERVAL_WEEKS, values["interval_weeks"]),
        (SURVIVAL_WEEKS, values["survival_weeks"]),
        (AGE_YEARS, values["age_years"]),
    ]


def calibration_table(records: Sequence[dict]) -> str:
    """Both distributions side by side, as Markdown."""
    values = cohort_values(records)
    lines = [
        "# Calibration of the simulated cohort",
        "",
        f"{STATEMENT}.",
        "",
        f"Simulated: {len(records)} patients. Reference: {SOURCE}. The simulation is calibrated to these marginal",
        "statistics only; agreement here does not make the pictures or their link to survival real.",
        "",
        "| quantity | | 5 % | 25 % | 50 % | 75 % | 95 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for reference, simulated in distributions(values):
        quantiles = np.quantile(simulated, SHARES[1:-1])
        lines.append(f"| {reference.label} | simulated | {' | '.join(f'{value:.3g}' for value in quantiles)} |")
        lines.append(f"| | reference | {' | '.join(f'{value:.3g}' for value in reference.values[1:-1])} |")
    lines += ["", "| statistic | simulated | reference |", "|---|---|---|"]
    lines += [f"| {name} | {simulated:.2f} | {reference:.2f} |" for name, simulated, reference in _statistics(values)]
    return "\n".join(lines) + "\n"


def write_calibration(records: Sequence[dict], folder: Path) -> str:
    """Write `calibration.md` and `calibration.png`; returns the text.

    :raises OutputFolderError: if they cannot be written.
    """
    text = calibration_table(records)
    write_text(text, folder / "calibration.md")
    _draw(cohort_values(records), folder / "calibration.png")
    return text


def short_survival_auc(value: np.ndarray, survival: np.ndarray) -> float:
    """Probability that a patient who lives less than the median has the higher value; nan without both kinds."""
    short = survival < np.median(survival)
    count = int(short.sum())
    if count in (0, short.size):
        return float("nan")
    return float((rankdata(value)[short].sum() - count * (count + 1) / 2) / (count * (short.size - count)))


def _statistics(values: dict[str, np.ndarray]) -> list[tuple[str, float, float]]:
    ratio = values["volume_ratio"]
    log_ratio = np.log(np.maximum(ratio, SMALLEST_ML))
    log_volume = np.log(np.maximum(values["gtv_t0_ml"], SMALLEST_ML))
    categories = [response(1 - value).split("(")[1][:2] for value in ratio]
    correlation = float(np.corrcoef(log_volume, log_ratio)[0, 1]) if len(ratio) > 1 else float("nan")
    rows = [(f"share {name}", categories.count(name) / len(ratio), share) for name, share in RESPONSE_SHARES.items()]
    rows += [
        ("SD of ln(t1 / t0)", float(log_ratio.std()), LOG_RATIO_SD),
        ("correlation of ln(t1 / t0) with ln(t0)", correlation, LOG_RATIO_VOLUME_CORRELATION),
        ("SD of ln(survival)", float(np.log(values["survival_weeks"]).std()), LOG_SURVIVAL_SD),
    ]
    for name, reference in SHORT_SURVIVAL_AUC.items():
        rows.append(
            (
                f"AUC of {name}, short against long",
                short_survival_auc(values[name], values["survival_weeks"]),
                reference,
            )
        )
    return rows


def _draw(values: dict[str, np.ndarray], path: Path) -> None:
    """Cumulative distributions: the simulated cohort as a curve, the reference as points."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6.5), layout="constrained")
    figure.suptitle(f"Simulated cohort (synthetic) and {SOURCE}")
    for axes, (reference, simulated) in zip(figure.subplots(2, 3).flat, distributions(values), strict=True):
        axes.hist(simulated, bins=30, color="0.8")
        axes.set_xlabel(reference.label)
        axes.set_ylabel("simulated patients")
        share = axes.twinx()
        share.plot(np.sort(simulated), (np.arange(simulated.size) + 0.5) / simulated.size, label="simulated")
        share.plot(reference.values[1:-1], SHARES[1:-1], "o", label="CFB-GBM")
        share.set_ylim(0, 1)
        share.legend(loc="lower right")
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=100)
    write_bytes(buffer.getvalue(), path)
