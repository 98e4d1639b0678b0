"""Nearest-code search against the full distance matrix."""

import torch
from GBMResponseCore.model.quantizer import nearest_by_distance, nearest_code_indices, nearest_codes, quantize


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


def test_groups_of_channels_have_codes_of_their_own():
    generator = torch.Generator().manual_seed(0)
    codebooks = torch.randn((2, 20, 3), generator=generator)
    latents = torch.randn((1, 6, 4, 4), generator=generator)
    halves = [quantize(half, codes) for half, codes in zip(latents.chunk(2, dim=1), codebooks, strict=True)]
    assert torch.equal(quantize(latents, codebooks), torch.cat(halves, dim=1))


def test_without_codes_latents_stay_as_they_are():
    latents = torch.randn((1, 6, 4, 4))
    assert quantize(latents, torch.empty(0, 20, 6)) is latents


def test_the_codes_get_a_gradient_where_it_is_asked_for():
    codes = torch.eye(3)[None].requires_grad_()
    nearest_codes(torch.zeros(1, 3, 1, 1) + torch.tensor([2.0, 0, 0]).view(1, 3, 1, 1), codes).sum().backward()
    assert codes.grad[0].sum(1).tolist() == [3.0, 0.0, 0.0]
