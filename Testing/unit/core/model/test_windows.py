"""Windows around the GTV: where they lie, and what a denoiser of windows makes of whole slices."""

import numpy as np
import pytest
import torch
from GBMResponseCore.model.sampling import expected_latents, sample_latents
from GBMResponseCore.model.windows import WindowRule, find_windows
from GBMResponseCore.request import SamplingOptions

from GBMResponseTraining.models.unet_config import noise_schedule

RULE = WindowRule(size=32, margin=6, overlap=8)
SCHEDULE = noise_schedule("v_prediction")


def mask(*boxes, side=64):
    """A slice whose GTV are boxes (first row, last row, first column, last column)."""
    plane = np.zeros((side, side), bool)
    for top, bottom, left, right in boxes:
        plane[top : bottom + 1, left : right + 1] = True
    return plane


def windows_of(*planes):
    """Windows of slices given in latent pixels."""
    return find_windows(np.stack(planes).astype(np.float32), RULE, 1)


class Local:
    """A denoiser that answers pixel by pixel, and remembers how many windows it was shown."""

    def __init__(self):
        self.batches = []

    def __call__(self, noisy, sources, timestep, tokens, days=None):
        self.batches.append(tuple(noisy.shape))
        when = 0.0 if days is None else days.view(-1, 1, 1, 1)
        return 0.5 * noisy - 0.25 * sources[:, :2] + tokens.view(-1, 1, 1, 1) + when


def test_a_small_tumor_has_one_window_with_the_gtv_in_its_middle():
    assert RULE.corners(mask((30, 33, 20, 27))).tolist() == [[16, 8]]


def test_a_window_stays_inside_the_slice():
    assert RULE.corners(mask((0, 3, 60, 63))).tolist() == [[0, 32]]


def test_no_gtv_no_window():
    assert RULE.corners(mask()).shape == (0, 2)


@pytest.mark.parametrize(
    "boxes", [[(10, 50, 30, 34)], [(5, 60, 2, 61)], [(6, 9, 6, 9), (52, 57, 50, 57)], [(0, 63, 0, 63)]]
)
def test_what_does_not_fit_one_window_is_covered_by_several(boxes):
    plane = mask(*boxes)
    corners = RULE.corners(plane)
    rows, columns = np.nonzero(plane)
    margin = [(r + i, c + j) for r, c in zip(rows, columns, strict=True) for i in (-6, 6) for j in (-6, 6)]
    inside = np.array([at for at in margin if min(at) >= 0 and max(at) < 64])
    covered = [((inside >= corner) & (inside < corner + 32)).all(axis=1) for corner in corners]
    assert np.any(covered, axis=0).all()
    assert (corners >= 0).all() and (corners <= 32).all()


def test_neighboring_windows_overlap():
    corners = RULE.corners(mask((2, 61, 30, 33)))
    assert len({column for _, column in corners.tolist()}) == 1
    assert (np.diff(corners[:, 0]) <= 32 - 8).all()


def test_windows_of_a_slice_that_hold_no_gtv_are_left_out():
    """Two foci in opposite corners: the other two corners hold none."""
    corners = RULE.corners(mask((6, 9, 6, 9), (52, 57, 50, 57))).tolist()
    assert [0, 0] in corners and len(corners) < len({r for r, _ in corners}) * len({c for _, c in corners})


def test_windows_are_no_larger_than_small_slices():
    windows = find_windows(np.ones((1, 64, 64), np.float32), RULE, 4)
    assert windows.size == 16 and windows.places() == [(0, 0, 0)]


def test_the_corners_are_in_latent_pixels():
    pixels = np.zeros((1, 256, 256), np.float32)
    pixels[0, 121, 83] = 1.0
    assert find_windows(pixels, RULE, 4).places() == [(0, 14, 4)]


def test_shares_of_overlapping_windows_sum_to_one():
    windows = windows_of(mask((2, 61, 2, 61)), mask((30, 33, 20, 27)))
    total = torch.zeros(2, 64, 64)
    for (row, top, left), share in zip(windows.places(), windows.shares((64, 64)), strict=True):
        total[row, top : top + 32, left : left + 32] += share
    covered = windows.keep(torch.ones(2, 1, 64, 64))[:, 0]
    torch.testing.assert_close(total, covered)
    assert float(windows.shares((64, 64)).min()) > 0


def test_a_pixelwise_denoiser_says_the_same_in_windows_as_in_whole_slices():
    windows = windows_of(mask((2, 61, 2, 61)), mask((30, 33, 20, 27)))
    generator = torch.Generator().manual_seed(1)
    noisy, sources = (torch.randn(4, 2, 64, 64, generator=generator) for _ in range(2))
    tokens, days, step = torch.tensor([0, 1, 2, 3]), torch.tensor([5.0, 6.0, 7.0, 8.0]), torch.tensor(500)
    network = Local()
    output = windows.within(network)(noisy, sources, step, tokens, days)
    whole = Local()(noisy, sources, step, tokens, days)
    kept = torch.cat([windows.keep(whole[:2]), windows.keep(whole[2:])])
    torch.testing.assert_close(output, kept)
    assert network.batches == [(2 * len(windows.places()), 2, 32, 32)]


def test_slices_without_gtv_cost_nothing():
    network = Local()
    output = windows_of(mask()).within(network)(torch.ones(1, 2, 64, 64), torch.ones(1, 2, 64, 64), None, None)
    assert network.batches == [] and not output.any()


def test_some_of_the_slices_keep_their_windows():
    planes = [mask((30, 33, 20, 27)), mask((2, 61, 2, 61)), mask((0, 3, 60, 63))]
    chosen = windows_of(*planes)[[2, 0]]
    assert chosen.places() == windows_of(planes[2], planes[0]).places()
    assert windows_of(*planes)[1:].places() == windows_of(*planes[1:]).places()


def test_samples_and_the_expected_image_do_not_depend_on_where_windows_overlap():
    """A denoiser that knows the answer draws it without a seam."""
    windows = windows_of(mask((2, 61, 2, 61)))
    target = torch.linspace(-2, 2, 64).expand(1, 2, 64, 64)
    alphas = torch.cumprod(1 - torch.linspace(0.0015**0.5, 0.0195**0.5, 1000) ** 2, 0)

    def oracle(noisy, sources, timestep, tokens, days=None):
        alpha, sigma = alphas[int(timestep)].sqrt(), (1 - alphas[int(timestep)]).sqrt()
        return alpha * (noisy - alpha * sources) / sigma - sigma * sources

    options, tokens = SamplingOptions(sampler="ddim", steps=10, noise_length=0.0), torch.zeros(1, dtype=torch.long)
    common = {"null_token": 0, "channels": 2}
    for draw, where in ((expected_latents, {}), (sample_latents, {"seed": 1, "sample": 0, "positions_mm": [0.0]})):
        drawn = [
            draw(net, SCHEDULE, options, target, tokens, **common, **where) for net in (windows.within(oracle), oracle)
        ]
        torch.testing.assert_close(*map(windows.keep, drawn), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("sizes", [(8, 2, 8), (8, 2, 0), (8, -1, 2)])
def test_windows_that_cannot_be_are_refused(sizes):
    with pytest.raises(ValueError, match="windows"):
        WindowRule(*sizes)
