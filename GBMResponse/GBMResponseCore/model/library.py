"""The models of this machine: those that ship, and those that were added to the user's own folder."""

import os
import shutil
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from ..errors import BundleError, OptionError, OutputFolderError
from ..files import copy_file, ensure_output_folder, make_folder, move, remove_folder
from .manifest import BUNDLE_FILE, Manifest, bundled_models, default_bundle, read_manifest

BUNDLE_VARIABLE = "GBMRESPONSE_BUNDLE"
"""Environment variable with the model to use when none is named: a folder, or the name of an added model."""
MODELS_VARIABLE = "GBMRESPONSE_MODELS"
"""Environment variable with the folder of added models; else `.gbmresponse/models` in the home folder."""
_LARGEST_BUNDLE = 64 * 1024**3


def models_folder() -> Path:
    """Folder of the models that were added on this machine. It may not exist."""
    stated = os.environ.get(MODELS_VARIABLE)
    return Path(stated) if stated else Path(os.path.expanduser("~")) / ".gbmresponse" / "models"


def known_bundles() -> list[Manifest]:
    """Readable bundles: those that ship, then added ones, each sorted by the name of its folder."""
    found = []
    for folder in (*bundled_models(), *bundled_models(models_folder())):
        try:
            found.append(read_manifest(folder))
        except BundleError:
            continue
    return found


def find_bundle(bundle: Path | str | None) -> Path:
    """Folder of a bundle.

    :param bundle: its folder, or the name of a known one; None: what the environment variable says, or what ships.
    :raises BundleError: none ships, or there is none of this name.
    """
    wanted = bundle or os.environ.get(BUNDLE_VARIABLE)
    if not wanted:
        return default_bundle()
    folder = Path(wanted)
    if folder.exists() or len(folder.parts) != 1:
        return folder
    known = known_bundles()
    named = [manifest.folder for manifest in known if manifest.name == str(wanted)]
    if not named:
        names = ", ".join(sorted({manifest.name for manifest in known})) or "none"
        raise BundleError(f"There is no model {str(wanted)!r}.", f"Name the folder of a bundle, or one of: {names}.")
    return named[-1]


def add_bundle(source: Path) -> Manifest:
    """Copy a bundle into the folder of added models, all of it or nothing.

    :param source: folder of a bundle, or a ZIP file that holds one.
    :raises BundleError: it is none, its content is damaged, or the file is no ZIP of a bundle.
    :raises OptionError: a model of this name is there already.
    :raises OutputFolderError: it cannot be written.
    """
    with TemporaryDirectory() as scratch:
        folder = source if source.is_dir() else _unpacked(source, Path(scratch))
        from .bundle import open_bundle  # which takes seconds

        bundle = open_bundle(folder)
        if any(known.name == bundle.name for known in known_bundles()):
            raise OptionError(
                f"There is a model {bundle.name} already.", "Remove it first, or change `name` in this bundle.json."
            )
        target = ensure_output_folder(models_folder()) / bundle.name
        partial = target.with_name(f".{bundle.name}.partial")
        try:
            remove_folder(partial)
            for name in (*bundle.files, BUNDLE_FILE):
                make_folder((partial / name).parent)
                copy_file(folder / name, partial / name)
            move(partial, target)
        except OSError as error:
            raise OutputFolderError(f"The model cannot be kept in {target.parent} ({error.strerror}).") from error
        finally:
            remove_folder(partial)
    return open_bundle(target)


def remove_bundle(name: str) -> Path:
    """Remove an added model; returns the folder it was in.

    :raises OptionError: it ships with this installation, or there is none of this name.
    :raises OutputFolderError: it cannot be removed.
    """
    for manifest in reversed(known_bundles()):
        if manifest.name == name and manifest.folder.parent == models_folder():
            try:
                shutil.rmtree(manifest.folder)
            except OSError as error:
                raise OutputFolderError(f"{manifest.folder} cannot be removed ({error.strerror}).") from error
            return manifest.folder
    ships = any(manifest.name == name for manifest in known_bundles())
    why = "it ships with this installation" if ships else "there is none of this name"
    raise OptionError(f"The model {name!r} cannot be removed: {why}.", "`gbmresponse models list` shows which can.")


def _unpacked(archive: Path, scratch: Path) -> Path:
    """The bundle in a ZIP file, which may lie in one folder of it.

    :raises BundleError: there is none.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            if sum(entry.file_size for entry in content.infolist()) > _LARGEST_BUNDLE:
                raise BundleError(f"{archive.name} is too large for a bundle.")
            content.extractall(scratch)
    except (OSError, zipfile.BadZipFile, RuntimeError) as error:
        raise BundleError(f"{archive.name} is neither the folder of a bundle nor a ZIP file of one.") from error
    folders = [path.parent for path in sorted(scratch.rglob(BUNDLE_FILE))]
    if not folders:
        raise BundleError(f"{archive.name} holds no bundle.json.")
    return folders[0]
