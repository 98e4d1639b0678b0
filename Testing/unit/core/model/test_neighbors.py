"""Which slices stand beside a slice."""

import numpy as np
import torch
from GBMResponseCore.model.slice_model import neighbor_rows, with_neighbors


def test_neighbors_are_the_slices_below_and_above():
    np.testing.assert_array_equal(neighbor_rows([10, 11, 12], 1), [[0, 0, 1], [1, 2, 2]])


def test_a_gap_is_not_bridged():
    np.testing.assert_array_equal(neighbor_rows([10, 12], 1), [[0, 1], [0, 1]])


def test_the_order_of_the_slices_does_not_matter():
    np.testing.assert_array_equal(neighbor_rows([12, 11], 1), [[1, 1], [0, 0]])


def test_two_on_either_side_come_nearest_first():
    np.testing.assert_array_equal(neighbor_rows([0, 1, 2, 3, 4], 2)[:, 2], [1, 3, 0, 4])


def test_no_neighbors_are_no_rows():
    assert neighbor_rows([3, 4], 0).shape == (0, 2)


def test_their_pre_latents_are_appended():
    sources = torch.arange(2 * 8).float().view(2, 8, 1, 1)
    extended = with_neighbors(sources, neighbor_rows([5, 6], 1), channels=4)
    assert extended.shape == (2, 16, 1, 1)
    assert extended[0, 12:].flatten().tolist() == sources[1, :4].flatten().tolist()
