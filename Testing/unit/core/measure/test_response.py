"""Change of lesions and size categories: the edge cases, and the public CFB-GBM table."""

import csv
from pathlib import Path

import numpy as np
import pytest
from GBMResponseCore.errors import GridMismatchError
from GBMResponseCore.measure.lesions import find_lesions
from GBMResponseCore.measure.response import (
    CR,
    MR,
    NOT_ASSESSABLE,
    PD,
    PR,
    SD,
    SizeRule,
    category_by_area,
    category_by_volume,
    compare_lesions,
    noise_band,
    possible_categories,
    probabilities,
)

SPACING = (2.0, 1.0, 1.0)
SHAPE = (30, 100, 100)
TABLE = Path(__file__).parents[5] / "shared" / "data" / "cfb-gbm-tables" / "CFB-GBM_rano_criteria_v03_20260619.tsv"
RULE = SizeRule()
WITH_MINOR = SizeRule(minor=0.40)


def ball(radius, center=(0, 0), spacing=SPACING):
    z, y, x = np.meshgrid(*[(np.arange(n) - n / 2) * s for n, s in zip(SHAPE, spacing, strict=True)], indexing="ij")
    return (z**2 + (y - center[0]) ** 2 + (x - center[1]) ** 2) <= radius**2


def compare(before, after, rule=RULE, spacing=SPACING):
    return compare_lesions(find_lesions(before, spacing), find_lesions(after, spacing), rule)


EMPTY = np.zeros(SHAPE, bool)


def test_the_same_mask_is_stable():
    change = compare(ball(12), ball(12))
    assert (change.volume_change, change.area_change, change.new_lesions) == (0.0, 0.0, 0)
    assert (change.category_by_volume, change.category_by_area) == (SD, SD)


def test_growth_is_pd_by_both_measures():
    change = compare(ball(12), ball(16))
    assert change.volume_change == pytest.approx((16 / 12) ** 3 - 1, rel=0.05)
    assert change.area_change == pytest.approx((16 / 12) ** 2 - 1, rel=0.1)
    assert (change.category_by_volume, change.category_by_area) == (PD, PD)


def test_shrinking_is_pr_by_both_measures():
    change = compare(ball(16), ball(10))
    assert (change.category_by_volume, change.category_by_area) == (PR, PR)


def test_nothing_after_is_cr():
    change = compare(ball(12), EMPTY)
    assert (change.volume_change, change.category_by_volume, change.category_by_area) == (-1.0, CR, CR)


def test_a_speck_below_the_noise_floor_is_nothing():
    speck = EMPTY.copy()
    speck[15, 50:54, 50:54] = True
    assert compare(ball(12), speck).category_by_volume == CR


def test_nothing_before_and_after_is_not_assessable():
    change = compare(EMPTY, EMPTY)
    assert (change.volume_change, change.area_change) == (None, None)
    assert (change.category_by_volume, change.category_by_area) == (NOT_ASSESSABLE, NOT_ASSESSABLE)


def test_a_measurable_lesion_where_nothing_was_is_pd():
    change = compare(EMPTY, ball(12))
    assert (change.new_lesions, change.category_by_volume, change.category_by_area) == (1, PD, PD)


def test_a_small_lesion_where_nothing_was_is_not_assessable():
    change = compare(EMPTY, ball(4))
    assert (change.new_lesions, change.category_by_volume) == (0, NOT_ASSESSABLE)


def test_a_new_lesion_far_away_is_pd_although_all_shrinks():
    change = compare(ball(16), ball(8) | ball(8, (35, 35)))
    assert change.volume_change < 0
    assert (change.new_lesions, change.category_by_volume, change.category_by_area) == (1, PD, PD)


def test_a_lesion_that_moved_a_little_is_not_new():
    assert compare(ball(8, (0, 0)), ball(8, (0, 17))).new_lesions == 0
    assert compare(ball(8, (0, 0)), ball(8, (0, 20))).new_lesions == 0
    assert compare(ball(8, (0, 0)), ball(8, (0, 21))).new_lesions == 1


def test_a_rule_of_ones_own_counts_and_without_one_it_is_the_usual():
    near = ball(8, (0, 0)), ball(8, (0, 17))
    assert compare(*near, rule=SizeRule(match_mm=0.5)).new_lesions == 1
    assert compare(*near, rule=None) == compare(*near)


def test_a_small_lesion_has_a_change():
    change = compare(ball(5), ball(4))
    assert 0 < change.volume_before_ml < 1
    assert change.volume_change == pytest.approx(change.volume_after_ml / change.volume_before_ml - 1)


def test_touching_lesions_that_separate_are_followed_both():
    before = ball(12, (0, -11)) | ball(12, (0, 11))
    after = ball(10, (0, -11)) | ball(10, (0, 11))
    assert len(find_lesions(before, SPACING).lesions) == 1
    assert len(find_lesions(after, SPACING).lesions) == 2
    change = compare(before, after)
    assert change.new_lesions == 0
    assert change.area_after_mm2 == pytest.approx(2 * 20**2, rel=0.15)


def test_lesions_that_merge_are_counted_once():
    apart = ball(10, (0, -11)) | ball(10, (0, 11))
    merged = ball(10, (0, -11)) | ball(10, (0, 11)) | ball(10, (0, 0))
    once = find_lesions(merged, SPACING).lesions[0].product_mm2
    assert compare(apart, merged).area_after_mm2 == pytest.approx(once)


def test_the_cavity_of_a_ring_is_not_measured():
    ring = ball(20) & ~ball(15)
    solid, hollow = compare(ball(20), ball(20)), compare(ring, ring)
    assert hollow.volume_before_ml < 0.65 * solid.volume_before_ml
    assert hollow.area_before_mm2 < 0.6 * solid.area_before_mm2


def test_without_a_measurable_lesion_before_there_is_no_pr_by_area():
    change = compare(ball(4.2), ball(3.2))
    assert (change.measurable, change.area_before_mm2, change.category_by_area) == (False, 0.0, SD)
    assert compare(ball(4.2), EMPTY).category_by_area == CR


def test_a_lesion_on_one_slice_is_not_measurable():
    one = EMPTY.copy()
    one[15, 40:60, 40:60] = True
    assert compare(one, one).measurable is False


def test_thick_slices_raise_the_limit():
    assert compare(ball(6.5), ball(6.5)).measurable is True
    thick = (7.0, 1.0, 1.0)
    assert compare(ball(9, spacing=thick), ball(9, spacing=thick), spacing=thick).measurable is True
    assert compare(ball(6.5, spacing=thick), ball(6.5, spacing=thick), spacing=thick).measurable is False


def test_the_two_largest_lesions_are_the_targets():
    three = ball(12, (-25, -25)) | ball(10, (25, 25)) | ball(7, (-25, 25))
    products = sorted((lesion.product_mm2 for lesion in find_lesions(three, SPACING).lesions), reverse=True)
    assert compare(three, three).area_before_mm2 == pytest.approx(sum(products[:2]))


def test_area_and_volume_may_disagree():
    disc = EMPTY.copy()
    disc[14:16] = ball(15)[14:16]
    tall = EMPTY.copy()
    tall[13:17] = np.repeat(ball(15)[14:15], 4, axis=0)
    change = compare(disc, tall)
    assert (change.category_by_volume, change.category_by_area) == (PD, SD)


@pytest.mark.parametrize(
    ("after", "category"),
    [(1.40, PD), (1.399, SD), (1.0, SD), (0.351, SD), (0.35, PR), (0.001, PR), (0.0, CR)],
)
def test_thresholds_of_the_volume_belong_to_the_category(after, category):
    assert category_by_volume(1.0, after, RULE) == category
    assert category_by_volume(7.3, 7.3 * after, RULE) == category


@pytest.mark.parametrize(("after", "category"), [(0.601, SD), (0.60, MR), (0.351, MR), (0.35, PR)])
def test_minor_response_is_an_option(after, category):
    assert category_by_volume(1.0, after, WITH_MINOR) == category


@pytest.mark.parametrize(("after", "category"), [(1.25, PD), (1.249, SD), (0.501, SD), (0.5, PR)])
def test_thresholds_of_the_area_belong_to_the_category(after, category):
    for unit in (400.0, 0.4):
        assert category_by_area(unit, unit * after, RULE) == category


def test_area_and_volume_thresholds_agree_for_isotropic_growth():
    assert 1.25**1.5 == pytest.approx(1 + RULE.progression_volume, abs=0.003)
    assert 0.5**1.5 == pytest.approx(1 - RULE.partial_volume, abs=0.004)


def test_masks_on_different_grids_are_refused():
    with pytest.raises(GridMismatchError):
        compare_lesions(find_lesions(ball(12), SPACING), find_lesions(ball(12)[:-1], SPACING))
    with pytest.raises(GridMismatchError):
        compare_lesions(find_lesions(ball(12), SPACING), find_lesions(ball(12), (2.1, 1.0, 1.0)))


def test_a_change_within_the_noise_of_a_threshold_has_several_categories():
    assert possible_categories(10.0, 0.38, RULE) == [PD, SD]
    assert possible_categories(10.0, 0.30, RULE) == [SD]
    assert possible_categories(0.5, 0.30, RULE) == [PD, SD]
    assert possible_categories(0.5, -0.62, RULE) == [SD, PR]
    assert possible_categories(0.5, -0.90, RULE) == [SD, PR, CR]
    assert possible_categories(0.0, None, RULE) == [NOT_ASSESSABLE]


@pytest.mark.parametrize(("before_ml", "band"), [(0.0, 0.37), (0.9, 0.37), (1.5, 0.15), (4.9, 0.15), (5.5, 0.05)])
def test_small_volumes_are_measured_less_surely(before_ml, band):
    assert noise_band(before_ml) == band


def test_probabilities_are_fractions_of_the_samples():
    assert probabilities([PD, SD, PD, PD]) == {PD: 0.75, SD: 0.25}
    assert probabilities([SD]) == {SD: 1.0}


@pytest.mark.skipif(not TABLE.is_file(), reason="needs the CFB-GBM tables in ../shared/data")
def test_the_volume_rule_reproduces_all_categories_of_cfb_gbm():
    with open(TABLE, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    checked, wrong = 0, []
    for row in rows:
        for first, last in (("t0", "t1"), ("t0", "t2"), ("t1", "t2")):
            expected = row[f"rano_{first}_to_{last}"]
            if not expected:
                continue
            sizes = float(row[f"size_{first} (cm3)"]), float(row[f"size_{last} (cm3)"])
            reduction = float(row[f"reduction_rate_{first}_to_{last}"])
            found = {category_by_volume(*sizes, WITH_MINOR), category_by_volume(1.0, 1.0 - reduction, WITH_MINOR)}
            checked += 1
            if {f"({category})" for category in found} != {expected[expected.index("(") :].strip()}:
                wrong.append((row["id_patient"], sizes, reduction, expected, found))
    assert checked == 379
    assert not wrong
