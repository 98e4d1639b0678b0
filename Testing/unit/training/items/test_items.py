"""What one training step sees."""

import dataclasses

import numpy as np
import pytest
import torch
from GBMResponseCore.model.classes import ClassScheme
from GBMResponseCore.model.windows import WindowRule

from GBMResponseTraining.items.latent_items import (
    LATE_STEP,
    TIME_STEPS,
    Conditions,
    Target,
    latent_items,
    latent_validation,
    store_neighbors,
)
from GBMResponseTraining.items.latents import (
    LatentStore,
    gtv_at_latent_size,
    near_gtv,
    residual_scale,
    with_coarse_first,
)
from GBMResponseTraining.items.slices import Epochs, classifier_items, gtv_items, image_items, image_validation
from GBMResponseTraining.settings.reader import load_configuration
from GBMResponseTraining.store.slice_store import SliceStore

COUNT = 5
RNG = np.random.default_rng(0)


def array(*shape):
    return RNG.standard_normal((2, COUNT, *shape)).astype(np.float32)


LATENTS = LatentStore(array(4, 8, 8), array(4, 8, 8), array(4, 8, 8), np.zeros((2, COUNT, 8, 8), np.float16))
CONDITIONS = Conditions(
    tokens=np.array([[0, 2], [0, 3], [1, 4], [1, 5], [0, 2]]),
    null_token=6,
    days=np.array([90.0, 90.0, 120.0, np.nan, 90.0]),
    neighbors=np.array([[0, 0, 1, 2, 3], [1, 2, 3, 4, 4]]),
)
ROWS = np.arange(COUNT)


def rng(seed=1):
    return np.random.default_rng(seed)


def items(count, rows=ROWS, label_dropout=0.0, latents=LATENTS, **options):
    make = latent_items(latents, CONDITIONS, rows, label_dropout=label_dropout, seed=0, **options)
    return [make(rng(index), index) for index in range(count)]


def row_of(item):
    """(flipped or not, slice) of an item, found by its pre latent."""
    pre = item["sources"][:4].numpy()
    return next((f, k) for f in range(2) for k in range(COUNT) if np.array_equal(LATENTS.pre[f, k], pre))


def test_every_slice_is_shown_once_per_epoch():
    epochs = Epochs([3, 5, 8], seed=1)
    shown = [epochs(index) for index in range(9)]
    assert all(sorted(shown[start : start + 3]) == [3, 5, 8] for start in (0, 3, 6))


def test_epochs_differ_in_order():
    epochs = Epochs(range(50), seed=1)
    assert [epochs(index) for index in range(50)] != [epochs(index) for index in range(50, 100)]


def test_the_target_is_the_post_latent_of_the_same_slice_and_side():
    for item in items(20):
        assert np.array_equal(item["target"].numpy(), LATENTS.post[row_of(item)])


def test_flipped_and_unflipped_slices_are_shown():
    assert {row_of(item)[0] for item in items(20)} == {0, 1}


def test_only_the_given_rows_are_shown():
    assert {row_of(item)[1] for item in items(20, rows=np.array([1, 3]))} == {1, 3}


def test_the_target_may_be_the_scaled_change():
    scale = np.array([1.0, 2.0, 3.0, 4.0])
    item = items(1, target=Target(scale))[0]
    expected = (LATENTS.post[row_of(item)] - LATENTS.pre[row_of(item)]) * scale[:, None, None]
    np.testing.assert_allclose(item["target"].numpy(), expected, rtol=1e-5)


def with_masks(*places):
    """The latents with one GTV pixel in each slice."""
    mask = np.zeros((2, COUNT, 8, 8), np.float16)
    for row, place in enumerate(places):
        mask[:, row, *place] = 0.5
    return dataclasses.replace(LATENTS, mask=mask)


def test_a_window_is_cut_alike_from_everything_and_holds_the_gtv():
    latents = with_masks(*[(6, 1)] * COUNT)
    for item in items(20, latents=latents, target=Target(windows=WindowRule(4, 0, 1))):
        assert [item[name].shape[-2:] for name in ("sources", "target", "noise", "gtv")] == [(4, 4)] * 4
        found = [
            (flip, row, top, left)
            for flip in range(2)
            for row in range(COUNT)
            for top in range(5)
            for left in range(5)
            if np.array_equal(latents.pre[flip, row, :, top : top + 4, left : left + 4], item["sources"][:4])
        ]
        ((flip, row, top, left),) = found
        assert np.array_equal(latents.post[flip, row, :, top : top + 4, left : left + 4], item["target"])
        assert np.array_equal(latents.mask[flip, row, top : top + 4, left : left + 4], item["gtv"][0])


def test_validation_windows_are_where_predictions_have_theirs():
    latents, rule = with_masks(*[(4, 5)] * COUNT), WindowRule(4, 1, 1)
    item = latent_validation(latents, CONDITIONS, ROWS, seed=4, target=Target(windows=rule))[0]
    ((top, left),) = rule.corners(latents.mask[0, 0] > 0)
    assert np.array_equal(item["gtv"][0], latents.mask[0, 0, top : top + 4, left : left + 4])


def test_what_is_near_to_the_gtv_may_count_as_gtv():
    (item,) = items(1, latents=with_masks(*[(3, 3)] * COUNT), target=Target(gtv_margin=1))
    expected = np.zeros((8, 8), np.float32)
    expected[2:5, 2:5] = 1.0
    assert np.array_equal(item["gtv"][0], expected)


def test_without_a_margin_the_gtv_keeps_its_shares_of_pixels():
    mask = np.array([[0.0, 0.25], [1.0, 0.0]], np.float16)
    assert np.array_equal(near_gtv(mask, 0), mask)


def test_the_change_scale_may_be_that_near_the_gtv():
    latents = with_masks((0, 0), (0, 0), (7, 7), (7, 7), (4, 4))
    scale = residual_scale(latents, ROWS, margin=1)
    change = np.concatenate(
        [(LATENTS.post - LATENTS.pre)[0, row, :, *place].reshape(4, -1).T for row, place in (
            (0, np.s_[:2, :2]), (1, np.s_[:2, :2]), (2, np.s_[6:, 6:]), (3, np.s_[6:, 6:]), (4, np.s_[3:6, 3:6])
        )]
    )  # fmt: skip
    np.testing.assert_allclose(scale, 1 / change.std(axis=0), rtol=1e-4)


def test_coarse_channels_keep_more_of_their_variance():
    factor, latent_scale = np.array([2.0, 2.0, 2.0]), np.array([0.5, 8.0, 32.0])  # amplitudes 1, 1/16 and 1/64
    assert with_coarse_first(factor, latent_scale, 0.0) == pytest.approx(factor)
    deviations = with_coarse_first(factor, latent_scale, 0.5) / factor
    assert deviations / deviations[0] == pytest.approx([1.0, 1 / 4, 1 / 8])
    assert np.mean(deviations**2) == pytest.approx(1.0)


def test_the_wanted_share_of_the_items_is_late():
    steps = np.array([int(item["timestep"]) for item in items(1000, late_share=0.15)])
    assert (steps >= LATE_STEP).mean() == pytest.approx(0.15, abs=0.01)
    assert steps.max() == TIME_STEPS - 1
    # Both parts are covered evenly.
    assert np.percentile(steps[steps >= LATE_STEP], 50) == pytest.approx(975, abs=3)
    assert np.percentile(steps[steps < LATE_STEP], 50) == pytest.approx(475, abs=10)


def test_the_change_scale_gives_unit_variance():
    change = (LATENTS.post[0] - LATENTS.pre[0]) * residual_scale(LATENTS, ROWS)[None, :, None, None]
    np.testing.assert_allclose(change.std(axis=(0, 2, 3)), 1.0, rtol=1e-4)


def test_sources_are_pre_then_gtv_then_neighbors():
    item = items(1)[0]
    flipped, row = row_of(item)
    parts = [LATENTS.pre[flipped, row], LATENTS.gtv[flipped, row]]
    parts += [LATENTS.pre[flipped, neighbor] for neighbor in CONDITIONS.neighbors[:, row]]
    np.testing.assert_array_equal(item["sources"].numpy(), np.concatenate(parts))


def test_without_dropout_the_class_is_always_one_of_the_slice():
    for item in items(40):
        assert int(item["token"]) in CONDITIONS.tokens[row_of(item)[1]]


def test_both_schemes_are_drawn():
    tokens = {int(item["token"]) for item in items(60)}
    assert tokens & {0, 1}
    assert tokens & {2, 3, 4, 5}


def test_label_dropout_hides_the_class_in_its_share():
    hidden = sum(int(item["token"]) == 6 for item in items(400, label_dropout=0.25))
    assert 60 <= hidden <= 140


def test_days_are_hidden_independently_of_the_class():
    drawn = items(400, rows=np.array([0]), label_dropout=0.5)
    kinds = {(int(item["token"]) == 6, bool(torch.isnan(item["days"]))) for item in drawn}
    assert len(kinds) == 4


def test_a_patient_without_known_days_has_none():
    assert torch.isnan(items(1, rows=np.array([3]))[0]["days"])


def test_time_steps_cover_the_range_evenly():
    steps = [int(item["timestep"]) for item in items(100)]
    counts = np.histogram(steps, bins=10, range=(0, 1000))[0]
    assert counts.min() >= 8


def test_validation_items_never_change():
    first, again = (latent_validation(LATENTS, CONDITIONS, ROWS, seed=4)[2] for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert int(first["token"]) != 6


def test_gtv_at_latent_size_is_the_share_of_each_block():
    gtv = np.zeros((1, 8, 8), np.uint8)
    gtv[0, :2, :4] = 1
    np.testing.assert_array_equal(gtv_at_latent_size(gtv, 4), [[[0.5, 0.0], [0.0, 0.0]]])


@pytest.fixture
def store():
    pre = RNG.uniform(0.3, 0.9, (4, 16, 16)).astype(np.float16)
    gtv = np.zeros((4, 16, 16), np.uint8)
    gtv[:, 2:5, 3:6] = 1
    patients = [
        {"id": "a", "survival_days": 100.0, "slice_positions_mm": [0.0, 3.0, 9.0], "stack_spacing_mm": [1.0, 1.0, 3.0]},
        {"id": "b", "survival_days": 700.0, "slice_positions_mm": [5.0], "stack_spacing_mm": [1.0, 1.0, 3.0]},
    ]
    return SliceStore(pre, -pre, gtv, np.array([0, 0, 0, 1], np.int32), patients)


def test_neighbors_stay_within_a_patient_and_do_not_bridge_gaps(store):
    np.testing.assert_array_equal(store_neighbors(store, 1), [[0, 0, 2, 3], [1, 1, 2, 3]])


def test_an_epoch_of_images_shows_pre_and_post(store):
    make = image_items(store, np.array([0]), None, seed=0)
    means = [float(make(rng(index), index).mean()) for index in range(2)]
    brightness = float(store.pre[0].astype(np.float32).mean())
    assert max(abs(min(means) + abs(brightness)), abs(max(means) - abs(brightness))) < 0.2
    assert make(rng(0), 0).shape == (1, 16, 16)


def test_slices_of_extra_stores_are_shown_as_often_as_asked_for(store):
    bright = np.full((2, 16, 16), 0.9, np.float16)
    extra = SliceStore(bright, bright, np.zeros((2, 16, 16), np.uint8), np.zeros(2, np.int32), [])
    make = image_items(store, ROWS[:3], None, seed=0, extra=[extra], extra_share=0.25)
    shown = [float(make(rng(index), index).std()) < 1e-3 for index in range(200)]
    assert 0.15 < np.mean(shown) < 0.35


def test_image_crops_have_the_size_asked_for(store):
    assert image_items(store, ROWS[:3], 8, seed=0)(rng(), 0).shape == (1, 8, 8)


def test_image_validation_shows_whole_slices_of_both_times(store):
    held_out = image_validation(store, np.array([3]))
    assert len(held_out) == 2
    assert torch.equal(held_out[0], -held_out[1])


def test_gtv_crops_touch_the_contour(store):
    make = gtv_items(store, np.arange(4), 8, seed=0)
    assert all(make(rng(i), i).sum() > 0 for i in range(20))


def test_without_a_gain_items_are_slices_or_their_mirror_images(store):
    make = image_items(store, np.array([0]), None, seed=0)
    slices = [np.float32(array[0]) for array in (store.pre, store.post)]
    for index in range(8):
        shown = make(rng(index), index)[0].numpy()
        assert any(np.allclose(shown, wanted, atol=1e-6) for s in slices for wanted in (s, s[:, ::-1]))


def test_a_gain_changes_the_brightness_within_its_limits(store):
    make = image_items(store, np.array([0]), None, seed=0, gain=(0.5, 0.6))
    means = {np.round(np.float32(array[0]).mean() + 1, 3) for array in (store.pre, store.post)}
    for index in range(8):
        factors = [(make(rng(index), index).mean() + 1) / mean for mean in means]
        assert any(0.499 <= factor <= 0.601 for factor in factors)


def test_a_classifier_may_see_the_image_alone_as_it_is(store):
    settings = dataclasses.replace(load_configuration("paper").classifier, pooling=1)
    scheme = ClassScheme.from_thresholds("2-class", ("short", "long"), [350.0], 0)
    item = classifier_items(store, np.array([0]), scheme, settings, seed=0)(rng(), 0)
    assert item["inputs"].shape[0] == 1
    wanted = np.float32(store.pre[0])
    assert any(np.allclose(item["inputs"][0], image, atol=1e-6) for image in (wanted, wanted[:, ::-1]))


def test_independent_time_steps_do_not_follow_a_sequence():
    make = latent_items(LATENTS, CONDITIONS, ROWS, label_dropout=0.0, seed=0, even_time_steps=False)
    steps = np.array([int(make(rng(index), index)["timestep"]) for index in range(2000)])
    assert steps.min() >= 0
    assert steps.max() < 1000
    counts = np.histogram(steps, bins=10, range=(0, 1000))[0]
    # Even time steps would make all bins of one size; independent ones vary by about 13.
    assert 4 < counts.std() < 35


def test_classifier_items_carry_the_class_of_the_survival(store):
    scheme = ClassScheme.from_thresholds("2-class", ("short", "long"), (400.0,), 0)
    settings = load_configuration("smoke").classifier
    for row, expected in ((0, 0), (3, 1)):
        item = classifier_items(store, np.array([row]), scheme, settings, seed=0)(rng(), 0)
        assert item["inputs"].shape == (2, 4, 4)
        assert int(item["label"]) == expected


def test_a_classifier_may_see_the_image_alone(store):
    scheme = ClassScheme.from_thresholds("2-class", ("short", "long"), (400.0,), 0)
    settings = dataclasses.replace(load_configuration("smoke").classifier, with_gtv=False)
    assert settings.network()["n_input_channels"] == 1
    assert classifier_items(store, np.array([0]), scheme, settings, seed=0)(rng(), 0)["inputs"].shape == (1, 4, 4)


def test_half_of_the_items_get_noise_within_its_limit(store):
    make = image_items(store, np.array([0]), None, seed=0, noise=0.1)
    slices = [np.float32(array[0]) for array in (store.pre, store.post)]
    wanted = [version for image in slices for version in (image, image[:, ::-1])]
    spreads = [min(float((make(rng(i), i)[0].numpy() - image).std()) for image in wanted) for i in range(200)]
    assert 0.35 < np.mean([spread > 1e-4 for spread in spreads]) < 0.65
    assert max(spreads) < 0.12


def test_blur_takes_detail_from_an_item(store):
    board = np.indices((16, 16)).sum(0) % 2 * np.float16(1)
    sharp = dataclasses.replace(store, pre=store.pre * 0 + board, post=store.post * 0 + board)
    make = image_items(sharp, np.array([0]), None, seed=0, blur=2.0)
    spreads = [float(make(rng(index), index).std()) for index in range(40)]
    assert min(spreads) < 0.1 < 0.45 < max(spreads)


def test_images_without_a_follow_up_are_shown_once(store):
    records = [{**record, "single_images": True} for record in store.patients]
    single = dataclasses.replace(store, patients=records)
    assert len(image_validation(single, np.arange(3))) == 3
