"""Everything abnormal at one visit, as fields that the painter turns into a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from ..fields import Grid, signed_distance, smooth_step
from .biology import Host
from .growth import VISIBLE_DENSITY
from .treatment import Course


@dataclass(frozen=True)
class Lesion:
    """Everything abnormal at one visit, on the host's 2 mm grid. Depths are mm, positive inside."""

    grid: Grid
    tumor_depth: np.ndarray
    oedema: np.ndarray
    cavity_depth: np.ndarray
    scar: np.ndarray
    treated: np.ndarray
    pseudoprogression: float
    entry_point: np.ndarray | None
    flap_radius_mm: float
    plates: np.ndarray
    has_cavity: bool


def lesion_at_visit(host: Host, course: Course, visit: str) -> Lesion:
    """Lesion at visit `pre` or `post`."""
    later = visit == "post"
    density = course.density_post if later else course.density_pre
    cavity = course.cavity_post if later else course.cavity_pre
    spacing = host.grid.spacing_mm
    infiltrated = smooth_step(density, 0.04, 0.35)
    was_infiltrated = smooth_step(course.density_diagnosis, 0.06, 0.45)
    oedema = np.maximum(infiltrated, (0.35 if later else 0.8) * was_infiltrated) * (0.25 + 0.75 * host.white)
    oedema = ndimage.gaussian_filter(oedema, 0.7) * (1 - host.csf)
    return Lesion(
        grid=host.grid,
        tumor_depth=level_depth(density, VISIBLE_DENSITY, spacing),
        oedema=oedema.astype(np.float32),
        cavity_depth=level_depth(cavity, 0.5, spacing),
        scar=ndimage.gaussian_filter(course.scar, 0.6) if later else np.zeros_like(density),
        treated=smooth_step(course.density_diagnosis, 0.01, 0.25).astype(np.float32),
        pseudoprogression=course.pseudoprogression if later else 0.0,
        entry_point=course.surgery.entry_point,
        flap_radius_mm=course.surgery.flap_radius_mm,
        plates=course.surgery.plates,
        has_cavity=bool((cavity > 0.5).any()),
    )


def level_depth(field: np.ndarray, level: float, spacing_mm: float) -> np.ndarray:
    """Signed distance (mm) to the surface field = level, with sub-voxel precision near the surface."""
    mask = field > level
    if not mask.any():
        return np.full(field.shape, -50.0, np.float32)
    far = ndimage.gaussian_filter(signed_distance(mask, spacing_mm), 0.5)
    slope = np.sqrt(sum(component**2 for component in np.gradient(ndimage.gaussian_filter(field, 0.6), spacing_mm)))
    near = np.clip((field - level) / (slope + 0.02), -4.0, 4.0)
    weight = smooth_step(np.abs(far), 1.0, 4.0)
    return (near * (1 - weight) + far * weight).astype(np.float32)


def abnormal_extent(lesion: Lesion) -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest world corner (mm) of everything abnormal that would show in a picture."""
    abnormal = (lesion.oedema > 0.02) | (lesion.tumor_depth > -4) | (lesion.cavity_depth > -5) | (lesion.treated > 0.02)
    corners = []
    for axis in range(3):
        hits = np.flatnonzero(abnormal.any(axis=tuple(other for other in range(3) if other != axis)))
        corners.append((hits[0], hits[-1]) if hits.size else (0, -1))
    low, high = np.asarray(corners, np.float32).T * lesion.grid.spacing_mm + np.asarray(lesion.grid.origin)[None]
    return low.astype(np.float32), high.astype(np.float32)
