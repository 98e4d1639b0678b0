"""Installing packages from the panel: a plan first, one at a time, locked, and every end is a sentence."""

from types import SimpleNamespace

import pytest
import qt
import slicer
from GBMResponseLib.common.QtTimers import startTimer
from GBMResponseLib.panel.InstallationDialog import InstallationDialog

from host.panel_driver import snapshot


@pytest.fixture
def lacking(ready, monkeypatch):
    """The panel in a Slicer without the packages; `packaging.install` says what pip does."""
    dependencies = ready.widget.logic.engine.dependencies
    copied = []
    guide = InstallationDialog(copied.append)
    there = set()
    packaging = SimpleNamespace(
        load_requirements=lambda path: ["diffusers>=0.32"],
        pip_check=lambda requirements: set(requirements) <= {f"torch{torch}" for torch in (">=2.6",)} | there,
        isPipInstallInProgress=lambda: False,
        install=lambda: there.add("diffusers>=0.32"),
    )

    def ensure(requirements, **options):
        print("Collecting diffusers")
        packaging.install()

    packaging.pip_ensure = ensure
    monkeypatch.setattr(dependencies, "_packaging", packaging)
    monkeypatch.setattr(dependencies, "guide", guide)
    return SimpleNamespace(dependencies=dependencies, packaging=packaging, guide=guide, copied=copied, there=there)


def answer(lacking, button: str) -> None:
    """Click a button of the dialog as soon as it is open; modal dialogs run their own event loop."""
    startTimer(50, lambda: getattr(lacking.guide, button).click())


def buttons(dialog) -> list[str]:
    return [button.text for button in dialog.findChildren(qt.QPushButton)]


def test_the_dialog_shows_the_plan_and_no_installs_nothing(ready, lacking):
    before, texts = snapshot(), []
    lacking.packaging.install = lambda: texts.append("installed")

    def decline():
        texts.append(lacking.guide._label.text)
        assert buttons(lacking.guide._dialog) == ["Copy diagnostics", "Not now", "Install"]
        assert all(button.toolTip for button in lacking.guide._dialog.findChildren(qt.QPushButton))
        lacking.guide._cancelButton.click()

    startTimer(50, decline)
    ready.predict()
    assert len(texts) == 1 and "diffusers>=0.32" in texts[0] and "Free disk space" in texts[0]
    assert "Slicer 5.12 revision" in texts[0]
    assert "were not installed" in ready.status and not ready.controller.isActive
    assert ready.ui.failureButton.isVisibleTo(ready.ui.predictPage)
    assert snapshot() == before


def test_while_it_installs_no_second_one_begins_and_the_window_stays(ready, lacking):
    seen = {}

    def install():
        seen["modal"] = lacking.guide._dialog.isModal() and lacking.guide._dialog.isVisible()
        lacking.guide._dialog.reject()  # Escape
        ready.session.spin(0.05)
        seen["stays"] = lacking.guide._dialog.isVisible()
        seen["button"] = ready.ui.predictButton.enabled
        ready.widget.panel.onPredictButton()  # a click that came through
        seen["sentence"] = ready.status
        seen["log"] = lacking.guide._log.toPlainText()
        raise RuntimeError("no network")

    lacking.packaging.install = install
    answer(lacking, "_installButton")
    ready.widget.panel.onPredictButton()
    assert seen == {
        "modal": True, "stays": True, "button": False, "sentence": "", "log": "Collecting diffusers"
    }  # fmt: skip
    assert "could not be installed" in ready.status and "no network" in ready.ui.logEdit.toPlainText()
    assert ready.ui.predictButton.enabled and not ready.controller.isInstalling


@pytest.mark.parametrize("what", ["scene", "segment"])
def test_inputs_that_went_while_it_installed_are_not_predicted(ready, case, lacking, what):
    def install():
        if what == "scene":
            slicer.mrmlScene.Clear(False)
        else:
            case.segmentation.GetSegmentation().RemoveSegment(case.segmentID)
        lacking.there.add("diffusers>=0.32")

    lacking.packaging.install = install
    answer(lacking, "_installButton")
    ready.predict()
    assert "inputs changed" in ready.status and not ready.controller.isActive
    assert ready.controller.run is None or not ready.controller.run.isActive


def test_after_the_installation_the_prediction_begins(ready, lacking):
    answer(lacking, "_installButton")
    ready.predict()
    assert ready.controller.isActive
    ready.wait()
    assert ready.controller.run.state.name == "done", ready.status


def test_an_unknown_error_of_an_installer_is_a_sentence(ready, lacking):
    def install():
        raise AttributeError("installTorch")

    lacking.packaging.install = install
    answer(lacking, "_installButton")
    ready.predict()
    assert "could not be installed" in ready.status
    ready.ui.failureButton.click()
    assert ready.status == "Copied to the clipboard."


def test_the_dialog_copies_diagnostics(ready, lacking):
    def copy():
        lacking.guide._dialog.findChildren(qt.QPushButton)[0].click()
        lacking.guide._cancelButton.click()

    startTimer(50, copy)
    ready.predict()
    (text,) = lacking.copied
    assert "PyTorch " in text and "Memory: " in text and "NVIDIA: " in text and "diffusers" in text


def test_the_extension_is_installed_by_slicers_own_manager(ready, lacking, monkeypatch):
    calls = []
    model = SimpleNamespace(
        interactive=True,
        setInteractive=lambda value: calls.append(("interactive", value)),
        installExtensionFromServer=lambda name, restart: calls.append((name, restart)) or True,
    )
    monkeypatch.setattr(type(slicer.app), "extensionsManagerModel", lambda self: model, raising=False)
    monkeypatch.setattr(lacking.dependencies, "_findSpec", lambda name: None)
    monkeypatch.setattr(lacking.packaging, "pip_check", lambda requirements: False)
    texts = []

    def accept():
        texts.append(lacking.guide._installButton.text)
        lacking.guide._installButton.click()

    startTimer(50, accept)
    ready.predict()
    assert texts == ["Install PyTorch extension"]
    assert calls == [("interactive", False), ("PyTorch", False), ("interactive", True)]
    assert "Restart Slicer" in ready.status


def test_without_a_main_window_it_is_one_question(session, driver, layout):
    from GBMResponseLib.worker.DependencyInstaller import Question

    import GBMResponse

    assert isinstance(GBMResponse.installationGuide(), InstallationDialog)
    session.useNoMainWindow()
    assert isinstance(GBMResponse.installationGuide(), Question)
    session.useMainWindow()
