"""Test host for the Slicer module: real MRML (slicer-core), real Qt (PySide6), small strict doubles for the rest.

`from host import start` starts it once per process; see README.md in this folder for what it shows and what it cannot.
"""

import importlib.util
import os
import subprocess
import sys

PACKAGES = {"slicer_core": "slicer-core", "PySide6": "PySide6-Essentials"}
PROBE = """
from PySide6 import QtWidgets
application = QtWidgets.QApplication([])
import slicer, vtk
window = vtk.vtkRenderWindow()
window.SetOffScreenRendering(1)
window.Render()
"""


def missing() -> str:
    """Return why the host cannot run in this environment, or an empty text."""
    absent = [name for package, name in PACKAGES.items() if importlib.util.find_spec(package) is None]
    if absent:
        return f"needs {' and '.join(absent)}"
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    # In a process of its own: Qt and VTK abort the process when a system library or a driver is missing.
    result = subprocess.run([sys.executable, "-c", PROBE], env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        return f"cannot start Qt or draw: {lines[-1]}"
    return ""


def start():
    """Start the application objects once per process and return the session: see session.Session."""
    from host.session import session

    return session()
