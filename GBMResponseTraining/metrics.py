"""Image metrics of the paper's Table 1, exactly defined.

All images are normalised slices clipped to [-1, 1], so the data range is 2. `local` metrics use the pixels of the
pre-treatment GTV. SSIM has a Gaussian window of sigma 1.5 (Wang et al. 2004, doi 10.1109/TIP.2003.819861); the local
SSIM is the mean of the SSIM map over the GTV, so its window reaches outside the contour.
"""

import numpy as np
from skimage.metrics import structural_similarity

DATA_RANGE = 2.0
NAMES = ("psnr", "ssim", "mse", "psnr_local", "ssim_local", "mse_local")


def slice_metrics(predicted: np.ndarray, truth: np.ndarray, gtv: np.ndarray) -> dict[str, float]:
    """Compare two slices (H, W).

    :param gtv: mask (H, W); an empty one makes the local metrics NaN.
    """
    predicted = np.clip(predicted, -1.0, 1.0).astype(np.float64)
    truth = np.clip(truth, -1.0, 1.0).astype(np.float64)
    inside = gtv.astype(bool)
    squared = (predicted - truth) ** 2
    ssim, ssim_map = structural_similarity(
        predicted,
        truth,
        data_range=DATA_RANGE,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        full=True,
    )
    mse = float(squared.mean())
    mse_local = float(squared[inside].mean()) if inside.any() else float("nan")
    return {
        "psnr": psnr(mse),
        "ssim": float(ssim),
        "mse": mse,
        "psnr_local": psnr(mse_local),
        "ssim_local": float(ssim_map[inside].mean()) if inside.any() else float("nan"),
        "mse_local": mse_local,
    }


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB for the data range 2."""
    return float("inf") if mse == 0 else float(10.0 * np.log10(DATA_RANGE**2 / mse))


def summarise(rows: list[dict[str, float]], patients: np.ndarray) -> dict[str, dict[str, float]]:
    """Mean and SD over slices, and the mean of patient means with its 95 % patient-bootstrap interval."""
    patients = np.asarray(patients)
    groups = [np.flatnonzero(patients == patient) for patient in np.unique(patients)]
    rng = np.random.default_rng(0)
    summary = {}
    for name in rows[0]:
        values = np.array([row[name] for row in rows])
        per_patient = np.array([np.nanmean(values[group]) for group in groups])
        draws = rng.choice(per_patient, size=(2000, len(per_patient))).mean(axis=1)
        summary[name] = {
            "mean": float(np.nanmean(values)),
            "sd": float(np.nanstd(values)),
            "patient_mean": float(per_patient.mean()),
            "ci_low": float(np.quantile(draws, 0.025)),
            "ci_high": float(np.quantile(draws, 0.975)),
        }
    return summary
