"""Volumes that show what is no result yet: marked as synthetic, never saved, and gone when the result is there."""

from pathlib import Path
from typing import Any

import slicer
from GBMResponseCore import SYNTHETIC_NOTICE

from ..common import NodeRoles
from .ResultDisplay import addWithDisplay, makeDisplay
from .ResultImporter import readVolume


class PreviewNodes:
    """Keeps the previews of one kind in the scene until they are cleared."""

    def __init__(self) -> None:
        self._volumes: list[Any] = []

    def add(self, path: Path, name: str, source: Any, image: Any = None) -> Any:
        """Add a volume to the scene.

        :param source: the volume whose window and level it takes.
        :param image: has its grid; None: the file's own geometry.
        :returns: the node.
        :raises Failure: the file cannot be read.
        """
        volume = readVolume(path, NodeRoles.EXPECTED, image)
        display = makeDisplay(volume, NodeRoles.EXPECTED, source)
        volume.SetName(slicer.mrmlScene.GenerateUniqueName(name))
        volume.SetAttribute(NodeRoles.SYNTHETIC, "1")
        volume.SetAttribute(NodeRoles.NOTICE, SYNTHETIC_NOTICE)
        for node in (volume, display):
            node.SetSaveWithScene(False)
        addWithDisplay(volume, display, NodeRoles.EXPECTED)
        self._volumes.append(volume)
        return volume

    def replace(self, volume: Any, path: Path) -> None:
        """Give a preview other voxels, in the geometry of their file.

        :raises Failure: the file cannot be read.
        """
        newer = readVolume(path, NodeRoles.EXPECTED, None)
        wasModifying = volume.StartModify()
        volume.CopyOrientation(newer)
        volume.SetAndObserveImageData(newer.GetImageData())
        volume.EndModify(wasModifying)

    def clear(self) -> None:
        """Remove the previews, if the scene has not done so."""
        scene = slicer.mrmlScene
        for volume in self._volumes:
            if volume.GetID() is not None and scene.GetNodeByID(volume.GetID()) is volume:
                display = volume.GetDisplayNode()
                scene.RemoveNode(volume)
                scene.RemoveNode(display)
        self._volumes.clear()
