"""Heads -> brains, with the brain mask of a data set or, without one, the package deepbet.

deepbet (MIT) is optional: it was trained on T1 scans of healthy adults, so look at the contact sheet.
"""

from functools import lru_cache
from typing import Any

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.errors import MissingPackageError
from GBMResponseCore.inputs.resampling import image_like, resample_mask

from ..datasets.errors import BrainMaskError

INSTALL = "deepbet --no-deps && pip install connected-components-3d fill-voids nibabel pandas"
_SMALLEST_BRAIN_ML, _LARGEST_BRAIN_ML = 400, 2500


def find_brain(image: sitk.Image) -> sitk.Image:
    """Segment the brain of a whole head with deepbet, on the CPU; about six seconds.

    :param image: 3-D T1-weighted volume of any orientation.
    :return: uint8 0/1 on the image's grid.
    :raises MissingPackageError: without deepbet.
    :raises BrainMaskError: if what it finds has not the size of a brain.
    """
    nibabel, extraction = _deepbet()
    voxels = sitk.GetArrayFromImage(image).astype(np.float32).T
    try:
        _, found, _ = extraction.run(nibabel.Nifti1Image(voxels, _affine_ras(image)))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise BrainMaskError(f"deepbet found no brain ({error}).") from None
    mask = image_like(image, (np.asarray(found.dataobj).T > 0).astype(np.uint8))
    volume = float(sitk.GetArrayViewFromImage(mask).sum() * np.prod(image.GetSpacing()) / 1000)
    if not _SMALLEST_BRAIN_ML <= volume <= _LARGEST_BRAIN_ML:
        raise BrainMaskError(f"The brain that deepbet found has {volume:.0f} ml.")
    return mask


def keep_brain(image: sitk.Image, mask: sitk.Image, transform: sitk.Transform | None = None) -> sitk.Image:
    """Set everything outside a brain to air: 0, or the image's minimum if that is negative.

    :param mask: positive is brain; on any grid.
    :param transform: maps points of the image to points of the mask, LPS mm.
    :return: the image's grid and pixel type.
    :raises BrainMaskError: if nothing of the image is brain.
    """
    inside = resample_mask(mask, image, transform)
    if not inside.any():
        raise BrainMaskError("The brain mask does not overlap the image.")
    voxels = sitk.GetArrayFromImage(image)
    voxels[~inside] = min(0, voxels.min())
    return image_like(image, voxels)


@lru_cache(maxsize=1)
def _deepbet() -> tuple[Any, Any]:
    """The module nibabel and deepbet's network."""
    try:
        import nibabel
        from deepbet import BrainExtraction
    except ImportError:
        raise MissingPackageError("deepbet", "strip skulls", INSTALL) from None
    return nibabel, BrainExtraction(no_gpu=True)


def _affine_ras(image: sitk.Image) -> np.ndarray:
    """Voxel index (x, y, z) to RAS mm, (4, 4)."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return np.diag([-1, -1, 1, 1]) @ affine
