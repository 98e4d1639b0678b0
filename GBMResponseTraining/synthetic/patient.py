"""One simulated patient: hidden course, then the two T1-Gd images, the GTV and the record of what was drawn.

Everything here is synthetic. Numbers are plausible by eye; `survival` says how they end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .anatomy.anatomy import Anatomy, SubjectShape
from .anatomy.library import AnatomyLibrary
from .anatomy.mass_effect import MassEffect
from .clinical import draw_clinical, draw_observation
from .fields import Grid
from .scanner.acquisition import BIAS_TERMS, FieldOfView, Pose, Scanner, draw_style
from .scanner.appearance import draw_look, draw_textures, follow_up_look
from .scanner.rendering import HeadRenderer
from .tumor.biology import (
    Biology,
    Host,
    choose_seed_point,
    draw_biology,
    growth_model,
    sample_host,
    seed_density,
    with_other_response,
)
from .tumor.growth import VISIBLE_DENSITY
from .tumor.lesion import abnormal_extent, lesion_at_visit
from .tumor.survival import draw_survival_days
from .tumor.treatment import Course, simulate_course, simulate_planning

SMALLEST_GTV_AREA_MM2 = 25.0
SCALP_ALLOWANCE_MM = 36.0
GTV_MARGIN_MM = 2.0
HEAD_MARGIN_MM = 8.0


@dataclass(frozen=True)
class SimulationSettings:
    """What a cohort looks like.

    `slices` axial slices of `size` x `size` pixels are rendered per patient, evenly spaced through the GTV and
    `GTV_MARGIN_MM` on either side; None renders the whole head at the spacing of the acquisition. `spacing_range_mm`
    holds for 256 pixels; the field of view is the same for any size. `censored_share` of the patients are alive when
    they are last seen, at a random time after the follow-up image. With `same_scan` the follow-up is imaged as the
    pre-treatment visit was, with its pose, appearance, coil and noise, so that what changes is the disease alone.
    Cohorts that differ in `outcome` alone have the same patients up to the pre-treatment image, on the same days;
    whatever that image does not show and what follows is drawn anew.
    """

    anatomies: tuple[str, ...] = ("colin27", "robex", "icbm152")
    anatomy_weights: tuple[float, ...] = (0.5, 0.42, 0.08)
    slices: int | None = 6
    size: int = 256
    spacing_range_mm: tuple[float, float] = (0.82, 1.02)
    spin_echo_probability: float = 0.5
    censored_share: float = 0.0
    same_scan: bool = False
    outcome: int = 0
    box_mm: float = 116.0


@dataclass
class SimulatedPatient:
    """Arrays are [slice, row, column]: row 0 anterior, column 0 patient right, slices from inferior to superior.

    `pre` and `post` are float32 with white matter about 1; `gtv`, `gtv_post` (drawn on the follow-up) and `brain` are
    bool, all on one grid; `origin_ras_mm` is the center of the first voxel; `slice_positions_mm` are the RAS z
    coordinates of the slice centers, ascending and evenly spaced; `record` is ready for JSON.
    """

    pre: np.ndarray
    post: np.ndarray
    gtv: np.ndarray
    gtv_post: np.ndarray
    brain: np.ndarray
    spacing_mm: float
    slice_spacing_mm: float
    origin_ras_mm: tuple[float, float, float]
    record: dict

    @property
    def slice_positions_mm(self) -> np.ndarray:
        return self.origin_ras_mm[2] + self.slice_spacing_mm * np.arange(len(self.pre))


@dataclass(frozen=True)
class HiddenPatient:
    """Everything about a patient except the pictures; `first_course` is that of outcome 0."""

    seed: int
    outcome: int
    anatomy: Anatomy
    shape: SubjectShape
    host: Host
    biology: Biology
    course: Course
    first_course: Course
    mass_effect_pre: MassEffect
    mass_effect_post: MassEffect

    @cached_property
    def volumes_ml(self) -> dict[str, float]:
        """Volumes of tumor and GTV in the imaged (displaced) brain, as the record has them."""
        course, volume_ml = self.course, self.host.grid.volume_ml
        pre = displaced(self.host, (course.density_pre, course.gtv_depth), self.mass_effect_pre)
        post = displaced(self.host, (course.density_post, course.gtv_post_depth), self.mass_effect_post)
        return {
            "pre_tumor_ml": round(volume_ml(pre[0] > VISIBLE_DENSITY), 3),
            "post_tumor_ml": round(volume_ml(post[0] > VISIBLE_DENSITY), 3),
            "gtv_t0_ml": round(volume_ml(pre[1] > 0), 3),
            "gtv_t1_ml": round(volume_ml(post[1] > 0), 3),
        }

    @cached_property
    def survival_days(self) -> float:
        """From the pre-treatment image; see :func:`survival.draw_survival_days`."""
        return draw_survival_days(
            random_stream(self.seed, 12, self.outcome),
            self.biology,
            extent=self.course.surgery.extent,
            pre_tumor_ml=self.volumes_ml["pre_tumor_ml"],
            post_tumor_ml=self.volumes_ml["post_tumor_ml"],
            interval_days=self.course.interval_days,
        )

    def tumor_center(self) -> np.ndarray:
        """World point in the middle of the tumor at diagnosis."""
        return self.host.points[self.course.density_diagnosis > VISIBLE_DENSITY].mean(axis=0)

    def record(self) -> dict:
        """Hidden values, ready for JSON."""
        biology, course = self.biology, self.course
        return {
            "synthetic": True,
            "seed": int(self.seed),
            "anatomy": self.anatomy.name,
            "flipped": self.shape.flipped,
            "tumor_center_ras_mm": [round(float(value), 1) for value in self.tumor_center()],
            "extent_of_resection": course.surgery.extent,
            "mgmt_methylated": biology.mgmt_methylated,
            "age_years": round(biology.age_years, 1),
            "growth": round(biology.growth, 4),
            "sensitivity": round(biology.sensitivity, 4),
            "pseudoprogression": round(course.pseudoprogression, 3),
            "satellite": course.satellite,
            **self.volumes_ml,
            "interval_days": round(course.interval_days, 1),
            "survival_days": round(self.survival_days, 1),
        }


def random_stream(seed: int, purpose: int, outcome: int = 0) -> np.random.Generator:
    """Independent generator per patient and purpose, so that changing one step leaves the others' draws alone.

    :param outcome: of what follows the pre-treatment image.
    """
    return np.random.default_rng([seed, purpose, outcome] if outcome else [seed, purpose])


def simulate_hidden_patient(seed: int, library: AnatomyLibrary, settings: SimulationSettings) -> HiddenPatient:
    """Anatomy, biology and course of one patient, without rendering."""
    generator = random_stream(seed, 0)
    weights = np.asarray(settings.anatomy_weights, float)
    name = str(generator.choice(settings.anatomies, p=weights / weights.sum()))
    anatomy = library.get(name)
    shape = SubjectShape(generator, anatomy.grid)
    center = choose_seed_point(generator, anatomy, shape)
    host = sample_host(anatomy, shape, center, settings.box_mm)
    biology_generator = random_stream(seed, 1)
    biology = draw_biology(biology_generator)
    model = growth_model(biology_generator, biology, host)
    course_generator = random_stream(seed, 2)
    planned = simulate_planning(course_generator, host, model, seed_density(host, center))
    first = course = simulate_course(course_generator, host, biology, model, planned)
    if outcome := settings.outcome:
        biology = with_other_response(random_stream(seed, 1, outcome), biology)
        course = simulate_course(random_stream(seed, 2, outcome), host, biology, model, planned)
    effects = draw_mass_effects(random_stream(seed, 8), anatomy, shape, host, course)
    return HiddenPatient(seed, outcome, anatomy, shape, host, biology, course, first, *effects)


def displaced(host: Host, fields: Sequence[np.ndarray], mass_effect: MassEffect) -> list[np.ndarray]:
    """Host-grid fields as imaged, after mass effect moved the tissue (same grid)."""
    points = mass_effect.to_subject(host.points)
    return [host.grid.sample(field, points, fill=float(field.min())) for field in fields]


@dataclass(frozen=True)
class _Visits:
    """How both visits of a patient are imaged."""

    before: HeadRenderer
    after: HeadRenderer
    positions: np.ndarray
    step: float


def simulate_patient(seed: int, library: AnatomyLibrary, settings: SimulationSettings) -> SimulatedPatient:
    """Simulate and render one patient; the same arguments give the same arrays."""
    hidden = simulate_hidden_patient(seed, library, settings)
    visits, course = _visits(hidden, settings), hidden.course
    before, after, positions, view = visits.before, visits.after, visits.positions, visits.before.view
    coil = random_stream(seed, 11).standard_normal(BIAS_TERMS)
    scans = (6, 0), (6, 0) if settings.same_scan else (7, settings.outcome)
    first_scan, second_scan = (Scanner(random_stream(seed, *scan), before.style, view, coil) for scan in scans)
    right, anterior = view.first_pixel_ras_mm()
    clinical = draw_clinical(random_stream(seed, 9), hidden.biology.age_years)
    if settings.same_scan:
        clinical["white_matter_level"] = clinical["white_matter_level"][:1] * 2
    return SimulatedPatient(
        pre=np.stack([first_scan.acquire(before.slice_image(height), height) for height in positions]),
        post=np.stack([second_scan.acquire(after.slice_image(height), height) for height in positions]),
        gtv=np.stack([before.mask(course.gtv_depth, height) for height in positions]),
        gtv_post=np.stack([after.mask(course.gtv_post_depth, height) for height in positions]),
        brain=np.stack([before.brain(height) for height in positions]),
        spacing_mm=view.spacing_mm,
        slice_spacing_mm=visits.step,
        origin_ras_mm=(right, anterior, float(positions[0])),
        record={
            **hidden.record(),
            **clinical,
            **draw_observation(
                random_stream(seed, 10, settings.outcome),
                hidden.course.interval_days,
                hidden.survival_days,
                settings.censored_share,
            ),
            **before.style.record(),
        },
    )


def enhancing_masks(
    seed: int, library: AnatomyLibrary, settings: SimulationSettings, least: float = 0.2
) -> tuple[np.ndarray, np.ndarray]:
    """Where the lesion takes up gadolinium before and after, bool, on the grid of :func:`simulate_patient`.

    Tumor, edge of the scar, radiation necrosis and cavity wall; no vessels, no dura, no blood.

    :param least: by how much they are brighter for it, of white matter's level.
    """
    visits = _visits(simulate_hidden_patient(seed, library, settings), settings)
    before, after = (
        np.stack([renderer.uptake(height) > least for height in visits.positions])
        for renderer in (visits.before, visits.after)
    )
    return before, after


def _visits(hidden: HiddenPatient, settings: SimulationSettings) -> _Visits:
    anatomy, shape, course, seed = hidden.anatomy, hidden.shape, hidden.course, hidden.seed
    first_visit, second_visit = random_stream(seed, 3), random_stream(seed, 4, settings.outcome)
    drawn_spacing = float(first_visit.uniform(*settings.spacing_range_mm))
    style = draw_style(first_visit, settings.spin_echo_probability)
    look = draw_look(first_visit, style)
    low, high, head_grid = head_extent(anatomy, shape)
    smallest_spacing = (high[1] - low[1] + SCALP_ALLOWANCE_MM) / 256
    spacing_256 = float(np.clip(smallest_spacing, drawn_spacing, settings.spacing_range_mm[1]))
    spacing = spacing_256 * 256 / settings.size
    view = FieldOfView(settings.size, spacing, *(float(value) for value in (low + high)[:2] / 2))
    lesions = [lesion_at_visit(hidden.host, course, visit) for visit in ("pre", "post")]
    # Textures begin where the box begins, so all outcomes have the first one's.
    first = lesion_at_visit(hidden.host, hidden.first_course, "post") if settings.outcome else lesions[1]
    corners = np.array([abnormal_extent(lesion) for lesion in (lesions[0], first)])
    textures = draw_textures(first_visit, corners[:, 0].min(axis=0), corners[:, 1].max(axis=0), head_grid)
    pose = Pose(
        float(second_visit.normal(0, 0.6)),
        tuple(float(value) for value in second_visit.normal(0, (0.7, 0.7, 0.4))),
    )
    before = HeadRenderer(
        anatomy=anatomy,
        shape=shape,
        view=view,
        style=style,
        textures=textures,
        lesion=lesions[0],
        mass_effect=hidden.mass_effect_pre,
        look=look,
        pose=Pose(),
    )
    later_textures, later_look = textures.evolved(second_visit), follow_up_look(second_visit, look)
    after = HeadRenderer(
        anatomy=anatomy,
        shape=shape,
        view=view,
        style=style,
        textures=later_textures,
        lesion=lesions[1],
        mass_effect=hidden.mass_effect_post,
        look=look if settings.same_scan else later_look,
        pose=Pose() if settings.same_scan else pose,
    )
    slice_generator = random_stream(seed, 5)
    if settings.slices is None:
        positions, step = whole_head_slices(slice_generator, low[2], high[2], style.slice_spacing_mm)
    else:
        positions, step = gtv_slices(hidden, settings.slices)
    return _Visits(before, after, positions, step)


def head_extent(anatomy: Anatomy, shape: SubjectShape) -> tuple[np.ndarray, np.ndarray, Grid]:
    """Lowest and highest world corner (mm) of the brain, and a 3 mm grid over the head for head-wide textures."""
    origin, extent = np.asarray(anatomy.grid.origin), np.asarray(anatomy.grid.shape) * anatomy.grid.spacing_mm
    coarse = Grid(tuple(origin - 12), 6.0, tuple(int(value / 6) + 5 for value in extent))
    points = coarse.points()
    brain = points[anatomy.brain_depth(shape.to_source(points)) > 0]
    low, high = brain.min(axis=0), brain.max(axis=0)
    head_grid = Grid(tuple(float(value) for value in low - 9), 3.0, tuple(int(value / 3) + 7 for value in high - low))
    return low, high, head_grid


def draw_mass_effects(
    generator: np.random.Generator, anatomy: Anatomy, shape: SubjectShape, host: Host, course: Course
) -> tuple[MassEffect, MassEffect]:
    """Brain displacement at both visits: tumor and oedema press outwards, a contracting cavity draws tissue in."""
    strength = float(generator.uniform(0.06, 0.20))
    contracted = course.cavity_pre - course.cavity_post
    effects = []
    for density, cavity, contraction in (
        (course.density_pre, course.cavity_pre, 0.0),
        (course.density_post, course.cavity_post, 0.6 * contracted),
    ):
        push = np.maximum(np.maximum(density, 0.35 * (density > 0.05)), 0.3 * cavity) - contraction
        radius_mm = (3 * host.grid.volume_ml((density > 0.3) | (cavity > 0.5)) * 1000 / (4 * np.pi)) ** (1 / 3)
        largest = float(np.clip(strength * radius_mm, 0.3, 7.0))
        effects.append(MassEffect(anatomy, shape, host.grid, push, largest))
    return effects[0], effects[1]


def gtv_slices(hidden: HiddenPatient, count: int) -> tuple[np.ndarray, float]:
    """RAS heights (mm, ascending) of `count` slices evenly spaced through the GTV and its margin, and their spacing."""
    grid = hidden.host.grid
    (depth,) = displaced(hidden.host, [hidden.course.gtv_depth], hidden.mass_effect_pre)
    areas = (depth > 0).sum(axis=(0, 1)) * grid.spacing_mm**2
    usable = np.flatnonzero(areas >= min(SMALLEST_GTV_AREA_MM2, 0.5 * areas.max()))
    low, high = (grid.origin[2] + grid.spacing_mm * usable[end] for end in (0, -1))
    step = round(max((high - low + 2 * GTV_MARGIN_MM) / count, 1.0), 3)
    return (low + high) / 2 + step * (np.arange(count) - (count - 1) / 2), step


def whole_head_slices(
    generator: np.random.Generator, low_mm: float, high_mm: float, step_mm: float
) -> tuple[np.ndarray, float]:
    """RAS heights of slices through the whole brain and `HEAD_MARGIN_MM` on either side, and their spacing."""
    first = low_mm - HEAD_MARGIN_MM + generator.uniform(0, step_mm)
    return np.arange(first, high_mm + HEAD_MARGIN_MM, step_mm), step_mm
