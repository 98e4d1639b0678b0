"""The models the panel offers: those that ship, and folders the user added."""

from pathlib import Path

from GBMResponseCore.model.manifest import BUNDLE_FILE, bundled_models

from ..common.Failure import Failure
from ..common.Translation import tr as _
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
        inside = [] if (folder / BUNDLE_FILE).is_file() else bundled_models(folder)
        folders = inside or [folder]
        descriptions = [ModelDescription.read(path) for path in folders]
        self._added += [path for path in folders if path not in self.folders()]
        return descriptions[0]

    def forget(self, folder: Path | str) -> None:
        """Offer a folder that was added no more; its files stay where they are."""
        self._added = [path for path in self._added if path != Path(folder)]

    def isAdded(self, folder: Path | str) -> bool:
        """Whether the user added a folder, so that it may be forgotten."""
        return Path(folder) in self._added

    def folders(self) -> list[Path]:
        """Return all model folders, the shipped ones first."""
        shipped = bundled_models(self.bundledFolder)
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
        return next(reversed(bundled_models(self.bundledFolder)), None)

    def describe(self, folder: str) -> ModelDescription:
        """Describe the model of a folder; empty: the default one.

        :raises Failure: there is none.
        """
        chosen = Path(folder) if folder else self.default()
        if chosen is None:
            raise Failure("bundle", _("No model is installed."), _("Choose a folder that contains bundle.json."))
        return ModelDescription.read(chosen)
