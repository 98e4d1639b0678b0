"""Noise along the patient: exact marginals, known correlation, one value for a place."""

import math

import pytest
import torch
from GBMResponseCore.model.noise import anchor_weights, draw_noise, pair_and_sign

SHAPE = (4, 64, 64)
POSITIONS = [-7.3, -1.0, 0.0, 2.5, 5.0, 12.0, 40.0]


def test_samples_are_counted_in_pairs_of_opposite_sign():
    assert [pair_and_sign(sample) for sample in range(4)] == [(0, 1), (0, -1), (1, 1), (1, -1)]


@pytest.mark.parametrize("length", [0.5, 6.0, 25.0])
@pytest.mark.parametrize("position", POSITIONS)
def test_the_squares_of_the_weights_sum_to_one(length, position):
    weights = anchor_weights(position, length)
    assert sum(weight**2 for weight in weights.values()) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("length", [3.0, 12.0, 30.0])
@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("start", [0.0, 1.7, -33.3])
def test_the_correlation_halves_at_the_length_wherever_the_slices_are(length, distance, start):
    first, second = (anchor_weights(z, length) for z in (start, start + distance * length))
    correlation = sum(weight * second.get(anchor, 0.0) for anchor, weight in first.items())
    assert correlation == pytest.approx(2.0 ** -(distance**2), abs=0.01)


def test_drawn_noise_is_standard_normal_in_each_slice_and_correlated_as_its_weights_say():
    noise = draw_noise(3, 0, POSITIONS, SHAPE, 10.0).flatten(1).double()
    bound = 5 / math.sqrt(noise.shape[1])
    assert noise.mean(dim=1).abs().max() < bound
    assert (noise.std(dim=1) - 1).abs().max() < bound
    fourth = (noise**4).mean(dim=1)
    assert (fourth - 3).abs().max() < 5 * math.sqrt(96 / noise.shape[1])
    for k, one in enumerate(POSITIONS):
        for m, other in enumerate(POSITIONS[:k]):
            wanted = 2.0 ** -(((one - other) / 10.0) ** 2)
            assert (noise[k] * noise[m]).mean().item() == pytest.approx(wanted, abs=bound + 0.01)


def test_independent_slices_are_uncorrelated():
    noise = draw_noise(3, 0, [0.0, 0.1], SHAPE).flatten(1)
    assert (noise[0] * noise[1]).mean().item() == pytest.approx(0.0, abs=5 / math.sqrt(noise.shape[1]))


@pytest.mark.parametrize("length", [0.0, 8.0])
def test_noise_depends_on_the_place_alone_and_not_on_other_slices(length):
    every = draw_noise(7, 1, POSITIONS, (2, 4, 4), length)
    for k, position in enumerate(POSITIONS):
        assert torch.equal(draw_noise(7, 1, [position], (2, 4, 4), length)[0], every[k])
    assert torch.equal(draw_noise(7, 1, POSITIONS[::-1], (2, 4, 4), length), every.flip(0))


@pytest.mark.parametrize("length", [0.0, 8.0])
def test_a_twentieth_of_a_millimeter_is_the_same_place(length):
    exact, moved = (draw_noise(7, 1, [z], (2, 4, 4), length) for z in (3.0, 3.04))
    assert torch.equal(exact, moved)


@pytest.mark.parametrize("other", [{"seed": 8}, {"pair": 1}, {"length_mm": 9.0}])
def test_correlated_noise_differs_between_seeds_pairs_and_lengths(other):
    base = {"seed": 7, "pair": 0, "positions_mm": [5.0], "shape": SHAPE, "length_mm": 8.0}
    first, second = draw_noise(**base).flatten(), draw_noise(**{**base, **other}).flatten()
    assert abs((first * second).mean().item()) < 5 / math.sqrt(len(first))
