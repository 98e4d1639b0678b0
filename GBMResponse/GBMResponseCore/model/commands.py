"""`gbmresponse models list | add | verify | remove`."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .library import add_bundle, find_bundle, known_bundles, models_folder, remove_bundle
from .manifest import Manifest

_Say = Callable[[str], None]


def add_commands(commands: Any, say: _Say) -> None:
    """Declare the commands.

    :param commands: argparse's sub-commands.
    :param say: prints a line.
    """
    models = commands.add_parser("models", help="list, add, verify or remove models")
    models.set_defaults(out=None, verbose=False)
    actions = models.add_subparsers(dest="action", required=True)
    actions.add_parser("list", help="the models that --bundle knows by name").set_defaults(run=lambda _: _list(say))
    add = actions.add_parser("add", help="verify a bundle and keep it among the models of this machine")
    add.add_argument("source", type=Path, metavar="FOLDER|ZIP")
    add.set_defaults(run=lambda arguments: _add(arguments, say))
    verify = actions.add_parser("verify", help="compare all files with their SHA-256 and load the networks")
    verify.add_argument("bundle", nargs="?", metavar="NAME|FOLDER", help="default: the one that is used by default")
    verify.set_defaults(run=lambda arguments: _verify(arguments, say))
    remove = actions.add_parser("remove", help="remove an added model")
    remove.add_argument("name")
    remove.set_defaults(run=lambda arguments: say(f"Removed: {remove_bundle(arguments.name)}"))


def _list(say: _Say) -> None:
    default = find_bundle(None)
    for manifest in known_bundles():
        mark = "*" if manifest.folder == default else " "
        say(f"{mark} {_title(manifest)}\n    {manifest.folder}")
    say(f"* is used without --bundle. Added models: {models_folder()}")


def _add(arguments: argparse.Namespace, say: _Say) -> None:
    manifest = add_bundle(arguments.source)
    say(f"Added {_title(manifest)}\n    {manifest.folder}\nUse it with --bundle {manifest.name}")


def _verify(arguments: argparse.Namespace, say: _Say) -> None:
    from .bundle import open_bundle

    bundle = open_bundle(find_bundle(arguments.bundle))
    bundle.load_networks()
    say(f"{_title(bundle)}\n    {bundle.folder}\n    {len(bundle.files)} files are whole, and all networks load.")


def _title(manifest: Manifest) -> str:
    description = manifest.description
    return f"{description.get('name')} {description.get('version')}: {description.get('description')}"
