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

_VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd")

_ALONE = {"singleFile": True, "show": False}
"""Files that are numbered are no slices of one volume; and views are filled when the run is there."""


class CaseOpener:
    """Loads cases; what of a case is in the scene already is not loaded again."""

    def __init__(self, importer: ResultImporter) -> None:
        self._importer = importer
        self._loaded: dict[Path, PredictionInputs] = {}

    def forgetScene(self) -> None:
        """The scene is closing: let go of its nodes."""
        self._loaded.clear()

    def steps(self, row: TableCase, folder: Path) -> Iterator[tuple[ResultNodes, ResultManifest] | None]:
        """Load a case, a file per step; the last step gives the run.

        :param folder: of the case's result.
        :raises Failure: a file is missing or damaged, or the images are DICOM files. No half of a result is left then.
        """
        manifest = ResultManifest.fromFolder(folder)
        run = hashlib.sha256(str(folder).encode() + manifest.provenance.read_bytes()).hexdigest()[:12]
        present = next((nodes for nodes in findRuns(slicer.mrmlScene) if nodes.run == run), None)
        if present is not None:
            yield present, manifest
            return
        yield None
        inputs = self._inputs(row)
        yield None
        for nodes in self._importer.steps(manifest, inputs, hardenedCopy(inputs.volume), run):
            yield nodes and (nodes, manifest)

    def _inputs(self, row: TableCase) -> PredictionInputs:
        known = self._loaded.get(row.image)
        if known is not None and slicer.mrmlScene.GetNodeByID(known.volume.GetID() or "") is known.volume:
            if not known.volume.GetModifiedSinceRead() and known.volume.GetParentTransformNode() is None:
                return known
        if not row.image.is_file() or not _isVolume(row.image):
            message = _("The image of the case {name} is no volume that can be loaded here.")
            remedy = _("Images of DICOM folders are not loaded: open the report of the case in its folder instead.")
            raise Failure("no-image", message.format(name=row.identifier), remedy, str(row.image))
        # Names of files may be those of patients.
        volume = _load(slicer.util.loadVolume, row.image, {"name": row.identifier} | _ALONE)
        segmentation, segmentID, followUp = None, "", None
        if _isVolume(row.gtv):
            name = _("{case} GTV").format(case=row.identifier)
            segmentation = _load(slicer.util.loadSegmentation, row.gtv, {"name": name})
            segments = segmentation.GetSegmentation()
            names = [segments.GetNthSegmentID(number) for number in range(segments.GetNumberOfSegments())]
            named = {name: segments.GetSegment(name).GetName() for name in names}
            segmentID = guessTumorSegment(named) or next(iter(names), "")
        if row.follow_up is not None and _isVolume(row.follow_up):
            name = _("{case} follow-up").format(case=row.identifier)
            followUp = _load(slicer.util.loadVolume, row.follow_up, {"name": name} | _ALONE)
        inputs = self._loaded[row.image] = PredictionInputs(volume, segmentation, segmentID, followUp)
        return inputs


def _isVolume(path: Path) -> bool:
    return path.name.lower().endswith(_VOLUMES)


def _load(load: Any, path: Path, properties: dict[str, Any]) -> Any:
    """:raises Failure: Slicer cannot read the file."""
    try:
        return load(str(path), properties)
    except RuntimeError as error:
        message = _("The file {name} cannot be loaded.").format(name=path.name)
        raise Failure("no-image", message, _("Is it still in its place?"), str(error)) from error
