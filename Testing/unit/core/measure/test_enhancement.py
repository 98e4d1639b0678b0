"""The segmenter of enhancing tissue, with a threshold and with a bundle's head."""

import numpy as np
import pytest
from GBMResponseCore.measure.enhancement import EnhancementRule, EnhancementSegmenter
from GBMResponseCore.measure.enhancement_head import FEATURES, EnhancementHead, Tissue, Voxels, features, reach_pixels
from scipy import ndimage

SPACING = (5.0, 1.0, 1.0)
Y, X = np.mgrid[:128, :128] - 64.0
HEAD = np.hypot(X, Y) < 56
TISSUE = Tissue(0.8, 0.1)


def weights(feature: int, bias: float) -> EnhancementHead:
    """A head that enhances where a feature is above `-bias`."""
    rows = tuple(tuple(float(k == feature) * sign for k in range(FEATURES)) for sign in (1.0, -1.0))
    return EnhancementHead(rows, (0.0, 0.0), (1.0, -1.0), bias)


@pytest.fixture(scope="module")
def case():
    """Three slices: a head with texture, a GTV with a bright ring, and a vessel 8 mm beside the GTV."""
    texture = np.random.default_rng(0).normal(-0.2, 0.05, (3, 128, 128))
    ring = (np.hypot(X, Y) < 12) & (np.hypot(X, Y) > 6)
    vessel = np.hypot(X - 22, Y) < 1.5
    stack = np.where(HEAD, texture, -1.0)
    stack[:, ring], stack[:, vessel] = 0.6, 0.9
    gtv = np.broadcast_to(np.hypot(X, Y) < 12, stack.shape)
    return stack.astype(np.float32), gtv, ring, vessel


def segmenter(case, head=None):
    stack, gtv, *_ = case
    return EnhancementSegmenter(stack, gtv, np.ones(3, bool), SPACING, EnhancementRule(head=head))


def voxels(stack, distance_mm, depth_mm, spacing=SPACING):
    """All voxels of a stack."""
    return Voxels(np.ones(stack.shape, bool), distance_mm, depth_mm, spacing)


def test_the_tissue_around_is_told_by_median_and_quartiles(case):
    found = segmenter(case).tissue(case[0])
    assert found.median == pytest.approx(0.8, abs=0.01)
    assert 0 < found.quartile_range < 0.1


def test_without_a_head_a_voxel_enhances_above_a_quarter_more_than_the_tissue(case):
    stack = case[0]
    found = segmenter(case)
    tissue = found.tissue(stack)
    smooth = ndimage.gaussian_filter(stack, (0, 1.5, 1.5))
    np.testing.assert_array_equal(
        found.segment(stack, tissue), found.region & (smooth + 1 > np.float32(1.25 * tissue.median))
    )


def test_a_head_of_the_level_alone_is_the_threshold(case):
    stack = case[0]
    plain, found = segmenter(case), segmenter(case, weights(0, -1.25))
    expected = plain.segment(stack, plain.tissue(stack))
    assert expected.any()
    assert (found.segment(stack, found.tissue(stack)) != expected).mean() < 1e-4


def test_a_head_tells_a_vessel_from_a_ring_by_its_neighborhood(case):
    stack, _, ring, vessel = case
    found = segmenter(case, weights(2, -1.15))  # mean level of 14 mm
    mask = found.segment(stack, found.tissue(stack))
    assert mask[:, ring].mean() > 0.9
    assert not mask[:, vessel].any()
    plain = segmenter(case)
    assert plain.segment(stack, plain.tissue(stack))[:, vessel].any()


def test_planning_looks_farther_and_agrees_where_measures_look(case):
    stack = case[0].copy()
    stack[:, np.hypot(X, Y - 32) < 4] = 0.8
    found = segmenter(case, weights(0, -1.25))
    tissue = found.tissue(stack)
    wide = found.segment(stack, tissue, found.reach)
    np.testing.assert_array_equal(wide & found.region, found.segment(stack, tissue))
    assert (wide & ~found.region).any()
    assert not (found.region & ~found.reach).any()
    assert not (wide & ~found.reach).any()


def test_features_are_those_of_a_voxel_in_its_slice(case):
    """Alone or in a stack, in a box or in the whole slice: a store of single slices measures what a user sees."""
    stack, *_ = case
    found = segmenter(case, weights(0, -1.25))
    where = found.region
    rule, tissue = found.rule, found.tissue(stack)
    rows = rule.features(stack, found.voxels(where), tissue)
    assert rows.shape == (where.sum(), FEATURES)
    one = where[1]
    places = Voxels(one[None], found.distance_mm[1][one], found.depth_mm[1][one], SPACING)
    alone = rule.features(stack[1:2], places, tissue)
    np.testing.assert_allclose(rows[where[0].sum() :][: one.sum()], alone, atol=1e-5)
    levels = ndimage.gaussian_filter(stack[1], 1.5) + 1
    np.testing.assert_allclose(alone[:, 0], levels[one] / tissue.median, atol=1e-5)
    mean = ndimage.uniform_filter(levels / tissue.median, 7)
    np.testing.assert_allclose(alone[:, 1], mean[one], atol=1e-4)
    np.testing.assert_allclose(alone[:, 5], found.distance_mm[1][one] / 10, atol=1e-5)


def test_neighborhoods_are_millimeters_not_pixels():
    levels = np.random.default_rng(0).uniform(0.5, 1.5, (1, 80, 80))
    coarse = features(levels, voxels(levels, np.zeros(6400), np.zeros(6400), (3.0, 2.0, 2.0)), TISSUE)
    expected = ndimage.uniform_filter(levels[0] / 0.8, 3)  # 6.5 mm in pixels of 2 mm
    np.testing.assert_allclose(coarse[:, 1], expected.ravel(), atol=1e-5)
    assert reach_pixels((3.0, 2.0, 2.0)) < reach_pixels((3.0, 1.0, 1.0))


def test_far_and_deep_count_as_the_farthest_and_deepest_seen():
    one = np.ones((1, 1, 3))
    rows = features(one, voxels(one, np.array([-90.0, 5, 90]), np.array([-9.0, 20, 99])), TISSUE)
    np.testing.assert_allclose(rows[:, 5], [-1.2, 0.5, 2.5])
    np.testing.assert_allclose(rows[:, 6], [0, 20 / 30, 2])


def test_black_tissue_gives_numbers():
    zero = np.zeros((1, 4, 4))
    rows = features(zero, voxels(zero, np.zeros(16), np.zeros(16)), Tissue(0.0, 0.0))
    assert np.isfinite(rows).all()


def test_nothing_is_found_where_nothing_is_looked_at(case):
    found = segmenter(case, weights(0, 99.0))
    nowhere = np.zeros(case[0].shape, bool)
    assert not found.segment(case[0], found.tissue(case[0]), nowhere).any()


@pytest.mark.parametrize(
    "entry",
    [
        {"hidden": [], "hidden_bias": [], "output": []},
        {"hidden": [[0.0] * 8], "hidden_bias": [0.0, 0.0], "output": [1.0]},
        {"hidden": [[0.0] * 8], "hidden_bias": [0.0], "output": []},
        {"hidden": [[0.0] * 7], "hidden_bias": [0.0], "output": [1.0]},
    ],
)
def test_weights_that_do_not_fit_each_other_are_refused(entry):
    with pytest.raises(ValueError, match="head"):
        EnhancementRule.with_head({**entry, "output_bias": 0.0})


def test_the_record_says_which_segmenter_was_used():
    assert EnhancementRule().to_dict()["ratio"] == 1.25
    assert EnhancementRule().to_dict()["head"] is False
    with_head = EnhancementRule(head=weights(0, 0.0)).to_dict()
    assert with_head["head"] is True
    assert "ratio" not in with_head
    assert str(EnhancementRule(head=weights(0, 0.0))) == "what is found by a network of 21 weights"
