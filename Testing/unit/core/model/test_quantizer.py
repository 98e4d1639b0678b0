"""Nearest-code search against the full distance matrix."""

import torch
from GBMResponseCore.model.quantizer import nearest_by_distance, nearest_code_indices, quantize


def test_indices_equal_those_of_the_distance_matrix():
    generator = torch.Generator().manual_seed(0)
    vectors, codes = torch.randn(500, 4, generator=generator), torch.randn(300, 4, generator=generator)
    assert torch.equal(nearest_code_indices(vectors, codes), torch.cdist(vectors, codes).argmin(1))


def test_the_distance_matrix_is_exact_also_for_vectors_far_from_zero():
    generator = torch.Generator().manual_seed(0)
    codebook = 1000 + torch.randn(300, 4, generator=generator)
    vectors = codebook[:200] + 0.01 * torch.randn(200, 4, generator=generator)
    exact = (vectors[:, None].double() - codebook.double()).norm(dim=2).argmin(1)
    assert torch.equal(nearest_by_distance(vectors, codebook), exact)
    assert torch.equal(nearest_code_indices(vectors, codebook), exact)


def test_codes_are_fixed_points():
    codes = torch.randn(32, 4)
    latents = codes[:6].T.reshape(1, 4, 2, 3)
    assert torch.equal(quantize(latents, codes), latents)


def test_quantized_latents_keep_their_place():
    codes = torch.tensor([[0.0, 0.0], [10.0, 10.0]])
    latents = torch.zeros(1, 2, 2, 2)
    latents[0, :, 1, 0] = 9.0
    expected = torch.zeros(1, 2, 2, 2)
    expected[0, :, 1, 0] = 10.0
    assert torch.equal(quantize(latents, codes), expected)
