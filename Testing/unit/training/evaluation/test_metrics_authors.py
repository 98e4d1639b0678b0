"""The authors' definitions against torchmetrics, which their code calls."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

from GBMResponseTraining.evaluation.metrics.authors import BATCH, authors_metrics
from GBMResponseTraining.evaluation.metrics.image import standard_metrics
from GBMResponseTraining.models.lpips import LPIPS

GTV = np.zeros((64, 64), bool)
GTV[20:30, 22:40] = True


def batch(count=4):
    """Predictions that leave [-1, 1], their truths and masks."""
    rng = np.random.default_rng(0)
    truth = rng.uniform(-1, 1, (count, 64, 64)).astype(np.float32)
    predicted = 1.3 * truth + rng.normal(scale=0.2, size=truth.shape).astype(np.float32)
    return predicted, truth, np.repeat(GTV[None], count, axis=0)


def tensors(*stacks):
    return [torch.from_numpy(stack)[:, None].double() for stack in stacks]


def column(rows, name):
    return [row[name] for row in rows]


def test_psnr_is_torchmetrics_with_the_range_minus_one_to_one():
    predicted, truth, gtv = batch()
    expected = peak_signal_noise_ratio(
        *tensors(predicted, truth), data_range=(-1, 1), reduction="none", dim=(1, 2, 3)
    ).tolist()
    assert column(authors_metrics(predicted, truth, gtv), "psnr") == pytest.approx(expected)


def test_ssim_is_torchmetrics_with_the_range_of_the_batch():
    predicted, truth, gtv = batch()
    expected = structural_similarity_index_measure(*tensors(predicted, truth), reduction="none").tolist()
    assert column(authors_metrics(predicted, truth, gtv), "ssim") == pytest.approx(expected, abs=1e-6)


def test_local_ssim_is_the_map_of_torchmetrics_over_the_gtv():
    predicted, truth, gtv = batch()
    _, maps = structural_similarity_index_measure(*tensors(predicted, truth), reduction="none", return_full_image=True)
    expected = [float(image[0][torch.from_numpy(GTV)].mean()) for image in maps]
    assert column(authors_metrics(predicted, truth, gtv), "ssim_local") == pytest.approx(expected, abs=1e-6)


def test_mse_takes_the_prediction_unclipped():
    _, truth, gtv = batch(1)
    (row,) = authors_metrics(truth + 2.0, truth, gtv)
    assert (row["mse"], row["mse_local"], row["psnr_local"]) == pytest.approx((4.0, 4.0, 0.0), abs=1e-6)


def test_the_ssim_of_a_slice_depends_on_its_batch():
    predicted, truth, gtv = batch(2)
    alone = authors_metrics(predicted[:1], truth[:1], gtv[:1])[0]["ssim"]
    predicted[1] *= 3
    assert authors_metrics(predicted, truth, gtv)[0]["ssim"] != pytest.approx(alone)


def test_a_batch_has_thirty_slices():
    predicted, truth, gtv = batch(BATCH + 1)
    last = authors_metrics(predicted, truth, gtv)[-1]
    assert last == authors_metrics(predicted[-1:], truth[-1:], gtv[-1:])[0]


def test_lpips_divides_the_prediction_by_its_largest_value():
    torch.manual_seed(0)
    lpips = LPIPS()
    predicted, truth, gtv = batch(1)
    largest = np.abs(predicted).max()
    assert largest > 1
    scaled = authors_metrics(predicted / largest, truth, gtv, lpips)[0]["lpips"]
    assert authors_metrics(predicted, truth, gtv, lpips)[0]["lpips"] == pytest.approx(scaled)
    assert standard_metrics(predicted, truth, gtv, lpips)[0]["lpips"] != pytest.approx(scaled)


def test_both_definitions_agree_inside_the_range():
    _, truth, gtv = batch(1)
    truth[0, 0, :2] = (-1, 1)
    predicted = 0.9 * truth
    assert authors_metrics(predicted, truth, gtv)[0] == pytest.approx(standard_metrics(predicted, truth, gtv)[0])


def test_an_empty_gtv_has_no_local_metrics():
    predicted, truth, gtv = batch(1)
    assert np.isnan(authors_metrics(predicted, truth, ~gtv & False)[0]["ssim_local"])
