"""Volumes to files, whole and verified, or not at all."""

from pathlib import Path
from typing import Any

import slicer
from GBMResponseCore.files import check_nrrd, write_file


def writeVolume(volume: Any, path: Path, *, compressed: bool) -> None:
    """Write a scalar volume node, which may be outside the scene, as NRRD and read it again.

    :raises OutputFolderError: it cannot be written; nothing of that name is left.
    """

    def write(temporary: Path) -> None:
        storage = slicer.vtkMRMLNRRDStorageNode()
        storage.SetFileName(str(temporary))
        storage.SetUseCompression(int(compressed))
        if not storage.WriteData(volume):
            raise OSError("Slicer cannot write the volume")
        check_nrrd(temporary, slicer.util.arrayFromVolume(volume).tobytes())

    write_file(path, write, ".nrrd", durable=compressed)
