"""DICOM export of generated volumes: a derived MR series that says what it is, in the study of its input.

Slicer's own plugin would write them as a CT without a word of it; this one offers itself first. The files are written
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
from GBMResponseCore.errors import GBMResponseError
from GBMResponseCore.model.environment import search_path

from ..common import NodeRoles
from ..common.Translation import tr as _
from ..common.VolumeFile import writeVolume
from ..results.ResultNodes import findRuns

PLUGIN = "GBMResponseSyntheticPlugin"
"""Name under which Slicer's export dialog finds the plugin."""

_CONFIDENCE = 0.95
"""Above the 0.5 of Slicer's plugin of scalar volumes."""
_WHAT = {
    NodeRoles.EXPECTED: "expected follow-up T1-Gd (average)",
    NodeRoles.PREDICTED: "possible follow-up T1-Gd",
    NodeRoles.SAMPLE: "possible follow-up T1-Gd",
    NodeRoles.SPREAD: "SD of the samples",
    NodeRoles.ENHANCEMENT: "share of samples that enhance",
    NodeRoles.MASK: "mask of the generated voxels",
    NodeRoles.DIFFERENCE: "change from the input",
    NodeRoles.CLASS_DIFFERENCE: "difference of survival classes",
}
_NUMBER = "9000"
_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyID", "StudyDate",
    "StudyTime", "StudyDescription",
)  # fmt: skip


class SyntheticExport(DICOMPlugin):
    """What Slicer's DICOM module asks of a plugin; it reads nothing."""

    def __init__(self) -> None:
        DICOMPlugin.__init__(self)
        self.loadType = _("Synthetic MRI (GBM Response)")

    def examineForExport(self, subjectHierarchyItemID: int) -> list[Any]:
        """Offer to export the volume of an item, if it was generated."""
        node = _volumeOf(subjectHierarchyItemID)
        if node is None:
            return []
        exportable = slicer.qSlicerDICOMExportable()
        exportable.name = self.loadType
        exportable.tooltip = _("Creates a derived MR series that says that it is synthetic, in the study of its input")
        exportable.subjectHierarchyItemID = subjectHierarchyItemID
        exportable.pluginClass = PLUGIN
        exportable.confidence = _CONFIDENCE
        exportable.setTag("SeriesDescription", f"SYNTHETIC {_WHAT.get(node.GetAttribute(NodeRoles.ROLE), 'image')}")
        exportable.setTag("SeriesNumber", _NUMBER)
        for name in ("StudyInstanceUID", "StudyDate", "StudyTime"):
            exportable.setTag(name, "")
        return [exportable]

    def export(self, exportables: list[Any]) -> str:
        """Write the files of each item into a folder of its own; return what went wrong, empty if nothing did."""
        for exportable in exportables:
            node = _volumeOf(exportable.subjectHierarchyItemID)
            problem = _("This is no generated volume.") if node is None else _export(node, exportable)
            if problem:
                logging.error(problem)
                return problem
        return ""


def registerPlugin() -> None:
    """Let Slicer's DICOM module know the plugin."""
    if not hasattr(slicer.modules, "dicomPlugins"):
        slicer.modules.dicomPlugins = {}
    slicer.modules.dicomPlugins[PLUGIN] = SyntheticExport


def _volumeOf(item: int) -> Any:
    """The generated volume of an item; None if it has none."""
    node = slicer.mrmlScene.GetSubjectHierarchyNode().GetItemDataNode(item)
    return node if NodeRoles.isSynthetic(node) and node.IsA("vtkMRMLScalarVolumeNode") else None


def _export(node: Any, exportable: Any) -> str:
    python = shutil.which("PythonSlicer")
    if python is None:
        return _("PythonSlicer was not found beside Slicer: install Slicer again.")
    # The name of a node may be that of a patient.
    target = Path(exportable.directory, f"GBMResponse_{exportable.subjectHierarchyItemID}")
    with TemporaryDirectory(dir=slicer.app.temporaryPath, ignore_cleanup_errors=True) as folder:
        request = Path(folder, "request.json")
        try:
            writeVolume(node, Path(folder, "volume.nrrd"), compressed=False)
        except GBMResponseError as error:
            return str(error)
        fields = {"image": str(Path(folder, "volume.nrrd")), "out": str(target), **_fields(node, exportable)}
        request.write_text(json.dumps(fields), encoding="utf-8")
        return _run([python, "-m", "GBMResponseCore", "dicom", "write", str(request)])


def _fields(node: Any, exportable: Any) -> dict[str, Any]:
    """What the engine is to write, without the files."""
    number = exportable.tag("SeriesNumber")
    tags = {name: exportable.tag(name) for name in _PATIENT_AND_STUDY}
    model = _model(node)
    return {
        "what": exportable.tag("SeriesDescription"),
        "number": int(number) if number.isdigit() else int(_NUMBER),
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


def _model(node: Any) -> dict[str, str]:
    """What the provenance of a node's run says of the model."""
    for run in findRuns(slicer.mrmlScene):
        if run.run == node.GetAttribute(NodeRoles.RUN):
            record = json.loads(run.node(NodeRoles.PREDICTED).GetAttribute(NodeRoles.PROVENANCE) or "{}")
            classes = list(record.get("classes", {}).values())
            return (classes[0] if classes else record).get("bundle", {})
    return {}


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
    return "" if done.returncode == 0 else done.stderr.strip() or _("The series could not be written.")
