"""Metrics on images whose values are known."""

import numpy as np
import pytest
import torch
from torchmetrics.functional.image import structural_similarity_index_measure

from GBMResponseTraining.evaluation.metrics.image import NAMES, psnr, slice_metrics, standard_metrics, summarize

IMAGE = np.random.default_rng(0).uniform(-1, 1, (64, 64))
GTV = np.zeros((64, 64), bool)
GTV[20:30, 20:30] = True


def test_an_identical_image_is_perfect():
    metrics = slice_metrics(IMAGE, IMAGE, GTV)
    assert (metrics["mse"], metrics["ssim"], metrics["psnr"]) == (0.0, 1.0, float("inf"))


def test_mse_and_psnr_use_the_range_of_two():
    metrics = slice_metrics(np.full((64, 64), 0.1), np.zeros((64, 64)), GTV)
    assert metrics["mse"] == pytest.approx(0.01)
    assert metrics["psnr"] == pytest.approx(10 * np.log10(4 / 0.01))


def test_local_metrics_see_only_the_gtv():
    changed = np.where(GTV, 0.5, 0.0)
    metrics = slice_metrics(changed, np.zeros((64, 64)), GTV)
    assert metrics["mse_local"] == pytest.approx(0.25)
    assert metrics["mse"] == pytest.approx(0.25 * GTV.mean())


def test_values_beyond_the_range_are_clipped():
    assert slice_metrics(np.full((64, 64), 3.0), np.ones((64, 64)), GTV)["mse"] == 0.0


def test_an_empty_gtv_has_no_local_metrics():
    assert np.isnan(slice_metrics(IMAGE, IMAGE, np.zeros((64, 64)))["mse_local"])


def test_psnr_of_the_largest_error_is_zero():
    assert psnr(4.0) == 0.0


def test_the_interval_is_over_patients_not_slices():
    rows = [{"mse": value} for value in (0.0,) * 50 + (1.0,)]
    summary = summarize(rows, np.array([0] * 50 + [1]))["mse"]
    assert summary["mean"] == pytest.approx(1 / 51)
    assert summary["patient_mean"] == pytest.approx(0.5)
    assert summary["ci_low"] <= 0.5 <= summary["ci_high"]


def test_a_mean_over_slices_and_one_over_patients_have_their_own_sd():
    summary = summarize([{"mse": value} for value in (0.0, 2.0, 5.0)], np.array([0, 0, 1]))["mse"]
    assert summary["sd"] == pytest.approx(np.std([0, 2, 5], ddof=1))
    assert summary["patient_sd"] == pytest.approx(np.std([1, 5], ddof=1))


def test_slices_without_gtv_do_not_count():
    summary = summarize([{"mse_local": value} for value in (1.0, float("nan"), 3.0)], np.array([0, 0, 1]))["mse_local"]
    assert (summary["mean"], summary["patient_mean"]) == (2.0, 2.0)


def test_ssim_is_that_of_torchmetrics():
    predicted = np.clip(IMAGE + np.random.default_rng(1).normal(scale=0.2, size=IMAGE.shape), -1, 1)
    tensors = (torch.from_numpy(image)[None, None] for image in (predicted, IMAGE))
    expected = structural_similarity_index_measure(*tensors, data_range=2.0)
    assert slice_metrics(predicted, IMAGE, GTV)["ssim"] == pytest.approx(float(expected), abs=1e-6)


def test_lpips_is_left_out_without_its_network():
    assert list(standard_metrics(IMAGE[None], IMAGE[None], GTV[None])[0]) == [n for n in NAMES if n != "lpips"]
