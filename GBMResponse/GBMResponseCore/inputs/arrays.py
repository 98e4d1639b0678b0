"""Cases from arrays and images in memory, and arrays from images.

Arrays are indexed [i, j, k], and an affine (4, 4) says where the center of voxel (i, j, k) lies, RAS mm: as nibabel has
both.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import SimpleITK as sitk
from numpy.typing import ArrayLike, NDArray

from ..errors import GeometryError, ImageDimensionError, NotMRError
from .case import Case, make_case
from .geometry import AnatomicalGrid
from .reading import sha256_of_image
from .resampling import direction_matrix

_STORED = {"b": np.uint8, "float16": np.float32, "float128": np.float64}
"""What SimpleITK does not have, and what holds it."""


def case_from_images(image: sitk.Image, gtv: sitk.Image, follow_up: sitk.Image | None = None) -> Case:
    """Check a case that SimpleITK holds. The images are not modified.

    :param image: T1-Gd before radiotherapy, 3-D.
    :param gtv: mask, on any grid of the same patient; what is positive is inside.
    :param follow_up: true T1-Gd after radiotherapy, to score against; on any grid.
    :raises GBMResponseError: one of the errors of :func:`.case.make_case`.
    """
    images = {"image": image, "GTV": gtv} | ({} if follow_up is None else {"follow-up": follow_up})
    sources = {name: {"file": "memory", "sha256": sha256_of_image(entry)} for name, entry in images.items()}
    return replace(make_case(image, gtv, follow_up), sources=sources)


def case_from_arrays(
    image: ArrayLike,
    gtv: ArrayLike,
    affine: ArrayLike,
    follow_up: ArrayLike | None = None,
    follow_up_affine: ArrayLike | None = None,
) -> Case:
    """Check a case of arrays, such as nibabel's `get_fdata()` and `affine`. The arrays are not modified.

    ```pycon
    >>> import GBMResponseCore as gbm, numpy as np
    >>> i, j, k = np.ogrid[:64, :64, :12]
    >>> head = np.where((i - 32) ** 2 + (j - 32) ** 2 < 28**2, 400.0 + 4 * i + 3 * j, 0.0) * np.ones(12)
    >>> gtv = (i - 40) ** 2 + (j - 36) ** 2 + 4 * (k - 6) ** 2 < 36
    >>> case = gbm.case_from_arrays(head, gtv, np.diag([3.0, 3.0, 5.0, 1.0]))
    >>> round(case.gtv_volume_ml, 1)
    19.1

    ```

    :param image: T1-Gd before radiotherapy, (i, j, k).
    :param gtv: mask on the same grid; what is positive is inside.
    :param affine: (4, 4), voxel to RAS mm.
    :param follow_up: true T1-Gd after radiotherapy, to score against.
    :param follow_up_affine: its own affine; None: it lies on the grid of the image.
    :raises ImageDimensionError: an array does not have three axes.
    :raises NotMRError: an array does not hold real numbers.
    :raises GeometryError: an affine is none, or is sheared; or the GTV has another shape than the image.
    :raises GBMResponseError: one of the errors of :func:`.case.make_case`.
    """
    placed = _placed("image", image, affine)
    mask = _placed("GTV", gtv, affine)
    if mask.GetSize() != placed.GetSize():
        raise GeometryError(f"The GTV has the shape {mask.GetSize()}, the image {placed.GetSize()}.")
    later = None
    if follow_up is not None:
        later = _placed("follow-up", follow_up, affine if follow_up_affine is None else follow_up_affine)
    return case_from_images(placed, mask, later)


def to_array(image: sitk.Image) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """An image of a case or of a prediction as :func:`case_from_arrays` takes it.

    ```pycon
    >>> import GBMResponseCore as gbm
    >>> array, affine = gbm.to_array(gbm.sample_case().image)
    >>> array.shape, array.dtype.name, [round(float(step), 2) for step in affine.diagonal()]
    ((256, 256, 20), 'int16', [-0.86, -0.86, 6.5, 1.0])

    ```

    :returns: the voxels (i, j, k), of the image's type; and the affine (4, 4), voxel to RAS mm.
    """
    grid = AnatomicalGrid(np.array(image.GetOrigin()), np.array(image.GetSpacing()), direction_matrix(image))
    return sitk.GetArrayFromImage(image).transpose(), grid.ras()


def _placed(name: str, values: ArrayLike, affine: ArrayLike) -> sitk.Image:
    array, matrix = np.asarray(values), np.asarray(affine)
    if array.ndim != 3:
        raise ImageDimensionError(f"The array of the {name} has {array.ndim} axes.")
    if array.dtype.kind not in "buif":
        raise NotMRError(f"The array of the {name} holds {array.dtype.name}.", "Give an array of real numbers.")
    if matrix.shape != (4, 4) or matrix.dtype.kind not in "uif" or not np.array_equal(matrix[3], [0, 0, 0, 1]):
        raise GeometryError(f"The affine of the {name} is no 4 x 4 matrix with the last row 0, 0, 0, 1.")
    grid = AnatomicalGrid.of_ras(matrix.astype(np.float64)) if np.isfinite(matrix).all() else None
    straight = grid and grid.straightened((array.shape[0], array.shape[1], array.shape[2]))
    if straight is None:
        raise GeometryError(f"The affine of the {name} is sheared, or not made of numbers.")
    stored = _STORED.get(array.dtype.name, _STORED.get(array.dtype.kind, array.dtype.newbyteorder("=")))
    return straight.put_on(sitk.GetImageFromArray(np.ascontiguousarray(array.T, dtype=stored)))
