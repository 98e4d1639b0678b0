"""What the user has outlined as enhancing, in the place of what the segmenter finds.

A change between an image that was outlined by hand and one that was segmented automatically is partly one of method.
It is measured on every case whether that shows: the input as the model draws it if nothing changes is segmented like
the samples and compared with what was outlined before (:mod:`.check`), and what this spoils is withheld. Who outlines
the scan before and all samples is taken at their word.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from ..dicom.plan import read_plan_contour
from ..errors import OptionError
from ..inputs.gtv import binary
from ..inputs.reading import Note
from ..inputs.resampling import resample_mask
from ..inputs.slices import CaseSlices

if TYPE_CHECKING:
    from ..prediction import Prediction

BEFORE, FOLLOW_UP = "before", "follow_up"
NOTE = "own-segments"


def sample_names(predictions: "Mapping[str, Prediction]") -> dict[str, list[str]]:
    """Names of the samples by class, as their masks are called; of several classes with that of the class."""
    return {
        name: [
            f"{name}/sample_{number:02d}" if len(predictions) > 1 else f"sample_{number:02d}"
            for number in range(1, len(prediction.samples) + 1)
        ]
        for name, prediction in predictions.items()
    }


def read_own_segments(files: Mapping[str, Path], slices: CaseSlices, names: Iterable[str]) -> dict[str, np.ndarray]:
    """Masks on the stack of a case, bool, of its slices to generate, the only ones that are measured.

    :param files: by what they outline: `before`, `follow_up` or a sample; on any grid of that image's patient, with an
        image of DICOM also RTSTRUCT and SEG, whose region has that name. That of the follow-up is moved as it is.
    :param names: of the samples, see :func:`sample_names`.
    :raises OptionError: there is no such image.
    :raises GBMResponseError: by a file.
    """
    known = [BEFORE, *([FOLLOW_UP] if slices.follow_up else []), *names]
    series = slices.case.origin and slices.case.origin.series
    masks = {}
    for name, path in files.items():
        if name not in known:
            raise OptionError(f"There is no image {name!r} to be outlined.", f"Choose one of: {', '.join(known)}.")
        mask = read_plan_contour(path, name, series)
        if sitk.GetArrayViewFromImage(mask).any():  # nothing may enhance
            mask = binary(mask, [])
        transform = slices.follow_up.transform if slices.follow_up and name == FOLLOW_UP else None
        masks[name] = resample_mask(mask, slices.grid.reference, transform) & slices.generated[:, None, None]
    return masks


def own_notes(names: Iterable[str]) -> list[Note]:
    """What is to be said of images that the user has outlined; nothing of none."""
    listed = ", ".join(names)
    sentence = f"What enhances was outlined by the user in: {listed}; in all other images by the segmenter."
    return [Note(NOTE, sentence)] if listed else []
