"""Image metrics of the paper's Table 1, exactly defined.

With p the prediction and t the truth, both normalized slices clipped to [-1, 1] (data range L = 2), N pixels, and M the
pixels of the pre-treatment GTV:

- MSE = sum (p - t)^2 / N; MSE local = sum over M of (p - t)^2 / |M|
- PSNR = 10 log10(L^2 / MSE) in dB; PSNR local = 10 log10(L^2 / MSE local)
- SSIM map = (2 m_p m_t + c1) (2 s_pt + c2) / ((m_p^2 + m_t^2 + c1) (s_p^2 + s_t^2 + c2)) with means, variances and
  covariance under a Gaussian window of sigma 1.5 pixels, 11 x 11, c1 = (0.01 L)^2, c2 = (0.03 L)^2 (Wang et al. 2004,
  doi 10.1109/TIP.2003.819861); the slice is mirrored at its border. SSIM = mean of the map over the slice, SSIM local =
  its mean over M, so its window reaches outside the contour. torchmetrics 1.7 and later has the same SSIM
- LPIPS: :mod:`.lpips`, of p and t

Local metrics of a slice without GTV are NaN. The authors' definitions are in :mod:`.metrics_authors`.
"""

from collections.abc import Sequence

import numpy as np
import torch
from skimage.metrics import structural_similarity

from ...models.lpips import LPIPS
from ..statistics.bootstrap import group_means, known_mean, mean_interval

DATA_RANGE = 2.0
NAMES = ("psnr", "psnr_local", "ssim", "ssim_local", "lpips", "mse", "mse_local")
"""In the order of the paper's Table 1."""
HIGHER_IS_BETTER = ("psnr", "psnr_local", "ssim", "ssim_local")

_LPIPS_BATCH = 16
_WINDOW_RADIUS = 5


def standard_metrics(
    predicted: np.ndarray, truth: np.ndarray, gtv: np.ndarray, lpips: LPIPS | None = None
) -> list[dict[str, float]]:
    """Metrics of slices (n, H, W), in the order of :data:`NAMES`; without `lpips` there is no LPIPS."""
    rows = [slice_metrics(*triple) for triple in zip(predicted, truth, gtv, strict=True)]
    if lpips is not None:
        distances = lpips_distances(lpips, np.clip(predicted, -1.0, 1.0), np.clip(truth, -1.0, 1.0))
        rows = [{**row, "lpips": value} for row, value in zip(rows, distances, strict=True)]
    return [in_order(row) for row in rows]


def slice_metrics(predicted: np.ndarray, truth: np.ndarray, gtv: np.ndarray) -> dict[str, float]:
    """Compare two slices (H, W), without LPIPS.

    :param gtv: mask (H, W); an empty one makes the local metrics NaN.
    """
    predicted = np.clip(predicted, -1.0, 1.0).astype(np.float64)
    truth = np.clip(truth, -1.0, 1.0).astype(np.float64)
    inside = gtv.astype(bool)
    squared = (predicted - truth) ** 2
    similarity = ssim_map(predicted, truth, DATA_RANGE)
    mse, mse_local = float(squared.mean()), mean_inside(squared, inside)
    return {
        "psnr": psnr(mse),
        "ssim": float(similarity.mean()),
        "mse": mse,
        "psnr_local": psnr(mse_local),
        "ssim_local": mean_inside(similarity, inside),
        "mse_local": mse_local,
    }


def ssim_map(predicted: np.ndarray, truth: np.ndarray, data_range: float) -> np.ndarray:
    """SSIM at every pixel of two slices (H, W)."""
    mirrored = (np.pad(image, _WINDOW_RADIUS, mode="reflect") for image in (predicted, truth))
    _, padded_map = structural_similarity(
        *mirrored, data_range=data_range, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )
    return padded_map[_WINDOW_RADIUS:-_WINDOW_RADIUS, _WINDOW_RADIUS:-_WINDOW_RADIUS]


def mean_inside(values: np.ndarray, inside: np.ndarray) -> float:
    """Mean over a mask; NaN if it is empty."""
    return float(values[inside].mean()) if inside.any() else float("nan")


def psnr(mse: float) -> float:
    """Peak signal-to-noise ratio in dB for the data range 2."""
    return float("inf") if mse == 0 else float(10.0 * np.log10(DATA_RANGE**2 / mse))


@torch.inference_mode()
def lpips_distances(lpips: LPIPS, predicted: np.ndarray, truth: np.ndarray) -> list[float]:
    """LPIPS of slices (n, H, W) as they are."""
    device = lpips.shift.device
    distances: list[float] = []
    for start in range(0, len(predicted), _LPIPS_BATCH):
        pair = (
            torch.from_numpy(np.asarray(stack[start : start + _LPIPS_BATCH], np.float32))[:, None].to(device)
            for stack in (predicted, truth)
        )
        distances += lpips(*pair).tolist()
    return distances


def in_order(row: dict[str, float]) -> dict[str, float]:
    """The same metrics in the order of :data:`NAMES`."""
    return {name: row[name] for name in NAMES if name in row}


def per_patient_means(rows: Sequence[dict[str, float]], patients: np.ndarray) -> dict[str, np.ndarray]:
    """Mean over the slices of each patient, in the order of `np.unique(patients)`; NaN where no slice has a value."""
    patients = np.asarray(patients)
    return {name: group_means(np.array([row[name] for row in rows]), patients) for name in rows[0]}


def summarize(rows: Sequence[dict[str, float]], patients: np.ndarray) -> dict[str, dict[str, float]]:
    """Mean and SD over slices, and over patients with the 95 % patient-bootstrap interval of that mean.

    A patient's value is the mean over the patient's slices. NaN values count as absent; SDs are those of a sample
    (n - 1), NaN for a single value.
    """
    return {
        name: summarize_values(np.array([row[name] for row in rows]), per_patient)
        for name, per_patient in per_patient_means(rows, patients).items()
    }


def summarize_values(values: np.ndarray, per_patient: np.ndarray) -> dict[str, float]:
    """Mean and SD of one metric over slices (n,) and over patients (p,), as :func:`summarize` gives them."""
    interval = mean_interval(per_patient)
    return {
        "mean": known_mean(values),
        "sd": _sd(values),
        "patient_mean": known_mean(per_patient),
        "patient_sd": _sd(per_patient),
        "ci_low": interval.low,
        "ci_high": interval.high,
    }


def _sd(values: np.ndarray) -> float:
    values = values[~np.isnan(values)]
    # Infinite values, such as the PSNR of a perfect prediction, have no spread.
    return float(values.std(ddof=1)) if len(values) > 1 and np.isfinite(values).all() else float("nan")
