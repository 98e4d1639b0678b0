"""Screenshots of the module in a real 3D Slicer, from the sample case; no patient's face can be seen in axial slices.

    Slicer --no-splash --additional-module-paths GBMResponse --python-script Testing/tools/slicer_screenshots.py FOLDER

Exit code 0 if the sample case was predicted and shown. Run by .github/workflows/slicer.yml.
"""

import sys
import time
from pathlib import Path

import slicer

PATIENCE_S = 900.0


def spin(seconds):
    """Let Slicer draw."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        slicer.app.processEvents()
        time.sleep(0.01)


def shoot(folder, name):
    """Write a picture of the main window."""
    spin(1.0)
    if not slicer.util.mainWindow().grab().save(str(folder / f"{name}.png")):
        raise OSError(f"cannot write {name}.png")


def main(arguments):
    """Load, show, predict, show; returns the exit code."""
    import SampleData

    folder = Path(arguments[0])
    folder.mkdir(parents=True, exist_ok=True)
    slicer.util.mainWindow().resize(1440, 900)
    SampleData.SampleDataLogic().downloadSamples("GBMResponseBTP05")
    slicer.util.selectModule("GBMResponse")
    shoot(folder, "slicer-inputs")
    widget = slicer.modules.GBMResponseWidget
    widget.ui.predictButton.click()
    controller = widget.logic.engine.controller
    end = time.monotonic() + PATIENCE_S
    while controller.isActive and time.monotonic() < end:
        spin(0.05)
    shoot(folder, "slicer-result")
    run = controller.run
    if run is None or run.nodes is None:
        print(widget.ui.statusLabel.text, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    try:
        code = main(sys.argv[1:])
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        code = 1
    slicer.util.exit(code)
