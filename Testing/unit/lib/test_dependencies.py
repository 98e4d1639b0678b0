"""Packages are asked for once, with a plan, only when something is missing; never imported, never replaced here."""

import contextlib
import importlib.metadata
import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest
from GBMResponseLib.common.Failure import Failure
from GBMResponseLib.worker import DependencyInstaller as module
from GBMResponseLib.worker.DependencyInstaller import DependencyInstaller, Question, torchRequirement

TORCH = f"torch{torchRequirement()}"
LACKING = "gbmresponse-never-there>=4.20"


class Packaging:
    """A Python environment that lacks some requirements, and what is done to it."""

    def __init__(self, lacking=(), fails=None, works=True):
        self.lacking, self.fails, self.works = list(lacking), fails, works
        self.installed, self.removed, self.busy = [], [], False

    def load_requirements(self, path):
        return [line for line in path.read_text().splitlines() if line and not line.startswith("#")]

    def pip_check(self, requirements):
        return not set(requirements) & set(self.lacking)

    def pip_ensure(self, requirements, **options):
        if self.fails:
            raise self.fails
        constraints = Path(options.pop("constraints")).read_text(encoding="utf-8").splitlines()
        print(f"Collecting {requirements[0]}")  # as pip does
        self.installed.append((requirements, options, constraints))
        if self.works:
            self.lacking = [name for name in self.lacking if name not in requirements]

    def pip_uninstall(self, requirements):
        self.removed.append(requirements)

    def isPipInstallInProgress(self):
        return self.busy


class Torch:
    """The logic of the PyTorch extension; what it installs is there afterwards."""

    def __init__(self, environment=None, result=True, fails=None):
        self.environment, self.result, self.fails, self.calls, self.constraint = environment, result, fails, [], ""

    def installTorch(self, **options):
        if self.fails:
            raise self.fails
        self.calls.append(options)
        self.constraint = os.environ["PIP_CONSTRAINT"]
        if self.result is not None:
            self.environment.makeTorch()
        return self.result


class Environment:
    """site-packages with or without torch, the installer, and what the user is asked."""

    def __init__(self, folder, packaging, *, answer=True, extension=None):
        requirements = folder / "requirements.txt"
        requirements.write_text(f"# needed\ndiffusers>=0.30\n{LACKING}\n")
        self.folder, self.packaging, self.questions, self.log = folder, packaging, [], []
        self.extension = extension
        self.installer = DependencyInstaller(
            requirements, packaging, self, self.findSpec, self.torchInstaller, self.installExtension
        )
        self.answer, self.extensionWorks, self.extensions = answer, True, []

    def makeTorch(self, whole=True):
        for name in ("__init__.py", "version.py", "lib/libtorch.so")[: 3 if whole else 2]:
            path = self.folder / "torch" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        if whole and TORCH in self.packaging.lacking:
            self.packaging.lacking.remove(TORCH)

    def findSpec(self, name):
        folder = self.folder / name
        origin = str(folder / "__init__.py") if (folder / "__init__.py").is_file() else None
        return SimpleNamespace(origin=origin) if folder.is_dir() else None

    def torchInstaller(self):
        if self.extension is None:
            raise ImportError("No module named 'PyTorchUtils'")
        return self.extension

    def installExtension(self, name):
        self.extensions.append(name)
        return self.extensionWorks

    def ask(self, plan):
        self.questions.append(plan)
        return self.answer

    @contextlib.contextmanager
    def running(self):
        yield self.log.append


@pytest.fixture
def environment(tmp_path):
    def make(lacking=(), *, torch="whole", **options):
        packaging = options.pop("packaging", None) or Packaging(lacking)
        made = Environment(tmp_path, packaging, **options)
        if torch:
            made.makeTorch(torch == "whole")
        else:
            packaging.lacking.append(TORCH)
        if made.extension is not None:
            made.extension.environment = made
        return made

    return make


def failure(environment) -> Failure:
    with pytest.raises(Failure) as caught:
        environment.installer.ensure()
    return caught.value


def test_nothing_missing_nothing_asked(environment):
    made = environment()
    assert made.installer.ensure() is False and made.questions == []


def test_the_plan_names_everything_before_anything_is_fetched(environment):
    made = environment([LACKING], torch="", extension=Torch())
    assert made.installer.ensure() is True
    (plan,) = made.questions
    assert plan.packages == (TORCH, LACKING) and "diffusers" not in plan.text
    for word in ("Into: ", "Free disk space: ", "Proxy: ", "Graphics card: ", "GB on disk"):
        assert word in plan.text


def test_the_proxy_is_named_without_its_password(environment, monkeypatch):
    monkeypatch.setenv("https_proxy", "http://user:secret@proxy.example:3128")
    text = environment([LACKING]).installer.plan().text
    assert "proxy.example:3128" in text and "secret" not in text and "user" not in text


def test_only_what_is_missing_is_installed_and_nothing_is_replaced(environment):
    made = environment([LACKING])
    made.installer.ensure()
    ((requirements, options, constraints),) = made.packaging.installed
    assert requirements == [LACKING]
    assert options == {
        "prompt_install": False, "prompt_restart": False, "requester": "GBMResponse", "show_progress": False
    }  # fmt: skip
    assert f"numpy=={importlib.metadata.version('numpy')}" in constraints


def test_the_log_gets_what_pip_prints(environment):
    made = environment([LACKING])
    made.installer.ensure()
    assert made.log == [f"Collecting {LACKING}"]


def test_torch_comes_from_the_extension_in_a_version_for_this_slicer(environment):
    made = environment(torch="", extension=Torch())
    made.installer.ensure()
    assert made.extension.calls == [{"askConfirmation": False, "torchVersionRequirement": torchRequirement()}]
    assert Path(url2pathname(urlsplit(made.extension.constraint).path)).name == "constraints.txt"
    assert "PIP_CONSTRAINT" not in os.environ


def test_torch_of_a_version_that_windows_cannot_load_is_not_asked_for(monkeypatch):
    monkeypatch.setattr(module.os, "name", "nt")
    assert torchRequirement() == ">=2.6,<2.13"


def test_torch_that_is_there_is_left_alone(environment):
    made = environment([LACKING], extension=Torch())
    made.installer.ensure()
    assert made.extension.calls == [] and made.packaging.removed == []


@pytest.mark.parametrize("whole", [True, False], ids=["no files", "no libraries"])
def test_a_half_installed_torch_is_removed_and_installed_again(environment, whole):
    made = environment(torch="half", extension=Torch())
    if whole:
        (made.folder / "torch" / "__init__.py").unlink()
    assert made.installer.missing() == [TORCH]
    assert "by half" in made.installer.plan().text
    assert made.installer.ensure() is True
    assert made.packaging.removed == [["torch", "torchvision"]] and len(made.extension.calls) == 1


def test_no_installs_nothing(environment):
    made = environment([LACKING], answer=False)
    assert failure(made).code == "declined" and made.packaging.installed == []


def test_the_missing_extension_is_offered_and_installed_first(environment):
    made = environment([LACKING], torch="")
    said = failure(made)
    (plan,) = made.questions
    assert plan.needsExtension and "extension PyTorch" in plan.text
    assert made.extensions == ["PyTorch"] and made.packaging.installed == []
    assert said.code == "dependency" and "Restart Slicer" in said.remedy


def test_an_extension_that_cannot_be_installed_is_said(environment):
    made = environment(torch="")
    made.extensionWorks = False
    assert "Extensions Manager" in failure(made).remedy


@pytest.mark.parametrize(
    "error", [RuntimeError("no"), OSError("disk"), subprocess.CalledProcessError(1, "pip"), AttributeError("moved")]
)
def test_whatever_goes_wrong_is_a_sentence(environment, error):
    said = failure(environment(packaging=Packaging([LACKING], error)))
    assert said.code == "install-failed" and type(error).__name__ in said.details
    said = failure(environment(torch="", extension=Torch(fails=error)))
    assert said.code == "install-failed"


def test_torch_that_was_not_installed_is_said(environment):
    assert failure(environment(torch="", extension=Torch(result=None))).code == "dependency"


def test_an_installer_that_only_says_it_did_is_not_believed(environment):
    said = failure(environment(packaging=Packaging([LACKING], works=False)))
    assert said.code == "install-failed" and LACKING in said.message


def test_what_pip_would_replace_is_refused_before_it_happens(environment):
    older = f"numpy>{importlib.metadata.version('numpy')}"
    packaging = Packaging()
    made = environment(packaging=packaging)
    requirement = SimpleNamespace(name="numpy", __str__=lambda self: older)
    packaging.load_requirements = lambda path: [requirement]
    packaging.pip_check = lambda requirements: requirements != [requirement]
    said = failure(made)
    assert "nothing that is installed is replaced" in said.message and packaging.installed == []


def test_a_full_disk_is_said_before_anything_is_fetched(environment, monkeypatch):
    monkeypatch.setattr(module, "freeGB", lambda folder: 0.1)
    made = environment([LACKING])
    assert "0.1 GB free" in failure(made).message and made.packaging.installed == []


def test_a_folder_too_long_for_windows_is_said(environment, monkeypatch):
    monkeypatch.setattr(module, "longPathsForbidden", lambda: True)
    monkeypatch.setattr(module, "sitePackages", lambda: Path("/" + "x" * 140))
    (problem,) = environment(torch="", extension=Torch()).installer.plan().problems
    assert "too long for Windows" in problem


def test_two_installations_at_once_are_refused(environment):
    made = environment([LACKING])
    made.packaging.busy = True
    assert failure(made).code == "busy" and made.questions == []


def test_without_a_window_the_plan_is_one_question():
    asked = []
    plan = module.InstallationPlan(("a",), (), False, ("Into: x",), ())
    assert Question(lambda text: asked.append(text) or True).ask(plan)
    assert "Into: x" in asked[0] and asked[0].endswith("Install them now?")
