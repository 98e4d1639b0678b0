"""Reloading during development."""

import sys

from ..views.SyntheticMark import SyntheticMark

_PACKAGE = __name__.partition(".")[0]


def forgetLibrary() -> None:
    """Let the next import read the files of this package again; what follows the views is stopped first."""
    SyntheticMark.uninstall()
    for name in [name for name in sys.modules if name == _PACKAGE or name.startswith(f"{_PACKAGE}.")]:
        del sys.modules[name]
