"""Generated volumes that another program holds, such as 3D Slicer, as DICOM: what to write is a JSON file."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import SimpleITK as sitk

from ..errors import DicomSeriesError, GridMismatchError, RequestError, UnreadableFileError
from ..files import check_file, ensure_output_folder, write_bytes
from ..inputs.reading import read_image
from ..inputs.resampling import direction_matrix, image_like, outer_corners, resample_linear, same_grid
from .derived import likely_region, parametric_map, segmentation
from .mr_series import mr_series
from .segmentation import highdicom_module
from .source import PATIENT_AND_STUDY, Making, Source, read_source
from .structures_writer import REGION, structure_set
from .tree import Series, Slice, pydicom_module, scan_tree

_FIELDS = {"out": str, "series": list, "sources": list, "tags": dict, "model": str, "model_sha256": str}
_OF_SERIES = {"image": str, "modality": str, "what": str, "number": int}
_REGIONS = ("SEG", "RTSTRUCT")
_MODALITIES = ("MR", "OT", *_REGIONS)


def export_volumes(request_file: Path) -> list[Path]:
    """Write volumes as marked series; files that are in the folder stay.

    The file has the fields `out` (folder) and `series`, a list of `image` (a volume), `modality`, `what` (it is, for
    the description) and `number`; optional `sources` (files of the series that the volumes were generated from: it
    gives patient, study and place), without them `tags` (name of a DICOM attribute of patient and study -> text),
    `model` (its name and version) and `model_sha256`. By its modality a volume becomes slices (MR), a parametric map
    (OT), or the region where it is at least one half (SEG, RTSTRUCT); all but MR refer to the slices of a source.

    :raises RequestError: a field is missing, unknown or impossible.
    :raises GridMismatchError: a volume does not lie on the grid of its source, or of the first volume.
    :raises GBMResponseError: by a file, or without a package.
    """
    request = _read_request(request_file)
    wanted = request["series"]
    if any(entry["modality"] != "MR" for entry in wanted):
        highdicom_module()
    images = [read_image(Path(entry["image"])) for entry in wanted]
    paths = [Path(path) for path in request.get("sources", [])]
    source = _source(paths) if paths else _unsourced(images[0], request.get("tags", {}))
    pairs = [(_on_grid(image, source), entry) for image, entry in zip(images, wanted, strict=True)]
    pairs = [(_region(image) if entry["modality"] in _REGIONS else image, entry) for image, entry in pairs]
    making = Making(request.get("model", "unknown"), request.get("model_sha256", "unknown"))
    out = ensure_output_folder(Path(request["out"]))
    files = []
    for image, entry in pairs:
        name = f"SYNTHETIC_{entry['number']}_{uuid4().hex[:8]}"
        for place, content in enumerate(_objects(source, making, image, entry), start=1):
            files.append(write_bytes(content, out / f"{name}_{place:04d}.dcm", durable=False))
    return files


def _objects(source: Source, making: Making, image: sitk.Image, entry: Mapping[str, Any]) -> Iterable[bytes]:
    """The files of a series."""
    from pydicom.sr.codedict import codes

    modality, what, number = entry["modality"], entry["what"], entry["number"]
    if modality == "MR":
        return mr_series(source, making, image, what, number)
    if modality == "OT":
        return [parametric_map(source, making, image, what, codes.UCUM.NoUnits, number)]
    if modality == "SEG":
        return [segmentation(source, making, image, what, number)]
    return [structure_set(source, making, {REGION: image}, what, number)]


def _region(chances: sitk.Image) -> sitk.Image:
    """:raises RequestError: there is none."""
    region = likely_region(chances)
    if region is None:
        raise RequestError("Nothing enhances in half of the samples: there is no region.", "Write the map alone.")
    return region


def _read_request(path: Path) -> dict[str, Any]:
    """:raises RequestError, UnreadableFileError: it is no such request."""
    try:
        request = json.loads(check_file(path, "request").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableFileError(f"The request {path.name} is no JSON ({type(error).__name__}).") from error
    _check_fields(request, _FIELDS, ("out", "series"))
    for entry in request["series"]:
        _check_fields(entry, _OF_SERIES, tuple(_OF_SERIES))
        if entry["modality"] not in _MODALITIES:
            message = f"A generated volume cannot have the modality {entry['modality']!r}."
            raise RequestError(message, f"Use one of {', '.join(_MODALITIES)}.")
        if entry["modality"] != "MR" and not request.get("sources"):
            message = "Maps and regions refer to the slices of a DICOM series, and the input was none."
            raise RequestError(message, "Write the volume as a series (modality MR).")
    if not request["series"]:
        raise RequestError("There is no volume to write.")
    return request


def _check_fields(entry: Any, fields: Mapping[str, type], required: Iterable[str]) -> None:
    """:raises RequestError: a field is missing, unknown or of a wrong type."""
    if not isinstance(entry, dict):
        raise RequestError("The request is no object.")
    for name in required:
        if name not in entry:
            raise RequestError(f"The field {name!r} is missing.")
    for name, value in entry.items():
        if name not in fields or not isinstance(value, fields[name]):
            raise RequestError(f"The field {name!r} is unknown or of a wrong type.")


def _source(paths: list[Path]) -> Source:
    """:raises DicomSeriesError: the files are not one series."""
    tree = scan_tree(paths[0].parent, [check_file(path, "DICOM") for path in paths])
    if len(tree.series) != 1:
        raise DicomSeriesError(f"The source has {len(tree.series)} series, not one.")
    return read_source(tree.series[0])


def _on_grid(image: sitk.Image, source: Source) -> sitk.Image:
    """:raises GridMismatchError: the image lies elsewhere."""
    rows, columns = source.slices[0].matrix
    grid = sitk.Image(columns, rows, len(source.slices), image.GetPixelID())
    matrix = source.affine[:3, 2::-1]
    spacing = np.linalg.norm(matrix, axis=0)
    grid.SetOrigin(source.affine[:3, 3].tolist())
    grid.SetSpacing(spacing.tolist())
    grid.SetDirection((matrix / spacing).ravel().tolist())
    if same_grid(image, grid):
        return image
    corners = [np.sort(outer_corners(entry), axis=0) for entry in (image, grid)]
    if np.abs(corners[0] - corners[1]).max() > 0.02 * min(spacing):
        message = "The volume does not lie on the grid of the series that it was generated from."
        raise GridMismatchError(message, "Predict without a transform on the input, or save the volume as NRRD.")
    values = resample_linear(image, grid, 0.0)  # the same voxels, from another end
    return image_like(grid, values.astype(sitk.GetArrayViewFromImage(image).dtype))


def _unsourced(image: sitk.Image, tags: Mapping[str, Any]) -> Source:
    """A source that has a place, patient and study, but no images to refer to."""
    header = pydicom_module().Dataset()
    for name, value in tags.items():
        if name not in PATIENT_AND_STUDY or not isinstance(value, str):
            raise RequestError(f"The tag {name!r} is none of patient and study, or is no text.")
        setattr(header, name, value)
    making = Making("", "")
    if not header.get("StudyInstanceUID"):
        header.StudyInstanceUID = making.uid()
    columns, rows, count = image.GetSize()
    directions, spacing = direction_matrix(image), image.GetSpacing()
    slices = [
        Slice(
            Path(), "", image.TransformIndexToPhysicalPoint((0, 0, place)),
            tuple(directions[:, :2].T.ravel().tolist()), (spacing[1], spacing[0]), (rows, columns), 1,
        )
        for place in range(count)
    ]  # fmt: skip
    series = Series("", "MR", "", "", "", "", "", str(making.uid()), tuple(slices))
    return Source(series, slices, [header] * count)
