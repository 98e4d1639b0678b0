"""The probability of enhancement: share of the samples, smoothed, pooled with what enhances before."""

import numpy as np
import pytest
from GBMResponseCore.measure.probability import ProbabilityRule

SPACING = (5.0, 2.0, 1.0)
SHAPE = (3, 21, 41)
MIDDLE = (1, 10, 20)


def maps():
    """A share of the samples, nothing before, and a region that is everything."""
    share = np.zeros(SHAPE, np.float32)
    share[MIDDLE] = 1.0
    return share, np.zeros(SHAPE, bool), np.ones(SHAPE, bool)


def test_without_a_rule_it_is_the_share_of_the_samples():
    share = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    _, before, region = maps()
    np.testing.assert_array_equal(ProbabilityRule().of(share, before, region, SPACING), share)


def test_the_share_is_smoothed_in_millimeters_and_in_its_slice_alone():
    chance = ProbabilityRule(smoothing_mm=2.0).of(*maps(), SPACING)
    assert not chance[[0, 2]].any()
    assert chance.sum() == pytest.approx(1.0, abs=1e-3)
    row, column = (np.arange(n) - n // 2 for n in SHAPE[1:])
    assert np.sqrt((chance[1].sum(axis=1) * (2.0 * row) ** 2).sum()) == pytest.approx(2.0, rel=0.05)
    assert np.sqrt((chance[1].sum(axis=0) * column**2).sum()) == pytest.approx(2.0, rel=0.05)


def test_what_enhances_before_has_the_rest_of_the_weight():
    share, before, region = maps()
    before[1, 5, 5] = True
    chance = ProbabilityRule(weight=0.75).of(share, before, region, SPACING)
    assert (chance[MIDDLE], chance[1, 5, 5], np.count_nonzero(chance)) == (0.75, 0.25, 2)


def test_nothing_is_said_where_enhancement_is_not_looked_for():
    share, before, region = maps()
    region[:, :, 21:] = False
    chance = ProbabilityRule(smoothing_mm=3.0).of(share, before, region, SPACING)
    assert chance[:, :, 19].any() and not chance[:, :, 21:].any()


def test_what_the_user_outlined_elsewhere_counts():
    share, before, _ = maps()
    chance = ProbabilityRule(weight=0.5, before_mm=1.0).of(share, before, np.zeros(SHAPE, bool), SPACING)
    assert chance[MIDDLE] == 0.5


@pytest.mark.parametrize("values", [(1.1, 0, 0), (-0.1, 0, 0), (1, -1, 0), (1, 0, -1), (float("nan"), 0, 0)])
def test_an_impossible_rule_is_refused(values):
    with pytest.raises(ValueError, match="no probability"):
        ProbabilityRule(*values)


def test_a_rule_says_what_it_does():
    assert str(ProbabilityRule(0.6, 2.0, 3.0)) == (
        "0.6 x share of the samples, smoothed by 2 mm, + 0.4 x mask of what enhances before, smoothed by 3 mm"
    )
