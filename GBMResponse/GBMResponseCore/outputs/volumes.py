"""The volumes of a prediction, marked as synthetic, each with what it is."""

from pathlib import Path
from typing import TYPE_CHECKING

import SimpleITK as sitk

from ..files import write_image

if TYPE_CHECKING:
    from ..prediction import Prediction

_LONGEST_DESCRIPTION = 79
"""Letters that NIfTI's description field holds."""


def volumes_of(prediction: "Prediction", enhancement_probability: sitk.Image | None) -> dict[str, sitk.Image]:
    """What is written of a prediction, by name: `expected`, `predicted`, `generated_mask`, `blend_weight`.

    For several samples also `spread`, `sample_01` and so on, and `enhancement_probability` if it is known.
    """
    expected = f"average, {prediction.expected_method}"
    volumes = {
        "expected": (prediction.expected, expected),
        "predicted": (prediction.predicted, "sample 1" if prediction.samples else expected),
        "generated_mask": (prediction.generated, "mask of the generated voxels"),
    }
    if prediction.weight is not None:
        volumes["blend_weight"] = (prediction.weight, "share of the prediction, 0 is the input")
    if prediction.spread is not None:
        volumes["spread"] = (prediction.spread, f"SD of {len(prediction.samples)} samples")
        for number, image in enumerate(prediction.samples, start=1):
            volumes[f"sample_{number:02d}"] = (image, f"sample {number}")
    if enhancement_probability is not None:
        volumes["enhancement_probability"] = (enhancement_probability, chance_from(prediction))
    return {name: labeled(image, what) for name, (image, what) in volumes.items()}


def chance_from(prediction: "Prediction") -> str:
    """What a map of the probability of enhancement is."""
    return f"probability of enhancement from {len(prediction.samples)} samples"


def labeled(image: sitk.Image, what: str) -> sitk.Image:
    """A copy that says in its header that it is synthetic, and what it is."""
    copy = sitk.Image(image)
    copy.SetMetaData("ITK_FileNotes", f"SYNTHETIC, research use: {what}"[:_LONGEST_DESCRIPTION])
    return copy


def write_preview_volume(image: sitk.Image, path: Path, what: str = "average, preview") -> Path:
    """Write an expected image that its reader shows at once.

    :raises OutputFolderError: it cannot be written.
    """
    return write_image(labeled(image, what), path)
