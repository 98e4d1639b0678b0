"""Make the bundled sample case from one case of the Brain-Tumor-Progression volumes.

The source folder holds `pre_t1gd.nii.gz`, `post_t1gd.nii.gz` and `pre_tumor.nii.gz` (a thresholded enhancement
mask: fragmented, with holes). The images are copied. The mask becomes a GTV-like contour, one region without holes per
lesion and slice, by 2-D closing, hole filling and a light opening on every axial slice.

    python Testing/tools/make_sample_case.py SOURCE_FOLDER GBMResponse/Resources/SampleData
"""

import argparse
import shutil
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage


def disk(radius: int) -> np.ndarray:
    """Return a filled disk of the given radius in pixels as a boolean array."""
    rows, columns = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    return rows**2 + columns**2 <= (radius + 0.5) ** 2


def contour_from_enhancement(
    mask: np.ndarray, closing_radius: int = 3, opening_radius: int = 1, min_voxels: int = 20
) -> np.ndarray:
    """Turn a fragmented enhancement mask (slices first) into a filled contour.

    :param mask: enhancement mask, array order slice, row, column.
    :param closing_radius: radius of the 2-D closing in pixels.
    :param opening_radius: radius of the 2-D opening that then removes specks and spikes, in pixels.
    :param min_voxels: smaller 3-D components (26-neighbor) of the result are dropped.
    :returns: the contour as uint8, 0 or 1.
    """
    padding = closing_radius + 1
    contour = np.zeros(mask.shape, bool)
    for index, slice_mask in enumerate(mask.astype(bool)):
        padded = ndimage.binary_closing(np.pad(slice_mask, padding), disk(closing_radius))
        padded = ndimage.binary_opening(ndimage.binary_fill_holes(padded), disk(opening_radius))
        contour[index] = padded[padding:-padding, padding:-padding]
    labels, _ = ndimage.label(contour, np.ones((3, 3, 3)))
    sizes = np.bincount(labels.ravel())
    keep = np.flatnonzero(sizes >= min_voxels)
    return np.isin(labels, keep[keep > 0]).astype(np.uint8)


def main() -> None:
    """Write the three files of the sample case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder with pre_t1gd, post_t1gd and pre_tumor .nii.gz")
    parser.add_argument("output", type=Path, help="folder that receives the sample case")
    parser.add_argument("--prefix", default="btp05", help="start of the file names")
    parser.add_argument("--closing-radius", type=int, default=3, help="radius of the 2-D closing in pixels")
    parser.add_argument("--opening-radius", type=int, default=1, help="radius of the 2-D opening in pixels")
    parser.add_argument("--min-voxels", type=int, default=20, help="smaller 3-D components are dropped")
    arguments = parser.parse_args()

    arguments.output.mkdir(parents=True, exist_ok=True)
    for date in ("pre", "post"):
        shutil.copyfile(
            arguments.source / f"{date}_t1gd.nii.gz", arguments.output / f"{arguments.prefix}_{date}_t1gd.nii.gz"
        )

    source_mask = sitk.ReadImage(str(arguments.source / "pre_tumour.nii.gz"))
    array = contour_from_enhancement(
        sitk.GetArrayFromImage(source_mask),
        arguments.closing_radius,
        arguments.opening_radius,
        arguments.min_voxels,
    )
    contour = sitk.GetImageFromArray(array)
    contour.CopyInformation(source_mask)
    sitk.WriteImage(contour, str(arguments.output / f"{arguments.prefix}_pre_gtv.nii.gz"), True)

    areas = array.sum(axis=(1, 2))
    volume = areas.sum() * np.prod(contour.GetSpacing()) / 1000
    print(f"{np.count_nonzero(areas)} slices, {areas.sum()} voxels, {volume:.1f} ml")
    print(f"pixels per slice: {areas.tolist()}")


if __name__ == "__main__":
    main()
