"""Random looks: signal levels of one patient's lesion and vessels, and the 3-D textures that make them irregular."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..fields import Grid, smooth_noise
from .acquisition import AcquisitionStyle

LESION_SCALES_MM = {"fine": 1.1, "medium": 2.4, "coarse": 5.5, "broad": 11.0, "strands": 3.0}
VESSEL_SCALE_MM = 6.5


@dataclass(frozen=True)
class Look:
    """Appearance of one patient's lesion and vessels."""

    enhancement: float
    ring_thickness_mm: float
    necrosis_level: float
    oedema: float
    cavity_level: float
    wall_thickness_mm: float
    blood: float
    vessels: float
    dura: float
    radiation_change: float = 0.0


def draw_look(generator: np.random.Generator, style: AcquisitionStyle) -> Look:
    """A patient's appearance at the pre-treatment visit."""
    return Look(
        enhancement=float(generator.uniform(*style.enhancement_range)),
        ring_thickness_mm=float(generator.uniform(1.2, 3.3)),
        necrosis_level=float(generator.uniform(0.45, 0.75)),
        oedema=float(generator.uniform(0.14, 0.30)),
        cavity_level=float(generator.uniform(0.28, 0.55)),
        wall_thickness_mm=float(generator.uniform(0.8, 1.8)),
        blood=float((generator.random() < 0.35) * generator.uniform(0.4, 1.0)),
        vessels=float(generator.uniform(0.7, 1.1)),
        dura=float(generator.uniform(0.15, 0.45)),
    )


def follow_up_look(generator: np.random.Generator, look: Look) -> Look:
    """The same lesion months later: blood mostly gone, radiated white matter a little darker."""
    return replace(
        look,
        enhancement=look.enhancement * float(generator.uniform(0.93, 1.07)),
        ring_thickness_mm=look.ring_thickness_mm * float(generator.uniform(0.85, 1.15)),
        cavity_level=look.cavity_level * float(generator.uniform(0.85, 1.0)),
        blood=look.blood * 0.3 * float(generator.random() < 0.25),
        vessels=look.vessels * float(generator.uniform(0.85, 1.15)),
        dura=look.dura * float(generator.uniform(0.7, 1.1)),
        radiation_change=float(generator.uniform(0.0, 0.08)),
    )


@dataclass(frozen=True)
class Textures:
    """Unit-variance 3-D noise around the tumor at several scales, plus two head-wide fields that trace vessels."""

    fields: dict[str, tuple[Grid, np.ndarray]]

    def sample(self, name: str, points: np.ndarray) -> np.ndarray:
        """One texture at undisplaced subject world points (..., 3)."""
        grid, field = self.fields[name]
        return grid.sample(field, points)

    def evolved(self, generator: np.random.Generator) -> Textures:
        """Textures of a later visit: correlated 0.75 with these; vessels stay."""
        later = dict(self.fields)
        for name, scale in LESION_SCALES_MM.items():
            grid, field = self.fields[name]
            later[name] = (grid, 0.75 * field + 0.66 * smooth_noise(generator, grid, scale))
        return Textures(later)


def draw_textures(generator: np.random.Generator, low: np.ndarray, high: np.ndarray, head_grid: Grid) -> Textures:
    """Random textures between two world corners around the lesion, and vessels over `head_grid`."""
    fields = {}
    origin = tuple(float(value) for value in low)
    for name, scale in LESION_SCALES_MM.items():
        spacing = max(1.0, scale / 2.2)
        grid = Grid(origin, spacing, tuple(int(value / spacing) + 2 for value in high - low))
        fields[name] = (grid, smooth_noise(generator, grid, scale))
    for name in ("vessel_a", "vessel_b"):
        fields[name] = (head_grid, smooth_noise(generator, head_grid, VESSEL_SCALE_MM))
    return Textures(fields)
