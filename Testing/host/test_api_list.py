"""What the module uses of Slicer, VTK and Qt exists there, and is listed in README.md with where it is defined."""

import ast
import re
import sys
from functools import cache
from pathlib import Path

import pytest
import qt
import slicer

MODULE = Path(__file__).resolve().parents[2] / "GBMResponse"
FILES = [MODULE / "GBMResponse.py", *sorted((MODULE / "GBMResponseLib").rglob("*.py"))]
LISTED = set(re.findall(r"\w+", Path(__file__).with_name("README.md").read_text(encoding="utf-8")))


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def chain(node) -> list[str]:
    """Return ['slicer', 'util', 'loadUI'] for slicer.util.loadUI; empty for what does not start with a name."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return [*parts, node.id][::-1] if isinstance(node, ast.Name) else []


def wrapped() -> set[str]:
    """Return the names of all members of Slicer's and VTK's classes."""
    names = set()
    for name, module in list(sys.modules.items()):
        if name.startswith(("slicer_core", "vtkmodules")):
            for member in vars(module).values():
                names.update(vars(member) if isinstance(member, type) else ())
    return names


@cache
def used() -> dict[str, set[str]]:
    """Return the names used: of the packages slicer, qt and vtk by package, and all that look like VTK's methods."""
    found = {"slicer": set(), "qt": set(), "vtk": set(), "methods": set()}
    defined = set()
    for path in FILES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Attribute):
                parts = chain(node)
                if parts and parts[0] in found:
                    found[parts[0]].update(part for part in parts[1:3] if part not in ("app", "util", "mrmlScene"))
                elif re.match(r"[A-Z][a-z0-9]+[A-Z]\w*$", node.attr):
                    found["methods"].add(node.attr)
            elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                defined.add(node.name)
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("slicer."):
                found["slicer"].update(alias.name for alias in node.names)
    found["methods"] -= defined | {"ArgumentParser", "DictReader", "DictWriter", "CalledProcessError", "StringIO"}
    found["methods"] -= {"SampleDataLogic", "PyTorchUtilsLogic", "IntEnum"}
    found["methods"] -= {"AbstractContextManager", "OpenKey", "PackageNotFoundError", "QueryValueEx"}
    found["methods"] -= {"SubprocessError", "TemporaryDirectory", "TextIOBase"}
    return found


@pytest.mark.parametrize("kind", ["methods", "qt", "slicer", "vtk"])
def test_it_is_listed(kind):
    plumbing = {"connect", "disconnect", "packaging"}
    assert not used()[kind] - LISTED - plumbing


def test_methods_exist_in_slicer_or_vtk():
    assert len(used()["methods"]) > 50
    assert not used()["methods"] - wrapped()


def test_qt_classes_and_constants_exist():
    chains = {tuple(chain(node)[:3]) for path in FILES for node in ast.walk(parsed(path))}
    of_qt = {parts[1:] for parts in chains if parts[:1] == ("qt",) and len(parts) > 1}
    assert len(of_qt) > 30
    assert not {parts for parts in of_qt if not hasattr(qt, parts[0])}
    assert not {parts for parts in of_qt if len(parts) > 1 and not hasattr(getattr(qt, parts[0]), parts[1])}


def test_the_check_sees_a_misspelt_method():
    assert "GetNodeById" not in wrapped()
    assert "GetNodeByID" in wrapped()
    assert not hasattr(slicer, "vtkMRMLScalarVolumNode")
