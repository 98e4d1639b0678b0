"""What is done to the tumour: surgery, the drawn GTV, chemoradiation, relapse, and how long the patient lives.

All constants are plausible by eye; the link from hidden tumour state to survival is invented.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from .biology import Biology, Host
from .fields import signed_distance, smooth_noise, smooth_step
from .growth import VISIBLE_DENSITY, GrowthModel

EXTENTS_OF_RESECTION = ("biopsy", "partial", "total")
EXTENT_PROBABILITIES = (0.2, 0.4, 0.4)
VOLUME_CAP_ML = 58.0
"""Growth stops here; mass effect stretches what is imaged to at most about 90 ml."""

LARGEST_CORRIDOR_MM = 42.0
LOWEST_ENTRY_MM = -25.0
"""RAS z below which no craniotomy is made: the skull base."""

RADIATION_DAYS = 25.0
SURVIVAL_NOISE_SD = 0.45


@dataclass(frozen=True)
class Surgery:
    """`cavity` 0-1 on the host grid; `entry_point` (RAS mm, on the cortex) is None after biopsy."""

    extent: str
    cavity: np.ndarray
    entry_point: np.ndarray | None
    flap_radius_mm: float


@dataclass(frozen=True)
class Course:
    """Tumour and cavity on the host grid at the two visits, before mass effect moves anything.

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
    survival_days: float
    pre_tumour_ml: float
    post_tumour_ml: float


def operate(generator: np.random.Generator, host: Host, density: np.ndarray) -> Surgery:
    """Biopsy (nothing removed), partial (cut by a plane facing the cortex) or total removal, with a corridor."""
    extent = str(generator.choice(EXTENTS_OF_RESECTION, p=EXTENT_PROBABILITIES))
    flap_radius = float(generator.uniform(20, 34))
    ragged = smooth_noise(generator, host.grid, 5.0)
    reach = generator.uniform(3.5, 5.5)
    cut_offset, cut_softness = generator.uniform(-12, 4), generator.uniform(2, 6)
    if extent == "biopsy":
        return Surgery(extent, np.zeros(host.grid.shape, np.float32), None, flap_radius)
    centre = host.points[density > 0.5].mean(axis=0) if (density > 0.5).any() else host.points.mean(axis=(0, 1, 2))
    reachable = host.points[..., 2] > max(float(centre[2]) - 8.0, LOWEST_ENTRY_MM)
    cortex = host.points[(host.depth > 0) & (host.depth < 4) & reachable]
    if len(cortex):
        entry = cortex[np.argmin(((cortex - centre) ** 2).sum(-1))]
    else:
        entry = centre + np.array([0, 0, 30], np.float32)
    approach = entry - centre
    distance_to_cortex = float(np.linalg.norm(approach)) + 1e-3
    relative = host.points - centre
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
    return Surgery(extent, cavity, entry.astype(float), flap_radius)


def visible(density: np.ndarray, cavity: np.ndarray) -> np.ndarray:
    """Where tumour or cavity shows: bool."""
    return (cavity > 0.5) | (density > VISIBLE_DENSITY)


def segment_follow_up(host: Host, density: np.ndarray, cavity: np.ndarray) -> np.ndarray:
    """Signed distance (mm) to a network-like contour around cavity and enhancing tumour; may be empty."""
    target = visible(density, cavity)
    depth = ndimage.gaussian_filter(signed_distance(target, host.grid.spacing_mm), 0.5)
    return np.minimum(depth, 4.0 * (host.depth + 1.0)).astype(np.float32)


def draw_gtv(generator: np.random.Generator, host: Host, density: np.ndarray, cavity: np.ndarray) -> np.ndarray:
    """Signed distance (mm) to a human-like contour around cavity and enhancing tumour; never empty."""
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


def chemoradiation(
    generator: np.random.Generator,
    host: Host,
    model: GrowthModel,
    biology: Biology,
    density: np.ndarray,
    gtv_depth: np.ndarray,
    days: float,
) -> tuple[np.ndarray, bool]:
    """Cell kill, relapse during `days` and sometimes a distant satellite: the density, and whether there is one."""
    log_kill = 0.9 + 0.6 * biology.sensitivity + 0.6 * biology.mgmt_methylated
    dose = smooth_step(gtv_depth, -30.0, -14.0)
    systemic_share = 0.6
    density = density * np.exp(-np.clip(log_kill, 0.1, 2.8) * (systemic_share + (1 - systemic_share) * dose))
    satellite = False
    if biology.fast_and_resistant > 1.1 and generator.random() < 0.6:
        allowed = (model.diffusion > 0.4 * biology.white_matter_diffusion_mm2_per_day) & (gtv_depth < -8)
        candidates = host.points[allowed & (gtv_depth > -35)]
        if len(candidates):
            centre = candidates[generator.integers(len(candidates))]
            radius = generator.uniform(2.0, 4.0)
            squared = ((host.points - centre) ** 2).sum(-1)
            density = np.maximum(density, np.exp(-squared / (2 * radius**2)) * (model.diffusion > 0))
            satellite = True
    slowed = np.clip(1 - 0.3 * biology.mgmt_methylated - 0.12 * biology.sensitivity, 0.25, 1.25)
    relapse = model.scaled(float(slowed))
    return relapse.grow_capped(density.astype(np.float32), days, VOLUME_CAP_ML), satellite


def contract_cavity(cavity: np.ndarray, spacing_mm: float, contraction_mm: float) -> np.ndarray:
    """Cavity after its wall moved inwards by `contraction_mm`, at most 45 % of its greatest depth; 0-1."""
    if not (cavity > 0.5).any():
        return np.zeros_like(cavity)
    depth = ndimage.gaussian_filter(signed_distance(cavity > 0.5, spacing_mm), 0.6)
    contraction = min(contraction_mm, 0.45 * float(depth.max()))
    return smooth_step(depth - contraction, -1.8, 1.8).astype(np.float32)


def draw_survival_days(
    generator: np.random.Generator, biology: Biology, extent: str, post_tumour_ml: float, interval_days: float
) -> float:
    """Survival from the pre-treatment image; log-normal noise of SD 0.45 on an invented linear predictor.

    A follow-up image exists, so the patient outlived the interval by at least two weeks.
    """
    extent_effect = {"biopsy": -0.12, "partial": -0.02, "total": 0.08}[extent]
    log_days = (
        np.log(410.0)
        - 0.13 * biology.growth
        + 0.12 * biology.sensitivity
        + 0.12 * (biology.mgmt_methylated - 0.45)
        - 0.010 * (biology.age_years - 60)
        - 0.18 * (np.log1p(post_tumour_ml / 4) - 1.3)
        + extent_effect
        + SURVIVAL_NOISE_SD * generator.standard_normal()
    )
    earliest = interval_days + generator.uniform(14, 60)
    return float(np.clip(np.exp(log_days), earliest, 3000.0))


def simulate_course(
    generator: np.random.Generator, host: Host, biology: Biology, model: GrowthModel, seed_density: np.ndarray
) -> Course:
    """Diagnosis, surgery, planning image, treatment, follow-up image and survival of one patient."""
    spacing = host.grid.spacing_mm
    target_ml = float(np.clip(np.exp(generator.normal(np.log(11.5), 0.75)), 2.5, 48.0))
    interval_days = float(np.clip(np.exp(generator.normal(np.log(100.0), 0.35)), 35, 245))
    days_to_planning = float(generator.uniform(14, 32))
    diagnosis, _ = model.grow_to_volume(seed_density, target_ml)
    surgery = operate(generator, host, diagnosis)
    residual = diagnosis * (1 - smooth_step(surgery.cavity, 0.2, 0.6))
    model = model.blocked(surgery.cavity > 0.6)
    pre = model.grow_capped(residual, days_to_planning, VOLUME_CAP_ML)
    gtv_depth = draw_gtv(generator, host, pre, surgery.cavity)
    regrowth_days = max(interval_days - RADIATION_DAYS, 10.0)
    post, satellite = chemoradiation(generator, host, model, biology, pre, gtv_depth, regrowth_days)
    pseudoprogression = 0.0
    if generator.random() < 0.2:
        pseudoprogression = float(generator.uniform(0.4, 1.0) * (1 + 0.4 * biology.mgmt_methylated))
    contraction = float(np.clip(1.2 + 0.9 * biology.sensitivity + generator.normal(0, 0.5), 0.2, 4.5))
    post_ml = model.volume_ml(post)
    cavity_post = contract_cavity(surgery.cavity, spacing, contraction)
    return Course(
        surgery=surgery,
        density_diagnosis=diagnosis,
        density_pre=pre,
        density_post=post,
        cavity_pre=contract_cavity(surgery.cavity, spacing, 0.0),
        cavity_post=cavity_post,
        scar=np.clip(pre - post, 0, 1) * (pre > 0.35),
        gtv_depth=gtv_depth,
        gtv_post_depth=segment_follow_up(host, post, cavity_post),
        pseudoprogression=pseudoprogression,
        satellite=satellite,
        interval_days=interval_days,
        survival_days=draw_survival_days(generator, biology, surgery.extent, post_ml, interval_days),
        pre_tumour_ml=model.volume_ml(pre),
        post_tumour_ml=post_ml,
    )
