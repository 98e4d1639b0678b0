"""Copies a run to a folder of the user's choice."""

import json
import os
import shutil
import uuid
from pathlib import Path

from GBMResponseCore.errors import OutputFolderError
from GBMResponseCore.files import copy_file, write_text

from ..common import NodeRoles
from ..common.Failure import Failure
from ..common.Translation import tr as _
from ..common.VolumeFile import writeVolume
from .ResultManifest import ResultManifest
from .ResultNodes import ResultNodes


class ResultSaver:
    """Writes the volumes of a run as NRRD, its record, and what else the engine wrote (report, measurements)."""

    def save(self, nodes: ResultNodes, manifest: ResultManifest | None, destination: Path) -> Path:
        """Write a new folder into the destination; it appears complete or not at all.

        :param manifest: the engine's files if they are still there; None for a run loaded with the scene.
        :returns: the folder.
        :raises Failure: it cannot be written.
        """
        name = f"GBMResponse_{nodes.created[:19].replace(':', '').replace('-', '')}_{nodes.run[:6]}"
        folder = Path(destination) / name
        temporary = Path(destination) / f".{uuid.uuid4().hex}.partial"
        try:
            if folder.exists():
                raise FileExistsError(folder.name)
            if manifest is not None and manifest.folder.is_dir():
                shutil.copytree(
                    manifest.folder, temporary, ignore=shutil.ignore_patterns(".*"), copy_function=copy_file
                )
            else:
                temporary.mkdir()
                self._writeNodes(nodes, temporary)
            os.replace(temporary, folder)
        except (OSError, OutputFolderError) as error:
            shutil.rmtree(temporary, ignore_errors=True)
            message = _("The result cannot be saved to {name}.").format(name=Path(destination).name)
            remedy = _("Choose another folder with enough free space; a run is saved to a folder only once.")
            raise Failure("output-folder", message, remedy, str(error)) from error
        return folder

    def find(self, nodes: ResultNodes, folder: Path) -> Path:
        """Return a folder that a run was saved to before.

        :raises Failure: it holds another run, or none.
        """
        try:
            record = json.loads((Path(folder) / "provenance.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            record = None
        if record is None or record != nodes.record():
            message = _("The folder {name} does not hold this run.").format(name=Path(folder).name)
            raise Failure("run-folder", message, _("Choose the folder that this run was saved to."))
        return Path(folder)

    def _writeNodes(self, nodes: ResultNodes, folder: Path) -> None:
        several = len(nodes.classes) > 1
        for className, roles in nodes.byClass.items():
            place = folder / className if several else folder
            place.mkdir(exist_ok=True)
            for role, node in roles.items():
                writeVolume(node, place / f"{role}.nrrd", compressed=True)
            for number, node in enumerate(nodes.samples.get(className, []), start=1):
                writeVolume(node, place / f"sample_{number:02d}.nrrd", compressed=True)
        record = nodes.node(NodeRoles.PREDICTED).GetAttribute(NodeRoles.PROVENANCE) or "{}"
        write_text(record, folder / "provenance.json")
