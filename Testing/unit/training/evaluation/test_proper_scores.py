"""Proper scores on ensembles whose scores are known."""

import numpy as np
import pytest
from scipy import ndimage

from GBMResponseTraining.evaluation.metrics.proper import (
    average_precision,
    brier_score,
    energy_score,
    fair_crps,
    gaussian_crps,
    log_score,
    roc_auc,
)

# Of scoringrules 0.10.0: crps_ensemble and es_ensemble with estimator "fair"
MEMBERS = np.array([[0.1, -0.4, 0.9], [0.3, 0.2, -0.7], [-0.5, 0.6, 0.2], [0.8, -0.1, 0.4]])
TRUTH = np.array([0.2, 0.5, -0.3])
FAIR_CRPS = [0.03333333333333338, 0.2, 0.28333333333333327]
FAIR_ENERGY = 0.3285251133606303


def test_fair_crps_and_energy_are_those_of_scoringrules():
    assert fair_crps(MEMBERS, TRUTH) == pytest.approx(FAIR_CRPS, abs=1e-12)
    assert energy_score(MEMBERS, TRUTH) * np.sqrt(3) == pytest.approx(FAIR_ENERGY, abs=1e-12)


def test_many_members_of_a_normal_distribution_have_its_closed_form():
    members = np.random.default_rng(0).normal(0.3, 0.5, 100_000)
    for truth in (-1.0, 0.2, 0.3, 2.0):
        closed = gaussian_crps(np.array(0.3), 0.5, np.array(truth))
        assert fair_crps(members, np.array(truth)) == pytest.approx(closed, abs=3e-3)


def test_the_closed_form_has_its_known_values():
    # At the mean: sd (sqrt(2) - 1) / sqrt(pi)
    assert gaussian_crps(np.array(1.0), 2.0, np.array(1.0)) == pytest.approx(2 * (np.sqrt(2) - 1) / np.sqrt(np.pi))
    assert gaussian_crps(np.array(1.0), 0.0, np.array(3.0)) == 2.0


@pytest.mark.parametrize("count", [2, 3, 8, 30])
def test_the_expected_fair_crps_does_not_depend_on_the_size_of_the_ensemble(count):
    rng = np.random.default_rng(count)
    truth, members = rng.normal(size=40_000), rng.normal(size=(count, 40_000))
    # A calibrated standard normal: 1 / sqrt(pi)
    assert fair_crps(members, truth).mean() == pytest.approx(1 / np.sqrt(np.pi), abs=0.01)


@pytest.mark.parametrize("count", [2, 5, 20])
def test_the_expected_energy_score_does_not_depend_on_the_size_of_the_ensemble(count):
    rng = np.random.default_rng(count)
    scores = [energy_score(rng.normal(size=(count, 3)), rng.normal(size=3)) for _ in range(8000)]
    # ||x - y|| of standard normals in three dimensions: sqrt(2) times 2 sqrt(2 / pi), less half of it
    assert np.mean(scores) * np.sqrt(3) == pytest.approx(np.sqrt(2) * np.sqrt(2 / np.pi), abs=0.03)


def test_one_member_is_scored_by_its_distance():
    assert fair_crps(MEMBERS[:1], TRUTH) == pytest.approx(np.abs(MEMBERS[0] - TRUTH))
    assert energy_score(MEMBERS[:1], TRUTH) == pytest.approx(np.sqrt(((MEMBERS[0] - TRUTH) ** 2).mean()))


def test_the_energy_score_of_one_pixel_is_its_crps():
    assert energy_score(MEMBERS[:, :1], TRUTH[:1]) == pytest.approx(fair_crps(MEMBERS, TRUTH)[0])
    assert np.isnan(energy_score(np.empty((4, 0)), np.empty(0)))


def test_a_blurred_forecast_wins_the_squared_error_and_loses_the_crps():
    rng = np.random.default_rng(1)

    def texture():
        image = ndimage.gaussian_filter(rng.normal(size=(64, 64)), 1.0)
        return image / image.std()

    truth = texture()
    members = np.stack([texture() for _ in range(8)])
    blurred = ndimage.gaussian_filter(texture(), 6.0)
    assert ((blurred - truth) ** 2).mean() < 0.7 * ((members - truth) ** 2).mean()
    assert fair_crps(members, truth).mean() < 0.8 * np.abs(blurred - truth).mean()
    assert energy_score(members.reshape(8, -1), truth.ravel()) < energy_score(blurred.reshape(1, -1), truth.ravel())


def test_too_small_and_too_large_a_spread_lose_against_the_right_one():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=20_000)
    right, small, large = (
        fair_crps(sd * rng.normal(size=(6, 20_000)), truth).mean() for sd in (1.0, 0.3, 2.5)
    )  # fmt: skip
    assert right < min(small, large)


def test_the_brier_score_of_a_calibrated_probability_is_its_variance():
    rng = np.random.default_rng(3)
    probability = rng.uniform(size=200_000)
    event = rng.uniform(size=200_000) < probability
    # E p (1 - p) of a uniform p
    assert brier_score(probability, event) == pytest.approx(1 / 6, abs=3e-3)
    assert brier_score(np.full(200_000, 0.5), event) == 0.25
    assert np.isnan(brier_score(np.empty(0), np.empty(0)))


def test_auc_counts_ties_half():
    event = np.array([1, 0, 1, 0])
    assert roc_auc(np.array([0.9, 0.1, 0.8, 0.3]), event) == 1.0
    assert roc_auc(np.array([0.9, 0.9, 0.1, 0.3]), event) == pytest.approx((0.5 + 1 + 0 + 0) / 4)
    assert roc_auc(np.full(4, 0.2), event) == 0.5
    assert np.isnan(roc_auc(np.full(2, 0.2), np.array([1, 1])))


def test_average_precision_is_the_mean_precision_at_each_event():
    event = np.array([1, 0, 1, 0, 0])
    assert average_precision(np.array([0.9, 0.8, 0.7, 0.2, 0.1]), event) == pytest.approx((1 + 2 / 3) / 2)
    assert average_precision(np.full(5, 0.3), event) == pytest.approx(2 / 5)
    assert average_precision(np.array([0.5, 0.5, 0.1, 0.0, 0.0]), event) == pytest.approx(0.5 * 0.5 + 0.5 * 2 / 3)
    assert np.isnan(average_precision(np.full(2, 0.2), np.array([0, 0])))


def test_a_category_that_no_sample_has_is_not_impossible():
    names = ("PD", "SD", "PR", "CR")
    assert log_score({"PD": 4}, names, "PD") == pytest.approx(-np.log(4.5 / 6))
    assert log_score({"PD": 4}, names, "CR") == pytest.approx(-np.log(0.5 / 6))
