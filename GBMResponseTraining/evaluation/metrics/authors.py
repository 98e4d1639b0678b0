"""The metrics as the authors' released test code computes them, for figures that are to be held against the paper's.

They differ from :mod:`.metrics` in this:

- MSE, MSE local and PSNR local take the prediction unclipped; PSNR clips prediction and truth to [-1, 1];
- the SSIM's data range is the largest range, maximum - minimum, of all predictions or all truths of a *batch* of 30
  slices, so that a slice's SSIM depends on the slices it is computed with; its map is unclipped too;
- LPIPS divides a prediction by its largest absolute value, if that is above 1, and leaves the truth as it is.

Local metrics use the pre-treatment GTV in both. Not reproduced, because they are errors of the procedure and not
definitions: random flips in the test, and raw instead of averaged weights.
"""

import numpy as np

from ...models.lpips import LPIPS
from .image import in_order, lpips_distances, mean_inside, psnr, ssim_map

BATCH = 30


def authors_metrics(
    predicted: np.ndarray, truth: np.ndarray, gtv: np.ndarray, lpips: LPIPS | None = None
) -> list[dict[str, float]]:
    """Metrics of slices (n, H, W); batches of 30 are taken in their order. Without `lpips` there is no LPIPS."""
    rows: list[dict[str, float]] = []
    for start in range(0, len(predicted), BATCH):
        batch = slice(start, start + BATCH)
        rows += _batch_metrics(predicted[batch].astype(np.float64), truth[batch].astype(np.float64), gtv[batch])
    if lpips is not None:
        largest = np.maximum(np.abs(predicted).max(axis=(1, 2), keepdims=True), 1.0)
        distances = lpips_distances(lpips, predicted / largest, truth)
        rows = [{**row, "lpips": value} for row, value in zip(rows, distances, strict=True)]
    return [in_order(row) for row in rows]


def _batch_metrics(predicted: np.ndarray, truth: np.ndarray, gtv: np.ndarray) -> list[dict[str, float]]:
    data_range = max(float(np.ptp(predicted)), float(np.ptp(truth)))
    rows = []
    for image, target, mask in zip(predicted, truth, gtv, strict=True):
        inside = mask.astype(bool)
        squared = (image - target) ** 2
        clipped = (np.clip(image, -1.0, 1.0) - np.clip(target, -1.0, 1.0)) ** 2
        similarity = ssim_map(image, target, data_range)
        mse_local = mean_inside(squared, inside)
        rows.append(
            {
                "psnr": psnr(float(clipped.mean())),
                "psnr_local": psnr(mse_local),
                "ssim": float(similarity.mean()),
                "ssim_local": mean_inside(similarity, inside),
                "mse": float(squared.mean()),
                "mse_local": mse_local,
            }
        )
    return rows
