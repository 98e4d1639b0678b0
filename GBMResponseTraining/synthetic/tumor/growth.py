"""Fisher-Kolmogorov tumor growth: du/dt = div(D grad u) + rho u (1 - u), on a small box around the tumor.

u is tumor cell density relative to the carrying capacity (0-1), D in mm2/day, rho in 1/day.
"""

from __future__ import annotations

import math

import numpy as np

VISIBLE_DENSITY = 0.58
"""Density above which tumor enhances on T1-Gd; chosen by eye."""

NEGLIGIBLE_DENSITY = 1e-5
ACTIVE_MARGIN_VOXELS = 6


class GrowthModel:
    """Explicit finite-volume solver with harmonic face diffusion: no flux where D is zero on either side of a face."""

    def __init__(self, diffusion: np.ndarray, rate: np.ndarray, spacing_mm: float) -> None:
        self.diffusion = diffusion.astype(np.float32)
        self.rate = rate.astype(np.float32)
        self.spacing_mm = float(spacing_mm)
        stable_days = spacing_mm**2 / (6.0 * max(float(self.diffusion.max()), 1e-6))
        self.step_days = min(0.95 * stable_days, 0.35 / max(float(self.rate.max()), 1e-6), 5.0)
        self._faces = [face_diffusion(self.diffusion, axis) for axis in range(3)]

    def blocked(self, mask: np.ndarray) -> GrowthModel:
        """The same model where tumor can neither enter nor grow inside `mask` (a resection cavity)."""
        return GrowthModel(np.where(mask, 0, self.diffusion), np.where(mask, 0, self.rate), self.spacing_mm)

    def scaled(self, rate_factor: float) -> GrowthModel:
        """The same model with all proliferation rates multiplied."""
        return GrowthModel(self.diffusion, self.rate * rate_factor, self.spacing_mm)

    def volume_ml(self, density: np.ndarray, threshold: float = VISIBLE_DENSITY) -> float:
        """Volume of visible tumor."""
        return float(np.count_nonzero(density > threshold)) * self.spacing_mm**3 / 1000.0

    def grow(self, density: np.ndarray, days: float) -> np.ndarray:
        """Density after `days`; the input is not changed."""
        density = density.astype(np.float32, copy=True)
        steps = max(1, int(np.ceil(days / self.step_days)))
        per_block = 10
        for start in range(0, steps, per_block):
            self._advance(density, days / steps, min(per_block, steps - start))
        return density

    def grow_to_volume(
        self, density: np.ndarray, volume_ml: float, chunk_days: float = 10.0, longest_days: float = 2000.0
    ) -> tuple[np.ndarray, float]:
        """Grow until the visible volume reaches `volume_ml`; returns the density and the days it took."""
        days = 0.0
        while self.volume_ml(density) < volume_ml and days < longest_days:
            density = self.grow(density, chunk_days)
            days += chunk_days
        return density, days

    def grow_capped(self, density: np.ndarray, days: float, cap_ml: float, chunk_days: float = 5.0) -> np.ndarray:
        """Density after `days`, or earlier, at the last moment when the visible volume is within `cap_ml`."""
        remaining = float(days)
        while remaining > 1e-6:
            chunk = min(chunk_days, remaining)
            grown = self.grow(density, chunk)
            if self.volume_ml(grown) > cap_ml:
                return density
            density, remaining = grown, remaining - chunk
        return density

    def fitted(self, density: np.ndarray, allowed: np.ndarray, volume_ml: float) -> np.ndarray:
        """Density after all of it has grown or died at one rate, until `volume_ml` of it shows inside `allowed`.

        That is logistic growth without spread: a shift of the logit.
        """
        voxels = min(round(volume_ml * 1000.0 / self.spacing_mm**3), int(np.count_nonzero(allowed & (density > 0))))
        ranked = np.sort(density[allowed])[::-1]
        if voxels == 0:
            level = float(ranked[0]) if ranked.size else 0.0
        else:
            level = 0.5 * float(ranked[voxels - 1] + ranked[min(voxels, ranked.size - 1)])
        if level <= 0:
            return density
        level = min(level, 1 - 1e-6)
        odds = (VISIBLE_DENSITY / (1 - VISIBLE_DENSITY)) * (1 - level) / level
        return (density * odds / (1 + density * (odds - 1))).astype(np.float32)

    def _advance(self, density: np.ndarray, step_days: float, steps: int) -> None:
        """`steps` explicit steps in place, on the part of the box that tumor can reach in that many steps."""
        active = active_region(density, max(ACTIVE_MARGIN_VOXELS, steps))
        if active is None:
            return
        # Flat, without gaps in memory: a neighbor along an axis is a stride away, and no face leads across an edge.
        shape, part = density[active].shape, density[active].ravel()
        growth = (self.rate[active] * np.float32(step_days)).ravel()
        faces = []
        for axis in range(3):
            region = list(active)
            region[axis] = slice(active[axis].start, active[axis].stop - 1)
            face = np.zeros(shape, np.float32)
            face[neighbor_slices(axis)[0]] = self._faces[axis][tuple(region)]
            stride = math.prod(shape[axis + 1 :])
            faces.append((stride, face.ravel()[:-stride] * np.float32(step_days / self.spacing_mm**2)))
        change = np.empty_like(part)
        for _ in range(steps):
            np.subtract(1.0, part, out=change)
            change *= part
            change *= growth
            for stride, face in faces:
                flux = part[stride:] - part[:-stride]
                flux *= face
                change[:-stride] += flux
                change[stride:] -= flux
            part += change
            np.clip(part, 0.0, 1.0, out=part)
        density[active] = part.reshape(shape)


def face_diffusion(diffusion: np.ndarray, axis: int) -> np.ndarray:
    """Harmonic mean of D across the faces along one axis (one entry fewer on that axis)."""
    lower, upper = (diffusion[part] for part in neighbor_slices(axis))
    return 2 * lower * upper / (lower + upper + 1e-6)


def neighbor_slices(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Index of all voxels with an upper neighbor along `axis`, and of those neighbors."""
    lower, upper = [slice(None)] * 3, [slice(None)] * 3
    lower[axis], upper[axis] = slice(None, -1), slice(1, None)
    return tuple(lower), tuple(upper)


def active_region(density: np.ndarray, margin: int) -> tuple[slice, ...] | None:
    """Bounding box of all tumor, widened by `margin` voxels; None when there is none."""
    occupied = density > NEGLIGIBLE_DENSITY
    region = []
    for axis in range(3):
        hits = np.flatnonzero(occupied.any(axis=tuple(other for other in range(3) if other != axis)))
        if hits.size == 0:
            return None
        region.append(slice(max(0, hits[0] - margin), min(density.shape[axis], hits[-1] + 1 + margin)))
    return tuple(region)
