"""Rigid registration of a follow-up volume, and resampling in physical space."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

from .geometry import image_like, resample_mask

_SEED = 42


@dataclass(frozen=True)
class RigidResult:
    """Outcome of :func:`register_rigidly`.

    :param transform: maps points of the fixed image to points of the moving image, LPS mm; identity if not improved.
    :param metric_before: normalised correlation over the fixed head, -1...1, without a transform.
    :param metric_after: the same with the transform found by the optimiser, kept or not.
    :param improved: whether the registration raised the correlation.
    """

    transform: sitk.Transform
    metric_before: float
    metric_after: float
    improved: bool


def register_rigidly(fixed: sitk.Image, moving: sitk.Image, mask: sitk.Image | None = None) -> RigidResult:
    """Align a moving volume with a fixed one by rotation and translation; the same inputs give the same result.

    A registration that does not raise the correlation, or fails, is dropped: the transform is then the identity.

    :param mask: restricts the similarity measure to a part of the fixed image (positive voxels, fixed grid).
    """
    fixed, moving = sitk.Cast(fixed, sitk.sitkFloat32), sitk.Cast(moving, sitk.sitkFloat32)
    before = _correlation(fixed, moving, sitk.Transform())
    try:
        found = _optimise(fixed, moving, mask)
    except RuntimeError:
        return RigidResult(sitk.Euler3DTransform(), before, before, False)
    after = _correlation(fixed, moving, found)
    improved = after > before
    return RigidResult(found if improved else sitk.Euler3DTransform(), before, after, improved)


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


def _optimise(fixed: sitk.Image, moving: sitk.Image, mask: sitk.Image | None) -> sitk.Euler3DTransform:
    start = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    method = sitk.ImageRegistrationMethod()
    # Sums over several threads depend on their order, and so would the result.
    method.SetNumberOfWorkUnits(1)
    method.SetMetricAsMattesMutualInformation(40)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(0.15, _SEED)
    if mask is not None:
        method.SetMetricFixedMask(sitk.Cast(mask > 0, sitk.sitkUInt8))
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(2.0, 1e-3, 150)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([3, 1.5, 0])
    method.SetInitialTransform(sitk.Euler3DTransform(start), inPlace=False)
    found = method.Execute(fixed, moving)
    return sitk.Euler3DTransform(sitk.CompositeTransform(found).GetNthTransform(0))


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
