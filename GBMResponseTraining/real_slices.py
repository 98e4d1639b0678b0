"""Real T1-Gd slices for the image autoencoder, prepared exactly as a case is at prediction time."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from GBMResponseCore.files import read_image
from GBMResponseCore.geometry import InPlaneRule, StackGrid
from GBMResponseCore.intensity import NormalisationSettings, fit_scale


def load_slices(path: Path, rule: InPlaneRule, normalisation: NormalisationSettings) -> np.ndarray:
    """Return the normalised axial slices of a volume, float32 (slices, size, size)."""
    image = read_image(path)
    stack = StackGrid.for_image(image, rule).to_stack(image)
    return fit_scale(sitk.GetArrayViewFromImage(image), normalisation).normalise(stack)


def load_real_slices(
    folder: Path, cases: Sequence[str], rule: InPlaneRule, normalisation: NormalisationSettings
) -> np.ndarray:
    """Return all slices of `<folder>/<case>/{pre,post}_t1gd.nii.gz` of the named cases, float32 (n, size, size)."""
    volumes = [folder / case / f"{time}_t1gd.nii.gz" for case in cases for time in ("pre", "post")]
    return np.concatenate([load_slices(path, rule, normalisation) for path in volumes])
