"""DICOM SEG -> mask: which of its segments are the GTV is decided as for the regions of an RTSTRUCT."""

from collections.abc import Collection
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import MissingPackageError, StructureSetError
from .tree import damage_is_typed

MODALITY = "SEG"
_INSIDE = 0.5
"""Least probability or share of a voxel that is inside."""


def highdicom_module() -> ModuleType:
    """:raises MissingPackageError: without highdicom."""
    try:
        import highdicom
    except ImportError:
        raise MissingPackageError("highdicom", "read and write DICOM segmentations") from None
    return highdicom


def segments(dataset: Any) -> list[tuple[int, str]]:
    """Number and name of the segments of a SEG object.

    :raises AttributeError, ValueError, TypeError: if it lacks a tag, or has an impossible one.
    """
    return [(int(item.SegmentNumber), str(item.get("SegmentLabel") or "").strip()) for item in dataset.SegmentSequence]


def read_segments(path: Path, numbers: Collection[int]) -> sitk.Image:
    """The union of segments on the grid that the object itself has.

    :return: uint8 0/1; without slices above and below that are empty.
    :raises StructureSetError: if the object is damaged, or its frames make no volume.
    :raises MissingPackageError: without highdicom.
    """
    highdicom = highdicom_module()
    with damage_is_typed("The SEG", StructureSetError):
        volume = highdicom.seg.segread(path).get_volume(segment_numbers=sorted(numbers), combine_segments=False)
        inside = (np.asarray(volume.array) >= _INSIDE).any(axis=-1)
        affine = np.asarray(volume.affine, float)
    image = sitk.GetImageFromArray(inside.astype(np.uint8))
    matrix = affine[:3, 2::-1]  # its axes are slice, row, column
    spacing = np.linalg.norm(matrix, axis=0)
    image.SetOrigin(affine[:3, 3].tolist())
    image.SetSpacing(spacing.tolist())
    image.SetDirection((matrix / spacing).ravel().tolist())
    return image
