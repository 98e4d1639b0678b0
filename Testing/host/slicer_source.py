"""Slicer's own Python files in place of the doubles of them, from a checkout that SLICER_SOURCE names.

    make test-slicer-python SLICER_SOURCE=/path/to/Slicer

They are loaded from where they lie; no line of them is copied.
"""

import importlib.util
import os
import sys
from pathlib import Path

import slicer

VARIABLE = "SLICER_SOURCE"
PARTS = ("i18n", "packaging", "ScriptedLoadableModule", "parameterNodeWrapper")


def folder() -> Path | None:
    """Return the folder of Slicer's package, None if no checkout is named.

    :raises FileNotFoundError: the checkout has no such folder.
    """
    checkout = os.environ.get(VARIABLE)
    if not checkout:
        return None
    place = Path(checkout, "Base", "Python", "slicer")
    if not (place / "parameterNodeWrapper" / "__init__.py").is_file():
        raise FileNotFoundError(f"{VARIABLE}: {place} has no parameterNodeWrapper; name the root of a checkout")
    return place


def install() -> None:
    """Load the parts, if a checkout is named."""
    place = folder()
    for name in PARTS if place is not None else ():
        package = place / name / "__init__.py"
        path = package if package.is_file() else place / f"{name}.py"
        inside = [str(package.parent)] if package.is_file() else None
        spec = importlib.util.spec_from_file_location(f"slicer.{name}", path, submodule_search_locations=inside)
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        setattr(slicer, name, module)
        spec.loader.exec_module(module)
