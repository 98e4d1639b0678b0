"""A head anatomy from a T1 volume of a whole head: registration to a prepared atlas, then tissue classes.

Bias field (N4), affine registration of the head, demons between the atlas and the head, which bring the atlas' brain
mask and tissue maps along, then expectation-maximization of three classes with those maps as priors.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from ..errors import AnatomyError
from .anatomy import read_anatomy_arrays
from .file import SHAPE, TISSUES, anatomy_grid, from_ras, to_ras

COARSE_MM = 2.0
DEMONS_ITERATIONS, DEMONS_SMOOTHING = 60, 1.5
EM_ITERATIONS = 8
SMALLEST_BRAIN_ML, LARGEST_BRAIN_ML = 900.0, 2300.0


class Atlas:
    """A prepared anatomy that others are brought to; ICBM152 is meant."""

    def __init__(self, path: Path) -> None:
        """:raises AnatomyError: if it cannot be read or is not on the common grid."""
        self.t1, brain, tissues, _ = read_anatomy_arrays(path)
        self.brain = brain.astype(np.float32)
        self.priors = [tissues[name].astype(np.float32) / 255 for name in TISSUES]
        if self.t1.shape != SHAPE:
            raise AnatomyError(f"The atlas {path.name} is not on the grid of prepared anatomies.")


def head_from_t1(image: sitk.Image, atlas: Atlas) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """T1 with white matter 1, brain mask and tissue maps on the anatomy grid.

    :param image: 3-D T1 of a whole head.
    :raises AnatomyError: if the result is no plausible brain.
    """
    image = bias_corrected(sitk.Cast(sitk.DICOMOrient(image, "LPS"), sitk.sitkFloat32))
    fixed = from_ras(atlas.t1)
    affine = affine_registration(fixed, image, from_ras(ndimage.binary_dilation(atlas.brain > 0.5, iterations=4)))
    head = sitk.Resample(image, anatomy_grid(), affine, sitk.sitkLinear, 0.0, sitk.sitkFloat32)
    warp = demons(head, fixed)
    brain = to_ras(sitk.Resample(from_ras(atlas.brain), anatomy_grid(), warp, sitk.sitkLinear, 0.0)) > 0.5
    priors = [
        to_ras(sitk.Resample(from_ras(prior), anatomy_grid(), warp, sitk.sitkLinear, 0.0)) for prior in atlas.priors
    ]
    t1 = np.clip(to_ras(head), 0, None)
    volume_ml = np.count_nonzero(brain) / 1000
    if not SMALLEST_BRAIN_ML <= volume_ml <= LARGEST_BRAIN_ML:
        raise AnatomyError(f"The brain found has {volume_ml:.0f} ml.", "Give a T1 volume of a whole head.")
    classes, white = tissue_classes(t1, brain, priors)
    return t1 / white, brain, dict(zip(TISSUES, classes, strict=True))


def bias_corrected(image: sitk.Image) -> sitk.Image:
    """N4 within the head."""
    image = sitk.Clamp(image, sitk.sitkFloat32, 0.0)
    coarse = sitk.Shrink(image, [max(1, round(3.0 / spacing)) for spacing in image.GetSpacing()])
    head = sitk.OtsuThreshold(coarse, 0, 1, 128)
    corrector = sitk.N4BiasFieldCorrectionImageFilter()
    corrector.SetMaximumNumberOfIterations([30, 30, 20])
    corrector.Execute(coarse, head)
    return sitk.Cast(image / sitk.Exp(corrector.GetLogBiasFieldAsImage(image)), sitk.sitkFloat32)


def affine_registration(fixed: sitk.Image, moving: sitk.Image, brain: sitk.Image) -> sitk.Transform:
    """From the atlas to the head by mutual information: rigid and affine of the heads, then affine of the brain."""
    rigid = sitk.CenteredTransformInitializer(
        fixed, moving, sitk.Euler3DTransform(), sitk.CenteredTransformInitializerFilter.MOMENTS
    )
    rigid = _optimized(fixed, moving, rigid, (8, 4))
    affine = sitk.AffineTransform(3)
    affine.SetMatrix(rigid.GetMatrix())
    affine.SetTranslation(rigid.GetTranslation())
    affine.SetCenter(rigid.GetCenter())
    affine = _optimized(fixed, moving, affine, (4, 2))
    return _optimized(fixed, moving, affine, (2,), sitk.Cast(brain, sitk.sitkUInt8))


def demons(head: sitk.Image, atlas: sitk.Image) -> sitk.Transform:
    """From the head to the atlas, both on the anatomy grid."""
    factor = round(COARSE_MM)
    fixed, moving = (sitk.Shrink(sitk.SmoothingRecursiveGaussian(image, 1.0), [factor] * 3) for image in (head, atlas))
    matcher = sitk.HistogramMatchingImageFilter()
    matcher.SetNumberOfHistogramLevels(256)
    matcher.SetNumberOfMatchPoints(10)
    matcher.ThresholdAtMeanIntensityOn()
    filter_ = sitk.DiffeomorphicDemonsRegistrationFilter()
    filter_.SetNumberOfIterations(DEMONS_ITERATIONS)
    filter_.SetStandardDeviations(DEMONS_SMOOTHING)
    field = filter_.Execute(fixed, matcher.Execute(moving, fixed))
    return sitk.DisplacementFieldTransform(sitk.Cast(field, sitk.sitkVectorFloat64))


def tissue_classes(t1: np.ndarray, brain: np.ndarray, priors: list[np.ndarray]) -> tuple[list[np.ndarray], float]:
    """Probabilities of CSF, gray and white matter in the brain, and the level of white matter."""
    inside = ndimage.binary_erosion(brain, iterations=2)
    values = t1[brain]
    level = np.array([np.median(t1[inside & (prior > 0.6)]) for prior in priors])
    spread = np.full(3, 0.12 * level[2])
    weights = np.stack([ndimage.gaussian_filter(prior, 2.0)[brain] + 0.12 for prior in priors])
    for _ in range(EM_ITERATIONS):
        likelihood = np.exp(-0.5 * ((values - level[:, None]) / spread[:, None]) ** 2) / spread[:, None]
        share = weights * likelihood
        share /= share.sum(axis=0) + 1e-9
        level = (share * values).sum(axis=1) / share.sum(axis=1)
        spread = np.sqrt((share * (values - level[:, None]) ** 2).sum(axis=1) / share.sum(axis=1))
    classes = []
    for row in share:
        volume = np.zeros(t1.shape, np.float32)
        volume[brain] = row
        classes.append(volume)
    return classes, float(level[2])


def _optimized(
    fixed: sitk.Image,
    moving: sitk.Image,
    start: sitk.Transform,
    shrink: tuple[int, ...],
    region: sitk.Image | None = None,
) -> sitk.Transform:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(40)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentagePerLevel([0.3] * len(shrink), 42)
    if region is not None:
        method.SetMetricFixedMask(region)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(1.0, 1e-3, 120)
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel(shrink)
    method.SetSmoothingSigmasPerLevel([factor / 2 for factor in shrink])
    method.SetInitialTransform(start, inPlace=True)
    method.Execute(fixed, moving)
    return start
