"""Write Resources/Screenshots from the bundled sample case, on the test host. Axial views only: no face can be seen.

python Testing/tools/make_screenshots.py [--out FOLDER]

The views are drawn by Slicer's own logic and displayable managers; the widgets are Qt's, in the look of the host, with
doubles of Slicer's. In Slicer the panel has Slicer's style.
"""

import argparse
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "GBMResponse"), str(ROOT), str(ROOT / "Testing")]

import host  # noqa: E402

SIZE = (1440, 900)
PANEL_WIDTH = 520
BATCH_FILES = ("t1gd.nii.gz", "gtv.nii.gz")
ONE_AXIAL_VIEW = 6  # vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView


class Camera:
    """A window with the panel and the views, and the sample case in it."""

    def __init__(self, out: Path):
        from host.panel_driver import PanelDriver

        self.out = out
        self.session = host.start()
        self.layout = self.session.useMainWindow()
        self.layout.setLayout(ONE_AXIAL_VIEW)
        self.driver = PanelDriver(self.session)
        self.window = self.session.window(self.driver.widget, SIZE)

    def hideDuration(self) -> None:
        """How long it took on the computer that makes the pictures tells nobody anything."""
        if self.driver.status.startswith("Done in"):
            self.driver.widget.panel.say("Done. The images are synthetic.")

    def shoot(self, name: str) -> None:
        self.hideDuration()
        path = self.session.screenshot(self.window, self.out / f"{name}.png")
        Image.open(path).convert("RGB").quantize(256).save(
            path, optimize=True
        )  # a third of the size, the same to the eye
        print(self.out / f"{name}.png")

    def loadSample(self) -> None:
        import SampleData
        import slicer

        volume, segmentation, self.followUp = SampleData.SampleDataLogic().downloadSamples("GBMResponseBTP05")
        segmentID = segmentation.GetSegmentation().GetNthSegmentID(0)
        self.case = SimpleNamespace(volume=volume, segmentation=segmentation, segmentID=segmentID)
        segmentation.GetDisplayNode().SetVisibility2DFill(False)
        slicer.util.setSliceViewerLayers(background=volume, fit=True)
        center = segmentation.GetSegmentCenterRAS(segmentID)
        slicer.vtkMRMLSliceNode.JumpAllSlices(slicer.mrmlScene, *center, 1)

    def shootWhatIf(self) -> None:
        driver, ui = self.driver, self.driver.ui
        for section in (ui.inputsSection, ui.modelSection, ui.survivalSection):
            section.collapsed = True
        asked = []
        driver.widget.logic.engine.whatIf.answered.connect(lambda wish, path, seconds: asked.append(wish))
        ui.whatIfWeightSlider.value = 0.2
        driver.session.until(lambda: asked, 300)
        self.shoot("what-if")
        driver.click("whatIfCloseButton")
        for section in (ui.inputsSection, ui.modelSection, ui.survivalSection):
            section.collapsed = False

    def shootBatch(self) -> None:
        """A batch of cases that are done, failed, unusable, running and waiting, and one of them in the scene."""
        driver, ui = self.driver, self.driver.ui
        image, gtv = (ROOT / "GBMResponse" / "Resources" / "SampleData" / f"btp05_pre_{name}" for name in BATCH_FILES)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name, "results")
            lines = ["id,image,gtv,unusable,found"]
            lines += [f"patient{number:02d},{image},{gtv},,2 volumes; visits: t0" for number in (1, 2, 4, 5, 6, 7)]
            lines.insert(3, 'patient03,,,"2 volumes could be the T1-Gd: t1gd.nii.gz, t1gd_2.nii.gz.",3 volumes')
            lines[2] = lines[2].replace("pre_gtv", "gone")
            table = Path(name, "glioblastoma.csv")
            table.write_text("\n".join(lines) + "\n", encoding="utf-8")
            driver.widget.batchPanel._asks = {"table": lambda: str(table), "out": lambda: str(folder)}
            ui.tabWidget.currentIndex = 2
            ui.batchTableButton.click()
            ui.batchOutButton.click()
            ui.batchStartButton.click()
            cases, batch = driver.widget.batchPanel.cases.all, driver.widget.logic.engine.batch
            driver.session.until(lambda: cases[3].details.endswith("%") or not batch.kind, 600)
            ui.batchCasesTable.setCurrentCell(0, 0)
            ui.batchOpenButton.click()
            driver.session.until(lambda: "is shown" in ui.batchStatusLabel.text, 300)
            ui.batchCasesTable.item(0, 2).setText("without class")  # as hideDuration
            ui.batchProgressLabel.text = ui.batchProgressLabel.text.rpartition(",")[0]
            self.shoot("batch")
            picture = self.out / "batch.png"
            Image.open(picture).crop((0, 0, PANEL_WIDTH, SIZE[1])).save(picture, optimize=True)
            batch.close()

    def shootScore(self) -> None:
        """The scores of the run that is shown."""
        driver, ui = self.driver, self.driver.ui
        scoring = driver.widget.logic.engine.scoring
        ui.scoringFollowUpSelector.setCurrentNode(self.followUp)
        driver.click("scoringButton")
        driver.session.until(lambda: not scoring.isActive, 300)
        ui.scoringSection.collapsed, ui.whatIfSection.collapsed = False, True
        area = self.window.layout().itemAt(0).widget()
        self.session.spin(0.2)  # the section gets its place
        area.ensureWidgetVisible(ui.saveButton)
        self.shoot("score")
        ui.scoringSection.collapsed, ui.whatIfSection.collapsed = True, False
        self.session.spin(0.2)
        area.ensureWidgetVisible(ui.bannerLabel)

    def chooseInputs(self, **values) -> None:
        self.driver.widget.initializeParameterNode()
        self.driver.settle()
        for name, value in values.items():
            setattr(self.driver.parameters, name, value)
        self.driver.settle()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "Resources" / "Screenshots")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    camera = Camera(out)
    from GBMResponseLib.settings.Choices import ClassMode

    driver, ui = camera.driver, camera.driver.ui
    camera.loadSample()
    camera.chooseInputs(samples=4, followUpVolume=camera.followUp)
    camera.shoot("inputs")
    driver.predict()
    driver.session.until(lambda: "sample" in driver.controller.progress.details or not driver.controller.isActive, 600)
    camera.shoot("running")
    driver.wait()
    camera.shoot("result")
    camera.shootScore()
    camera.shootWhatIf()
    camera.chooseInputs(samples=1, followUpVolume=None, classMode=ClassMode.compareAll)
    driver.run()
    camera.shoot("classes")
    ui.tabWidget.currentIndex = 1
    reader = driver.widget.readerPanel
    with tempfile.TemporaryDirectory() as folder:
        reader._askScoresFile = lambda: str(Path(folder, "scores.csv"))
        ui.readerFileButton.click()
        ui.readerNameEdit.text = "Reader 1"
        ui.readerStartButton.click()
        camera.shoot("reader-study")
        reader.close()
    camera.chooseInputs(classMode=ClassMode.auto)
    camera.shootBatch()
    driver.close()
    return 1 if driver.session.errors else 0


if __name__ == "__main__":
    sys.exit(main())
