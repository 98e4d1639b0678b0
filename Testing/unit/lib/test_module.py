"""The Slicer module file loads in any Slicer, with small stand-ins for Slicer's own modules.

What the module does is tested on the test host (Testing/host).
"""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

MODULE = Path(__file__).resolve().parents[3] / "GBMResponse"

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
    __slots__ = ("text", "wordWrap")
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
class VTKObservationMixin:
    def __init__(self): pass

connected = []
app = SimpleNamespace(connect=lambda *arguments: connected.append(arguments), majorVersion=5, minorVersion=10)
add("qt", QLabel=Label)
add("vtk")
slicer = add("slicer", app=app)
slicer.__path__ = []
add("slicer.i18n", tr=lambda text: text, translate=lambda context, text: text)
add("slicer.util", VTKObservationMixin=VTKObservationMixin)
bases = (
    ScriptedLoadableModule, ScriptedLoadableModuleWidget, ScriptedLoadableModuleLogic, ScriptedLoadableModuleTest
)
add("slicer.ScriptedLoadableModule", **{base.__name__: base for base in bases})
sys.path.insert(0, os.environ["MODULE_FOLDER"])
before = set(sys.modules)
import GBMResponse
loaded = set(sys.modules) - before
"""


def run_in_stand_in(code: str) -> None:
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


def test_import_loads_nothing_but_the_file():
    run_in_stand_in(
        """
        top = {name.split(".")[0] for name in loaded}
        assert not top & {"torch", "diffusers", "monai", "numpy", "SimpleITK", "GBMResponseCore", "GBMResponseLib"}, top
        """
    )


def test_constructor_only_waits_for_the_end_of_the_start():
    run_in_stand_in(
        """
        GBMResponse.GBMResponse(SimpleNamespace())
        assert connected == [("startupCompleted()", GBMResponse.onStartupCompleted)]
        """
    )


def test_old_slicer_shows_one_clear_sentence():
    run_in_stand_in(
        """
        widget = GBMResponse.GBMResponseWidget()
        widget.setup()
        (label,) = widget.layout.widgets
        assert "needs 3D Slicer 5.12" in label.text and "this is 5.10" in label.text
        widget.enter(); widget.exit(); widget.cleanup()
        """
    )


def test_only_a_slicer_that_is_too_old_is_told_so():
    run_in_stand_in(
        """
        for version, works in (((5, 10), False), ((4, 13), False), ((5, 12), True), ((6, 0), True)):
            app.majorVersion, app.minorVersion = version
            assert (GBMResponse.slicerProblem() == "") == works, version
        """
    )


def test_old_slicer_registers_nothing():
    run_in_stand_in(
        """
        GBMResponse.onStartupCompleted()
        assert "SampleData" not in sys.modules
        """
    )


def test_logic_refuses_an_old_slicer():
    run_in_stand_in(
        """
        app.slicerHome = "home"
        try:
            GBMResponse.GBMResponseLogic().predict(None, None, "")
        except Exception as error:
            assert error.code == "slicer-too-old" and "needs 3D Slicer 5.12" in str(error)
        else:
            raise AssertionError("it began")
        """
    )
