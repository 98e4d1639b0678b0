"""docs/architecture.md draws what .importlinter checks, and the files that it names are there."""

import configparser
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
PACKAGES = ("GBMResponseCore", "GBMResponseLib", "GBMResponseTraining")
FOLDERS = {name: ROOT / "GBMResponse" / name for name in PACKAGES[:2]} | {PACKAGES[2]: ROOT / PACKAGES[2]}


def contracts():
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    return [parser[name] for name in parser.sections() if ":contract:" in name]


def layers(package):
    (contract,) = (
        entry for entry in contracts() if entry["type"] == "layers" and entry["containers"].split() == [package]
    )
    return contract["layers"].strip().splitlines()


def drawn(package):
    """The column of the picture under a package's name."""
    (picture,) = (block for block in re.findall(r"```\n(.*?)```", PAGE, re.DOTALL) if block.startswith(PACKAGES[0]))
    lines = picture.splitlines()
    start = lines[0].index(package)
    following = [lines[0].index(name) for name in PACKAGES if lines[0].index(name) > start]
    return [cell for line in lines[2:] if (cell := line[start : min(following, default=None)].strip())]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_picture_shows_the_layers_that_are_checked(package):
    assert drawn(package) == layers(package)


@pytest.mark.parametrize("package", PACKAGES)
def test_every_room_is_in_the_picture(package):
    rooms = {
        path.stem
        for path in FOLDERS[package].iterdir()
        if (path.suffix == ".py" or (path / "__init__.py").is_file()) and path.stem != "__init__"
    }
    named = {room for line in drawn(package) for room in re.findall(r"\w+", line)}
    optional = {room for line in drawn(package) for room in re.findall(r"\((\w+)\)", line)}
    assert named - optional <= rooms <= named


def test_cycles_and_forbidden_packages_are_checked_too():
    assert {entry["type"] for entry in contracts()} == {"layers", "forbidden", "acyclic_siblings"}


def test_the_walk_goes_through_six_files():
    walk = PAGE.split("## One case, followed through six files")[1].split("\n## ")[0]
    assert re.findall(r"^\d\. `([^`]+)`", walk, re.MULTILINE) == [
        f"GBMResponse/GBMResponseCore/{name}.py"
        for name in ("cli", "run", "inputs/case", "prediction", "model/sampling", "outputs/write")
    ]


def test_the_files_that_the_page_names_are_there():
    paths = set(re.findall(r"`((?:GBMResponse|GBMResponseTraining|Testing)/[\w./]+)`", PAGE))
    assert len(paths) > 10
    assert not [path for path in paths if not (ROOT / path).exists()]


@pytest.mark.parametrize("package, most", zip(PACKAGES, (10, 4, 3), strict=True))
def test_the_roots_are_nearly_empty(package, most):
    assert len(list(FOLDERS[package].glob("*.py"))) <= most


@pytest.mark.parametrize("folder", FOLDERS.values(), ids=FOLDERS)
def test_no_file_has_more_than_400_lines(folder):
    lengths = {path.name: len(path.read_text("utf-8").splitlines()) for path in folder.rglob("*.py")}
    assert not [name for name, lines in lengths.items() if lines > 400]
