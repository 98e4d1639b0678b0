"""Test host for the Slicer module: real MRML (slicer-core), real Qt (PySide6), small strict doubles for the rest.

`from host import start` starts it once per process; see README.md in this folder for what it shows and what it cannot.
"""

import importlib.util
import os
import subprocess
import sys

PACKAGES = {"slicer_core": "slicer-core", "PySide6": "PySide6-Essentials"}


def missing() -> str:
    """Return why the host cannot run in this environment, or an empty text."""
    absent = [name for package, name in PACKAGES.items() if importlib.util.find_spec(package) is None]
    if absent:
        return f"needs {' and '.join(absent)}"
    code = "from PySide6 import QtWidgets; QtWidgets.QApplication([]); import slicer"
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    # In a process of its own: Qt aborts the process when a system library of the platform plugin is missing.
    result = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        lines = result.stderr.strip().splitlines() or [f"exit code {result.returncode}"]
        return f"Qt or slicer-core cannot start: {lines[-1]}"
    return ""


def start():
    """Start the application objects once per process and return the session: see session.Session."""
    from host.session import session

    return session()
