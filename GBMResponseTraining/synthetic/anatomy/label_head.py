"""A head anatomy from a whole-head label map, after the idea of SynthSeg: random levels and textures per structure.

Labels are those of SynthSeg's training label maps: FreeSurfer's numbers in the brain; numbers from 500 up outside it,
whose meaning was read off the maps. Levels are relative to white matter and chosen by eye.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..errors import AnatomyError
from .file import BRAIN_HIGH, BRAIN_LOW, TISSUES, on_grid

FIRST_OUTSIDE_LABEL, LABELS = 500, 1000
SMALLEST_BRAIN_ML = 500.0
CLOSING_VOXELS = 8
CEREBELLUM_BELOW_DEGREES = 48.0
"""Direction from the middle of the cerebrum to that of the cerebellum, below horizontal, in ICBM152's position."""


@dataclass(frozen=True)
class Structure:
    """Labels that look alike: mean level, SD of the level between heads, SD of the texture within, tissue class."""

    labels: tuple[int, ...]
    level: float
    between: float
    within: float
    tissue: str | None = None


STRUCTURES = (
    Structure((2, 41, 77, 85, 251, 252, 253, 254, 255), 1.0, 0.0, 0.025, "wm"),
    Structure((7, 46), 0.98, 0.02, 0.025, "wm"),
    Structure((16, 28, 60, 530), 0.92, 0.03, 0.025, "wm"),
    Structure((3, 42), 0.70, 0.05, 0.035, "gm"),
    Structure((8, 47), 0.70, 0.05, 0.04, "gm"),
    Structure((17, 18, 26, 53, 54, 58), 0.73, 0.04, 0.03, "gm"),
    Structure((11, 50), 0.77, 0.04, 0.025, "gm"),
    Structure((12, 51), 0.82, 0.04, 0.025, "gm"),
    Structure((10, 49), 0.88, 0.04, 0.03, "gm"),
    Structure((13, 52), 0.95, 0.03, 0.025, "wm"),
    Structure((25, 57, 136, 137, 163, 164), 0.86, 0.04, 0.03, "wm"),
    Structure((4, 5, 14, 15, 43, 44, 72), 0.24, 0.04, 0.015, "csf"),
    Structure((24,), 0.27, 0.05, 0.03, "csf"),
    Structure((30, 31, 62, 63), 0.6, 0.1, 0.05, "csf"),
    Structure((507,), 1.05, 0.15, 0.28),
    Structure((511,), 1.1, 0.15, 0.15),
    Structure((515,), 0.14, 0.04, 0.04),
    Structure((516,), 0.95, 0.15, 0.12),
    Structure((514,), 0.5, 0.1, 0.05),
    Structure((506,), 0.3, 0.04, 0.02),
    Structure((508,), 0.8, 0.1, 0.1),
    Structure((509,), 0.3, 0.1, 0.1),
    Structure((512,), 0.85, 0.05, 0.05),
    Structure((502,), 0.6, 0.1, 0.1),
)
OTHER_BRAIN = Structure((), 0.86, 0.03, 0.03, "gm")


def head_from_labels(
    label_map: sitk.Image, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """T1-like head, brain mask and tissue maps on the anatomy grid.

    :param label_map: 3-D, whole head, about 1 mm.
    :raises AnatomyError: if it holds no brain.
    """
    label_map = sitk.DICOMOrient(label_map, "LPS")
    labels = np.round(sitk.GetArrayFromImage(label_map)).astype(np.int32)
    tissue_class, level, within = painted(labels, generator)
    if np.count_nonzero(tissue_class) * float(np.prod(label_map.GetSpacing())) / 1000 < SMALLEST_BRAIN_ML:
        raise AnatomyError(
            "The label map holds no whole brain.", "Give whole-head label maps with FreeSurfer's numbers."
        )
    texture = 0.55 * smoothed_noise(generator, labels.shape, 0.9) + 0.85 * smoothed_noise(generator, labels.shape, 4.0)
    t1 = ndimage.gaussian_filter(level + within * texture, 0.55)
    parenchyma = np.isin(tissue_class, (TISSUES.index("gm") + 1, TISSUES.index("wm") + 1))
    brain = closed_brain(parenchyma)
    transform = to_standard_position(label_map, labels)
    volumes = {
        name: ndimage.gaussian_filter((tissue_class == place).astype(np.float32), 0.5)
        for place, name in enumerate(TISSUES, start=1)
    }
    volumes |= {"t1": t1, "brain": ndimage.gaussian_filter(brain.astype(np.float32), 0.7)}
    moved = {name: on_grid(like(label_map, volume), transform) for name, volume in volumes.items()}
    return moved.pop("t1"), moved.pop("brain") > 0.5, moved


def painted(labels: np.ndarray, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per voxel: tissue class (0 none, else place in `TISSUES` + 1), level, and SD of the texture."""
    tissue, level, within = (np.zeros(LABELS, dtype) for dtype in (np.uint8, np.float32, np.float32))
    for structure in (OTHER_BRAIN, *STRUCTURES):
        chosen = list(structure.labels) or slice(1, FIRST_OUTSIDE_LABEL)
        tissue[chosen] = TISSUES.index(structure.tissue) + 1 if structure.tissue else 0
        level[chosen] = structure.level + structure.between * generator.standard_normal()
        within[chosen] = structure.within
    labels = np.clip(labels, 0, LABELS - 1)
    return tissue[labels], level[labels], within[labels]


def closed_brain(parenchyma: np.ndarray) -> np.ndarray:
    """Largest piece of the parenchyma with sulci, fissures and ventricles filled; worked out at every second voxel."""
    padded = np.pad(parenchyma[::2, ::2, ::2], CLOSING_VOXELS)
    near = ndimage.distance_transform_edt(~padded) <= CLOSING_VOXELS / 2
    closed = ndimage.binary_fill_holes(ndimage.distance_transform_edt(near) > CLOSING_VOXELS / 2) | padded
    pieces, count = ndimage.label(closed)
    if count > 1:
        sizes = np.bincount(pieces.ravel())
        sizes[0] = 0
        closed = pieces == int(np.argmax(sizes))
    closed = closed[(slice(CLOSING_VOXELS, -CLOSING_VOXELS),) * 3]
    for axis in range(3):
        closed = np.repeat(closed, 2, axis=axis)
    return closed[tuple(slice(count) for count in parenchyma.shape)]


def to_standard_position(image: sitk.Image, labels: np.ndarray) -> sitk.Transform:
    """From the anatomy grid to the image: nodding, scaling and shift that bring the brain to its place in ICBM152.

    The nod is told by the direction from cerebrum to cerebellum, the rest by the brain's corners.
    """
    cerebrum, cerebellum = (
        physical_points(image, np.isin(labels, chosen)) for chosen in ((2, 3, 41, 42), (7, 8, 46, 47))
    )
    center = cerebrum.mean(axis=0)
    nod = 0.0
    if len(cerebellum):
        _, posterior, superior = cerebellum.mean(axis=0) - center
        nod = np.deg2rad(CEREBELLUM_BELOW_DEGREES) - np.arctan2(-superior, posterior)
    rotation = np.array([[1, 0, 0], [0, np.cos(nod), -np.sin(nod)], [0, np.sin(nod), np.cos(nod)]])
    upright = (np.concatenate([cerebrum, cerebellum]) - center) @ rotation
    low, high = np.percentile(upright, (0.05, 99.95), axis=0)
    wanted_low = np.array([-BRAIN_HIGH[0], -BRAIN_HIGH[1], BRAIN_LOW[2]])
    wanted_high = np.array([-BRAIN_LOW[0], -BRAIN_LOW[1], BRAIN_HIGH[2]])
    scale = (high - low) / (wanted_high - wanted_low)
    transform = sitk.AffineTransform(3)
    transform.SetMatrix((rotation * scale).ravel().tolist())
    transform.SetTranslation((rotation @ (low - scale * wanted_low) + center).tolist())
    return transform


def physical_points(image: sitk.Image, chosen: np.ndarray) -> np.ndarray:
    """LPS mm (n, 3) of every 27th voxel or so of a mask on the grid of an axis-aligned image."""
    voxels = 3 * np.argwhere(chosen[::3, ::3, ::3])[:, ::-1]
    return np.array(image.GetOrigin()) + voxels * np.array(image.GetSpacing())


def like(image: sitk.Image, array: np.ndarray) -> sitk.Image:
    """Float32 image with the geometry of another."""
    result = sitk.GetImageFromArray(array.astype(np.float32))
    result.CopyInformation(image)
    return result


def smoothed_noise(generator: np.random.Generator, shape: tuple[int, ...], sigma: float) -> np.ndarray:
    """Unit-variance noise smoothed with a Gaussian of `sigma` voxels."""
    factor = max(1, int(sigma / 1.5))
    noise = generator.standard_normal([count // factor + 2 for count in shape], dtype=np.float32)
    noise = ndimage.gaussian_filter(noise, sigma / factor)
    noise /= noise.std()
    if factor > 1:
        noise = ndimage.zoom(noise, factor, order=1)
    return noise[tuple(slice(count) for count in shape)]
