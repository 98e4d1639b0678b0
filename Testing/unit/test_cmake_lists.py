"""The lists that decide what is packaged agree with the files on disk: an unlisted file is silently left out."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "GBMResponse"


def cmake_list(name: str) -> set[str]:
    """Return the entries of one `set(NAME ...)` of the module's CMakeLists.txt, one a line."""
    text = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
    body = re.search(rf"^set\({name}\n(.*?)\n\s*\)$", text, re.MULTILINE | re.DOTALL).group(1)
    entries = [line.strip().replace("${MODULE_NAME}", "GBMResponse") for line in body.splitlines()]
    assert len(entries) == len(set(entries)), f"{name} lists a file twice"
    return set(entries)


def packaged_files() -> set[str]:
    """Return every file under the module folder that belongs into the package, relative to it."""
    files = set()
    for path in MODULE.rglob("*"):
        relative = path.relative_to(MODULE)
        skipped = {"__pycache__", "Testing"} & set(relative.parts) or path.name in ("CMakeLists.txt", ".DS_Store")
        if path.is_file() and not skipped:
            files.add(relative.as_posix())
    return files


@pytest.mark.parametrize(("name", "is_script"), [("MODULE_PYTHON_SCRIPTS", True), ("MODULE_PYTHON_RESOURCES", False)])
def test_list_equals_disk(name, is_script):
    listed = cmake_list(name)
    on_disk = {file for file in packaged_files() if file.endswith(".py") == is_script}
    changes = [f"add    {file}" for file in sorted(on_disk - listed)]
    changes += [f"remove {file}" for file in sorted(listed - on_disk)]
    assert not changes, f"In {name} of GBMResponse/CMakeLists.txt:\n" + "\n".join(changes)


def test_top_level_cmake_is_readable_by_the_extensions_index():
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    assert re.search(r"project\(\s*(\w+)", text).group(1) == "GBMResponse"
    for key in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"):
        assert re.search(rf'^set\(EXTENSION_{key} "[^"]*"\)', text, re.MULTILINE), f"EXTENSION_{key}: one quoted string"


def project_table() -> dict:
    with open(ROOT / "pyproject.toml", "rb") as file:
        return tomllib.load(file)


def test_pyproject_lists_every_package():
    folders = {"GBMResponseCore": MODULE / "GBMResponseCore", "GBMResponseTraining": ROOT / "GBMResponseTraining"}
    packages = {"GBMResponseResources"}  # models and sample case, in wheels
    for name, folder in folders.items():
        for init in folder.rglob("__init__.py"):
            packages.add(".".join((name, *init.parent.relative_to(folder).parts)))
    assert set(project_table()["tool"]["setuptools"]["packages"]) == packages


def test_requirements_of_the_module_are_the_packages_requirements_less_what_slicer_brings():
    lines = (MODULE / "Resources" / "requirements.txt").read_text(encoding="utf-8").splitlines()
    listed = {line for line in lines if line and not line.startswith("#")}
    brought = {"numpy", "scipy", "SimpleITK", "torch"}
    project = project_table()["project"]
    assert listed == {line for line in project["dependencies"] if package_of(line) not in brought}


def package_of(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement).group()


def test_the_floors_are_the_versions_that_are_tested_as_lowest():
    lines = (ROOT / "constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    project = project_table()["project"]
    extras = project["optional-dependencies"]
    stated = {}
    tools = extras["test"] + extras["lint"]
    product = project["dependencies"] + extras["training"] + extras["dicom"] + extras["cluster"]
    for requirement in product + tools:
        name, _, floor = requirement.partition(">=")
        if name in tested or requirement not in tools:
            stated[name] = floor
    pad = {name: floor + ".0" * (tested[name].count(".") - floor.count(".")) for name, floor in stated.items()}
    assert tested == pad


MODULES = {
    "Pillow": "PIL",
    "PyYAML": "yaml",
    "scikit-image": "skimage",
    "dicomweb-client": "dicomweb_client",
    "dask-jobqueue": "dask_jobqueue",
}


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        (MODULE / "GBMResponseCore", ["dicom", "cluster"]),
        (ROOT / "GBMResponseTraining", ["training", "dicom", "skull-strip"]),
    ],
    ids=["core", "training"],
)
def test_everything_that_is_imported_is_declared(folder, extras):
    """Read, not run: also what is imported inside functions."""
    project = project_table()["project"]
    declared = project["dependencies"] + [line for name in extras for line in project["optional-dependencies"][name]]
    modules = {MODULES.get(package_of(line), package_of(line)) for line in declared}
    if "deepbet" in modules:
        modules.add("nibabel")  # deepbet reads its images with it
    imported = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.split(".")[0])
    assert imported - modules <= sys.stdlib_module_names | {"GBMResponseCore", "GBMResponseTraining"}
