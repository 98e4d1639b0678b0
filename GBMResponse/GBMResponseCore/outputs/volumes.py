"""Write the volumes of a prediction; every file appears complete or not at all."""

from collections.abc import Mapping
from pathlib import Path

import SimpleITK as sitk

from .. import SYNTHETIC_NOTICE
from ..files import write_image
from ..prediction import Prediction


def write_volumes(
    prediction: Prediction, folder: Path, suffix: str, extra: Mapping[str, sitk.Image] | None = None
) -> dict[str, Path]:
    """Write the volumes and the mask of a prediction.

    :param suffix: `.nii.gz`, `.nrrd` or `.mha`.
    :param extra: further volumes by name.
    :returns: the files written, by what they hold: `predicted` and `generated_mask`; for several samples also `mean`,
        `spread` and `sample_01` and so on.
    :raises OutputFolderError: the folder cannot be written.
    """
    volumes = {"predicted": prediction.samples[0], "generated_mask": prediction.generated}
    if len(prediction.samples) > 1:
        volumes |= {"mean": prediction.mean, "spread": prediction.spread}
        volumes |= {f"sample_{number:02d}": image for number, image in enumerate(prediction.samples, start=1)}
    volumes |= extra or {}
    return {name: write_image(_labeled(image), folder / f"{name}{suffix}") for name, image in volumes.items()}


def _labeled(image: sitk.Image) -> sitk.Image:
    labeled = sitk.Image(image)
    labeled.SetMetaData("ITK_FileNotes", SYNTHETIC_NOTICE[:79])  # NIfTI's description field holds 79 characters
    return labeled
