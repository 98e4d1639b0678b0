"""Scores, baselines and the skill rule on a small store, whose truth is made to favor one of them."""

from dataclasses import replace

import numpy as np
import pytest
from GBMResponseCore.measure.interval import SOFTENING_ML
from GBMResponseCore.measure.probability import ProbabilityRule
from scipy import ndimage
from small_store import SLICES, SPLIT, write_small_store

from GBMResponseTraining.bundles.probability import fit_probability
from GBMResponseTraining.evaluation.enhancement import enhancement_zones
from GBMResponseTraining.evaluation.held_out import read_held_out
from GBMResponseTraining.evaluation.results import COPY
from GBMResponseTraining.evaluation.score_baselines import (
    AUTOENCODER,
    BASE_RATE,
    BLURRED,
    BLURRED_MASK,
    CALIBRATED_MASK,
    DRESSED,
    TRUTH,
    UNCHANGED,
    USUAL_CHANGES,
    Usual,
    autoencoder_row,
    baseline_rows,
    best_blur,
    usual_of_store,
)
from GBMResponseTraining.evaluation.score_report import scores_report, sentences
from GBMResponseTraining.evaluation.scores import (
    APPEARANCE,
    SCORES,
    SampleScores,
    ScoredRow,
    Target,
    members_of,
    score_members,
)
from GBMResponseTraining.evaluation.statistics.skill import skill_against_best

STACK = {"stack_spacing_mm": [1.0, 1.0, 5.0]}
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return write_small_store(tmp_path_factory.mktemp("store"), **dict.fromkeys(SPLIT, STACK))


@pytest.fixture(scope="module")
def held_out(store):
    return read_held_out(store, "test")


@pytest.fixture(scope="module")
def usual(store):
    return usual_of_store(store)


def target_of(slices, samples=4):
    return Target(slices, enhancement_zones(slices), samples)


def scored(images, target, name="model"):
    return score_members(name, "model", members_of(images, target), target)


def rows_of(target, usual=None):
    return {row.name: row for row in baseline_rows(target, best_blur(target), usual)}


def mean(row, name, target):
    return float(np.nanmean(row.per_patient(target.slices)[name]))


# Scores


def test_a_copy_is_scored_by_its_absolute_error(held_out):
    target = target_of(held_out)
    row = scored([held_out.pre], target)
    for k, scores in enumerate(row.per_slice):
        error = np.abs(np.clip(held_out.pre[k], -1, 1).astype(float) - np.clip(held_out.post[k], -1, 1))
        zone = target.zones[k].pixels
        assert scores["crps_gtv"] == pytest.approx(error[held_out.gtv[k]].mean())
        assert scores["crps_region"] == pytest.approx(error.ravel()[zone].mean())
        both = np.union1d(zone, np.flatnonzero(held_out.gtv[k]))
        assert scores["energy"] == pytest.approx(np.sqrt((error.ravel()[both] ** 2).mean()))
        post, pre = (ndimage.gaussian_filter(images[k], 1.5).ravel()[zone] for images in (held_out.post, held_out.pre))
        zone = target.zones[k]
        event, mask = post > 1.25 * zone.true_tissue.median - 1, pre > 1.25 * zone.tissue.median - 1
        assert scores["brier"] == pytest.approx((event != mask).mean())


def test_a_rule_makes_the_probabilities_that_are_scored(held_out):
    target = target_of(held_out)
    images = [held_out.pre, held_out.post]
    plain = score_members("model", "model", members_of(images, target), target)
    same = score_members("model", "model", members_of(images, target), target, ProbabilityRule())
    before = score_members("model", "model", members_of(images, target), target, ProbabilityRule(weight=0.0))
    copy = scored([held_out.pre], target)
    for name in ("brier", "auc", "average_precision"):
        assert mean(same, name, target) == pytest.approx(mean(plain, name, target))
        assert mean(before, name, target) == pytest.approx(mean(copy, name, target))
    assert mean(plain, "brier", target) < mean(copy, "brier", target)


def test_the_fitted_probability_is_as_good_as_share_and_mask_alone(held_out):
    target = target_of(held_out)
    found = fit_probability(target, target.shares(members_of([held_out.pre, held_out.post], target).evidence))
    rule = found.rule
    assert found.brier == min(found.brier, found.shares, found.before)
    assert found.patients == len(np.unique(held_out.person))
    row = score_members("model", "model", members_of([held_out.pre, held_out.post], target), target, rule)
    assert mean(row, "brier", target) == pytest.approx(found.brier)


def test_samples_that_are_the_truth_have_all_the_weight(held_out):
    target = target_of(replace(held_out, post=held_out.pre + 0.1 * (held_out.pre > 0.2)))
    truth = [np.asarray(area.enhancing, float) for area in target.areas]
    found = fit_probability(target, truth)
    assert (found.rule, found.brier, found.shares) == (ProbabilityRule(), 0.0, 0.0)


def test_the_truth_itself_cannot_be_scored_better(held_out):
    target = target_of(replace(held_out, pre=held_out.post))
    row = scored([held_out.post] * 3, target)
    assert {name: mean(row, name, target) for name in SCORES[:-1]} == pytest.approx(
        {"crps_gtv": 0, "crps_region": 0, "energy": 0, "brier": 0, "auc": 1, "average_precision": 1, "crps_volume": 0}
    )


def test_samples_that_are_taken_one_by_one_have_the_scores_of_all(held_out):
    target = target_of(held_out, 3)
    samples = [held_out.post + 0.2 * RNG.normal(size=held_out.post.shape).astype(np.float32) for _ in range(3)]
    collected = SampleScores(target)
    for images in samples:
        collected.add(images)
    row, whole = collected.row("model"), scored(samples, target)
    for own, other in zip(row.per_slice, whole.per_slice, strict=True):
        assert {name: own[name] for name in other} == pytest.approx(other, nan_ok=True)
    assert row.per_record["crps_volume"] == pytest.approx(whole.per_record["crps_volume"])
    assert set(row.per_slice[0]) == {*SCORES[:6], *APPEARANCE}


def test_volumes_and_categories_are_those_of_the_patient(held_out):
    target = target_of(held_out)
    row = scored([held_out.pre], target)
    before, after = target.pixels_before, target.pixels_after
    assert row.per_record["crps_volume"] == pytest.approx(np.abs(after - before) * 0.005)
    # Every patient grows by more than 40 %: the copy says SD with the weight of four samples.
    assert (after > 1.4 * before).all()
    assert row.per_record["log_score"] == pytest.approx([-np.log(0.5 / 6)] * 3)
    right = scored([held_out.post * 1.0 + 0.3], target)
    assert (right.per_record["log_score"] < row.per_record["log_score"]).all()


def test_visits_of_a_patient_are_one_patient_in_the_scores(held_out):
    records = [{**record, "person": "x"} if k < 2 else record for k, record in enumerate(held_out.records)]
    target = target_of(replace(held_out, records=records))
    row = scored([held_out.pre], target)
    values = row.per_patient(target.slices)
    assert {len(found) for found in values.values()} == {2}
    assert values["auc"][0] == pytest.approx(row.per_record["auc"][:2].mean())
    errors = [scores["crps_gtv"] for scores in row.per_slice]
    assert values["crps_gtv"][0] == pytest.approx(np.mean(errors[: 2 * SLICES]))


def test_without_the_size_of_a_voxel_there_is_no_volume_but_a_category(tmp_path):
    slices = read_held_out(write_small_store(tmp_path, P4=STACK), "test")
    row = scored([slices.pre], target_of(slices))
    assert np.isnan(row.per_record["crps_volume"]).tolist() == [False, True, True]
    assert np.isfinite(row.per_record["log_score"]).all()


# Baselines


def test_every_baseline_has_its_scores(held_out, usual):
    target = target_of(held_out)
    found = {name: set(row.per_patient(held_out)) for name, row in rows_of(target, usual).items()}
    image, mask, looks = set(SCORES[:3]), set(SCORES[3:6]), set(APPEARANCE)
    assert found == {
        COPY: image | mask | looks,
        BLURRED: image | looks,
        DRESSED: image,
        BLURRED_MASK: mask,
        CALIBRATED_MASK: {"brier"},
        BASE_RATE: mask | {"log_score"},
        UNCHANGED: {"crps_volume", "log_score"},
        USUAL_CHANGES: {"crps_volume"},
        TRUTH: looks,
    }
    row = autoencoder_row(AUTOENCODER, held_out.pre, target)
    assert set(row.per_patient(held_out)) == {*SCORES, *APPEARANCE}
    assert mean(row, "crps_gtv", target) == mean(rows_of(target)[COPY], "crps_gtv", target)


def test_the_blur_is_the_one_that_the_follow_ups_have(held_out):
    target = target_of(replace(held_out, post=ndimage.gaussian_filter(held_out.pre, (0, 3, 3))))
    assert [best_blur(target).sigma[name] for name in SCORES[:3]] == [3.0] * 3
    assert mean(rows_of(target)[BLURRED], "crps_region", target) == pytest.approx(0, abs=1e-6)


def test_the_spread_is_the_one_that_the_follow_ups_have(held_out):
    pre = ndimage.gaussian_filter(held_out.pre, (0, 3, 3)) * 0.5
    truth = (pre + 0.1 * RNG.normal(size=pre.shape)).astype(np.float32)
    target = target_of(replace(held_out, pre=pre, post=truth))
    assert [values["sd"] for values in best_blur(target).dressed.values()] == pytest.approx([0.1] * 3, rel=0.2)
    rows = rows_of(target)
    # Of a normal distribution with the right SD: SD / sqrt(pi)
    assert mean(rows[DRESSED], "crps_region", target) == pytest.approx(0.1 / np.sqrt(np.pi), rel=0.1)
    for name in SCORES[:3]:
        assert mean(rows[DRESSED], name, target) < 0.8 * mean(rows[COPY], name, target)


def test_a_mask_that_may_have_moved_is_better_blurred(held_out):
    target = target_of(held_out)
    rows = rows_of(target)
    assert mean(rows[BLURRED_MASK], "brier", target) < mean(rows[COPY], "brier", target)
    assert mean(rows[BLURRED_MASK], "auc", target) > mean(rows[COPY], "auc", target)


def test_no_line_makes_better_probabilities_of_the_mask_than_the_calibrated_one(held_out):
    target = target_of(held_out)
    row, line = rows_of(target)[CALIBRATED_MASK], best_blur(target).calibrated

    def error(offset, slope):
        found = []
        for before, area in zip(target.before, target.areas, strict=True):
            mask = np.zeros(held_out.pre.shape[1:], np.float32)
            mask.ravel()[area.pixels[area.zone]] = before
            chance = ndimage.gaussian_filter(mask, line["sigma"]).ravel()[area.pixels[area.zone]]
            found.append(np.mean((offset + slope * chance - area.enhancing) ** 2))
        return np.mean(found)

    least = error(line["offset"], line["slope"])
    assert mean(row, "brier", target) <= least  # probabilities end at 0 and 1
    assert least < mean(rows_of(target)[BLURRED_MASK], "brier", target)
    for offset, slope in ((0.02, 0), (-0.02, 0), (0, 0.05), (0, -0.05)):
        assert least < error(line["offset"] + offset, line["slope"] + slope)


def test_the_base_rate_knows_only_how_much_enhances(store, held_out, usual):
    trained = target_of(read_held_out(store, "train"))
    rates = [area.enhancing.mean() for area in trained.areas]
    assert usual.base_rate == pytest.approx(np.mean(rates))
    target = target_of(held_out)
    row = rows_of(target, usual)[BASE_RATE]
    shares = np.array([area.enhancing.mean() for area in target.areas])
    expected = shares * (1 - usual.base_rate) ** 2 + (1 - shares) * usual.base_rate**2
    assert [scores["brier"] for scores in row.per_slice] == pytest.approx(expected)
    assert row.per_record["auc"] == pytest.approx([0.5] * 3)


def test_the_usual_changes_are_those_of_the_training_patients(store, held_out, usual):
    trained = target_of(read_held_out(store, "train"))
    before, after = (count * 0.005 + SOFTENING_ML for count in (trained.pixels_before, trained.pixels_after))
    assert usual.volume_changes == pytest.approx(sorted(np.log(after / before)))
    target = target_of(held_out)
    volumes = (target.pixels_before * 0.005 + SOFTENING_ML) * (after / before)[:, None] - SOFTENING_ML
    truth = target.pixels_after * 0.005
    expected = np.abs(volumes - truth).mean(axis=0) - np.abs(volumes[0] - volumes[1]) / 2
    assert rows_of(target, usual)[USUAL_CHANGES].per_record["crps_volume"] == pytest.approx(expected)


def test_usual_is_what_training_patients_tell_else_validation_patients(store, tmp_path, usual):
    assert (usual.split, usual.patients, usual.slices) == ("train", 2, 2 * SLICES)
    others = {name: "test" if split == "train" else split for name, split in SPLIT.items()}
    assert usual_of_store(write_small_store(tmp_path / "b", others)).split == "validation"
    everyone = dict.fromkeys(SPLIT, "test")
    assert usual_of_store(write_small_store(tmp_path / "c", everyone)) is None


def test_without_training_patients_the_baselines_that_need_them_are_missing(held_out):
    found = list(rows_of(target_of(held_out)))
    assert found == [COPY, BLURRED, DRESSED, BLURRED_MASK, CALIBRATED_MASK, UNCHANGED, TRUTH]


# The skill rule


def test_the_skill_is_against_the_best_baseline():
    errors = np.array([1.0, 2.0, 3.0])
    skill = skill_against_best(errors, {"weak": 4 * errors, "best": 2 * errors, "absent": errors * np.nan})
    assert (skill["value"], skill["baseline"], skill["patients"]) == (0.5, "best", 3)
    assert (skill["ci_low"], skill["ci_high"]) == pytest.approx((0.5, 0.5))


def test_the_best_baseline_is_found_again_in_every_draw():
    errors = np.ones(40)
    first = np.where(np.arange(40) % 2, 0.5, 2.5)
    alone = skill_against_best(errors, {"first": first})
    both = skill_against_best(errors, {"first": first, "second": 3.0 - first})
    assert alone["value"] == both["value"] == pytest.approx(1 / 3)
    assert both["ci_high"] == pytest.approx(1 / 3)
    assert alone["ci_high"] > 0.4


def test_patients_without_a_value_are_not_compared():
    skill = skill_against_best(np.array([1.0, np.nan, 1.0]), {"b": np.array([2.0, 9.0, np.nan])})
    assert (skill["value"], skill["patients"]) == (0.5, 1)
    assert np.isnan(skill["ci_low"])


@pytest.mark.parametrize("baselines", [{}, {"b": np.array([np.nan, np.nan])}])
def test_without_a_baseline_there_is_no_skill(baselines):
    skill = skill_against_best(np.ones(2), baselines)
    assert np.isnan(skill["value"])
    assert skill["baseline"] is None


def test_a_calibrated_ensemble_beats_every_baseline_and_a_blur_does_not(held_out):
    """The samples know a part of the change, and how much they do not know."""
    shape = held_out.pre.shape
    known, *unknown = (ndimage.gaussian_filter(RNG.normal(size=shape), (0, 2, 2)) for _ in range(6))
    known *= 0.3 / known.std()
    draws = [held_out.pre * 0.3 + known + 0.2 / part.std() * part for part in unknown]
    truth, *samples = (np.where(held_out.pre > -0.9, draw, -1.0).astype(np.float32) for draw in draws)
    slices = replace(held_out, pre=held_out.pre * np.float32(0.3), post=truth)
    target = target_of(slices)
    blur = ndimage.gaussian_filter(slices.pre, (0, 4, 4))
    rows = [*rows_of(target).values(), scored(samples, target, "samples"), scored([blur], target, "blur")]
    report = scores_report(rows, slices, None, 4)["rows"]
    for name in SCORES[:3]:
        assert report["samples"]["skill"][name]["baseline"] == DRESSED
        assert report["samples"]["skill"][name]["ci_low"] > 0
        assert report["blur"]["skill"][name]["ci_high"] < 0


def made_up(name, kind, errors):
    return ScoredRow(name, kind, [dict.fromkeys(SCORES[:6], error) for error in errors])


def test_sentences_say_where_a_baseline_wins_and_where_nothing_is_shown(held_out):
    def skill(value, low, baseline="copy"):
        return {"value": value, "ci_low": low, "ci_high": 1.0, "baseline": baseline, "patients": 3}

    absent = {"value": float("nan"), "ci_low": float("nan"), "ci_high": float("nan"), "baseline": None, "patients": 0}
    found = sentences("m", {"crps_gtv": skill(-0.1, -0.3), "brier": skill(0.2, -0.1), "auc": skill(0.3, 0.1)})
    assert found == [
        "**The copy is at least as good as m in CRPS in GTV.**",
        "Nothing shows that m is better than the best baseline in Brier score.",
    ]
    assert sentences("m", {"auc": skill(0.3, 0.1), "brier": absent}) == [
        "m is better than the best baseline in every score."
    ]
    assert sentences("m", {"brier": absent}) == []


def test_tests_are_between_models_and_with_the_best_baseline(held_out):
    rows = [made_up("a", "baseline", [0.2] * 9), made_up("b", "baseline", [0.1] * 9)]
    rows += [made_up("m", "model", [0.05] * 9), made_up("n", "model", [0.3] * 9)]
    records = {name: np.ones(3) for name in SCORES[6:]}
    rows = [replace(row, per_record=records) for row in rows]
    report = scores_report(rows, held_out, None, 4)
    pairs = {(test["first"], test["second"]) for test in report["paired_tests"] if test["metric"] == "brier"}
    assert pairs == {("n", "m"), ("m", "b"), ("n", "b")}
    difference = next(
        test["difference"] for test in report["paired_tests"] if (test["metric"], test["first"]) == ("brier", "m")
    )
    assert difference == pytest.approx(-0.05)
    # AUC is better when larger: the best baseline is the other one.
    assert report["rows"]["m"]["skill"]["auc"]["baseline"] == "a"
    assert report["rows"]["n"]["skill"]["auc"]["value"] == pytest.approx(1 - 0.7 / 0.8)


def test_what_is_usual_tells_nothing_about_single_patients(usual):
    assert isinstance(usual, Usual)
    assert not any(name in str(usual) for name in SPLIT)
    assert usual.volume_changes == sorted(usual.volume_changes)
