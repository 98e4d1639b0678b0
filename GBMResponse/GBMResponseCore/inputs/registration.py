"""Rigid registration of a follow-up volume."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import SimpleITK as sitk

from .resampling import resample_onto

_SEED = 42
_COARSE_MM = 4.0
_TURN = np.radians(20)
_TURNS = [tuple(sign * _TURN * np.eye(3)[axis]) for axis in range(3) for sign in (-1, 1)]
"""Rotations about x, y and z, in radians, beside none."""
_OPTIMIZED_STARTS = 3


@dataclass(frozen=True)
class RigidResult:
    """Outcome of :func:`register_rigidly`.

    :param transform: maps points of the fixed image to points of the moving image, LPS mm; identity if not improved.
    :param metric_before: normalized correlation over the fixed head, -1...1, without a transform.
    :param metric_after: the same with the transform found by the optimizer, kept or not.
    :param improved: whether the registration raised the correlation.
    """

    transform: sitk.Transform
    metric_before: float
    metric_after: float
    improved: bool


def register_rigidly(fixed: sitk.Image, moving: sitk.Image) -> RigidResult:
    """Align a moving volume with a fixed one by rotation and translation; the same inputs give the same result.

    Mattes mutual information is optimized from several starts, so that heads turned by up to 40 degrees are found too.
    A registration that does not raise the correlation, or fails, is dropped: the transform is then the identity.
    """
    fixed, moving = sitk.Cast(fixed, sitk.sitkFloat32), sitk.Cast(moving, sitk.sitkFloat32)
    before = _correlation(fixed, moving, sitk.Transform())
    try:
        found = _optimize(fixed, moving)
    except RuntimeError:
        return RigidResult(sitk.Euler3DTransform(), before, before, False)
    after = _correlation(fixed, moving, found)
    improved = after > before
    return RigidResult(found if improved else sitk.Euler3DTransform(), before, after, improved)


def _optimize(fixed: sitk.Image, moving: sitk.Image) -> sitk.Euler3DTransform:
    """The rigid transform with the highest mutual information, from several starts.

    All starts are compared on coarse images, the best of them are optimized there, and the best of those in full.
    """
    coarse = _coarse(fixed), _coarse(moving)
    starts = _starts(fixed, moving)
    method = _method()
    mismatch = [_mismatch(method, *coarse, start) for start in starts]
    ranked = [starts[index] for index in np.argsort(mismatch, kind="stable")[:_OPTIMIZED_STARTS]]
    found: list[tuple[float, int, Any]] = []
    for start in ranked:
        method = _method()
        method.SetInitialTransform(start, inPlace=False)
        try:
            result = _as_euler(method.Execute(*coarse))
        except RuntimeError:
            continue
        found.append((method.GetMetricValue(), len(found), result))
    if not found:
        raise RuntimeError("From no start do the images overlap.")
    method = _method()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([3, 1.5, 0])
    method.SetInitialTransform(min(found)[2], inPlace=False)
    return _as_euler(method.Execute(fixed, moving))


def _method() -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    # Sums over several threads depend on their order, and so would the result.
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(40)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.15, _SEED)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 150)
    method.SetOptimizerScalesFromPhysicalShift()
    return method


def _starts(fixed: sitk.Image, moving: sitk.Image) -> list[sitk.Euler3DTransform]:
    """Centers of mass or of the fields brought together, each straight and turned about every axis."""
    initializer = sitk.CenteredTransformInitializerFilter
    starts = []
    for kind in (initializer.MOMENTS, initializer.GEOMETRY):
        centered = sitk.CenteredTransformInitializer(fixed, moving, sitk.Euler3DTransform(), kind)
        for angles in ((0.0, 0.0, 0.0), *_TURNS):
            start = sitk.Euler3DTransform(centered)
            start.SetRotation(*angles)
            starts.append(start)
    return starts


def _mismatch(
    method: sitk.ImageRegistrationMethod, fixed: sitk.Image, moving: sitk.Image, start: sitk.Transform
) -> float:
    """Negative mutual information; infinite if the images do not overlap enough to tell."""
    method.SetInitialTransform(start, inPlace=False)
    try:
        return method.MetricEvaluate(fixed, moving)
    except RuntimeError:
        return np.inf


def _coarse(image: sitk.Image) -> sitk.Image:
    """The image with voxels of about 4 mm, but not finer than it is."""
    factors = [max(1, round(_COARSE_MM / spacing)) for spacing in image.GetSpacing()]
    factors = [min(factor, max(1, size // 8)) for factor, size in zip(factors, image.GetSize(), strict=True)]
    return sitk.BinShrink(image, factors)


def _as_euler(transform: sitk.Transform) -> sitk.Euler3DTransform:
    if transform.GetName() == "CompositeTransform":
        transform = sitk.CompositeTransform(transform).GetNthTransform(0)
    return sitk.Euler3DTransform(transform)


def _correlation(fixed: sitk.Image, moving: sitk.Image, transform: sitk.Transform) -> float:
    """Pearson correlation over the fixed head (voxels above the mean); 0 if one image is constant there.

    Parts of the head outside the moving field count as moving background, so that leaving the field does not pay.
    """
    moved = sitk.GetArrayFromImage(resample_onto(moving, fixed, transform))
    still = sitk.GetArrayFromImage(fixed)
    head = still > still.mean()
    a, b = still[head] - still[head].mean(), moved[head] - moved[head].mean()
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 0 else 0.0
