"""Paired tests, intervals and skill on patients whose values are known."""

import numpy as np
import pytest
from scipy.stats import wilcoxon

from GBMResponseTraining.evaluation.statistics.bootstrap import bootstrap_interval, mean_interval
from GBMResponseTraining.evaluation.statistics.paired_tests import holm, paired_tests
from GBMResponseTraining.evaluation.statistics.skill import skills

RNG = np.random.default_rng(5)
BASE = RNG.uniform(0.01, 0.02, 14)
BETTER = BASE - RNG.uniform(0.001, 0.002, 14)
SAME = BASE + RNG.normal(scale=0.001, size=14)
ROWS = {"a": {"mse": BASE}, "b": {"mse": BETTER}, "c": {"mse": SAME}}


def test_a_constant_gain_is_found():
    (test,) = paired_tests(ROWS, [("b", "a")])
    assert test.p == pytest.approx(wilcoxon(BETTER - BASE).pvalue)
    assert test.p < 0.001
    assert test.difference == pytest.approx((BETTER - BASE).mean())
    assert test.interval.low < test.difference < test.interval.high < 0
    assert test.rank_biserial == -1.0


def test_equal_rows_do_not_differ():
    (test,) = paired_tests({"a": {"mse": BASE}, "b": {"mse": BASE.copy()}}, [("a", "b")])
    assert (test.p, test.difference, test.rank_biserial) == (1.0, 0.0, 0.0)


def test_the_correction_counts_all_pairs_of_a_metric():
    tests = paired_tests(ROWS, [("b", "a"), ("c", "a"), ("b", "c")])
    smallest = min(tests, key=lambda test: test.p)
    assert smallest.p_holm == pytest.approx(3 * smallest.p)


def test_holm_is_the_step_down_procedure():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]


def test_patients_without_a_value_are_left_out():
    first, second = np.array([1.0, np.nan, 3.0]), np.array([0.5, 1.0, 2.5])
    (test,) = paired_tests({"a": {"mse_local": first}, "b": {"mse_local": second}}, [("a", "b")])
    assert (test.patients, test.difference) == (2, 0.5)


def test_a_metric_that_one_row_lacks_is_not_tested():
    assert not paired_tests({"a": {"mse": BASE}, "b": {}}, [("a", "b")])


def test_the_interval_of_the_mean_is_near_the_normal_one():
    values = np.random.default_rng(0).normal(size=400)
    interval = mean_interval(values)
    half = 1.96 * values.std(ddof=1) / 20
    assert interval.low == pytest.approx(values.mean() - half, abs=0.02)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.02)


def test_draws_without_a_value_are_left_out():
    interval = bootstrap_interval(2, lambda drawn: np.where((drawn == 0).any(axis=1), np.nan, 1.0))
    assert (interval.low, interval.high) == (1.0, 1.0)


def test_one_patient_has_no_interval():
    for interval in (mean_interval(np.array([3.0])), bootstrap_interval(1, lambda drawn: np.full(len(drawn), 3.0))):
        assert np.isnan([interval.low, interval.high]).all()


def test_nobody_has_no_interval():
    assert np.isnan(mean_interval(np.array([])).low)
    assert np.isnan(bootstrap_interval(0, lambda drawn: np.zeros(len(drawn))).high)


def test_skill_is_the_share_of_the_copy_s_error_removed():
    result = skills({"mse": BASE / 4, "ssim": np.full(14, 0.9)}, {"mse": BASE, "ssim": np.full(14, 0.8)})
    assert result["mse"]["value"] == pytest.approx(0.75)
    assert result["ssim"] == pytest.approx({"value": 0.5, "ci_low": 0.5, "ci_high": 0.5})


def test_a_copy_has_no_skill_and_psnr_has_none():
    assert skills({"mse": BASE, "psnr": BASE}, {"mse": BASE, "psnr": BASE}) == {
        "mse": {"value": 0.0, "ci_low": 0.0, "ci_high": 0.0}
    }


def test_there_is_no_skill_where_copying_is_perfect():
    assert np.isnan(skills({"mse": BASE}, {"mse": np.zeros(14)})["mse"]["value"])
