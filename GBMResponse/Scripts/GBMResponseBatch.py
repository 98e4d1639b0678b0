"""Predict all cases of a table with 3D Slicer's Python, without a main window and without a question to the user.

    Slicer --no-splash --no-main-window --python-script GBMResponseBatch.py --cases cases.csv --out DIR

It also runs under any other Python that has the packages. Options it does not know go to `gbmresponse cohort`, which
does the work in a process of its own: PyTorch is never loaded into Slicer. It installs nothing. Exit codes are those of
`gbmresponse`: 0 all cases succeeded, 3 some failed (see summary.csv), 2 wrong usage.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

try:
    from slicer import app as slicerApp  # only inside the application; PythonSlicer has the package without it
    from slicer.util import exit as leaveSlicer
except ImportError:
    slicerApp = leaveSlicer = None

NO_PYTHON = 1


def main(argv):
    """Run the batch and print its progress; returns the exit code."""
    parser = argparse.ArgumentParser(prog="GBMResponseBatch.py", description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cases", required=True, help="CSV with the columns id, image, gtv, follow_up, class")
    parser.add_argument("--out", required=True, help="output folder")
    try:
        arguments, others = parser.parse_known_args(argv)
    except SystemExit as stop:  # argparse has said why; Slicer must end with this code, too
        return stop.code
    python = pythonExecutable()
    if python is None:
        print("PythonSlicer was not found beside Slicer: install Slicer again.", file=sys.stderr)
        return NO_PYTHON
    command = [python, "-m", "GBMResponseCore", "cohort", arguments.cases, "--out", arguments.out, *others]
    return runAndPrint(command)


def pythonExecutable():
    """Slicer's own Python interpreter, or the one that runs this script; None if Slicer has lost it."""
    return sys.executable if slicerApp is None else shutil.which("PythonSlicer")


def runAndPrint(command):
    """Run a command and print each of its lines as it comes; returns its exit code."""
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    from GBMResponseCore.model.environment import search_path

    process = subprocess.Popen(
        command,
        env=os.environ | {"PYTHONPATH": search_path(), "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
    )
    try:
        for line in process.stdout:
            print(line, end="", flush=True)
        return process.wait()
    finally:
        if process.poll() is None:  # interrupted: finished slices are kept, the same command continues
            process.terminate()
            process.wait()


def leave(code):
    """End the application, or this Python, with an exit code."""
    if slicerApp is None:
        sys.exit(code)
    leaveSlicer(code)


if __name__ == "__main__":
    leave(main(sys.argv[1:]))
