"""What is done to the tumor: surgery, the drawn GTV, chemoradiation and relapse. Constants are plausible by eye."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ...datasets.pair import DAYS_PER_WEEK
from ..fields import signed_distance, smooth_noise, smooth_step
from ..reference import GTV_T0_ML, INTERVAL_WEEKS
from .biology import Biology, Host
from .growth import VISIBLE_DENSITY, GrowthModel

EXTENTS_OF_RESECTION = ("biopsy", "partial", "total")
EXTENT_PROBABILITIES = (0.2, 0.4, 0.4)
VOLUME_CAP_ML = 75.0
"""Visible tumor never grows beyond this between diagnosis and follow-up."""

LARGEST_GTV_ML = 135.0
SMALLEST_GTV_ML = 1.5
DIAGNOSIS_SHARE, DIAGNOSIS_POWER = 0.24, 1.13
"""Visible tumor at diagnosis (ml) = share x GTV ** power; the contour adds the infiltrated rim and closes gaps."""

LARGEST_CORRIDOR_MM = 42.0
LOWEST_ENTRY_MM = -25.0
"""RAS z below which no craniotomy is made: the skull base."""

PLATES = 6

RADIATION_DAYS = 25.0


@dataclass(frozen=True)
class Surgery:
    """`cavity` 0-1 on the host grid; `entry_point` (RAS mm, on the cortex) is None after biopsy.

    `plates` (n, 3) are the RAS mm of the metal plates that hold the bone flap, in the skull around the entry point.
    """

    extent: str
    cavity: np.ndarray
    entry_point: np.ndarray | None
    flap_radius_mm: float
    plates: np.ndarray


@dataclass(frozen=True)
class Planned:
    """A patient on the day of the planning image, on the host grid; and when the follow-up image will be made.

    `cavity` is the resection's, `cavity_pre` what is left of it; `gtv_depth` as in :class:`Course`.
    """

    surgery: Surgery
    density_diagnosis: np.ndarray
    density: np.ndarray
    cavity_pre: np.ndarray
    gtv_depth: np.ndarray
    interval_days: float


@dataclass(frozen=True)
class Course:
    """Tumor and cavity on the host grid at the two visits, before mass effect moves anything.

    `gtv_depth` and `gtv_post_depth` are signed distances (mm, positive inside) to the surfaces of the contours drawn on
    the two images.
    """

    surgery: Surgery
    density_diagnosis: np.ndarray
    density_pre: np.ndarray
    density_post: np.ndarray
    cavity_pre: np.ndarray
    cavity_post: np.ndarray
    scar: np.ndarray
    gtv_depth: np.ndarray
    gtv_post_depth: np.ndarray
    pseudoprogression: float
    satellite: bool
    interval_days: float
    pre_tumor_ml: float
    post_tumor_ml: float


def operate(generator: np.random.Generator, host: Host, density: np.ndarray) -> Surgery:
    """Biopsy (nothing removed), partial (cut by a plane facing the cortex) or total removal, with a corridor."""
    extent = str(generator.choice(EXTENTS_OF_RESECTION, p=EXTENT_PROBABILITIES))
    flap_radius = float(generator.uniform(20, 34))
    ragged = smooth_noise(generator, host.grid, 5.0)
    reach = generator.uniform(3.5, 5.5)
    cut_offset, cut_softness = generator.uniform(-12, 4), generator.uniform(2, 6)
    if extent == "biopsy":
        return Surgery(extent, np.zeros(host.grid.shape, np.float32), None, flap_radius, np.zeros((0, 3)))
    center = host.points[density > 0.5].mean(axis=0) if (density > 0.5).any() else host.points.mean(axis=(0, 1, 2))
    reachable = host.points[..., 2] > max(float(center[2]) - 8.0, LOWEST_ENTRY_MM)
    cortex = host.points[(host.depth > 0) & (host.depth < 4) & reachable]
    if len(cortex):
        entry = cortex[np.argmin(((cortex - center) ** 2).sum(-1))]
    else:
        entry = center + np.array([0, 0, 30], np.float32)
    approach = entry - center
    distance_to_cortex = float(np.linalg.norm(approach)) + 1e-3
    relative = host.points - center
    along = relative @ (approach / distance_to_cortex)

    threshold = 0.50 if extent == "total" else 0.57
    cavity = smooth_step(density + 0.12 * ragged, threshold - 0.12, threshold + 0.12)
    if extent == "partial":
        cavity = cavity * smooth_step(along + 3.0 * ragged, cut_offset, cut_offset + cut_softness)
    if distance_to_cortex < LARGEST_CORRIDOR_MM:
        nearest = np.clip(along / distance_to_cortex, 0, 1.3)
        off_axis = np.linalg.norm(relative - nearest[..., None] * approach, axis=-1)
        cavity = np.maximum(cavity, smooth_step(-off_axis + 0.9 * ragged, -reach - 2.0, -reach + 2.0))
    cavity = ndimage.gaussian_filter(cavity * (host.depth > -2), 0.8).astype(np.float32)
    plates = place_plates(generator, host, entry, flap_radius)
    return Surgery(extent, cavity, entry.astype(float), flap_radius, plates)


def place_plates(generator: np.random.Generator, host: Host, entry: np.ndarray, flap_radius: float) -> np.ndarray:
    """World points (n, 3) in the skull on the edge of the bone flap; fewer than `PLATES` where the box ends."""
    off_edge = np.abs(np.linalg.norm(host.points - entry, axis=-1) - flap_radius)
    candidates = host.points[(host.depth < -5) & (host.depth > -11) & (off_edge < 2)]
    return candidates[generator.permutation(len(candidates))[:PLATES]]


def visible(density: np.ndarray, cavity: np.ndarray) -> np.ndarray:
    """Where tumor or cavity shows: bool."""
    return (cavity > 0.5) | (density > VISIBLE_DENSITY)


def segment_follow_up(host: Host, density: np.ndarray, cavity: np.ndarray) -> np.ndarray:
    """Signed distance (mm) to a network-like contour around cavity and enhancing tumor; may be empty."""
    target = visible(density, cavity)
    depth = ndimage.gaussian_filter(signed_distance(target, host.grid.spacing_mm), 0.5)
    return np.minimum(depth, 4.0 * (host.depth + 1.0)).astype(np.float32)


def draw_gtv(generator: np.random.Generator, host: Host, density: np.ndarray, cavity: np.ndarray) -> np.ndarray:
    """Signed distance (mm) to a human-like contour around cavity and enhancing tumor; never empty."""
    target = visible(density, cavity)
    if not target.any():
        target = density > 0.5 * density.max()
    closed = ndimage.binary_closing(np.pad(target, 4), iterations=2)[4:-4, 4:-4, 4:-4]
    drawn = ndimage.binary_fill_holes(ndimage.binary_opening(closed))
    labels, count = ndimage.label(drawn)
    if count > 1:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        drawn = np.isin(labels, np.flatnonzero(sizes >= max(40, 0.03 * sizes.max())))
    if not drawn.any():
        drawn = target
    depth = ndimage.gaussian_filter(signed_distance(drawn, host.grid.spacing_mm), 0.8)
    wobble = 0.7 * smooth_noise(generator, host.grid, 9.0) + generator.normal(0.8, 0.4)
    contour = np.minimum(depth + wobble, 4.0 * (host.depth + 1.0))
    return (contour + max(0.0, 1.0 - float(contour.max()))).astype(np.float32)


def draw_volume_ratio(generator: np.random.Generator, biology: Biology, gtv_ml: float, interval_weeks: float) -> float:
    """Follow-up GTV volume over planning GTV volume: half of its spread is the biology's, late visits vary more."""
    spread = float(np.clip(0.62 + 0.012 * (interval_weeks - 14), 0.55, 0.85))
    fate = 0.7 * biology.resistance + 0.71 * generator.standard_normal()
    log_ratio = -0.16 - 0.012 * (interval_weeks - 14) - 0.30 * (np.log(gtv_ml) - 3.4) + spread * fate
    return float(np.exp(np.clip(log_ratio, -3.0, 2.0)))


def chemoradiation(
    generator: np.random.Generator,
    host: Host,
    model: GrowthModel,
    biology: Biology,
    density: np.ndarray,
    gtv_depth: np.ndarray,
    days: float,
    target_ml: float,
) -> tuple[np.ndarray, bool]:
    """Patchy cell kill, then relapse for `days` or until `target_ml` shows; whether a distant satellite came up."""
    log_kill = np.clip(0.9 + 0.6 * biology.sensitivity + 0.6 * biology.mgmt_methylated, 0.1, 2.8)
    log_kill = log_kill * np.exp(0.5 * smooth_noise(generator, host.grid, 7.0))
    dose = smooth_step(gtv_depth, -30.0, -14.0)
    systemic_share = 0.6
    density = density * np.exp(-log_kill * (systemic_share + (1 - systemic_share) * dose))
    satellite = False
    if biology.fast_and_resistant > 1.1 and generator.random() < 0.6:
        allowed = (model.diffusion > 0.4 * biology.white_matter_diffusion_mm2_per_day) & (gtv_depth < -8)
        candidates = host.points[allowed & (gtv_depth > -35)]
        if len(candidates):
            center = candidates[generator.integers(len(candidates))]
            radius = generator.uniform(2.0, 4.0)
            squared = ((host.points - center) ** 2).sum(-1)
            density = np.maximum(density, np.exp(-squared / (2 * radius**2)) * (model.diffusion > 0))
            satellite = True
    slowed = np.clip(1 - 0.3 * biology.mgmt_methylated - 0.12 * biology.sensitivity, 0.25, 1.25)
    relapse = model.scaled(float(slowed))
    return relapse.grow_capped(density.astype(np.float32), days, max(target_ml, 0.1)), satellite


def follow_up_volumes(generator: np.random.Generator, gtv_ml: float, cavity_ml: float) -> tuple[float, float]:
    """Volumes (ml) of cavity and tumor at follow-up that together make up the GTV's `gtv_ml`."""
    if cavity_ml == 0:
        return 0.0, min(gtv_ml, VOLUME_CAP_ML)
    contracted = cavity_ml * generator.uniform(0.6, 0.98)
    cavity = min(contracted, gtv_ml * min(generator.uniform(0.55, 1.05), 1.0))
    return cavity, min(gtv_ml - cavity, VOLUME_CAP_ML)


def contract_cavity(cavity: np.ndarray, spacing_mm: float, volume_ml: float) -> np.ndarray:
    """Cavity after its wall moved inwards until `volume_ml` is left; 0-1."""
    voxels = round(volume_ml * 1000.0 / spacing_mm**3)
    if voxels == 0 or not (cavity > 0.5).any():
        return np.zeros_like(cavity)
    depth = ndimage.gaussian_filter(signed_distance(cavity > 0.5, spacing_mm), 0.6)
    inside = np.sort(depth[depth > 0])[::-1]
    contraction = float(inside[voxels]) if voxels < inside.size else 0.0
    return smooth_step(depth - contraction, -1.8, 1.8).astype(np.float32)


def simulate_planning(
    generator: np.random.Generator, host: Host, model: GrowthModel, seed_density: np.ndarray
) -> Planned:
    """Diagnosis, surgery and planning image of one patient."""
    wanted_ml = float(np.clip(GTV_T0_ML.at(generator.random()), SMALLEST_GTV_ML, LARGEST_GTV_ML))
    interval_days = DAYS_PER_WEEK * float(INTERVAL_WEEKS.at(generator.random()))
    days_to_planning = float(generator.uniform(14, 32))
    diagnosis, _ = model.grow_to_volume(seed_density, DIAGNOSIS_SHARE * wanted_ml**DIAGNOSIS_POWER)
    surgery = operate(generator, host, diagnosis)
    residual = diagnosis * (1 - smooth_step(surgery.cavity, 0.2, 0.6))
    after_surgery = model.blocked(surgery.cavity > 0.6)
    pre = after_surgery.grow_capped(residual, days_to_planning, VOLUME_CAP_ML)
    return Planned(
        surgery=surgery,
        density_diagnosis=diagnosis,
        density=pre,
        cavity_pre=contract_cavity(surgery.cavity, host.grid.spacing_mm, LARGEST_GTV_ML * 2),
        gtv_depth=draw_gtv(generator, host, pre, surgery.cavity),
        interval_days=interval_days,
    )


def simulate_course(
    generator: np.random.Generator, host: Host, biology: Biology, model: GrowthModel, planned: Planned
) -> Course:
    """Treatment and follow-up image of a patient."""
    pre, gtv_depth = planned.density, planned.gtv_depth
    gtv_ml = host.grid.volume_ml(gtv_depth > 0)
    ratio = draw_volume_ratio(generator, biology, gtv_ml, planned.interval_days / DAYS_PER_WEEK)
    post_gtv_ml = min(ratio * gtv_ml, LARGEST_GTV_ML)
    cavity_ml, tumor_ml = follow_up_volumes(generator, post_gtv_ml, host.grid.volume_ml(planned.cavity_pre > 0.5))
    cavity_post = contract_cavity(planned.surgery.cavity, host.grid.spacing_mm, cavity_ml)
    open_brain = model.blocked(cavity_post > 0.5)
    regrowth_days = max(planned.interval_days - RADIATION_DAYS, 10.0)
    post, satellite = chemoradiation(generator, host, open_brain, biology, pre, gtv_depth, regrowth_days, tumor_ml)
    post = open_brain.fitted(post, (cavity_post <= 0.5) & (host.depth > 0), tumor_ml)
    pseudoprogression = 0.0
    if generator.random() < 0.2:
        pseudoprogression = float(generator.uniform(0.4, 1.0) * (1 + 0.4 * biology.mgmt_methylated))
    return Course(
        surgery=planned.surgery,
        density_diagnosis=planned.density_diagnosis,
        density_pre=pre,
        density_post=post,
        cavity_pre=planned.cavity_pre,
        cavity_post=cavity_post,
        scar=np.clip(pre - post, 0, 1) * (pre > 0.35),
        gtv_depth=gtv_depth,
        gtv_post_depth=segment_follow_up(host, post, cavity_post),
        pseudoprogression=pseudoprogression,
        satellite=satellite,
        interval_days=planned.interval_days,
        pre_tumor_ml=model.volume_ml(pre),
        post_tumor_ml=model.volume_ml(post),
    )
