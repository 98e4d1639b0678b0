"""How the Slicer side is built: rooms that import one way, the engine's light modules only, one list of codes."""

import ast
import subprocess
import sys
from pathlib import Path

from GBMResponseCore import errors
from GBMResponseLib.common.Failure import OWN_CODES

MODULE = Path(__file__).resolve().parents[3] / "GBMResponse"
LIB = MODULE / "GBMResponseLib"
ROOMS = (
    "common",
    "worker",
    "model",
    "settings",
    "inputs",
    "results",
    "run",
    "dicom",
    "views",
    "readerStudy",
    "batch",
    "panel",
)
"""Each may import those before it."""
FILES = sorted(LIB.rglob("*.py"))
ENGINE_CODES = {value.code for value in vars(errors).values() if isinstance(value, type)}


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def rooms_of_imports(path: Path) -> set[str]:
    """Return the rooms that a file of a room imports, its own apart."""
    found = set()
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom) and node.level == 2:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return found


def from_the_engine() -> set[str]:
    """Return the engine's modules that run in Slicer's own process."""
    modules = set()
    for path in [MODULE / "GBMResponse.py", MODULE / "Scripts" / "GBMResponseBatch.py", *FILES]:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "GBMResponseCore":
                modules.add(node.module)
            elif isinstance(node, ast.Import):
                modules |= {alias.name for alias in node.names if alias.name.startswith("GBMResponseCore")}
    return modules


def test_rooms_are_those_on_disk():
    assert {path.parent.name for path in LIB.glob("*/__init__.py")} == set(ROOMS)
    assert [path.name for path in LIB.glob("*.py")] == ["__init__.py"]


def test_a_room_imports_rooms_below_it():
    rooms = {path: ROOMS[: ROOMS.index(path.parent.name)] for path in FILES if path.parent != LIB}
    assert len(rooms) > 50
    assert not {path.name: above for path, below in rooms.items() if (above := rooms_of_imports(path) - set(below))}


def test_no_file_is_long():
    assert not [path.name for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) > 400]


def test_what_slicer_takes_from_the_engine_needs_no_package():
    modules = sorted(from_the_engine())
    assert "GBMResponseCore.request" in modules and "GBMResponseCore.model.manifest" in modules
    code = (
        "import importlib, sys; sys.path.insert(0, sys.argv[1]); before = set(sys.modules);"
        "[importlib.import_module(name) for name in sys.argv[2:]];"
        "loaded = {name.split('.')[0] for name in set(sys.modules) - before};"
        "print(sorted(loaded - sys.stdlib_module_names))"
    )
    command = [sys.executable, "-I", "-c", code, str(MODULE), *modules]
    result = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert result.stdout.strip() == "['GBMResponseCore']", result.stderr


def codes_of_failures() -> set[str]:
    """Return the codes that failures are made with, where they stand in the code."""
    codes = set()
    for path in [MODULE / "GBMResponse.py", *FILES]:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Failure":
                codes |= {node.args[0].value} if isinstance(node.args[0], ast.Constant) else set()
    return codes


def test_one_fault_has_one_code():
    assert not set(OWN_CODES) & ENGINE_CODES
    assert codes_of_failures() <= set(OWN_CODES) | ENGINE_CODES
    assert set(OWN_CODES) <= codes_of_failures()
