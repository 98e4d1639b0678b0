"""DICOM export of generated volumes: derived series that say what they are, in the study of their input.

Slicer's own plugin would write them as a CT without a word of it; ours offer themselves first. The files are written
by the engine in a process of its own, so that Slicer loads nothing for it.
"""

import json
import logging
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import slicer
from DICOMLib import DICOMPlugin
from GBMResponseCore.errors import GBMResponseError, MissingPackageError
from GBMResponseCore.model.environment import search_path

from ..common import NodeRoles
from ..common.Translation import tr as _
from ..common.VolumeFile import writeVolume
from ..results.ResultNodes import ResultNodes, findRuns

PLUGIN, RUN_PLUGIN = "GBMResponseSyntheticPlugin", "GBMResponseRunPlugin"
"""Names under which Slicer's export dialog finds the plugins; it writes all that one of them offers."""

_WHAT = {
    NodeRoles.EXPECTED: "expected follow-up T1-Gd (average)",
    NodeRoles.PREDICTED: "possible follow-up T1-Gd",
    NodeRoles.SAMPLE: "possible follow-up T1-Gd",
    NodeRoles.SPREAD: "SD of the samples",
    NodeRoles.ENHANCEMENT: "probability of enhancement",
    NodeRoles.MASK: "mask of the generated voxels",
    NodeRoles.DIFFERENCE: "change from the input",
    NodeRoles.CLASS_DIFFERENCE: "difference of survival classes",
}
_MAPS = (NodeRoles.SPREAD, NodeRoles.ENHANCEMENT)
_REGION = "predicted enhancement"
_LIKELY = 0.5
"""Probability of enhancement from which the engine counts a voxel to the region."""
_FIRST_NUMBER = 9000
_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDate",
    "StudyTime", "StudyDescription",
)  # fmt: skip


class SyntheticExport(DICOMPlugin):
    """What Slicer's DICOM module asks of a plugin, for one generated volume; it reads nothing."""

    plugin = PLUGIN
    confidence = 0.95
    """Above the 0.5 of Slicer's plugin of scalar volumes."""

    def __init__(self) -> None:
        DICOMPlugin.__init__(self)
        self.loadType = _("Synthetic MRI (GBM Response)")
        self.tooltip = _("Creates a derived series that says that it is synthetic, in the study of its input")

    def examineForExport(self, subjectHierarchyItemID: int) -> list[Any]:
        """Offer the series that an item becomes, if it holds a generated volume."""
        node = _volumeOf(subjectHierarchyItemID)
        series = [] if node is None else [(n, *entry) for n in self._volumes(node) for entry in _series(n)]
        return [self._exportable(number, *entry) for number, entry in enumerate(series, start=_FIRST_NUMBER)]

    def export(self, exportables: list[Any]) -> str:
        """Write all series into their folder, those of a run at once; return what went wrong, empty if nothing did."""
        runs: dict[str, list[Any]] = {}
        for exportable in exportables:
            node = _volumeOf(exportable.subjectHierarchyItemID)
            if node is None:
                return _("This is no generated volume.")
            runs.setdefault(node.GetAttribute(NodeRoles.RUN) or node.GetID(), []).append((node, exportable))
        for series in runs.values():
            problem = _export(series)
            if problem:
                logging.error(problem)
                return problem
        return ""

    def _volumes(self, node: Any) -> list[Any]:
        """The volumes that are offered together for one of them."""
        return [node]

    def _exportable(self, number: int, node: Any, modality: str, what: str) -> Any:
        exportable = slicer.qSlicerDICOMExportable()
        exportable.name = self.loadType
        exportable.tooltip = self.tooltip
        exportable.subjectHierarchyItemID = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemByDataNode(node)
        exportable.pluginClass = self.plugin
        exportable.confidence = self.confidence
        exportable.setTag("SeriesDescription", f"SYNTHETIC {what}")
        exportable.setTag("SeriesNumber", str(number))
        exportable.setTag("Modality", modality)
        for name in ("StudyInstanceUID", "StudyDate", "StudyTime"):
            exportable.setTag(name, "")
        return exportable


class PredictionExport(SyntheticExport):
    """The same for all that one prediction has given."""

    plugin = RUN_PLUGIN
    confidence = 0.9

    def __init__(self) -> None:
        SyntheticExport.__init__(self)
        self.loadType = _("Whole synthetic prediction (GBM Response)")
        self.tooltip = _(
            "Creates the images, maps, segmentation and structures of the prediction, as gbmresponse --dicom-out does"
        )

    def _volumes(self, node: Any) -> list[Any]:
        run = _runOf(node)
        if run is None:
            return []
        found = []
        for name in run.classes:
            roles = (NodeRoles.EXPECTED, *([NodeRoles.PREDICTED] if run.sampleNodes(name) else []), *_MAPS)
            found += [run.node(role, name) for role in roles]
        return [volume for volume in found if volume is not None]


def registerPlugin() -> None:
    """Let Slicer's DICOM module know the plugins."""
    if not hasattr(slicer.modules, "dicomPlugins"):
        slicer.modules.dicomPlugins = {}
    for kind in (SyntheticExport, PredictionExport):
        slicer.modules.dicomPlugins[kind.plugin] = kind


def _volumeOf(item: int) -> Any:
    """The generated volume of an item; None if it has none."""
    node = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemDataNode(item)
    return node if NodeRoles.isSynthetic(node) and node.IsA("vtkMRMLScalarVolumeNode") else None


def _series(node: Any) -> list[tuple[str, str]]:
    """Modality and description of what a volume becomes: maps and regions refer to a DICOM series, so need one."""
    role, run = node.GetAttribute(NodeRoles.ROLE), _runOf(node)
    several = run is not None and len(run.classes) > 1 and node.GetAttribute(NodeRoles.CLASS)
    suffix = f", class {node.GetAttribute(NodeRoles.CLASS)}" if several else ""
    what = _WHAT.get(role, "image") + suffix
    if role not in _MAPS or not _sources(node):
        return [("MR", what)]
    shown = role == NodeRoles.ENHANCEMENT and node.GetAttribute(NodeRoles.VOLUME_SHOWN) == "1"
    if not shown or slicer.util.arrayFromVolume(node).max() < _LIKELY:
        return [("OT", what)]
    return [("OT", what), ("SEG", _REGION + suffix), ("RTSTRUCT", _REGION + suffix)]


def _export(series: list[tuple[Any, Any]]) -> str:
    """Write series of one run, which are nodes with what was chosen for them."""
    python = shutil.which("PythonSlicer")
    if python is None:
        return _("PythonSlicer was not found beside Slicer: install Slicer again.")
    node, exportable = series[0]
    with TemporaryDirectory(dir=slicer.app.temporaryPath, ignore_cleanup_errors=True) as folder:
        request, files = Path(folder, "request.json"), {}
        try:
            for volume, _chosen in series:
                if volume.GetID() not in files:
                    path = files[volume.GetID()] = Path(folder, f"{len(files)}.nrrd")
                    writeVolume(volume, path, compressed=False)
        except GBMResponseError as error:
            return str(error)
        # Not into a folder below: what is exported to Slicer's database goes through a temporary folder, of which
        # Slicer removes the files alone.
        fields = {"out": exportable.directory, **_origin(node, exportable)}
        fields["series"] = [{"image": str(files[volume.GetID()]), **_chosenOf(entry)} for volume, entry in series]
        request.write_text(json.dumps(fields), encoding="utf-8")
        return _run([python, "-m", "GBMResponseCore", "dicom", "write", str(request)])


def _chosenOf(exportable: Any) -> dict[str, Any]:
    """What the user has left or made of the proposal for a series."""
    number = exportable.tag("SeriesNumber")
    return {
        "modality": exportable.tag("Modality"),
        "what": exportable.tag("SeriesDescription"),
        "number": int(number) if number.isdigit() else _FIRST_NUMBER,
    }


def _origin(node: Any, exportable: Any) -> dict[str, Any]:
    """What the series of a run come from, for the engine."""
    tags = {name: exportable.tag(name) for name in _PATIENT_AND_STUDY}
    model = _model(node)
    return {
        "sources": _sources(node),
        "tags": {name: value for name, value in tags.items() if value},
        "model": f"{model.get('name', 'unknown')} {model.get('version', '')}".strip(),
        "model_sha256": model.get("bundle_json_sha256", "unknown"),
    }


def _sources(node: Any) -> list[str]:
    """Files of the series that the input was loaded from; none if it did not come from DICOM."""
    volume = node.GetNodeReference(NodeRoles.INPUT_VOLUME)
    uids = (volume.GetAttribute("DICOM.instanceUIDs") or "") if volume is not None else ""
    if not uids or slicer.dicomDatabase is None:
        return []
    return [path for path in map(slicer.dicomDatabase.fileForInstance, uids.split()) if path]


def _runOf(node: Any) -> ResultNodes | None:
    """The run of a volume, if it is whole in the scene."""
    name = node.GetAttribute(NodeRoles.RUN)
    return next((run for run in findRuns(slicer.mrmlScene) if run.run == name), None)


def _model(node: Any) -> dict[str, str]:
    """What the provenance of a node's run says of the model."""
    run = _runOf(node)
    if run is None:
        return {}
    record = json.loads(run.node(NodeRoles.PREDICTED).GetAttribute(NodeRoles.PROVENANCE) or "{}")
    classes = list(record.get("classes", {}).values())
    return (classes[0] if classes else record).get("bundle", {})


def _run(command: list[str]) -> str:
    """Run the engine; return what went wrong."""
    done = subprocess.run(
        command,
        env=os.environ | {"PYTHONPATH": search_path(), "PYTHONUTF8": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        check=False,
    )
    if done.returncode == MissingPackageError.exit_code:
        return _("{problem} In Slicer: open the Python console and type slicer.util.pip_install('highdicom').").format(
            problem=done.stderr.strip()
        )
    return "" if done.returncode == 0 else done.stderr.strip() or _("The series could not be written.")
