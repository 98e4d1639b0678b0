"""What enhances as segmentations that 3D Slicer, and extensions that read segments, load with names and codes."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk

from ..files import write_image
from ..inputs.resampling import image_like
from ..setting import decided

if TYPE_CHECKING:
    from .write import RunResult

BEFORE, AFTER = "enhancement_before.seg.nrrd", "enhancement_after.seg.nrrd"
BANDS = (0.2, 0.5, 0.8)
"""Probabilities of enhancement at which segments begin."""
_TERMS = (
    "Segmentation category and type - DICOM master list~SCT^49755003^Morphologically Altered Structure~"
    "SCT^4147007^Mass~^^~Anatomic codes - DICOM master list~SCT^12738006^Brain~^^"
)
"""SNOMED CT codes of the segments, as Slicer writes them."""
_COLORS = ("0 0.92 1", "1 0.85 0.2", "1 0.4 0.1")


def write_segments(result: "RunResult") -> dict[str, Path]:
    """Write what enhances before, and for each class bands of probability after; nothing of what is withheld.

    :raises OutputFolderError: a file cannot be written.
    """
    measurements, slices, out = decided(result.measurements), result.slices, result.request.out
    if measurements.record["withheld"]["volume"]:
        return {}
    zero = image_like(slices.case.image, np.zeros(slices.case.image.GetSize()[::-1], np.float32))
    mask = slices.grid.to_volume(measurements.masks.before.astype(np.float32), slices.generated, zero)[0]
    labels = (sitk.GetArrayViewFromImage(mask) >= 0.5).astype(np.uint8)
    files = {"segments, before": _write(labels, {1: "Enhancing before, measured"}, mask, out / BEFORE)}
    ends = (*(f"{end:.0%}" for end in BANDS[1:]), "100%")
    names = {
        label: f"SYNTHETIC probability of enhancement {low:.0%} to {high}"
        for label, (low, high) in enumerate(zip(BANDS, ends, strict=True), start=1)
    }
    for name, chance in measurements.enhancement_probability.items():
        folder = out / name if len(result.predictions) > 1 else out
        bands = np.digitize(sitk.GetArrayViewFromImage(chance), np.array(BANDS) - 1e-6).astype(np.uint8)
        files[f"segments, {name}"] = _write(bands, names, chance, folder / AFTER)
    return files


def _write(labels: np.ndarray, names: Mapping[int, str], grid: sitk.Image, path: Path) -> Path:
    image = image_like(grid, labels)
    image.SetMetaData("ITK_FileNotes", "SYNTHETIC, research use: enhancement as segments")
    image.SetMetaData("Segmentation_MasterRepresentation", "Binary labelmap")
    for number, (label, name) in enumerate(names.items()):
        values = {
            "ID": f"Segment_{label}",
            "Name": name,
            "LabelValue": str(label),
            "Layer": "0",
            "Color": _COLORS[number],
            "Extent": " ".join(f"0 {size - 1}" for size in image.GetSize()),
            "Tags": f"TerminologyEntry:{_TERMS}|",
        }
        for key, value in values.items():
            image.SetMetaData(f"Segment{number}_{key}", value)
    return write_image(image, path)
