"""Images without a follow-up -> a slice store that only an image autoencoder learns from (`--extra-images`).

In the store `post` repeats `pre`, and every record has `single_images`, so that nothing takes it for pairs.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.files import ensure_output_folder, write_text
from GBMResponseCore.inputs.preprocessing import InPlaneRule, NormalizationSettings, fit_scale

from .slice_store import SINGLE_IMAGES, write_store
from .splits import SPLIT_FILE, write_split

MODEL_PIXEL_MM = 0.86
"""Pixel size on a matrix of 256, that of the scans with which the shipped model was tried."""
SMALLEST_HEAD_SHARE = 0.12
"""Of a slice's pixels that lie in the head; slices of a volume with less are left out."""


@dataclass(frozen=True)
class SingleImages:
    """Slices that belong together, of a patient or of what may be one.

    :param id: unique in the store.
    :param slices: float32 (n, size, size), normalized; row 0 is anterior, column 0 the patient's right.
    :param gtv: bool (n, size, size): where the tumor is, or empty.
    :param record: further fields of the record, JSON values.
    """

    id: str
    slices: np.ndarray
    gtv: np.ndarray
    record: dict[str, Any] = field(default_factory=dict)


def write_single_images(
    groups: Sequence[SingleImages],
    out: Path,
    statement: str,
    normalization: NormalizationSettings,
    held_out: bool = False,
) -> None:
    """Write a store of images without a follow-up.

    :param statement: text of its `SOURCE.md`: whence the images come, and what must be said of them.
    :param held_out: the images are for tests: the split says so.
    :raises OutputFolderError: if it cannot be written, or the folder has the split of another store.
    """
    ensure_output_folder(out)
    if (out / SPLIT_FILE).exists() and not held_out:
        raise OutputFolderError(f"The folder {out.name} has the {SPLIT_FILE} of another store.")
    records = [
        {
            "id": group.id,
            "survival_days": None,
            "censored": False,
            SINGLE_IMAGES: True,
            # Their places in the head are not known, or of no use.
            "slice_positions_mm": [float(number) for number in range(len(group.slices))],
            "preprocessing": {"intensity": normalization.to_dict()},
            **group.record,
        }
        for group in groups
    ]
    slices, gtv = (np.concatenate([getattr(group, name) for group in groups]) for name in ("slices", "gtv"))
    patient = np.repeat(np.arange(len(groups)), [len(group.slices) for group in groups])
    write_store(out, slices, slices, gtv, patient, records)
    write_text(statement, out / "SOURCE.md")
    if held_out:
        write_split({group.id: "test" for group in groups}, out / SPLIT_FILE)


def resized_slice(
    image: np.ndarray, box: Sequence[float], pixel_mm: float, size: int, normalization: NormalizationSettings
) -> tuple[np.ndarray, np.ndarray]:
    """A square picture as a slice of the model's pixel size, and its box as a mask (size, size).

    What lies beyond the picture is black. The scale of the intensities is that of the picture itself.

    :param image: uint8 (side, side).
    :param box: left, top, right, bottom in pixels of the picture.
    :param pixel_mm: its pixel size.
    """
    from PIL import Image

    scale = MODEL_PIXEL_MM * 256 / size / pixel_mm
    side = round(image.shape[0] / scale)
    # Averages over what a larger pixel covers, so that nothing finer, JPEG blocks included, is folded into the slice.
    small = Image.fromarray(image.astype(np.float32)).resize((side, side), Image.Resampling.HAMMING)
    slices = fit_scale(image, normalization).normalize(np.asarray(small))
    offset = (side - size) / 2
    left, top, right, bottom = (value / scale - offset for value in box)
    row, column = np.mgrid[:size, :size] + 0.5
    inside = (column >= left) & (column < right) & (row >= top) & (row < bottom)
    return _centered(slices, size), inside


def head_rows(slices: np.ndarray) -> np.ndarray:
    """Rows (m,) of normalized slices (n, H, W) that show enough of the head."""
    return np.flatnonzero((slices > -0.8).mean(axis=(1, 2)) >= SMALLEST_HEAD_SHARE)


def head_images(
    name: str, paths: Sequence[Path], rule: InPlaneRule, normalization: NormalizationSettings
) -> SingleImages:
    """The slices of a patient's volumes that show the head, each on its own axial grid where it has one.

    :raises GBMResponseError: a file is no usable volume, or shows no head.
    """
    import SimpleITK as sitk
    from GBMResponseCore.errors import ConstantImageError
    from GBMResponseCore.inputs.grid import StackGrid
    from GBMResponseCore.inputs.reading import read_image, sha256_of_image

    sources: dict[str, Any] = {}
    shown = []
    for path in paths:
        image = read_image(path)
        slices = StackGrid.for_image(image, rule).to_stack(image)
        slices = fit_scale(sitk.GetArrayViewFromImage(image), normalization).normalize(slices)
        rows = head_rows(slices)
        if not len(rows):
            raise ConstantImageError(f"No slice of {path.name} shows a head.")
        shown.append(slices[rows])
        sources[f"image-{len(sources) + 1}"] = {"file": path.name, "sha256": sha256_of_image(image)}
    slices = np.concatenate(shown)
    return SingleImages(name, slices, np.zeros(slices.shape, bool), {"sources": sources})


def _centered(image: np.ndarray, size: int) -> np.ndarray:
    """The middle of a picture; -1 where there is none."""
    result = np.full((size, size), -1.0, np.float32)
    side = image.shape[0]
    inner = min(side, size)
    source, target = (side - inner) // 2, (size - inner) // 2
    result[target : target + inner, target : target + inner] = image[source : source + inner, source : source + inner]
    return result
