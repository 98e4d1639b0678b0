"""Reading of volumes that notices damage."""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import SimpleITK as sitk

from ..errors import UnreadableFileError
from ..files import check_file


def read_image(path: Path | str, name: str = "image") -> sitk.Image:
    """Read a NIfTI, NRRD or MetaImage volume.

    :param name: what the file is, for messages. They name the file without its folder, which may identify a patient.
    :raises MissingFileError, EmptyFileError, UnreadableFileError: by the file.
    """
    path = check_file(path, name)
    if path.name.lower().endswith((".nii", ".nii.gz")) and not _nifti_is_complete(path):
        raise UnreadableFileError(f"The {name} file {path.name} is cut off or damaged.", "Export or copy it again.")
    try:
        return sitk.ReadImage(os.fspath(path))
    except RuntimeError as error:
        if "orthonormal" in str(error):
            message = f"The {name} file {path.name} has sheared axes."
            raise UnreadableFileError(message, "Resample it to a regular grid, or convert the DICOM again.") from None
        raise UnreadableFileError(f"The {name} file {path.name} cannot be read.") from None


def _nifti_is_complete(path: Path) -> bool:
    """False if a NIfTI-1 file has fewer bytes than its header promises; ITK reads the missing voxels as 0."""
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else open(path, "rb") as file:
            header = file.read(348)
            size = len(header)
            while chunk := file.read(1 << 22):
                size += len(chunk)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False
    if len(header) < 348:
        return False
    order = next((o for o in "<>" if struct.unpack_from(o + "i", header)[0] == 348), None)
    if order is None:
        return True
    dimensions = struct.unpack_from(order + "8h", header, 40)
    bits = struct.unpack_from(order + "h", header, 72)[0]
    offset = struct.unpack_from(order + "f", header, 108)[0]
    return size >= offset + math.prod(dimensions[1 : 1 + dimensions[0]]) * bits / 8
