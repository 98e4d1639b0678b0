"""A generated volume that another program holds, such as 3D Slicer, as a DICOM series: what to write is a JSON file."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from ..errors import DicomSeriesError, GridMismatchError, RequestError, UnreadableFileError
from ..files import check_file, ensure_output_folder, write_bytes
from ..inputs.reading import read_image
from ..inputs.resampling import direction_matrix, image_like, outer_corners, resample_linear, same_grid
from .mr_series import mr_series
from .source import FIRST_SERIES_NUMBER, PATIENT_AND_STUDY, Making, Source, read_source
from .tree import Series, Slice, pydicom_module, scan_tree

_FIELDS = {
    "image": str, "out": str, "what": str, "sources": list, "tags": dict, "number": int, "model": str,
    "model_sha256": str,
}  # fmt: skip
_REQUIRED = ("image", "out", "what")


def export_volume(request_file: Path) -> list[Path]:
    """Write a volume as a series of marked MR slices, which are named by their numbers.

    The file has the fields `image` (a volume), `out` (an empty or new folder), `what` (it is, for the description);
    optional `sources` (files of the series that the volume was generated from: it gives patient, study and place),
    without them `tags` (name of a DICOM attribute of patient and study -> text), `number` of the series, `model`
    (its name and version) and `model_sha256`.

    :raises RequestError: a field is missing, unknown or of a wrong type.
    :raises GridMismatchError: the volume does not lie on the grid of its source.
    :raises GBMResponseError: by a file.
    """
    request = _read_request(request_file)
    image = read_image(Path(request["image"]))
    paths = [Path(path) for path in request.get("sources", [])]
    if paths:
        source = _source(paths)
        image = _on_grid(image, source)
    else:
        source = _unsourced(image, request.get("tags", {}))
    making = Making(request.get("model", "unknown"), request.get("model_sha256", "unknown"))
    out = ensure_output_folder(Path(request["out"]))
    number = request.get("number", FIRST_SERIES_NUMBER)
    files = mr_series(source, making, image, request["what"], number)
    return [write_bytes(content, out / f"{place:04d}.dcm", durable=False) for place, content in enumerate(files, 1)]


def _read_request(path: Path) -> dict[str, Any]:
    """:raises RequestError, UnreadableFileError: it is no such request."""
    try:
        request = json.loads(check_file(path, "request").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise UnreadableFileError(f"The request {path.name} is no JSON ({type(error).__name__}).") from error
    if not isinstance(request, dict):
        raise RequestError("The request is no object.")
    for name in _REQUIRED:
        if name not in request:
            raise RequestError(f"The field {name!r} is missing.")
    for name, value in request.items():
        if name not in _FIELDS or not isinstance(value, _FIELDS[name]):
            raise RequestError(f"The field {name!r} is unknown or of a wrong type.")
    return request


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
        message = "The volume does not lie on the grid of the DICOM series that it was generated from."
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
