"""Slicer's own Python files in place of the doubles of them, from a checkout that SLICER_SOURCE names.

    make test-slicer-python SLICER_SOURCE=/path/to/Slicer

They are loaded from where they lie; no line of them is copied.
"""

import ast
import importlib.util
import os
import re
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


def _nameWidgets(place: Path) -> None:
    """Name the widgets that Slicer's connectors mention and the host has no double of; none of them can be made."""
    import ctk  # a double, made when the session starts

    for path in (place / "parameterNodeWrapper").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
                continue
            owner = {"ctk": ctk, "slicer": slicer}.get(node.value.id)
            if owner is not None and re.match(r"(ctk|qMRML|qSlicer)[A-Z]", node.attr) and not hasattr(owner, node.attr):
                setattr(owner, node.attr, type(node.attr, (_NoDouble,), {}))


class _NoDouble:
    """A widget of Slicer's or CTK's that the host does not have."""

    def __init__(self, *arguments):
        raise NotImplementedError(f"the host has no {type(self).__name__}")


def install() -> None:
    """Load the parts, if a checkout is named."""
    place = folder()
    if place is not None:
        _nameWidgets(place)
    for name in PARTS if place is not None else ():
        package = place / name / "__init__.py"
        path = package if package.is_file() else place / f"{name}.py"
        inside = [str(package.parent)] if package.is_file() else None
        spec = importlib.util.spec_from_file_location(f"slicer.{name}", path, submodule_search_locations=inside)
        module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
        setattr(slicer, name, module)
        spec.loader.exec_module(module)
