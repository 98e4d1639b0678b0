"""Pictures of a simulated head: healthy tissue, gadolinium in vessels and dura, craniotomy, then the lesion.

Intensities are relative to white matter (about 1). Planes are [row, column] with row 0 anterior and column 0 on the
patient's right. Every texture is a 3-D field, so neighboring slices agree. Levels are plausible by eye.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..anatomy.anatomy import Anatomy, SubjectShape
from ..anatomy.mass_effect import MassEffect
from ..fields import smooth_step
from ..tumor.lesion import Lesion, abnormal_extent
from .acquisition import AcquisitionStyle, FieldOfView, Pose
from .appearance import Look, Textures
from .painting import LesionPainter

COARSE_STEP_PIXELS = 4
NO_UPTAKE = 0.9
"""Level of tumor, cavity wall and radiation necrosis without gadolinium."""


class HeadRenderer:
    """Renders slices of one visit of one subject."""

    def __init__(
        self,
        anatomy: Anatomy,
        shape: SubjectShape,
        view: FieldOfView,
        style: AcquisitionStyle,
        textures: Textures,
        lesion: Lesion,
        mass_effect: MassEffect,
        look: Look,
        pose: Pose,
    ) -> None:
        self.anatomy, self.shape, self.view, self.style = anatomy, shape, view, style
        self.textures, self.lesion, self.mass_effect, self.look, self.pose = textures, lesion, mass_effect, look, pose
        self._upsampling = interpolation_matrix(view.size, COARSE_STEP_PIXELS)
        self._painter = LesionPainter(lesion, textures, look)
        self._abnormal_low, self._abnormal_high = abnormal_extent(lesion)

    def points(self, height_mm: float) -> tuple[np.ndarray, np.ndarray]:
        """Undisplaced subject points and source points of a plane's pixels, each (size, size, 3)."""
        coarse = self.mass_effect.to_subject(self.view.plane_points(height_mm, self.pose, COARSE_STEP_PIXELS))
        return self._refined(coarse), self._refined(self.shape.to_source(coarse))

    def _refined(self, coarse: np.ndarray) -> np.ndarray:
        """Coarse plane points, interpolated to all pixels."""
        weights = self._upsampling
        fine = np.empty((self.view.size, self.view.size, 3), np.float32)
        for axis in range(3):
            fine[..., axis] = weights @ coarse[..., axis] @ weights.T
        return fine

    def mask(self, field: np.ndarray, height_mm: float) -> np.ndarray:
        """Boolean plane of a signed host-grid field above zero."""
        subject, _ = self.points(height_mm)
        return self.lesion.grid.sample(field, subject, fill=-50.0) > 0

    def brain(self, height_mm: float) -> np.ndarray:
        """Boolean brain mask of a plane."""
        _, source = self.points(height_mm)
        return self.anatomy.brain_depth(source) > 0

    def slice_image(self, height_mm: float) -> np.ndarray:
        """Noise-free plane averaged over the slice thickness, float32 (size, size)."""
        return self._slice(height_mm, self._painter)

    def uptake(self, height_mm: float) -> np.ndarray:
        """How much brighter gadolinium makes the lesion in :meth:`slice_image`; vessels and dura are left out."""
        plain = LesionPainter(self.lesion, self.textures, replace(self.look, enhancement=NO_UPTAKE))
        return self._slice(height_mm, self._painter) - self._slice(height_mm, plain)

    def _slice(self, height_mm: float, painter: LesionPainter) -> np.ndarray:
        planes = [self._plane(height_mm + offset, painter) for offset in self.style.plane_offsets_mm()]
        return np.mean(planes, axis=0)

    def _plane(self, height_mm: float, painter: LesionPainter) -> np.ndarray:
        subject, source = self.points(height_mm)
        depth = np.full(subject.shape[:2], -60.0, np.float32)
        near_brain = bounding_window(self.anatomy.brain_depth(source[::4, ::4]) > -14, 4)
        if near_brain is None:
            return self._tissue(source, depth)
        depth[near_brain] = doubled(self.anatomy.brain_depth(source[near_brain][::2, ::2]))
        image = self._tissue(source, depth)
        csf = np.zeros_like(depth)
        csf[near_brain] = doubled(self.anatomy.tissue(source[near_brain][::2, ::2], "csf"))
        image[near_brain] = self._normal_enhancement(*(a[near_brain] for a in (image, subject, source, depth, csf)))
        if self.lesion.entry_point is not None:
            image[near_brain] = self._craniotomy(image[near_brain], subject[near_brain], depth[near_brain])
        coarse = subject[::2, ::2]
        inside = np.all((coarse > self._abnormal_low) & (coarse < self._abnormal_high), axis=-1)
        window = bounding_window(inside, 2)
        if window is not None:
            ventricles = doubled(self.anatomy.tissue(source[window][::2, ::2], "ventricles"))
            image[window] = painter.paint(image[window], subject[window], depth[window], csf[window], ventricles)
        return image

    def _tissue(self, source: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Unenhanced anatomy with this style's gray-white contrast and fat brightness."""
        t1 = self.anatomy.grid.sample(self.anatomy.t1, source)
        gray = self.anatomy.gray_level
        lifted = gray + self.style.gray_white_compression * (1 - gray)
        brain = np.interp(t1, (0.0, 0.3, gray, 1.0, 1.4, 3.0), (0.0, 0.27, lifted, 1.0, 1.2, 1.5))
        scalp = t1 * self.style.scalp_gain
        inside = smooth_step(depth, -3.5, -0.5)
        return (brain * inside + scalp * (1 - inside)).astype(np.float32)

    def _normal_enhancement(
        self, image: np.ndarray, subject: np.ndarray, source: np.ndarray, depth: np.ndarray, csf: np.ndarray
    ) -> np.ndarray:
        """Vessels, venous sinuses, falx, dura and choroid plexus after gadolinium."""
        look = self.look
        lateral, anterior, superior = np.abs(source[..., 0]), source[..., 1], source[..., 2]
        ventricles = doubled(self.anatomy.tissue(source[::2, ::2], "ventricles"))
        above_base = smooth_step(superior, -5.0, 8.0)
        outward = np.clip(-depth, 0, 6)
        sinus = np.exp(-((lateral / (1.3 + 0.55 * outward)) ** 2))
        sinus *= smooth_step(-depth, -2.0, 0.5) * (1 - smooth_step(-depth, 4.0, 6.5)) * above_base
        falx = np.exp(-((lateral / 1.0) ** 2)) * csf * (depth < 16) * above_base
        first, second = (doubled(self.textures.sample(name, subject[::2, ::2])) for name in ("vessel_a", "vessel_b"))
        tube_distance = first * first + second * second
        calibre = 0.13 + 0.05 * smooth_step(-superior, -5.0, 20.0)
        near_surface = smooth_step(csf, 0.10, 0.45) * (1 - smooth_step(depth, 16.0, 26.0)) * smooth_step(depth, -2.5, 0)
        vessels = np.exp(-tube_distance / (2 * calibre**2)) * near_surface * (1 - ventricles)
        choroid = np.exp(
            -(((lateral - 24) / 6) ** 2 + ((anterior + 38) / 9) ** 2 + ((superior - 8) / 11) ** 2)
        ) + 0.7 * np.exp(-(((lateral - 12) / 5) ** 2 + ((anterior + 22) / 12) ** 2 + ((superior - 20) / 5) ** 2))
        choroid *= ventricles * smooth_step(first + 0.6 * second, -0.6, 0.4)
        internal_veins = np.exp(
            -(((lateral - 2) / 1.6) ** 2 + ((superior - 13) / 3.0) ** 2 + ((anterior + 32) / 9) ** 2)
        )
        internal_veins *= smooth_step(csf, 0.05, 0.5)
        dura = np.exp(-(((depth + 0.8) / 1.1) ** 2)) * (0.5 + 0.5 * smooth_step(first, -0.5, 1.0))
        target = image + look.vessels * (1.1 * sinus + 0.35 * falx + 0.7 * choroid + 0.5 * internal_veins)
        target += look.dura * dura
        bright = np.clip(1.05 * vessels * look.vessels, 0, 1)
        return target * (1 - bright) + bright * np.maximum(target, 1.75)

    def _craniotomy(self, image: np.ndarray, subject: np.ndarray, depth: np.ndarray) -> np.ndarray:
        """Saw line around the bone flap with voids at its plates, enhancing dura under it, swollen scalp above."""
        off_entry = np.sqrt(((subject - self.lesion.entry_point.astype(np.float32)) ** 2).sum(-1))
        radius = self.lesion.flap_radius_mm
        under_flap = 1 - smooth_step(off_entry, radius - 4, radius + 4)
        saw_line = np.exp(-(((off_entry - radius) / 1.3) ** 2))
        saw_line *= smooth_step(-depth, 2.0, 3.5) * (1 - smooth_step(-depth, 8.0, 10.0))
        image = image * (1 - 0.75 * saw_line)
        bone = (depth < -3) & (depth > -16) & (np.abs(off_entry - radius) < 10)
        image[bone] *= 1 - self._metal(subject[bone])
        pachymeningeal = np.exp(-(((depth + 1.2) / 1.5) ** 2)) * under_flap * 0.75
        image = image * (1 - pachymeningeal) + pachymeningeal * self.look.enhancement * 0.85
        swollen = under_flap * smooth_step(-depth, 6.0, 9.0) * 0.18
        return image * (1 - swollen)

    def _metal(self, points: np.ndarray) -> np.ndarray:
        """Signal void (0-1) of the bone flap's plates at points (n, 3)."""
        squared = ((points[:, None] - self.lesion.plates[None].astype(np.float32)) ** 2).sum(-1)
        return np.exp(-squared.min(axis=1, initial=1e4) / 2.6**2)


def bounding_window(mask: np.ndarray, step: int) -> tuple[slice, slice] | None:
    """Full-resolution window around the true pixels of a mask that holds every `step`-th pixel; None if empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if rows.size == 0:
        return None
    high, wide = (slice(max(0, step * (hits[0] - 1)), step * (hits[-1] + 2)) for hits in (rows, columns))
    return high, wide


def interpolation_matrix(size: int, step: int) -> np.ndarray:
    """Linear interpolation from every `step`-th sample to all `size` samples: float32 (size, size // step + 1)."""
    position = np.arange(size, dtype=np.float32) / step
    lower = np.minimum(position.astype(int), size // step - 1)
    weights = np.zeros((size, size // step + 1), np.float32)
    weights[np.arange(size), lower] = 1 - (position - lower)
    weights[np.arange(size), lower + 1] = position - lower
    return weights


def doubled(plane: np.ndarray) -> np.ndarray:
    """Linear interpolation of a plane that was sampled at every second pixel; for fields coarser than two pixels."""
    padded = np.pad(plane, (0, 1), mode="edge")
    rows, columns = (interpolation_matrix(2 * count, 2) for count in plane.shape)
    return rows @ padded @ columns.T
