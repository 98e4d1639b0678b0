"""Synthetic volumes for tests: one analytic head that can be put on any grid, so every grid shows the same patient.

Coordinates are LPS millimeters with the head's center at 0.
"""

import numpy as np
import SimpleITK as sitk

IDENTITY = np.eye(3)
GTV_CENTER = (25.0, -15.0, 20.0)
"""Left, anterior and superior of the center."""

_ELLIPSOIDS = (
    # center, radii, intensity added inside
    ((0, 0, 0), (72, 92, 78), 350),
    ((0, 0, 0), (66, 86, 72), -150),
    ((0, 0, 0), (63, 82, 69), 300),
    ((-14, 0, 10), (9, 28, 14), -300),
    ((14, 0, 10), (9, 28, 14), -300),
    (GTV_CENTER, (12, 12, 12), 400),
    (GTV_CENTER, (7, 7, 7), -450),
)


def rotation(axis: str, degrees: float) -> np.ndarray:
    """Rotation matrix (3, 3) about the axis x, y or z."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    first, second = {"x": (1, 2), "y": (2, 0), "z": (0, 1)}[axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = cos
    matrix[first, second], matrix[second, first] = -sin, sin
    return matrix


def empty(size, spacing, direction=IDENTITY, center=(0, 0, 0), pixel=sitk.sitkInt16) -> sitk.Image:
    """Zero volume with its middle at a point; size and spacing in SimpleITK order, direction (3, 3)."""
    image = sitk.Image([int(n) for n in size], pixel)
    image.SetSpacing([float(s) for s in spacing])
    image.SetDirection(np.asarray(direction, float).ravel().tolist())
    middle = np.asarray(direction) @ ((np.asarray(size) - 1) / 2 * np.asarray(spacing))
    image.SetOrigin((np.asarray(center, float) - middle).tolist())
    return image


def head(size, spacing, direction=IDENTITY, center=(0, 0, 0), pixel=sitk.sitkInt16) -> sitk.Image:
    """Smooth head with scalp, skull, brain, ventricles and an enhancing ring, 0...900, air 0."""
    image = empty(size, spacing, direction, center, pixel)
    points = _points(image)
    values = np.zeros(points.shape[1:], np.float32)
    for middle, radii, intensity in _ELLIPSOIDS:
        values += intensity * _inside(points, middle, radii)
    return _filled(image, values)


def gtv(size, spacing, direction=IDENTITY, center=(0, 0, 0), radius_mm=12.0, at=GTV_CENTER) -> sitk.Image:
    """Ball as uint8 0/1 mask."""
    image = empty(size, spacing, direction, center, sitk.sitkUInt8)
    offset = _points(image) - np.asarray(at, np.float32)[:, None, None, None]
    return _filled(image, (offset**2).sum(axis=0) <= radius_mm**2)


def _points(image: sitk.Image) -> np.ndarray:
    """LPS positions (3, slices, rows, columns) of the voxel centers, float32."""
    matrix = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    axes = [np.arange(n, dtype=np.float32) for n in image.GetSize()[::-1]]
    k, j, i = np.meshgrid(*axes, indexing="ij", sparse=True)
    rows = zip(image.GetOrigin(), matrix.astype(np.float32), strict=True)
    return np.stack([np.float32(o) + m[0] * i + m[1] * j + m[2] * k for o, m in rows])


def _inside(points: np.ndarray, middle, radii, edge_mm: float = 1.0) -> np.ndarray:
    """1 inside an ellipsoid, 0 outside, with a soft edge."""
    middle, radii = (np.asarray(v, np.float32)[:, None, None, None] for v in (middle, radii))
    depth = (1 - np.sqrt((((points - middle) / radii) ** 2).sum(axis=0))) * radii.min()
    return 0.5 * (1 + np.tanh(depth / edge_mm))


def _filled(image: sitk.Image, values: np.ndarray) -> sitk.Image:
    dtype = sitk.GetArrayViewFromImage(image).dtype
    values = np.rint(values) if np.issubdtype(dtype, np.integer) else values
    result = sitk.GetImageFromArray(values.astype(dtype))
    result.CopyInformation(image)
    return result


def voxel_mean(mask: sitk.Image) -> np.ndarray:
    """Center (3,) of the non-zero voxels, LPS mm."""
    index = np.argwhere(sitk.GetArrayViewFromImage(mask) > 0).mean(axis=0)[::-1]
    return np.array(mask.TransformContinuousIndexToPhysicalPoint(index.tolist()))
