"""A simulated patient's hidden tumor properties and the tissue it grows in. Plausible by eye, fitted to no cohort."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..anatomy.anatomy import Anatomy, SubjectShape
from ..fields import Grid, centered_grid, smooth_noise, smooth_step
from ..reference import AGE_YEARS
from .growth import GrowthModel


@dataclass(frozen=True)
class Biology:
    """Standardized hidden factors; `growth` and `sensitivity` are N(0, 1)."""

    growth: float
    sensitivity: float
    mgmt_methylated: bool
    age_years: float
    proliferation_per_day: float
    white_matter_diffusion_mm2_per_day: float

    @property
    def resistance(self) -> float:
        """What decides the response to treatment: about N(0, 1)."""
        return (0.6 * self.growth - 0.6 * self.sensitivity - 1.0 * (self.mgmt_methylated - 0.45)) / 0.98

    @property
    def fast_and_resistant(self) -> float:
        """Growth minus sensitivity; above about 1 the tumor tends to fail away from the treated volume."""
        return self.growth - self.sensitivity


def draw_biology(generator: np.random.Generator) -> Biology:
    """Random hidden factors of one patient."""
    growth, sensitivity, spread = np.clip(generator.standard_normal(3), -2.5, 2.5)
    return Biology(
        growth=float(growth),
        sensitivity=float(sensitivity),
        mgmt_methylated=bool(generator.random() < 0.45),
        age_years=float(AGE_YEARS.at(generator.random())),
        proliferation_per_day=float(0.022 * np.exp(0.40 * growth)),
        white_matter_diffusion_mm2_per_day=float(0.20 * np.exp(0.35 * spread)),
    )


def with_other_response(generator: np.random.Generator, biology: Biology) -> Biology:
    """The same tumor before treatment, with another response to it: no image shows it before."""
    drawn = draw_biology(generator)
    return replace(biology, sensitivity=drawn.sensitivity, mgmt_methylated=drawn.mgmt_methylated)


@dataclass(frozen=True)
class Host:
    """Tissue around the tumor on a box of the subject: maps 0-1 and `depth` in mm below the brain surface."""

    grid: Grid
    points: np.ndarray
    white: np.ndarray
    gray: np.ndarray
    csf: np.ndarray
    depth: np.ndarray


def sample_host(anatomy: Anatomy, shape: SubjectShape, center: np.ndarray, extent_mm: float) -> Host:
    """Tissue maps on a 2 mm box of `extent_mm` centered on a subject world point."""
    grid = centered_grid(center, extent_mm, 2.0)
    points = grid.points()
    source = shape.to_source(points)
    tissue = {name: anatomy.tissue(source, name) for name in ("white", "gray", "csf")}
    return Host(grid, points, depth=anatomy.brain_depth(source), **tissue)


def choose_seed_point(generator: np.random.Generator, anatomy: Anatomy, shape: SubjectShape) -> np.ndarray:
    """A random subject world point in hemispheric white matter, 8-45 mm deep, away from midline and posterior fossa."""
    for _ in range(50):
        points = generator.uniform((-65, -95, -18), (65, 65, 52), (4000, 3)).astype(np.float32)
        points = points[np.abs(points[:, 0]) > 12]
        source = shape.to_source(points)
        depth = anatomy.brain_depth(source)
        good = (anatomy.tissue(source, "white") > 0.6) & (depth > 8) & (depth < 45)
        if good.any():
            return points[np.argmax(good)]
    raise ValueError(f"Anatomy {anatomy.name!r} has no hemispheric white matter to seed a tumor in.")


def growth_model(generator: np.random.Generator, biology: Biology, host: Host) -> GrowthModel:
    """Heterogeneous growth: fast along white matter, slow in gray, none in fluid or outside the brain."""
    patchy_diffusion = np.exp(np.clip(0.55 * smooth_noise(generator, host.grid, 7.0), -1.2, 0.9))
    patchy_rate = np.exp(np.clip(0.35 * smooth_noise(generator, host.grid, 8.0), -0.8, 0.8))
    diffusion = biology.white_matter_diffusion_mm2_per_day * (host.white + 0.12 * host.gray) * patchy_diffusion
    diffusion = np.where((host.csf > 0.6) | (host.depth < 1), 0, diffusion)
    return GrowthModel(diffusion, biology.proliferation_per_day * patchy_rate, host.grid.spacing_mm)


def seed_density(host: Host, center: np.ndarray) -> np.ndarray:
    """Initial cell density: a 4 mm blob inside the brain."""
    squared = ((host.points - center) ** 2).sum(-1)
    return (np.exp(-squared / 32.0) * smooth_step(host.depth, 0.0, 2.0)).astype(np.float32)
