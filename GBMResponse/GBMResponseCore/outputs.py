"""Write a prediction to a folder; every file appears complete or not at all."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from . import SYNTHETIC_NOTICE
from .files import write_image, write_json
from .prediction import Prediction

PROVENANCE = "provenance.json"


def write_prediction(
    prediction: Prediction,
    record: dict[str, Any],
    folder: Path,
    suffix: str,
    extra: Mapping[str, sitk.Image] | None = None,
) -> dict[str, Path]:
    """Write volumes, mask and provenance; the provenance comes last and marks a complete result.

    :param suffix: `.nii.gz`, `.nrrd` or `.mha`.
    :param extra: further volumes by name.
    :returns: the files written, by what they hold: `predicted`, `generated_mask`, `provenance`; for several samples
        also `mean`, `spread` and `sample_01` and so on.
    :raises OutputFolderError: the folder cannot be written.
    """
    (folder / PROVENANCE).unlink(missing_ok=True)
    volumes = {"predicted": prediction.samples[0], "generated_mask": prediction.generated}
    if len(prediction.samples) > 1:
        volumes |= {"mean": prediction.mean, "spread": prediction.spread}
        volumes |= {f"sample_{number:02d}": image for number, image in enumerate(prediction.samples, start=1)}
    volumes |= extra or {}
    written = {name: write_image(_labelled(image), folder / f"{name}{suffix}") for name, image in volumes.items()}
    return written | {"provenance": write_json(record, folder / PROVENANCE)}


def _labelled(image: sitk.Image) -> sitk.Image:
    labelled = sitk.Image(image)
    labelled.SetMetaData("ITK_FileNotes", SYNTHETIC_NOTICE[:79])  # NIfTI's description field holds 79 characters
    return labelled
