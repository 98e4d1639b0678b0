"""Healthy heads and the random shape each simulated subject gives them.

An anatomy file `<name>.npz` holds `t1` (white matter = 1), `mask` (brain) and `csf`, `gm`, `wm` (probability x 255) on
one grid of 1 mm voxels, array order right, anterior, superior. The grid starts at RAS (-98, -134, -72) unless the file
has a `ras_origin`. Any grid shape will do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from scipy import ndimage

from ..errors import AnatomyError
from ..fields import Grid, signed_distance, smooth_step

DOCUMENTED_ORIGIN = (-98.0, -134.0, -72.0)
CONTROL_SPACING_MM = 16.0
VENTRICLE_CENTERS = np.array([[-14.0, -12.0, 18.0], [14.0, -12.0, 18.0]], np.float32)
VENTRICLE_RADII = np.array([16.0, 40.0, 18.0], np.float32)
VENTRICLE_SCALING_AXES = np.array([1.0, 0.35, 0.7], np.float32)


class Anatomy:
    """One healthy head in its own (source) space, with the maps the simulation needs.

    Attributes: `t1` float32 at full resolution on `grid`; on `half_grid` (2 mm) float32 maps `csf`, `gray`, `white`
    (0-1), `ventricles` (0-1) and `depth` (mm below the brain surface, negative outside); `gray_level`, the T1 value
    of gray matter.
    """

    def __init__(
        self, name: str, t1: np.ndarray, brain: np.ndarray, tissues: Mapping[str, np.ndarray], origin: Sequence[float]
    ) -> None:
        """`t1` float32, white matter 1; `brain` bool; `tissues` csf, gm, wm, uint8 probability x 255; 1 mm voxels."""
        self.name = name
        self.grid = Grid(tuple(float(value) for value in origin), 1.0, t1.shape)
        gray_voxels = t1[(tissues["gm"] > 200) & brain]
        self.gray_level = float(np.clip(np.median(gray_voxels), 0.55, 0.9)) if gray_voxels.size else 0.75

        self.csf, self.gray, self.white = (
            halve(tissues[name].astype(np.float32) / 255) for name in ("csf", "gm", "wm")
        )
        self.half_grid = Grid(self.grid.origin, 2.0, self.csf.shape)
        self.depth = signed_distance(halve(brain.astype(np.float32)) > 0.5, 2.0)
        self.depth = ndimage.gaussian_filter(self.depth, 0.7)
        self.ventricles = find_ventricles(self.csf, self.depth)
        self.t1 = clean_outside_brain(t1, self.depth)

    def tissue(self, points: np.ndarray, name: str, fill: float = 0.0) -> np.ndarray:
        """One half-resolution map (`csf`, `gray`, `white`, `ventricles`, `depth`) at source world points (..., 3)."""
        return self.half_grid.sample(getattr(self, name), points, fill)

    def brain_depth(self, points: np.ndarray) -> np.ndarray:
        """Depth below the brain surface in mm at source world points; strongly negative outside the grid."""
        return self.tissue(points, "depth", fill=-60.0)


def halve(volume: np.ndarray) -> np.ndarray:
    """Every second voxel of a lightly smoothed volume: same origin, twice the spacing."""
    for axis in range(3):
        volume = ndimage.correlate1d(volume, [0.25, 0.5, 0.25], axis=axis, mode="nearest")
        volume = np.ascontiguousarray(volume[tuple(slice(None, None, 2 if a == axis else 1) for a in range(3))])
    return volume


def find_ventricles(csf: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """Soft mask (2 mm grid) of the large fluid spaces deep in the brain."""
    labels, count = ndimage.label((csf > 0.5) & (depth > 18))
    if count == 0:
        return np.zeros_like(csf)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return ndimage.gaussian_filter(np.isin(labels, np.flatnonzero(sizes > 150)).astype(np.float32), 0.6)


def clean_outside_brain(t1: np.ndarray, depth: np.ndarray) -> np.ndarray:
    """T1 with the scalp brought to about 1.25 x white matter and the air around the head set to zero."""
    depth = np.repeat(np.repeat(np.repeat(depth, 2, 0), 2, 1), 2, 2)
    depth = depth[: t1.shape[0], : t1.shape[1], : t1.shape[2]]
    scalp = (depth < -4) & (depth > -22) & (t1 > 0.15)
    level = np.percentile(t1[scalp], 90) if scalp.any() else 1.0
    gain = float(np.clip(1.25 / level, 1.0, 3.5))
    outside = smooth_step(-depth, 1.0, 5.0)
    brightened = t1 * (1 + outside * (gain - 1))
    head = ndimage.binary_opening(halve(brightened) > 0.25, iterations=1) | (halve(depth) > 0)
    labels, count = ndimage.label(head)
    if count:
        sizes = np.bincount(labels.ravel())
        sizes[0] = 0
        head = np.isin(labels, np.flatnonzero(sizes > 0.02 * sizes.max()))
    head = np.stack([ndimage.binary_fill_holes(plane) for plane in np.moveaxis(head, 2, 0)], axis=2)
    soft = ndimage.gaussian_filter(ndimage.binary_dilation(head).astype(np.float32), 0.7)
    soft = np.repeat(np.repeat(np.repeat(soft, 2, 0), 2, 1), 2, 2)[: t1.shape[0], : t1.shape[1], : t1.shape[2]]
    return (brightened * soft).astype(np.float32)


def load_anatomy(path: Path) -> Anatomy:
    """Read an anatomy file.

    :raises AnatomyError: if it is missing or not as the module's description says.
    """
    return Anatomy(path.stem, *read_anatomy_arrays(path))


def read_anatomy_arrays(path: Path) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], tuple[float, ...]]:
    """T1, brain, tissues and origin of an anatomy file, as :class:`Anatomy` takes them.

    :raises AnatomyError: if it is missing or not as the module's description says.
    """
    try:
        with np.load(path) as stored:
            tissues = {name: stored[name] for name in ("csf", "gm", "wm")}
            origin = stored["ras_origin"] if "ras_origin" in stored.files else DOCUMENTED_ORIGIN
            t1, brain = stored["t1"].astype(np.float32), stored["mask"] > 0
    except FileNotFoundError:
        raise AnatomyError(f"There is no anatomy '{path.stem}' in the folder {path.parent}.") from None
    except (KeyError, OSError, ValueError, BadZipFile) as error:
        raise AnatomyError(f"The anatomy file {path.name} cannot be read ({error}).") from None
    if t1.ndim != 3 or any(array.shape != t1.shape for array in (brain, *tissues.values())):
        raise AnatomyError(f"The arrays of the anatomy file {path.name} are not 3-D or differ in shape.")
    return t1, brain, tissues, tuple(float(value) for value in origin)


class SubjectShape:
    """A random head shape: maps subject world points to source world points (both RAS mm).

    Affine, then a smooth deformation given on a 16 mm control grid, then a scaling of the lateral ventricles, then
    possibly a left-right flip. Volumes are never resampled: images are interpolated once, at the mapped points.
    """

    def __init__(self, generator: np.random.Generator, grid: Grid, deformation_mm: float = 2.75) -> None:
        angles = np.deg2rad(generator.normal(0, 2.5, 3))
        scale = np.clip(generator.normal(1, 0.04, 3), 0.92, 1.08) * np.clip(generator.normal(1, 0.03), 0.94, 1.06)
        shear = generator.normal(0, 0.012, (3, 3))
        self.matrix = (rotation_matrix(angles) * scale + shear).astype(np.float32)
        self.flipped = bool(generator.random() < 0.5)
        self.ventricle_scale = float(np.clip(generator.normal(1.12, 0.22), 0.75, 1.7))
        control_shape = tuple(int(count * grid.spacing_mm / CONTROL_SPACING_MM) + 3 for count in grid.shape)
        control_origin = tuple(value - CONTROL_SPACING_MM for value in grid.origin)
        self._control_grid = Grid(control_origin, CONTROL_SPACING_MM, control_shape)
        self._control = np.empty((3, *control_shape), np.float32)
        for axis in range(3):
            field = ndimage.gaussian_filter(generator.standard_normal(control_shape, dtype=np.float32), 1.1)
            self._control[axis] = field / (field.std() + 1e-6) * deformation_mm

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Source world points (..., 3) float32 of subject world points (..., 3)."""
        mapped = points.astype(np.float32) @ self.matrix.T
        index = self._control_grid.indices(mapped)
        for axis in range(3):
            mapped[..., axis] += ndimage.map_coordinates(self._control[axis], index, order=1, mode="nearest")
        pull = (1 / self.ventricle_scale - 1) * 0.8
        for center in VENTRICLE_CENTERS:
            offset = mapped - center
            weight = np.exp(-1.2 * ((offset / VENTRICLE_RADII) ** 2).sum(-1, keepdims=True))
            mapped += offset * VENTRICLE_SCALING_AXES * (pull * weight)
        if self.flipped:
            mapped[..., 0] *= -1
        return mapped


def rotation_matrix(angles: np.ndarray) -> np.ndarray:
    """3 x 3 rotation about x, then y, then z (angles in radians)."""
    (cos_x, cos_y, cos_z), (sin_x, sin_y, sin_z) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cos_x, -sin_x], [0, sin_x, cos_x]])
    about_y = np.array([[cos_y, 0, sin_y], [0, 1, 0], [-sin_y, 0, cos_y]])
    about_z = np.array([[cos_z, -sin_z, 0], [sin_z, cos_z, 0], [0, 0, 1]])
    return about_z @ about_y @ about_x
