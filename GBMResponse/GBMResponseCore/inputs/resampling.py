"""Images and masks on other grids, in physical space: copied where voxels coincide, else linear.

Interpolation is linear because it cannot ring, see :mod:`.grid`. Coordinates are LPS millimeters.
"""

import numpy as np
import SimpleITK as sitk

from ..setting import decided
from .preprocessing import bounding_box

_TIE = 1e-5
_PUSH = 0.01


def image_like(image: sitk.Image, array: np.ndarray) -> sitk.Image:
    """An array as an image with the grid of another one."""
    result = sitk.GetImageFromArray(array)
    result.CopyInformation(image)
    return result


def spread_of(volumes: list[sitk.Image]) -> sitk.Image:
    """Voxel standard deviation of volumes on one grid, float32."""
    total = np.zeros(volumes[0].GetSize()[::-1], dtype=np.float64)
    squares = np.zeros_like(total)
    for volume in volumes:
        voxels = sitk.GetArrayViewFromImage(volume).astype(np.float64)
        total += voxels
        squares += voxels**2
    variance = (squares - total**2 / len(volumes)) / (len(volumes) - 1)
    return image_like(volumes[0], np.sqrt(np.clip(variance, 0.0, None)).astype(np.float32))


def same_grid(first: sitk.Image, second: sitk.Image) -> bool:
    """True if the voxels of both images coincide within 2 % of a voxel."""
    if first.GetSize() != second.GetSize():
        return False
    distance = np.abs(outer_corners(first) - outer_corners(second)).max()
    return bool(distance < 0.02 * min(first.GetSpacing()))


def resample_onto(
    moving: sitk.Image, fixed: sitk.Image, transform: sitk.Transform | None = None, label: bool = False
) -> sitk.Image:
    """The moving image on the grid of the fixed one.

    :param transform: maps fixed points to moving points, LPS mm.
    :param label: the moving image is a mask: positive is inside.
    :return: the moving pixel type, linear interpolation, outside the field the moving minimum; a mask as uint8 0/1.
    """
    if label:
        return image_like(fixed, resample_mask(moving, fixed, transform).astype(np.uint8))
    fill = float(sitk.GetArrayViewFromImage(moving).min())
    return sitk.Resample(moving, fixed, transform or sitk.Transform(), sitk.sitkLinear, fill)


def resample_linear(source: sitk.Image, target: sitk.Image, fill: float) -> np.ndarray:
    """Values of the source on the target's grid, float32: copied where grids coincide, else linear."""
    copied = _copy_if_aligned(source, target, fill)
    if copied is not None:
        return copied
    moved = sitk.Resample(source, target, sitk.Transform(), sitk.sitkLinear, fill, sitk.sitkFloat32)
    return sitk.GetArrayFromImage(moved)


def resample_mask(mask: sitk.Image, reference: sitk.Image, transform: sitk.Transform | None = None) -> np.ndarray:
    """A mask (positive is inside) on the grid of a reference image, in physical space.

    Where both grids coincide, or differ by a shift alone, voxels are copied. Else the 0/1 mask is smoothed over a
    reference voxel if it is finer, interpolated linearly and cut at 0.5, which avoids staircases and keeps the volume;
    of ties at 0.5 those on one side are in. A mask too small to leave any voxel that way is marked by the reference
    voxels that hold its voxel centers.

    :param transform: maps reference points to mask points, as in SimpleITK.
    :return: bool array, shape of the reference in numpy order; empty only if mask and reference do not overlap.
    """
    inside = sitk.GetArrayViewFromImage(mask) > 0
    if not inside.any():
        return np.zeros(reference.GetSize()[::-1], bool)
    if transform is None:
        copied = _copy_if_aligned(mask, reference, 0.0, farthest=0.5)
        if copied is not None and copied.any():
            return copied > 0
    transform = transform or sitk.Transform()

    blur = _blur_variance(mask, reference)
    margin = [2 + int(np.ceil(3 * v**0.5 / s)) for v, s in zip(blur, mask.GetSpacing(), strict=True)]
    box = bounding_box(inside, margin[::-1])
    part = sitk.Cast(mask[tuple(reversed(decided(box)))] > 0, sitk.sitkFloat32)
    if any(blur):
        part = sitk.DiscreteGaussian(part, blur, 64, 0.01, True)
    soft = sitk.Resample(part, reference, transform, sitk.sitkLinear, 0.0)
    soft = sitk.GetArrayFromImage(soft)
    result = soft >= 0.5
    ties = np.abs(soft - 0.5) < _TIE
    if ties.any():
        result[ties] = _pushed(part, reference, transform)[ties] >= 0.5
    if not result.any():
        result = _nearest_voxels(mask, inside, reference, transform)
    return result


def _pushed(part: sitk.Image, reference: sitk.Image, transform: sitk.Transform) -> np.ndarray:
    """The interpolated mask a hundredth of a voxel further along all axes of the reference."""
    step = direction_matrix(reference) @ (_PUSH * np.asarray(reference.GetSpacing()))
    moved = sitk.Image(reference)
    moved.SetOrigin((np.asarray(reference.GetOrigin()) + step).tolist())
    return sitk.GetArrayFromImage(sitk.Resample(part, moved, transform, sitk.sitkLinear, 0.0))


def voxel_centers(image: sitk.Image, selected: np.ndarray) -> np.ndarray:
    """LPS mm positions, shape (m, 3), of the voxels selected by a bool array in numpy order."""
    index = np.argwhere(selected)[:, ::-1]
    return np.asarray(image.GetOrigin()) + (index * np.asarray(image.GetSpacing())) @ direction_matrix(image).T


def voxel_indices(image: sitk.Image, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Nearest voxel of each LPS point (m, 3): indices (m, 3) in numpy order, and bool (m,): within the image."""
    offset = (points - np.asarray(image.GetOrigin())) @ np.linalg.inv(direction_matrix(image)).T
    index = np.floor(offset / np.asarray(image.GetSpacing()) + 0.5).astype(int)
    within = np.all((index >= 0) & (index < np.asarray(image.GetSize())), axis=1)
    return index[:, ::-1], within


def direction_matrix(image: sitk.Image) -> np.ndarray:
    """The direction cosines (3, 3) of an image; columns are its axes."""
    return np.reshape(image.GetDirection(), (3, 3))


def outer_corners(image: sitk.Image) -> np.ndarray:
    """LPS mm positions (8, 3) of the outer corners of the corner voxels."""
    ends = np.array(np.meshgrid(*[(-0.5, n - 0.5) for n in image.GetSize()])).reshape(3, -1).T
    return np.asarray(image.GetOrigin()) + (ends * np.asarray(image.GetSpacing())) @ direction_matrix(image).T


def _copy_if_aligned(source: sitk.Image, target: sitk.Image, fill: float, farthest: float = 0.02) -> np.ndarray | None:
    """Copy of the source on the target's grid, float32, or None if voxel centers do not coincide.

    :param farthest: distance of centers in voxels that counts as none; axes and spacing must be the target's anyway.
    """
    to_index = np.linalg.inv(direction_matrix(source) * source.GetSpacing())
    exact_step = to_index @ (direction_matrix(target) * target.GetSpacing())
    exact_start = to_index @ np.subtract(target.GetOrigin(), source.GetOrigin())
    step = np.round(exact_step).astype(int)
    start = np.floor(exact_start + 0.5 + _TIE).astype(int)  # ties go to one side along all axes
    turned, shifted = np.abs(exact_step - step) @ target.GetSize(), np.abs(exact_start - start)
    if (
        max((turned + shifted).max() - 2 * _TIE, 0) > farthest
        or turned.max() > 0.02
        or not np.array_equal(step @ step.T, np.eye(3))
    ):
        return None

    order = np.abs(step).argmax(axis=0)
    voxels = sitk.GetArrayViewFromImage(source).T.transpose(order)
    from_source, to_target = [], []
    for axis, source_axis in enumerate(order):
        shift, size = start[source_axis], source.GetSize()[source_axis]
        if step[source_axis, axis] < 0:
            voxels, shift = np.flip(voxels, axis), size - 1 - shift
        pair = _overlap(int(shift), size, target.GetSize()[axis])
        from_source.append(pair[0])
        to_target.append(pair[1])
    result = np.full(target.GetSize()[::-1], fill, np.float32)
    result.T[tuple(to_target)] = voxels[tuple(from_source)]
    return result


def _overlap(shift: int, source_size: int, target_size: int) -> tuple[slice, slice]:
    """Matching slices of a source and a target axis, where target index i is source index i + shift."""
    start = max(0, -shift)
    stop = max(start, min(target_size, source_size - shift))
    return slice(start + shift, stop + shift), slice(start, stop)


def _blur_variance(mask: sitk.Image, reference: sitk.Image) -> list[float]:
    """Variance in mm2 along each mask axis that smooths a finer mask over one reference voxel, 0 elsewhere."""
    closest = np.abs(direction_matrix(mask).T @ direction_matrix(reference)).argmax(axis=1)
    target = np.asarray(reference.GetSpacing())[closest]
    # A box of width w has the variance w^2 / 12.
    return [float(max(0.0, t * t - s * s) / 12) for t, s in zip(target, mask.GetSpacing(), strict=True)]


def _nearest_voxels(
    mask: sitk.Image, inside: np.ndarray, reference: sitk.Image, transform: sitk.Transform
) -> np.ndarray:
    """Reference voxels that hold the center of a mask voxel."""
    inverse = transform.GetInverse()
    points = np.array([inverse.TransformPoint(point) for point in voxel_centers(mask, inside).tolist()])
    index, within = voxel_indices(reference, points)
    result = np.zeros(reference.GetSize()[::-1], bool)
    result[tuple(index[within].T)] = True
    return result
