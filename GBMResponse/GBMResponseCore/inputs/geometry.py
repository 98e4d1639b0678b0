"""Where the voxels of a volume lie, before it is an image."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

_HEAD_MM = (80.0, 600.0)
"""Smallest and largest extent in mm of an image of a head along its longest axis."""
_SMALLEST_PART_MM = 40.0
"""The same of an image that was cropped about a tumor."""
_LARGEST_SHEAR = 0.5
"""Axes that are not perpendicular are straightened if no voxel moves by more than this fraction of a voxel."""
LPS = np.array([-1.0, -1.0, 1.0])
"""Turns RAS axes, as NIfTI has them, into LPS, and back."""
_EXACT = 1e-5
"""Products of unit vectors that differ by less are perpendicular: headers hold single precision."""
_FLAT = 1e-3
"""Volume of three unit vectors from which they span a space."""


@dataclass(frozen=True, eq=False)
class AnatomicalGrid:
    """A grid as a header has it.

    :param origin: center of the first voxel, LPS.
    :param spacing: of the three axes.
    :param direction: (3, 3), unit vectors of the axes as columns, LPS; perhaps not perpendicular.
    """

    origin: np.ndarray
    spacing: np.ndarray
    direction: np.ndarray

    @classmethod
    def of_ras(cls, affine: np.ndarray) -> "AnatomicalGrid | None":
        """The grid whose voxel (i, j, k) lies at the RAS point affine @ (i, j, k, 1), as in NIfTI and nibabel.

        :param affine: (3, 4), or (4, 4) with a last row of 0, 0, 0, 1.
        :returns: None if a voxel has no volume.
        """
        steps = np.linalg.norm(affine[:3, :3], axis=0)
        if min(steps) <= 0 or abs(np.linalg.det(affine[:3, :3] / steps)) < _FLAT:
            return None
        return cls(LPS * affine[:3, 3], steps, LPS[:, None] * (affine[:3, :3] / steps))

    def ras(self) -> np.ndarray:
        """The affine (4, 4) that :meth:`of_ras` takes."""
        affine = np.eye(4)
        affine[:3] = LPS[:, None] * np.column_stack([self.direction * self.spacing, self.origin])
        return affine

    def scaled(self, factor: float) -> "AnatomicalGrid":
        """The grid in another unit."""
        return AnatomicalGrid(self.origin * factor, self.spacing * factor, self.direction)

    def straightened(self, size: tuple[int, int, int]) -> "AnatomicalGrid | None":
        """The grid with perpendicular axes about the same center; None if voxels would move too far."""
        if np.abs(self.direction.T @ self.direction - np.eye(3)).max() <= _EXACT:
            return self
        left, _, right = np.linalg.svd(self.direction)
        straight = left @ right
        half = (np.array(size) - 1) / 2 * self.spacing
        moved = np.abs(self.direction - straight) @ half
        if np.linalg.norm(moved) > _LARGEST_SHEAR * min(self.spacing):
            return None
        return AnatomicalGrid(self.origin + (self.direction - straight) @ half, self.spacing, straight)

    def extent(self, size: tuple[int, int, int]) -> np.ndarray:
        """Length (3,) along each axis."""
        return np.array(size) * self.spacing

    def distance(self, other: "AnatomicalGrid", size: tuple[int, int, int]) -> float:
        """Largest distance of a voxel of one grid from the same voxel of the other."""
        ends = np.array(np.meshgrid(*[(0, n - 1) for n in size])).reshape(3, -1)
        places = [(g.direction * g.spacing) @ ends + g.origin[:, None] for g in (self, other)]
        return float(np.linalg.norm(places[0] - places[1], axis=0).max())

    def put_on(self, image: sitk.Image) -> sitk.Image:
        """The image, of three axes or more, with this grid on the first three."""
        extra = image.GetDimension() - 3
        direction = np.eye(image.GetDimension())
        direction[:3, :3] = self.direction
        placed = sitk.Image(image)
        placed.SetOrigin([*map(float, self.origin), *[0.0] * extra])
        placed.SetSpacing([*map(float, self.spacing), *[1.0] * extra])
        placed.SetDirection(direction.ravel().tolist())
        return placed


def is_head_size(extent: np.ndarray, cropped: bool = False) -> bool:
    """Whether an image with these extents (3,) in mm can show a head, or a part of one."""
    return bool((_SMALLEST_PART_MM if cropped else _HEAD_MM[0]) <= max(extent) <= _HEAD_MM[1])
