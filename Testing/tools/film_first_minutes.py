"""Film the first minutes of a new user on the test host: Resources/Screenshots/first-minutes.png, one frame per step.

    python Testing/tools/film_first_minutes.py [--out FOLDER]

No torch, the installation declined, then done, a prediction, a second one beside it, the scene closed and opened again.
What is installed is pretended: the packages are there, and the frames show the dialog as it is.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from make_screenshots import ROOT, SIZE, Camera
from PIL import Image, ImageDraw, ImageFont

COLUMNS, SCALE = 2, 0.45
PACKAGE = "diffusers>=0.32"
PLACE = "/opt/Slicer-5.12.4-linux-amd64/lib/Python/lib/python3.12/site-packages"


class Film:
    """Frames with captions, put together on one sheet."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.camera = Camera(folder)
        self.driver = self.camera.driver
        self.frames = []
        self.installed = set()

    def frame(self, caption: str, dialog=None) -> None:
        self.camera.hideDuration()
        path = self.camera.session.screenshot(self.camera.window, self.folder / f"{len(self.frames)}.png")
        picture = Image.open(path).convert("RGB")
        if dialog is not None:
            dialog.grab().save(str(path))
            window = Image.open(path).convert("RGB")
            picture.paste(window, ((picture.width - window.width) // 2, (picture.height - window.height) // 2))
        self.frames.append((caption, picture))

    def sheet(self) -> Image.Image:
        width, height, bar = int(SIZE[0] * SCALE), int(SIZE[1] * SCALE), 30
        rows = -(-len(self.frames) // COLUMNS)
        sheet = Image.new("RGB", (COLUMNS * width, rows * (height + bar)), "white")
        font = ImageFont.load_default(18)
        for number, (caption, picture) in enumerate(self.frames):
            place = number % COLUMNS * width, number // COLUMNS * (height + bar)
            ImageDraw.Draw(sheet).text((place[0] + 8, place[1] + 5), f"{number + 1}. {caption}", "black", font)
            sheet.paste(picture.resize((width, height), Image.LANCZOS), (place[0], place[1] + bar))
        return sheet

    def pretendMissing(self) -> None:
        """The packages are missing until the pretended pip installs them."""
        from GBMResponseLib.worker import DependencyInstaller

        DependencyInstaller.sitePackages = lambda: Path(PLACE)
        DependencyInstaller.freeGB = lambda folder: 120.0
        dependencies = self.driver.widget.logic.engine.dependencies
        real = dependencies._packaging

        def install(requirements, **options):
            for line in (f"Collecting {PACKAGE}", "Downloading diffusers-0.42.1-py3-none-any.whl (3.9 MB)"):
                print(line)
            self.frame("It installs: locked, with its log", dependencies.guide._dialog)
            self.installed.add(PACKAGE)

        dependencies._packaging = SimpleNamespace(
            load_requirements=lambda path: [PACKAGE],
            pip_check=lambda wanted: real.pip_check(wanted) and (wanted != [PACKAGE] or PACKAGE in self.installed),
            isPipInstallInProgress=lambda: False,
            pip_ensure=install,
        )

    def press(self, button: str, caption: str) -> None:
        """Predict, and answer the dialog; a frame of it is taken before if there is a caption."""
        from GBMResponseLib.common.QtTimers import startTimer

        guide = self.driver.widget.logic.engine.dependencies.guide

        def answer():
            if caption:
                self.frame(caption, guide._dialog)
            getattr(guide, button).click()

        startTimer(200, answer)
        self.driver.predict()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "Resources" / "Screenshots")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder:
        film = Film(Path(folder))
        run(film, Path(folder))
        film.sheet().quantize(160, Image.Quantize.FASTOCTREE).save(out / "first-minutes.png", optimize=True)
        film.driver.close()
        return 1 if film.camera.session.errors else 0


def run(film: Film, folder: Path) -> None:
    import slicer

    driver, camera = film.driver, film.camera
    driver.widget.initializeParameterNode()
    driver.settle()
    film.frame("An empty scene: the list says what to do")
    camera.loadSample()
    camera.chooseInputs(samples=2)
    film.frame("The sample case: chosen for you, to be checked")
    film.pretendMissing()
    film.press("_cancelButton", "Packages are missing: the plan, before anything is fetched")
    film.frame("Not now: nothing was installed, and it is said")
    film.press("_installButton", "")
    driver.session.until(lambda: "sample" in driver.controller.progress.details or not driver.controller.isActive, 900)
    film.frame("It predicts: the expected image comes first")
    driver.wait()
    film.frame("The result, beside what it came from")
    driver.click("editInputsButton")
    camera.chooseInputs(seed=7)
    driver.run()
    driver.ui.otherRunComboBox.setCurrentIndex(1)
    driver.ui.otherRunComboBox.activated.emit(1)
    film.frame("A second run above the first, and what differs")
    slicer.util.saveScene(str(folder / "scene.mrb"))
    slicer.mrmlScene.Clear(False)
    driver.widget.enter()
    driver.settle()
    film.frame("The scene is saved and closed")
    slicer.util.loadScene(str(folder / "scene.mrb"))
    driver.widget.enter()
    driver.settle()
    film.frame("Opened again: both runs, with their marks")


if __name__ == "__main__":
    sys.exit(main())
