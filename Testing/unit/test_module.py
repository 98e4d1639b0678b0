"""The Slicer module loads and its logic works, with small stand-ins for Slicer's own modules."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

MODULE = Path(__file__).resolve().parents[2] / "GBMResponse"

# Strict: whatever the module uses of Slicer must be named here, everything else raises AttributeError.
STAND_INS = """
import os, sys, types, unittest
from types import SimpleNamespace

def add(name, **attributes):
    sys.modules[name] = module = types.ModuleType(name)
    vars(module).update(attributes)
    return module

class Layout:
    def __init__(self): self.widgets, self.stretches = [], 0
    def addWidget(self, widget): self.widgets.append(widget)
    def addStretch(self, stretch): self.stretches += 1

class Label:
    __slots__ = ("text", "wordWrap", "textFormat")
    def __init__(self, text): self.text = text
    def setTextInteractionFlags(self, flags): assert flags == 1

class Edit:
    __slots__ = ("text", "readOnly")
    def __init__(self, text): self.text = text

class ScriptedLoadableModule:
    def __init__(self, parent): self.parent = parent
class ScriptedLoadableModuleWidget:
    def __init__(self, parent=None): self.layout = Layout()
    def setup(self): pass
class ScriptedLoadableModuleLogic:
    def __init__(self): pass
class ScriptedLoadableModuleTest(unittest.TestCase):
    pass

cleared = []
qt = add("qt", QLabel=Label, QPlainTextEdit=Edit, Qt=SimpleNamespace(TextSelectableByMouse=1, PlainText=0))
slicer = add("slicer", mrmlScene=SimpleNamespace(Clear=lambda: cleared.append(True)))
slicer.__path__ = []
add("slicer.i18n", tr=lambda text: text, translate=lambda context, text: text)
bases = (
    ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic, ScriptedLoadableModuleTest
)
add("slicer.ScriptedLoadableModule", **{base.__name__: base for base in bases})
sys.path.insert(0, os.environ["MODULE_FOLDER"])
before = set(sys.modules)
import GBMResponse
loaded = set(sys.modules) - before
"""


def run_in_stand_in(code: str) -> str:
    """Run code in a fresh interpreter after the module was imported there, with warnings as errors."""
    script = STAND_INS + textwrap.dedent(code)
    result = subprocess.run(
        [sys.executable, "-I", "-B", "-W", "error", "-X", "utf8", "-c", script],
        env={**os.environ, "MODULE_FOLDER": str(MODULE)},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_metadata_is_complete():
    run_in_stand_in(
        """
        parent = SimpleNamespace()
        GBMResponse.GBMResponse(parent)
        for name in ("title", "categories", "contributors", "helpText", "acknowledgementText"):
            assert getattr(parent, name), name
        assert parent.categories == ["Image Synthesis"]
        assert parent.dependencies == []
        assert "Research use only" in parent.helpText and "synthetic" in parent.helpText
        assert "10.1007/978-3-032-05472-2_18" in parent.acknowledgementText
        """
    )


def test_import_loads_no_package_that_slicer_does_not_need():
    run_in_stand_in(
        """
        top = {name.split(".")[0] for name in loaded}
        assert not top & {"torch", "diffusers", "monai", "numpy", "SimpleITK", "GBMResponseCore"}, top
        """
    )


def test_panel_states_the_warning_and_the_command():
    run_in_stand_in(
        """
        widget = GBMResponse.GBMResponseWidget()
        widget.setup()
        text = "\\n".join(item.text for item in widget.layout.widgets)
        assert "Research use only" in text and "synthetic" in text
        assert "-m GBMResponseCore predict --image " in text
        assert "slicer.packaging.pip_ensure" in text
        assert widget.layout.stretches == 1
        assert all(edit.readOnly for edit in widget.layout.widgets if isinstance(edit, Edit))
        image, gtv = widget.logic.sampleCasePaths()
        assert image.name in text and gtv.name in text and str(image.parent) in text
        code = next(item.text for item in widget.layout.widgets if "pip_ensure" in item.text)
        compile(code, "console", "exec")
        """
    )


def test_panel_names_the_models_or_says_that_there_are_none():
    run_in_stand_in(
        """
        import tempfile
        from pathlib import Path
        for names, expected in (["model-b", "model-a"], "model-a, model-b"), ([], "No model was found in"):
            with tempfile.TemporaryDirectory() as folder:
                for name in names:
                    Path(folder, name).mkdir()
                    Path(folder, name, "bundle.json").write_text("{}")
                GBMResponse.GBMResponseLogic.modelsFolder = lambda self, folder=folder: Path(folder)
                widget = GBMResponse.GBMResponseWidget()
                widget.setup()
                assert any(expected in item.text for item in widget.layout.widgets)
        """
    )


def test_command_text_can_be_pasted_into_a_shell():
    run_in_stand_in(
        """
        import shlex
        logic = GBMResponse.GBMResponseLogic()
        change, command = logic.commandText("my pre.nii.gz", "gtv.nrrd", "out").splitlines()
        assert change.startswith("cd ")
        if os.name != "nt":
            assert shlex.split(command) == logic.commandLine("my pre.nii.gz", "gtv.nrrd", "out")
        """
    )


def test_tests_of_the_module_pass():
    run_in_stand_in(
        """
        GBMResponse.GBMResponseTest().runTest()
        assert len(cleared) == 3
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(GBMResponse.GBMResponseTest)
        assert suite.countTestCases() == 3
        """
    )
