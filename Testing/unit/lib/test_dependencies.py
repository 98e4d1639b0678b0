"""Packages are asked for once, only when something is missing, and never imported here."""

import subprocess

import pytest
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.worker.DependencyInstaller import DependencyInstaller


class Packaging:
    """A Python environment that lacks some requirements."""

    def __init__(self, lacking=(), fails=None):
        self.lacking, self.fails, self.installed = list(lacking), fails, []

    def load_requirements(self, path):
        return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]

    def pip_check(self, requirements):
        return not set(requirements) & set(self.lacking)

    def pip_ensure(self, requirements, **options):
        if self.fails:
            raise self.fails
        self.installed.append((requirements, options))


class Torch:
    """The logic of the PyTorch extension."""

    def __init__(self, result=True):
        self.result, self.calls = result, []

    def installTorch(self, **options):
        self.calls.append(options)
        return self.result


@pytest.fixture
def requirements(tmp_path):
    path = tmp_path / "requirements.txt"
    path.write_text("# needed\ndiffusers>=0.30\njsonschema>=4.20\n")
    return path


def installer(requirements, packaging, *, torch=True, answer=True, extension=None):
    questions = []

    def confirm(question):
        questions.append(question)
        return answer

    made = DependencyInstaller(
        requirements, packaging, confirm, lambda name: object() if torch else None, lambda: extension
    )
    made.questions = questions
    return made


def test_nothing_missing_nothing_asked(requirements):
    made = installer(requirements, Packaging())
    assert made.ensure() is False and made.questions == []


def test_one_question_names_everything(requirements):
    made = installer(requirements, Packaging(["jsonschema>=4.20"]), torch=False, extension=Torch())
    assert made.ensure() is True
    (question,) = made.questions
    assert "torch" in question and "jsonschema>=4.20" in question and "diffusers" not in question


def test_only_what_is_missing_is_installed(requirements):
    packaging = Packaging(["jsonschema>=4.20"])
    installer(requirements, packaging).ensure()
    assert packaging.installed == [(["jsonschema>=4.20"], {"prompt_install": False, "requester": "GBMResponse"})]


def test_torch_that_is_there_is_left_alone(requirements):
    extension = Torch()
    installer(requirements, Packaging(["jsonschema>=4.20"]), extension=extension).ensure()
    assert extension.calls == []


def test_torch_comes_from_the_extension(requirements):
    extension, packaging = Torch(), Packaging()
    installer(requirements, packaging, torch=False, extension=extension).ensure()
    assert extension.calls == [{"askConfirmation": False}] and packaging.installed == []


def test_no_installs_nothing(requirements):
    packaging = Packaging(["jsonschema>=4.20"])
    with pytest.raises(Failure) as caught:
        installer(requirements, packaging, answer=False).ensure()
    assert caught.value.code == "declined" and packaging.installed == []


def test_missing_extension_is_said_before_anything_is_asked(requirements):
    def missing():
        raise ImportError("No module named 'PyTorchUtils'")

    questions = []
    made = DependencyInstaller(requirements, Packaging(), questions.append, lambda name: None, missing)
    with pytest.raises(Failure) as caught:
        made.ensure()
    assert caught.value.code == "dependency" and "Extensions Manager" in caught.value.remedy
    assert questions == []


@pytest.mark.parametrize("error", [RuntimeError("no"), OSError("disk"), subprocess.CalledProcessError(1, "pip")])
def test_failed_installation_is_a_sentence(requirements, error):
    with pytest.raises(Failure) as caught:
        installer(requirements, Packaging(["jsonschema>=4.20"], error)).ensure()
    assert caught.value.code == "install-failed"


def test_torch_that_was_not_installed_is_said(requirements):
    with pytest.raises(Failure) as caught:
        installer(requirements, Packaging(), torch=False, extension=Torch(None)).ensure()
    assert caught.value.code == "dependency"
