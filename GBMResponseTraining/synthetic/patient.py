"""One simulated patient: hidden course, then the two T1-Gd images, the GTV and the record of what was drawn.

Everything here is synthetic. Numbers are plausible by eye and the link to survival is invented.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .anatomy import Anatomy, AnatomyLibrary, SubjectShape
from .biology import Biology, Host, choose_seed_point, draw_biology, growth_model, sample_host, seed_density
from .fields import Grid
from .mass_effect import MassEffect
from .rendering import (
    FieldOfView,
    HeadRenderer,
    Pose,
    Scanner,
    Textures,
    draw_look,
    draw_style,
    follow_up_look,
    lesion_at_visit,
)
from .treatment import Course, simulate_course

SMALLEST_GTV_AREA_MM2 = 25.0


@dataclass(frozen=True)
class SimulationSettings:
    """What a cohort looks like. `slices` axial slices of `size` x `size` pixels are rendered per patient."""

    anatomies: tuple[str, ...] = ("colin27", "robex", "icbm152")
    anatomy_weights: tuple[float, ...] = (0.5, 0.42, 0.08)
    slices: int = 6
    size: int = 256
    spacing_range_mm: tuple[float, float] = (0.82, 1.02)
    spin_echo_probability: float = 0.5
    box_mm: float = 116.0


@dataclass
class SimulatedPatient:
    """Arrays are [slice, row, column]: row 0 anterior, column 0 patient right, slices from inferior to superior.

    `pre` and `post` are float32 with white matter about 1; `gtv` and `brain` are bool; `slice_positions_mm` are the
    RAS z coordinates of the slice centres, ascending; `record` is ready for JSON.
    """

    pre: np.ndarray
    post: np.ndarray
    gtv: np.ndarray
    brain: np.ndarray
    spacing_mm: float
    slice_positions_mm: np.ndarray
    record: dict


@dataclass(frozen=True)
class HiddenPatient:
    """Everything about a patient except the pictures."""

    seed: int
    anatomy: Anatomy
    shape: SubjectShape
    host: Host
    biology: Biology
    course: Course


def random_stream(seed: int, purpose: int) -> np.random.Generator:
    """Independent generator per patient and purpose, so that changing one step leaves the others' draws alone."""
    return np.random.default_rng([seed, purpose])


def simulate_hidden_patient(seed: int, library: AnatomyLibrary, settings: SimulationSettings) -> HiddenPatient:
    """Anatomy, biology and course of one patient, without rendering."""
    generator = random_stream(seed, 0)
    weights = np.asarray(settings.anatomy_weights, float)
    name = str(generator.choice(settings.anatomies, p=weights / weights.sum()))
    anatomy = library.get(name)
    shape = SubjectShape(generator, anatomy.grid)
    centre = choose_seed_point(generator, anatomy, shape)
    host = sample_host(anatomy, shape, centre, settings.box_mm)
    biology_generator = random_stream(seed, 1)
    biology = draw_biology(biology_generator)
    model = growth_model(biology_generator, biology, host)
    course = simulate_course(random_stream(seed, 2), host, biology, model, seed_density(host, centre))
    return HiddenPatient(seed, anatomy, shape, host, biology, course)


def simulate_patient(seed: int, library: AnatomyLibrary, settings: SimulationSettings) -> SimulatedPatient:
    """Simulate and render one patient; the same arguments give the same arrays."""
    hidden = simulate_hidden_patient(seed, library, settings)
    anatomy, shape, host, course = hidden.anatomy, hidden.shape, hidden.host, hidden.course
    generator = random_stream(seed, 3)
    drawn_spacing = float(generator.uniform(*settings.spacing_range_mm))
    style = draw_style(generator, settings.spin_echo_probability)
    look = draw_look(generator)
    centre_x, centre_y, head_grid = head_extent(anatomy, shape)
    brain_length_mm = head_grid.spacing_mm * head_grid.shape[1] - 18
    spacing = float(np.clip((brain_length_mm + 36) / settings.size, drawn_spacing, settings.spacing_range_mm[1]))
    view = FieldOfView(settings.size, spacing, centre_x, centre_y)
    textures = Textures(generator, host.grid, head_grid)
    pushes = draw_mass_effects(generator, hidden)

    later = random_stream(seed, 4)
    pose = Pose(float(later.normal(0, 0.6)), tuple(float(value) for value in later.normal(0, (0.7, 0.7, 0.4))))
    before = HeadRenderer(
        anatomy, shape, view, style, textures, lesion_at_visit(host, course, "pre"), pushes[0], look, Pose()
    )
    after = HeadRenderer(
        anatomy,
        shape,
        view,
        style,
        textures.evolved(later),
        lesion_at_visit(host, course, "post"),
        pushes[1],
        follow_up_look(later, look),
        pose,
    )
    positions, gtv_ml = choose_slices(random_stream(seed, 5), hidden, pushes[0], settings.slices)
    first_scan, second_scan = (Scanner(random_stream(seed, purpose), style, view) for purpose in (6, 7))
    gtv = np.stack([before.mask(course.gtv_depth, height) for height in positions])
    record = {
        "seed": int(seed),
        "synthetic": True,
        "anatomy": anatomy.name,
        "flipped": shape.flipped,
        "style": style.name,
        "slice_thickness_mm": round(style.slice_thickness_mm, 3),
        "extent_of_resection": course.surgery.extent,
        "mgmt_methylated": hidden.biology.mgmt_methylated,
        "age_years": round(hidden.biology.age_years, 1),
        "growth": round(hidden.biology.growth, 4),
        "sensitivity": round(hidden.biology.sensitivity, 4),
        "pseudoprogression": round(course.pseudoprogression, 3),
        "satellite": course.satellite,
        "pre_tumour_ml": round(course.pre_tumour_ml, 3),
        "post_tumour_ml": round(course.post_tumour_ml, 3),
        "gtv_ml": round(gtv_ml, 3),
        "interval_days": round(course.interval_days, 1),
        "survival_days": round(course.survival_days, 1),
    }
    return SimulatedPatient(
        pre=np.stack([first_scan.acquire(before.slice_image(height), height) for height in positions]),
        post=np.stack([second_scan.acquire(after.slice_image(height), height) for height in positions]),
        gtv=gtv,
        brain=np.stack([before.brain(height) for height in positions]),
        spacing_mm=spacing,
        slice_positions_mm=positions,
        record=record,
    )


def head_extent(anatomy: Anatomy, shape: SubjectShape) -> tuple[float, float, Grid]:
    """World x and y of the brain's centre, and a 3 mm grid over the head for head-wide textures."""
    origin, extent = np.asarray(anatomy.grid.origin), np.asarray(anatomy.grid.shape) * anatomy.grid.spacing_mm
    coarse = Grid(tuple(origin - 12), 6.0, tuple(int(value / 6) + 5 for value in extent))
    points = coarse.points()
    brain = points[anatomy.brain_depth(shape.to_source(points)) > 0]
    low, high = brain.min(axis=0), brain.max(axis=0)
    head_grid = Grid(tuple(float(v) for v in low - 9), 3.0, tuple(int(v / 3) + 7 for v in high - low))
    centre = (low + high) / 2
    return float(centre[0]), float(centre[1]), head_grid


def draw_mass_effects(generator: np.random.Generator, hidden: HiddenPatient) -> tuple[MassEffect, MassEffect]:
    """Brain displacement at both visits: grows with what presses, less what the cavity gives way."""
    host, course = hidden.host, hidden.course
    strength = float(generator.uniform(0.12, 0.36))
    effects = []
    for density, cavity in ((course.density_pre, course.cavity_pre), (course.density_post, course.cavity_post)):
        push = np.maximum(density, 0.35 * (density > 0.05)) - 0.6 * cavity
        radius_mm = (3 * host.grid.volume_ml(density > 0.3) * 1000 / (4 * np.pi)) ** (1 / 3)
        largest = float(np.clip(strength * radius_mm, 0.3, 9.0))
        effects.append(MassEffect(hidden.anatomy, hidden.shape, host.grid, push, largest))
    return effects[0], effects[1]


def choose_slices(
    generator: np.random.Generator, hidden: HiddenPatient, mass_effect: MassEffect, count: int
) -> tuple[np.ndarray, float]:
    """RAS heights of `count` slices at jittered quantiles of the GTV's height profile, and the GTV's volume in ml."""
    grid = hidden.host.grid
    displaced = mass_effect.to_subject(hidden.host.points)
    inside = grid.sample(hidden.course.gtv_depth, displaced, fill=-50.0) > 0
    areas = inside.sum(axis=(0, 1)) * grid.spacing_mm**2
    heights = grid.origin[2] + grid.spacing_mm * np.arange(grid.shape[2])
    usable = heights[areas >= min(SMALLEST_GTV_AREA_MM2, 0.5 * areas.max())]
    low, high = float(usable.min()), float(usable.max())
    jitter = generator.uniform(0.25, 0.75, count)
    positions = low + (high - low) * (np.arange(count) + jitter) / count
    return positions.astype(np.float64), grid.volume_ml(inside)
