"""A case of a batch into the scene: its images, its tumor and its result, as a run like any other."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import slicer
from GBMResponseCore.inputs.case_table import TableCase

from ..common.Failure import Failure
from ..common.Translation import tr as _
from ..inputs.InputFacts import PredictionInputs, guessTumorSegment
from ..inputs.SceneExporter import hardenedCopy
from ..results.ResultImporter import ResultImporter
from ..results.ResultManifest import ResultManifest
from ..results.ResultNodes import ResultNodes, findRuns

_Images = tuple[Path, Path, Path | None]
_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")

_ALONE = {"singleFile": True, "show": False}
"""Files that are numbered are no slices of one volume; and views are filled when the run is there."""


class CaseOpener:
    """Loads cases; what of a case is in the scene already is not loaded again."""

    def __init__(self, importer: ResultImporter) -> None:
        self._importer = importer
        self._loaded: dict[_Images, PredictionInputs] = {}

    def forgetScene(self) -> None:
        """The scene is closing: let go of its nodes."""
        self._loaded.clear()

    def mustBeRead(self, row: TableCase) -> bool:
        """Whether the engine has to write the images of a case as files that can be loaded: they are DICOM files."""
        isReady = all(path is None or _isVolume(path) for path in _images(row))
        return not isReady and self._present(row) is None

    def steps(
        self, row: TableCase, folder: Path, files: dict[str, str] | None = None
    ) -> Iterator[tuple[ResultNodes, ResultManifest] | None]:
        """Load a case, a file per step; the last step gives the run.

        :param folder: of the case's result.
        :param files: what the engine has written, `image`, `gtv` and `follow_up`, to be loaded in place of the table's.
        :raises Failure: a file is missing or damaged. No half of a result is left then.
        """
        manifest = ResultManifest.fromFolder(folder)
        run = hashlib.sha256(str(folder).encode() + manifest.provenance.read_bytes()).hexdigest()[:12]
        present = next((nodes for nodes in findRuns(slicer.mrmlScene) if nodes.run == run), None)
        if present is not None:
            yield present, manifest
            return
        yield None
        inputs = self._present(row) or self._load(row, files)
        yield None
        for nodes in self._importer.steps(manifest, inputs, hardenedCopy(inputs.volume), run):
            yield nodes and (nodes, manifest)

    def _present(self, row: TableCase) -> PredictionInputs | None:
        """What was loaded of a case, if its image is still as it was."""
        known = self._loaded.get(_images(row))
        if known is None or slicer.mrmlScene.GetNodeByID(known.volume.GetID() or "") is not known.volume:
            return None
        isEdited = known.volume.GetStorageNode() is not None and known.volume.GetModifiedSinceRead()
        return None if isEdited or known.volume.GetParentTransformNode() is not None else known

    def _load(self, row: TableCase, files: dict[str, str] | None) -> PredictionInputs:
        if files is None:
            image, gtv, later = _images(row)
        else:
            image, gtv, later = (files.get(name) and Path(files[name]) for name in ("image", "gtv", "follow_up"))
        # Names of files may be those of patients.
        volume = _load(slicer.util.loadVolume, image, {"name": row.identifier} | _ALONE)
        name = _("{case} GTV").format(case=row.identifier)
        segmentation = _load(slicer.util.loadSegmentation, gtv, {"name": name})
        segments = segmentation.GetSegmentation()
        names = [segments.GetNthSegmentID(number) for number in range(segments.GetNumberOfSegments())]
        named = {name: segments.GetSegment(name).GetName() for name in names}
        segmentID = guessTumorSegment(named) or next(iter(names), "")
        followUp = None
        if later is not None:
            name = _("{case} follow-up").format(case=row.identifier)
            followUp = _load(slicer.util.loadVolume, later, {"name": name} | _ALONE)
        for node in (volume, segmentation, followUp) if files is not None else ():
            _forgetFile(node)
        inputs = self._loaded[_images(row)] = PredictionInputs(volume, segmentation, segmentID, followUp)
        return inputs


def _images(row: TableCase) -> _Images:
    return row.image, row.gtv, row.follow_up


def _isVolume(path: Path) -> bool:
    return path.name.lower().endswith(_VOLUMES)


def _load(load: Any, path: Path, properties: dict[str, Any]) -> Any:
    """:raises Failure: Slicer cannot read the file."""
    try:
        return load(str(path), properties)
    except RuntimeError as error:
        message = _("The file {name} cannot be loaded.").format(name=path.name)
        raise Failure("no-image", message, _("Is it still in its place?"), str(error)) from error


def _forgetFile(node: Any) -> None:
    """The file is temporary: from now on saving the scene saves the node."""
    storage = node.GetStorageNode() if node is not None else None
    if storage is not None:
        node.SetAndObserveStorageNodeID(None)
        slicer.mrmlScene.RemoveNode(storage)
