"""Displacement of the brain by tumor and oedema, as a backward map on a coarse grid around the tumor."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from ..fields import Grid, smooth_step
from .anatomy import Anatomy, SubjectShape

COARSE_SPACING_MM = 4.0
MARGIN_VOXELS = 9
SMOOTHING_MM = 12.0


class MassEffect:
    """Maps points of the displaced brain, as imaged, to points of the undisplaced subject (both world RAS mm)."""

    def __init__(
        self, anatomy: Anatomy, shape: SubjectShape, grid: Grid, push: np.ndarray, largest_displacement_mm: float
    ) -> None:
        """`push` on the 2 mm `grid` is positive where tissue presses outwards, negative where it collapses."""
        coarse = np.pad(push[::2, ::2, ::2].astype(np.float32), MARGIN_VOXELS)
        origin = tuple(value - MARGIN_VOXELS * COARSE_SPACING_MM for value in grid.origin)
        self.grid = Grid(origin, COARSE_SPACING_MM, coarse.shape)
        potential = ndimage.gaussian_filter(coarse, SMOOTHING_MM / COARSE_SPACING_MM)
        firmness = smooth_step(anatomy.brain_depth(shape.to_source(self.grid.points())), -2.0, 14.0)
        self.displacement = np.stack([component * firmness for component in np.gradient(potential)])
        longest = float(np.sqrt((self.displacement**2).sum(0)).max())
        self.displacement *= largest_displacement_mm / max(longest, 1e-6)

    def to_subject(self, points: np.ndarray) -> np.ndarray:
        """Undisplaced subject points (..., 3) of imaged points (..., 3)."""
        shift = [self.grid.sample(component, points) for component in self.displacement]
        return points + np.stack(shift, axis=-1)
