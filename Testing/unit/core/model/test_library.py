"""Models by name: those that ship, and those that were added on this machine."""

import json
import shutil
import zipfile

import pytest
from GBMResponseCore.cli import main
from GBMResponseCore.errors import BundleError, BundleIntegrityError, OptionError, OutputFolderError
from GBMResponseCore.model.library import (
    BUNDLE_VARIABLE,
    MODELS_VARIABLE,
    add_bundle,
    find_bundle,
    known_bundles,
    models_folder,
    remove_bundle,
)
from GBMResponseCore.model.manifest import default_bundle
from tiny_bundle import write_tiny_bundle


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "models"))
    monkeypatch.delenv(BUNDLE_VARIABLE, raising=False)
    return tmp_path / "models"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return write_tiny_bundle(tmp_path_factory.mktemp("bundle") / "tiny")


@pytest.fixture
def name(tiny):
    return json.loads((tiny / "bundle.json").read_text("utf-8"))["name"]


def names():
    return [manifest.name for manifest in known_bundles()]


def test_without_a_name_the_shipped_model_is_used():
    assert find_bundle(None) == default_bundle()


def test_a_folder_is_taken_as_it_is(tiny):
    assert find_bundle(tiny) == tiny


def test_an_added_model_is_known_by_its_name(tiny, name, own_folder):
    added = add_bundle(tiny)
    assert added.folder == own_folder / name == find_bundle(name)
    assert names()[-1] == name
    assert [path.name for path in own_folder.iterdir()] == [name]


def test_the_environment_may_name_the_default(tiny, name, monkeypatch):
    add_bundle(tiny)
    monkeypatch.setenv(BUNDLE_VARIABLE, name)
    assert find_bundle(None) == models_folder() / name
    assert find_bundle(default_bundle()) == default_bundle()


def test_a_zip_file_may_hold_the_bundle(tiny, name, tmp_path):
    archive = tmp_path / "download.zip"
    with zipfile.ZipFile(archive, "w") as content:
        for path in tiny.rglob("*"):
            content.write(path, f"release/{path.relative_to(tiny)}")
    assert add_bundle(archive).name == name


def test_an_unknown_name_is_answered_with_those_that_are_known(tiny, name):
    add_bundle(tiny)
    with pytest.raises(BundleError) as caught:
        find_bundle("nobody")
    assert "'nobody'" in caught.value.message and name in caught.value.remedy


def test_a_damaged_bundle_is_not_added(tiny, tmp_path, own_folder):
    damaged = shutil.copytree(tiny, tmp_path / "damaged")
    weights = next(damaged.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleIntegrityError):
        add_bundle(damaged)
    assert not own_folder.exists()


def test_no_model_replaces_another(tiny):
    add_bundle(tiny)
    with pytest.raises(OptionError, match="already"):
        add_bundle(tiny)
    with pytest.raises(OptionError, match="already"):
        add_bundle(default_bundle())


@pytest.mark.parametrize("content", [b"no zip", None])
def test_what_is_no_bundle_is_not_added(tmp_path, content):
    file = tmp_path / "file.zip"
    if content is None:
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("readme.txt", "nothing")
    else:
        file.write_bytes(content)
    with pytest.raises(BundleError, match=r"file\.zip"):
        add_bundle(file)


def test_a_folder_that_cannot_be_written_is_said(tiny, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path / "file" / "models"))
    with pytest.raises(OutputFolderError):
        add_bundle(tiny)


def test_added_models_can_be_removed_and_shipped_ones_cannot(tiny, name, own_folder):
    add_bundle(tiny)
    remove_bundle(name)
    assert not (own_folder / name).exists()
    shipped = names()[0]
    with pytest.raises(OptionError, match="ships"):
        remove_bundle(shipped)
    with pytest.raises(OptionError, match="none of this name"):
        remove_bundle(name)


def test_the_commands(tiny, name, capsys):
    assert main(["models", "add", str(tiny)]) == 0
    assert main(["models", "list"]) == 0
    listed = capsys.readouterr().out
    assert f"* {default_bundle().name}" in listed and f"  {name} " in listed
    assert main(["models", "verify", name]) == 0
    assert "all networks load" in capsys.readouterr().out
    assert main(["models", "remove", name]) == 0
    assert main(["models", "verify", name]) == BundleError.exit_code
    assert "There is no model" in capsys.readouterr().err
