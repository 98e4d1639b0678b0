"""Who may import whom, and what product code must not contain. The code is read, not run."""

import ast
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "GBMResponse"
CORE = MODULE / "GBMResponseCore"
LIB = MODULE / "GBMResponseLib"
TRAINING = ROOT / "GBMResponseTraining"

SLICER = {"slicer", "qt", "ctk", "vtk", "mrml", "PythonQt"}
HEAVY = {"torch", "torchvision", "diffusers", "monai", "lightning", "safetensors", "SimpleITK", "numpy", "scipy"}


def python_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


PRODUCT = python_files(MODULE) + python_files(TRAINING)


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), filename=str(path))


@cache
def imported_packages(path: Path) -> set[str]:
    """Return the top-level names of all absolute imports of a file, also those inside functions."""
    names = set()
    for node in ast.walk(parse(path)):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


def label(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_files_were_found():
    assert CORE / "__init__.py" in PRODUCT
    assert TRAINING / "__init__.py" in PRODUCT


def found_in(paths: Iterable[Path], look: Callable[[Path], Iterable[str]]) -> dict[str, list[str]]:
    """What is found in which file: one test of hundreds of files is a third of a second, a test of each is seconds."""
    return {label(path): sorted(found) for path in paths if (found := look(path))}


def test_core_knows_neither_slicer_nor_training():
    unknown = SLICER | {"GBMResponse", "GBMResponseLib", "GBMResponseTraining"}
    assert not found_in(python_files(CORE), lambda path: imported_packages(path) & unknown)


def test_training_knows_no_slicer():
    unknown = SLICER | {"GBMResponse", "GBMResponseLib"}
    assert not found_in(python_files(TRAINING), lambda path: imported_packages(path) & unknown)


def test_slicer_side_loads_no_heavy_package():
    heavy = HEAVY - {"numpy"} | {"GBMResponseTraining"}
    paths = [MODULE / "GBMResponse.py", *python_files(LIB)]
    assert not found_in(paths, lambda path: imported_packages(path) & heavy)


def forbidden_constructs(path: Path) -> list[str]:
    """Return what a file holds of: bare except, eval or exec, pickle, unsafe loading of weights or arrays."""
    found = []
    for node in ast.walk(parse(path)):
        line = f"line {getattr(node, 'lineno', '?')}"
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"{line}: bare except")
        elif isinstance(node, ast.Call):
            call = ast.unparse(node.func)
            options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
            if call in ("eval", "exec"):
                found.append(f"{line}: {call}")
            # Training reads checkpoints that it wrote, or that the user asks to import; the engine reads none.
            safe = path.is_relative_to(TRAINING) and options.get("weights_only") == "True"
            if call == "torch.load" and not safe:
                found.append(f"{line}: torch.load")
            if options.get("allow_pickle", "False") != "False":
                found.append(f"{line}: allow_pickle")
    if imported_packages(path) & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve"}:
        found.append("pickle")
    return found


def test_product_code_is_safe():
    assert not found_in(PRODUCT, forbidden_constructs)


@pytest.mark.parametrize(
    "code",
    [
        "try:\n    pass\nexcept:\n    pass",
        "eval('1')",
        "import pickle",
        "def f():\n    from pickle import loads",
        "import torch\ntorch.load('x', weights_only=False)",
        "import numpy\nnumpy.load('x', allow_pickle=True)",
    ],
)
def test_the_check_sees_what_it_forbids(tmp_path, code):
    path = tmp_path / "example.py"
    path.write_text(code, encoding="utf-8")
    assert forbidden_constructs(path)


def test_a_file_that_imports_what_it_must_not_know_is_named():
    assert found_in([Path(__file__)], lambda path: imported_packages(path) & {"pytest"}) == {
        "Testing/unit/test_layering.py": ["pytest"]
    }


def test_no_machine_paths():
    # The roots are put together here so that this file does not contain them itself.
    roots = ["/" + name + "/" for name in ("work", "home", "root", "Users")] + ["C:" + "\\"]
    folders = [MODULE, TRAINING, ROOT / "Testing" / "tools", ROOT / ".ci", ROOT / ".github", ROOT / "Resources"]
    files = [path for path in ROOT.iterdir() if path.is_file() and path.name != ".git"]
    files += [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    suffixes = {"", ".py", ".md", ".txt", ".toml", ".json", ".yml", ".yaml", ".cff", ".csv", ".svg", ".ui"}
    for path in files:
        if path.suffix in suffixes and "__pycache__" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert not [root for root in roots if root in text], label(path)
