"""What is said about missing and damaged packages. The damaged ones are real packages in front of the good ones."""

import pytest
from GBMResponseCore.errors import DependencyError
from GBMResponseCore.model import environment
from GBMResponseCore.model.environment import describe_environment, installed_version, translate_import_errors


def describe_with(monkeypatch, tmp_path, code):
    """The description with a `torch` that runs `code`, and nothing else asked for but jsonschema."""
    (tmp_path / "torch.py").write_text(code, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return describe_environment(("jsonschema", "torch", "tqdm"))


def test_a_package_that_is_there_has_its_version(tmp_path, monkeypatch):
    report = describe_with(monkeypatch, tmp_path, "raise ModuleNotFoundError(name='torch')")
    assert report["packages"]["jsonschema"] == {"version": installed_version("jsonschema"), "problem": None}


def test_a_missing_package_is_named_with_the_way_to_install_it(tmp_path, monkeypatch):
    report = describe_with(monkeypatch, tmp_path, "raise ModuleNotFoundError(name='torch')")
    assert report["ok"] is False
    assert report["problems"] == [f"The Python package torch is not installed. {environment._INSTALL_TORCH}"]
    assert report["packages"]["tqdm"]["problem"] is None


def test_every_package_that_is_needed_loads_under_its_own_name():
    report = describe_environment()
    assert report["ok"], report["problems"]
    assert {name: entry["version"] for name, entry in report["packages"].items()} == {
        name: installed_version(name) for name in environment.PACKAGES
    }


def test_a_missing_package_whose_module_has_another_name_is_named_as_pip_knows_it(tmp_path, monkeypatch):
    (tmp_path / "PIL.py").write_text("raise ModuleNotFoundError(name='PIL')", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    report = describe_environment(("Pillow",))
    assert report["problems"] == [f"The Python package Pillow is not installed. {environment._INSTALL_OTHERS}"]


def test_a_package_that_does_not_load_is_explained(tmp_path, monkeypatch):
    report = describe_with(monkeypatch, tmp_path, "raise OSError('c10.dll: cannot open')")
    assert report["ok"] is False
    assert "does not work: OSError: c10.dll: cannot open." in report["problems"][0]


def test_a_package_that_crashes_the_process_is_explained(tmp_path, monkeypatch):
    report = describe_with(monkeypatch, tmp_path, "import os\nos._exit(11)")
    assert "ends the Python process (exit code 11)" in report["problems"][0]


def test_the_working_environment_has_torch_and_a_processor():
    report = describe_environment(("torch",))
    assert report["ok"], report["problems"]
    assert report["devices"][-1]["name"] == "cpu"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ModuleNotFoundError("No module", name="diffusers.models"), "diffusers is not installed"),
        (ModuleNotFoundError("No module", name="PIL"), "package Pillow is not installed"),
        (ImportError("undefined symbol"), "undefined symbol"),
        (OSError("libcudart.so.12: cannot open shared object file"), "libcudart"),
    ],
)
def test_a_failing_import_is_a_typed_error(error, words):
    with pytest.raises(DependencyError, match=words), translate_import_errors():
        raise error


def test_an_error_about_a_file_is_none_of_imports():
    with pytest.raises(FileNotFoundError), translate_import_errors():
        open("nowhere")
