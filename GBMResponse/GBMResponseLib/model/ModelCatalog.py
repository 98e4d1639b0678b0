"""The models the panel offers: those that ship, and folders the user added."""

from pathlib import Path

from ..common.Failure import Failure
from .ModelDescription import ModelDescription


class ModelCatalog:
    """Finds model bundles on disk. Reads small JSON files only; nothing is downloaded.

    :param bundledFolder: the folder of the models that ship.
    """

    def __init__(self, bundledFolder: Path) -> None:
        self.bundledFolder = Path(bundledFolder)
        self._added: list[Path] = []

    def add(self, folder: Path | str) -> ModelDescription:
        """Offer one more folder; if it holds several bundles, all of them.

        :returns: the description of the (first) model.
        :raises Failure: there is no model.
        """
        folder = Path(folder)
        inside = sorted(path.parent for path in folder.glob("*/bundle.json"))
        folders = inside if inside and not (folder / "bundle.json").is_file() else [folder]
        descriptions = [ModelDescription.read(path) for path in folders]
        self._added += [path for path in folders if path not in self.folders()]
        return descriptions[0]

    def folders(self) -> list[Path]:
        """Return all model folders, the shipped ones first."""
        shipped = sorted(path.parent for path in self.bundledFolder.glob("*/bundle.json"))
        return shipped + [path for path in self._added if path not in shipped]

    def models(self) -> list[ModelDescription]:
        """Return what can be read; a damaged model is left out here and explained when chosen."""
        found = []
        for folder in self.folders():
            try:
                found.append(ModelDescription.read(folder))
            except Failure:
                continue
        return found

    def default(self) -> Path | None:
        """Return the model to use when the user chose none: the last one that ships."""
        shipped = [folder for folder in self.folders() if folder.parent == self.bundledFolder]
        return shipped[-1] if shipped else None
