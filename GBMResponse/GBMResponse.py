"""GBMResponse module of 3D Slicer: says how to predict from the command line and where the sample case is."""

import os
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _
from slicer.i18n import translate
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)


class GBMResponse(ScriptedLoadableModule):
    """What the module selector and the help section show."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = _("GBM Response")
        self.parent.categories = [translate("qSlicerAbstractCoreModule", "Image Synthesis")]
        self.parent.dependencies = []
        self.parent.contributors = ["GBMResponse contributors"]
        self.parent.helpText = _(
            "Predicts how the T1-Gd MRI of an adult with glioblastoma may look after radiotherapy, from the MRI before"
            " radiotherapy and the gross tumor volume (GTV), with a latent diffusion model."
            " The predicted images are synthetic. Research use only: not a medical device."
        )
        self.parent.acknowledgementText = _(
            "The method follows Leclercq et al., Pre to Post-Treatment Glioblastoma MRI Prediction using a Latent"
            " Diffusion Model, DGM4MICCAI 2025, doi:10.1007/978-3-032-05472-2_18."
            " The sample case comes from the Brain-Tumor-Progression collection of The Cancer Imaging Archive"
            " (Schmainda and Prah, 2018, doi:10.7937/K9/TCIA.2018.15quzvnb, CC BY 3.0), modified."
        )


class GBMResponseWidget(ScriptedLoadableModuleWidget):
    """A panel of plain text: what this release does and the commands that do it."""

    def setup(self) -> None:
        """Called when the user opens the module for the first time."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = GBMResponseLogic()

        self._addText(
            _("Research use only. Every predicted image is synthetic: it must not be used for clinical decisions.")
        )
        self._addText(
            _(
                "This release predicts from the command line. The panel that predicts inside Slicer comes with the"
                " next release."
            )
        )

        self._addText(
            _(
                "Once, before the first prediction: install PyTorch with the module PyTorch Utils, then install the"
                " other packages by running these lines in the Python console of Slicer:"
            )
        )
        self._addCommand(self.logic.installationCode())

        self._addText(_("Predict the sample case by running these lines in a terminal:"))
        imagePath, gtvPath = self.logic.sampleCasePaths()
        self._addCommand(self.logic.commandText(imagePath, gtvPath, Path.home() / "GBMResponse-output"))
        self._addText(
            _(
                "For your own case, replace the two files by the T1-Gd volume before radiotherapy and a labelmap of the"
                " GTV, for example in NIfTI or NRRD format, and choose another output folder."
            )
        )

        bundleNames = [path.name for path in self.logic.bundlePaths()]
        if bundleNames:
            self._addText(_("Models in this installation: {names}").format(names=", ".join(bundleNames)))
        else:
            self._addText(_("No model was found in {folder}").format(folder=self.logic.modelsFolder()))
        self._addText(_("Sample case and its source: {folder}").format(folder=imagePath.parent))

        self.layout.addStretch(1)

    def _addText(self, text: str) -> None:
        label = qt.QLabel(text)
        label.wordWrap = True
        label.textFormat = qt.Qt.PlainText
        label.setTextInteractionFlags(qt.Qt.TextSelectableByMouse)
        self.layout.addWidget(label)

    def _addCommand(self, text: str) -> None:
        edit = qt.QPlainTextEdit(text)
        edit.readOnly = True
        self.layout.addWidget(edit)


class GBMResponseLogic(ScriptedLoadableModuleLogic):
    """Finds the bundled models and builds the command that predicts. Works without a panel."""

    def __init__(self) -> None:
        ScriptedLoadableModuleLogic.__init__(self)
        self.moduleFolder = Path(__file__).resolve().parent

    def modelsFolder(self) -> Path:
        """Return the folder that holds the bundled models."""
        return self.moduleFolder / "Resources" / "Models"

    def bundlePaths(self, folder=None) -> list[Path]:
        """List the model bundles: the folders that contain bundle.json, sorted by name.

        :param folder: where to look; the bundled models when omitted.
        """
        folder = Path(folder) if folder else self.modelsFolder()
        return sorted(path.parent for path in folder.glob("*/bundle.json"))

    def sampleCasePaths(self) -> tuple[Path, Path]:
        """Return the pre-treatment volume and the GTV of the sample case."""
        folder = self.moduleFolder / "Resources" / "SampleData"
        return folder / "btp05_pre_t1gd.nii.gz", folder / "btp05_pre_gtv.nii.gz"

    def commandLine(self, imagePath, gtvPath, outputFolder) -> list[str]:
        """Build the argument list that predicts one case, to be run with the module folder as working folder.

        :param imagePath: T1-Gd volume before radiotherapy.
        :param gtvPath: labelmap of the gross tumor volume.
        :param outputFolder: folder that receives the results.
        :returns: program and arguments, with absolute paths.
        """
        command = [shutil.which("PythonSlicer") or "PythonSlicer", "-m", "GBMResponseCore", "predict"]
        for option, path in (("--image", imagePath), ("--gtv", gtvPath), ("--out", outputFolder)):
            command += [option, str(Path(path).absolute())]
        return command

    def commandText(self, imagePath, gtvPath, outputFolder) -> str:
        """Return the lines that do the same in a terminal: cmd.exe on Windows, otherwise a POSIX shell."""
        command = self.commandLine(imagePath, gtvPath, outputFolder)
        if os.name == "nt":
            return f'cd /d "{self.moduleFolder}"\n{subprocess.list2cmdline(command)}'
        return f"cd {shlex.quote(str(self.moduleFolder))}\n{shlex.join(command)}"

    def installationCode(self) -> str:
        """Return the lines for the Python console that install the required packages, after asking."""
        requirementsPath = str(self.moduleFolder / "Resources" / "requirements.txt")
        return (
            "import slicer.packaging\n"
            f"requirements = slicer.packaging.load_requirements({requirementsPath!r})\n"
            'slicer.packaging.pip_ensure(requirements, requester="GBMResponse")'
        )


class GBMResponseTest(ScriptedLoadableModuleTest):
    """Checks of the logic that run inside Slicer, from Reload and Test or ctest."""

    def setUp(self) -> None:
        """Start from an empty scene."""
        slicer.mrmlScene.Clear()

    def runTest(self) -> None:
        """Run all checks."""
        for check in (self.test_bundlePaths, self.test_commandLine, self.test_sampleCase):
            self.setUp()
            check()

    def test_bundlePaths(self) -> None:
        """Only folders with bundle.json are bundles."""
        with tempfile.TemporaryDirectory() as folder:
            for name in ("b", "a", "not-a-bundle"):
                Path(folder, name).mkdir()
            for name in ("b", "a"):
                Path(folder, name, "bundle.json").write_text("{}", encoding="utf-8")
            self.assertEqual([path.name for path in GBMResponseLogic().bundlePaths(folder)], ["a", "b"])
            self.assertEqual(GBMResponseLogic().bundlePaths(Path(folder, "a")), [])

    def test_commandLine(self) -> None:
        """Every path is one absolute argument, also with spaces and non-ASCII letters."""
        command = GBMResponseLogic().commandLine("pre é.nii.gz", "my gtv.nrrd", "out")
        self.assertEqual(command[1:4], ["-m", "GBMResponseCore", "predict"])
        self.assertEqual(command[4::2], ["--image", "--gtv", "--out"])
        self.assertEqual([Path(path).name for path in command[5::2]], ["pre é.nii.gz", "my gtv.nrrd", "out"])
        self.assertTrue(all(Path(path).is_absolute() for path in command[5::2]))

    def test_sampleCase(self) -> None:
        """The sample case and the engine are where the commands expect them."""
        logic = GBMResponseLogic()
        self.assertTrue(all(path.is_file() for path in logic.sampleCasePaths()))
        self.assertTrue((logic.moduleFolder / "GBMResponseCore" / "__init__.py").is_file())
