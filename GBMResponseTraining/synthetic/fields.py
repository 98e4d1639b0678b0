"""Scalar fields on regular 3-D grids: sampling at world points, smooth random textures, soft thresholds.

World coordinates are RAS millimeters everywhere in this package: x grows to the patient's right, y to anterior,
z to superior.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from GBMResponseCore.inputs.preprocessing import bounding_box
from scipy import ndimage


@dataclass(frozen=True)
class Grid:
    """An isotropic, axis-aligned grid; array axes run along world x, y, z."""

    origin: tuple[float, ...]
    spacing_mm: float
    shape: tuple[int, ...]

    def points(self) -> np.ndarray:
        """World coordinates of all voxel centers, float32 (*shape, 3)."""
        axes = [
            np.float32(start) + np.float32(self.spacing_mm) * np.arange(count, dtype=np.float32)
            for start, count in zip(self.origin, self.shape, strict=True)
        ]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)

    def sample(self, volume: np.ndarray, points: np.ndarray, fill: float = 0.0, order: int = 1) -> np.ndarray:
        """Value of `volume` (shape of the grid) at world `points` (..., 3); `fill` outside the grid."""
        return ndimage.map_coordinates(
            volume, self.indices(points), output=np.float32, order=order, mode="constant", cval=fill
        )

    def indices(self, points: np.ndarray) -> np.ndarray:
        """Fractional voxel indices, float32 (3, ...), of world points (..., 3)."""
        index = np.empty((3, *points.shape[:-1]), np.float32)
        for axis in range(3):
            np.subtract(points[..., axis], np.float32(self.origin[axis]), out=index[axis])
        index *= np.float32(1 / self.spacing_mm)
        return index

    def volume_ml(self, mask: np.ndarray) -> float:
        """Volume of a boolean mask on this grid in millilitres."""
        return float(np.count_nonzero(mask)) * self.spacing_mm**3 / 1000.0


def centered_grid(center: np.ndarray, extent_mm: float, spacing_mm: float) -> Grid:
    """Cubic grid of about `extent_mm` around a world point."""
    count = round(extent_mm / spacing_mm)
    origin = np.asarray(center, float) - (count - 1) * spacing_mm / 2
    return Grid(tuple(float(value) for value in origin), float(spacing_mm), (count, count, count))


def smooth_step(value: np.ndarray, low: float | np.ndarray, high: float | np.ndarray) -> np.ndarray:
    """Cubic step: 0 below `low`, 1 above `high`."""
    position = np.clip((value - low) / (high - low), 0.0, 1.0)
    return position * position * (3.0 - 2.0 * position)


def smooth_noise(generator: np.random.Generator, grid: Grid, correlation_mm: float) -> np.ndarray:
    """Zero-mean, unit-variance Gaussian noise, smoothed with a Gaussian of SD `correlation_mm`; float32, grid shape.

    It is drawn on a coarser grid when the correlation allows it and interpolated, which is what makes it cheap.
    """
    sigma = correlation_mm / grid.spacing_mm
    factor = max(1, int(sigma / 1.25))
    coarse_shape = [count // factor + 3 for count in grid.shape]
    noise = generator.standard_normal(coarse_shape, dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, sigma / factor, mode="wrap", truncate=3.0)
    noise = (noise - noise.mean()) / (noise.std() + 1e-6)
    for axis, count in enumerate(grid.shape):
        noise = upsample_axis(noise, axis, factor, count)
    return noise


def upsample_axis(volume: np.ndarray, axis: int, factor: int, count: int) -> np.ndarray:
    """Linear interpolation along one axis: `count` samples, `factor` of them per input step."""
    if factor == 1:
        return np.take(volume, np.arange(count), axis)
    position = np.arange(count, dtype=np.float32) / factor
    lower = position.astype(int)
    weight = (position - lower).reshape([-1 if other == axis else 1 for other in range(volume.ndim)])
    return np.take(volume, lower, axis) * (1 - weight) + np.take(volume, lower + 1, axis) * weight


def signed_distance(mask: np.ndarray, spacing_mm: float) -> np.ndarray:
    """Distance in mm to the surface of a mask, positive inside, zero between the last in and first out voxel."""
    if not mask.any():
        return np.full(mask.shape, -100.0, np.float32)
    if mask.all():
        return np.full(mask.shape, 100.0, np.float32)
    inside, box = np.zeros(mask.shape), bounding_box(mask, (1,) * mask.ndim)
    inside[box] = ndimage.distance_transform_edt(mask[box])
    outside = ndimage.distance_transform_edt(~mask)
    return (np.where(mask, inside - 0.5, 0.5 - outside) * spacing_mm).astype(np.float32)
