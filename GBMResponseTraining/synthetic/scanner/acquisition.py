"""How a head is scanned: field of view, slice profile, contrast style, and what the scanner adds to a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

BIAS_TERMS = 9


@dataclass(frozen=True)
class AcquisitionStyle:
    """How one patient is scanned: contrast and slice profile shared by both visits."""

    name: str
    slice_thickness_mm: float
    slice_spacing_mm: float
    sub_slices: int
    gray_white_compression: float
    enhancement_range: tuple[float, float]
    scalp_gain: float
    blur_pixels: float
    noise: float

    def record(self) -> dict:
        """What is worth noting about the acquisition, ready for JSON."""
        return {"style": self.name, "slice_thickness_mm": self.slice_thickness_mm}

    def plane_offsets_mm(self) -> np.ndarray:
        """Superior-inferior offsets of the sub-slices averaged into one slice."""
        if self.sub_slices == 1:
            return np.zeros(1)
        fractions = (np.arange(self.sub_slices) + 0.5) / self.sub_slices - 0.5
        return fractions * self.slice_thickness_mm


def draw_style(generator: np.random.Generator, spin_echo_probability: float) -> AcquisitionStyle:
    """`mprage`: thin slices, strong gray-white contrast. `spin_echo`: thick, flat contrast, bright fat.

    To save time, only every second or third mm of an `mprage` is rendered: its slices have gaps.
    """
    if generator.random() < spin_echo_probability:
        thickness = round(float(generator.uniform(3, 6)), 2)
        return AcquisitionStyle(
            name="spin_echo",
            slice_thickness_mm=thickness,
            slice_spacing_mm=round(min(thickness * float(generator.uniform(1.0, 1.2)), 6.5), 2),
            sub_slices=3,
            gray_white_compression=float(generator.uniform(0.55, 0.95)),
            enhancement_range=(1.35, 1.95),
            scalp_gain=float(generator.uniform(1.6, 2.3)),
            blur_pixels=float(generator.uniform(0.25, 0.5)),
            noise=float(generator.uniform(0.010, 0.024)),
        )
    return AcquisitionStyle(
        name="mprage",
        slice_thickness_mm=round(float(generator.uniform(1.0, 1.5)), 2),
        slice_spacing_mm=round(float(generator.uniform(2.0, 3.0)), 2),
        sub_slices=2,
        gray_white_compression=float(generator.uniform(-0.1, 0.25)),
        enhancement_range=(1.2, 1.65),
        scalp_gain=float(generator.uniform(0.9, 1.2)),
        blur_pixels=float(generator.uniform(0.3, 0.6)),
        noise=float(generator.uniform(0.014, 0.030)),
    )


@dataclass(frozen=True)
class Pose:
    """In-plane misregistration of a visit: rotation about the field-of-view center, then a shift (mm)."""

    rotation_degrees: float = 0.0
    shift_mm: tuple[float, ...] = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class FieldOfView:
    """Axial planes of `size` x `size` pixels centered on world x, y; row 0 anterior, column 0 patient right."""

    size: int
    spacing_mm: float
    center_x: float
    center_y: float

    def first_pixel_ras_mm(self) -> tuple[float, float]:
        """World x and y of the center of the pixel in row 0, column 0."""
        half = (self.size - 1) / 2 * self.spacing_mm
        return self.center_x + half, self.center_y + half

    def plane_points(self, height_mm: float, pose: Pose, step: int) -> np.ndarray:
        """World points of every `step`-th pixel of the plane at `height_mm`, one more at the end: (n, n, 3)."""
        count = self.size // step + 1
        offset = ((self.size - 1) / 2 - np.arange(count, dtype=np.float32) * step) * self.spacing_mm
        anterior, right = np.meshgrid(offset, offset, indexing="ij")
        angle = np.deg2rad(pose.rotation_degrees)
        x = self.center_x + np.cos(angle) * right - np.sin(angle) * anterior + pose.shift_mm[0]
        y = self.center_y + np.sin(angle) * right + np.cos(angle) * anterior + pose.shift_mm[1]
        z = np.full_like(x, height_mm + pose.shift_mm[2])
        return np.stack([x, y, z], axis=-1).astype(np.float32)


class Scanner:
    """Gain, gamma, point spread, bias field and Rician noise of one visit.

    `coil` are `BIAS_TERMS` standard normal numbers, the same for both visits: most of the bias field comes back.
    """

    def __init__(
        self, generator: np.random.Generator, style: AcquisitionStyle, view: FieldOfView, coil: np.ndarray
    ) -> None:
        self._generator = generator
        self._gain = float(np.clip(generator.normal(1, 0.03), 0.92, 1.08))
        self._gamma = float(generator.uniform(0.93, 1.08))
        self._blur = style.blur_pixels * float(generator.uniform(0.85, 1.15))
        self._noise = style.noise * float(generator.uniform(0.8, 1.25))
        self._bias = 0.05 * (0.8 * coil + 0.6 * generator.standard_normal(BIAS_TERMS))
        half = view.size / 2
        row, column = np.meshgrid(*[(np.arange(view.size) - half) / half] * 2, indexing="ij")
        self._row, self._column = row.astype(np.float32), column.astype(np.float32)

    def acquire(self, image: np.ndarray, height_mm: float) -> np.ndarray:
        """Measured plane of a noise-free plane at `height_mm`."""
        row, column, height = self._row, self._column, np.float32(height_mm / 90)
        terms = (
            row,
            column,
            height,
            row * row,
            column * column,
            row * column,
            row * height,
            column * height,
            height**2,
        )
        bias = np.exp(sum(weight * term for weight, term in zip(self._bias, terms, strict=True)))
        image = np.clip(image, 0, 4.0) ** self._gamma * self._gain
        image = ndimage.gaussian_filter(image, self._blur) * bias
        real, imaginary = self._noise * self._generator.standard_normal((2, *image.shape), dtype=np.float32)
        return np.hypot(image + real, imaginary).astype(np.float32)
