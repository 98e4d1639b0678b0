"""The volumes of a prediction, marked as synthetic."""

from typing import TYPE_CHECKING

import SimpleITK as sitk

from .. import SYNTHETIC_NOTICE

if TYPE_CHECKING:
    from ..prediction import Prediction


def volumes_of(prediction: "Prediction", enhancement_probability: sitk.Image | None) -> dict[str, sitk.Image]:
    """What is written of a prediction, by name: `predicted` and `generated_mask`.

    For several samples also `mean`, `spread`, `sample_01` and so on, and `enhancement_probability` if it is known.
    """
    volumes = {"predicted": prediction.samples[0], "generated_mask": prediction.generated}
    if len(prediction.samples) > 1:
        volumes |= {"mean": prediction.mean, "spread": prediction.spread}
        volumes |= {f"sample_{number:02d}": image for number, image in enumerate(prediction.samples, start=1)}
    if enhancement_probability is not None:
        volumes["enhancement_probability"] = enhancement_probability
    return {name: _labeled(image) for name, image in volumes.items()}


def _labeled(image: sitk.Image) -> sitk.Image:
    labeled = sitk.Image(image)
    labeled.SetMetaData("ITK_FileNotes", SYNTHETIC_NOTICE[:79])  # NIfTI's description field holds 79 characters
    return labeled
