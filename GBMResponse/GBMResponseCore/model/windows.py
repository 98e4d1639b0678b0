"""Denoise windows around the GTV instead of whole slices, for a model that was trained on such crops.

A tumor larger than a window gets several, which overlap: in every step their outputs are averaged where they do
(MultiDiffusion, Bar-Tal et al. 2023, arXiv 2302.08113), so that they agree on one picture without a seam. Outside of
all windows nothing changes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import ndimage


@dataclass(frozen=True)
class WindowRule:
    """Where windows lie. All lengths in latent pixels.

    :param size: side of a window.
    :param margin: around the GTV that windows cover.
    :param overlap: least of two neighboring windows.
    :raises ValueError: windows would not move on, or a margin is negative.
    """

    size: int = 32
    margin: int = 6
    overlap: int = 8

    def __post_init__(self) -> None:
        if self.margin < 0 or not 0 < self.overlap < self.size:
            raise ValueError(f"windows of {self.size} with an overlap of {self.overlap} and a margin of {self.margin}")

    def fitted(self, side: int) -> "WindowRule":
        """The rule for slices of this side, which may be smaller than a window."""
        size = min(self.size, side)
        return replace(self, size=size, overlap=min(self.overlap, size - 1))

    def corners(self, gtv: np.ndarray) -> np.ndarray:
        """First row and column of each window of one slice, (k, 2) int; none without GTV.

        :param gtv: bool (h, w).
        """
        if not gtv.any():
            return np.empty((0, 2), dtype=np.int64)
        covered = ndimage.binary_dilation(gtv, np.ones((2 * self.margin + 1,) * 2)) if self.margin else gtv
        places = [self._starts(np.any(covered, axis=1 - axis)) for axis in (0, 1)]
        corners = [(row, column) for row in places[0] for column in places[1]]
        kept = [at for at in corners if covered[at[0] : at[0] + self.size, at[1] : at[1] + self.size].any()]
        return np.array(kept, dtype=np.int64)

    def _starts(self, covered: np.ndarray) -> list[int]:
        """First pixels of windows along one axis, whose `covered` pixels (length,) they hold together."""
        low, high = np.flatnonzero(covered)[[0, -1]]
        length, last = high + 1 - low, len(covered) - self.size
        if length <= self.size:
            return [int(np.clip((low + high + 1 - self.size) // 2, 0, last))]
        count = -(-(length - self.overlap) // (self.size - self.overlap))
        return np.linspace(low, high + 1 - self.size, count).round().astype(int).tolist()


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows of n slices.

    :param corners: of each slice, (k, 2).
    :param size: side of all.
    """

    corners: list[np.ndarray]
    size: int

    def __len__(self) -> int:
        return len(self.corners)

    def __getitem__(self, rows: slice | list[int]) -> "Windows":
        """Those of some of the slices."""
        chosen = self.corners[rows] if isinstance(rows, slice) else [self.corners[row] for row in rows]
        return replace(self, corners=chosen)

    def places(self) -> list[tuple[int, int, int]]:
        """Slice, first row and first column of every window."""
        return [(row, int(top), int(left)) for row, corners in enumerate(self.corners) for top, left in corners]

    def shares(self, shape: tuple[int, int]) -> torch.Tensor:
        """Part of each window in its pixels' output, float32 (m, size, size): falls to its edge, sums to 1 in a pixel.

        :param shape: rows and columns of a slice.
        """
        ramp = torch.minimum(torch.arange(1, self.size + 1), torch.arange(self.size, 0, -1)).float()
        hill = ramp[:, None] * ramp
        total = torch.zeros((len(self), *shape))
        for row, top, left in self.places():
            total[row, top : top + self.size, left : left + self.size] += hill
        return torch.stack(
            [hill / total[row, top : top + self.size, left : left + self.size] for row, top, left in self.places()]
        )

    def keep(self, latents: torch.Tensor) -> torch.Tensor:
        """Latents (n, C, h, w) with 0 outside of the windows."""
        kept = torch.zeros_like(latents)
        for row, top, left in self.places():
            area = (row, slice(None), slice(top, top + self.size), slice(left, left + self.size))
            kept[area] = latents[area]
        return kept

    def within(self, denoiser: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        """The denoiser of whole slices that a denoiser of windows makes; see :class:`.networks.Denoiser`.

        It also takes several copies of the slices one after the other, as guidance does. Its output is 0 outside.
        """
        places, count = self.places(), len(self)

        def denoise(
            noisy: torch.Tensor,
            sources: torch.Tensor,
            timestep: torch.Tensor,
            tokens: torch.Tensor,
            days: torch.Tensor | None = None,
        ) -> torch.Tensor:
            whole = torch.zeros_like(noisy, dtype=torch.float32)
            repeats = range(len(noisy) // count)
            copies = [(copy * count + row, top, left) for copy in repeats for row, top, left in places]
            if not copies:
                return whole
            rows = torch.tensor([row for row, *_ in copies], device=noisy.device)
            parts = denoiser(
                self._cut(noisy, copies), self._cut(sources, copies), timestep,
                tokens[rows], None if days is None else days[rows],
            ).float()  # fmt: skip
            shares = self.shares(noisy.shape[-2:]).to(noisy.device).repeat(len(copies) // len(places), 1, 1)
            for (row, top, left), part, share in zip(copies, parts, shares, strict=True):
                whole[row, :, top : top + self.size, left : left + self.size] += share * part
            return whole

        return denoise

    def _cut(self, planes: torch.Tensor, places: list[tuple[int, int, int]]) -> torch.Tensor:
        return torch.stack(
            [planes[row, :, top : top + self.size, left : left + self.size] for row, top, left in places]
        )


def find_windows(gtv: np.ndarray, rule: WindowRule, downsampling: int) -> Windows:
    """The windows of slices with this GTV (n, H, W), non-zero inside.

    :param downsampling: pixels of a slice per latent pixel.
    """
    count, height, width = gtv.shape
    blocks = (gtv > 0).reshape(count, height // downsampling, downsampling, width // downsampling, downsampling)
    rule = rule.fitted(min(blocks.shape[1::2]))
    return Windows([rule.corners(plane) for plane in np.any(blocks, axis=(2, 4))], rule.size)
