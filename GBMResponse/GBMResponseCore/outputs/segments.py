"""What enhances as segmentations, and its diameters as lines, which 3D Slicer and its extensions load with names."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from ..files import write_image, write_json
from ..inputs.resampling import image_like
from ..measure.lesions import Lesion, find_lesions
from ..setting import decided

if TYPE_CHECKING:
    from .write import RunResult

BEFORE, AFTER = "enhancement_before.seg.nrrd", "enhancement_after.seg.nrrd"
LINES = "diameters.mrk.json"
BANDS = (0.2, 0.5, 0.8)
"""Probabilities of enhancement at which segments begin."""
_TERMS = (
    "Segmentation category and type - DICOM master list~SCT^49755003^Morphologically Altered Structure~"
    "SCT^4147007^Mass~^^~Anatomic codes - DICOM master list~SCT^12738006^Brain~^^"
)
"""SNOMED CT codes of the segments, as Slicer writes them."""
_SCHEMA = "https://raw.githubusercontent.com/slicer/slicer/master/Modules/Loadable/Markups/Resources/Schema/"
_SCHEMA += "markups-schema-v1.0.3.json#"
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


def write_lines(result: "RunResult") -> dict[str, Path]:
    """Write the two diameters of each lesion before and, of each class, in its first sample; none that are withheld.

    :raises OutputFolderError: the file cannot be written.
    """
    measurements, slices, out = decided(result.measurements), result.slices, result.request.out
    if measurements.record["withheld"]["area"]:
        return {}
    masks = {"before": measurements.masks.before}
    several = len(result.predictions) > 1
    for name, prediction in result.predictions.items():
        for mask in measurements.masks.of(prediction)[:1]:
            masks[f"SYNTHETIC sample 1{f' of class {name}' if several else ''}"] = mask
    lines = []
    for what, mask in masks.items():
        lines += _lines(what, find_lesions(mask, slices.grid.spacing[::-1]).lesions, slices.grid.reference)
    return {"lines": write_json({"@schema": _SCHEMA, "markups": lines}, out / LINES)}


def _lines(what: str, lesions: Iterable[Lesion], grid: sitk.Image) -> list[dict[str, Any]]:
    """Lines as 3D Slicer's markups, LPS mm."""
    lines = []
    for number, lesion in enumerate(lesions, start=1):
        for kind, ends in zip(("diameter", "perpendicular diameter"), lesion.lines, strict=True):
            points = [grid.TransformContinuousIndexToPhysicalPoint(end[::-1].tolist()) for end in ends]
            lines.append(
                {
                    "type": "Line",
                    "name": f"{what}: lesion {number}{'' if lesion.measurable else ' (not measurable)'}, {kind}",
                    "coordinateSystem": "LPS",
                    "coordinateUnits": "mm",
                    "controlPoints": [{"position": point, "positionStatus": "defined"} for point in points],
                }
            )
    return lines


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
