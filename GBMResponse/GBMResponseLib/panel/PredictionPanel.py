"""What the user sees and touches: connects the widgets of the panel with the logic. Holds no computation."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import qt

from ..common.Failure import Failure, anyError
from ..common.ProblemStyle import setProblem
from ..common.QtTimers import Turns, startTimer
from ..common.Steps import Later
from ..common.Translation import tr as _
from ..inputs.InputFacts import PredictionInputs
from ..inputs.InputFindings import Finding, InputFindings, Severity
from ..inputs.InputFixes import InputFixes
from ..inputs.InputInspector import InputInspector
from ..model.ModelDescription import ModelDescription
from ..run.PredictionRun import PredictionRun, RunState
from ..run.ProgressText import ProgressState
from ..settings.PredictionSettings import PredictionSettings
from .Diagnostics import diagnosticsText
from .FindingsList import FindingsList
from .InputsSection import InputsSection
from .ModelSection import ModelSection
from .PreviewStrip import PreviewStrip
from .ResultSection import ResultSection
from .SurvivalSection import SurvivalSection
from .WhatIfSection import WhatIfSection

_INPUT_SECTIONS = ("inputsSection", "modelSection", "survivalSection", "optionsSection", "presetWidget")
_COLLAPSED = ("inputsSection", "modelSection", "survivalSection", "optionsSection")
_REFRESH_MS = 120
_GUARD_MS = 600
"""A double click on Predict must not cancel what its first click began."""


class PredictionPanel:
    """The page *Predict*.

    :param ui: the widgets of GBMResponse.ui by name.
    :param controller: `PredictionController`.
    """

    def __init__(
        self,
        ui: Any,
        controller: Any,
        inspector: InputInspector,
        models: ModelSection,
        results: ResultSection,
        copyText: Callable[[str], None],
    ) -> None:
        self.ui = ui
        self.findings: list[Finding] = []
        self.failure: Failure | None = None
        self.whatIf: WhatIfSection | None = None
        self._controller = controller
        self._inputs = InputsSection(ui, inspector)
        self._judge = InputFindings()
        self._models = models
        self._results = results
        self._copyText = copyText
        self._survival = SurvivalSection(ui)
        self._fixes = InputFixes(lambda: self._parameters, lambda: self._model)
        self._findingsList = FindingsList(ui.findingsWidget, self.applyFix)
        self._preview = PreviewStrip(ui.previewWidget)
        self._parameters: Any = None
        self._model: ModelDescription | Failure | None = None
        self._preset: Any = None
        self._refreshing = Later(startTimer)
        self._turns = Turns()
        self._guardEnd = Later(startTimer)
        self._guarding = self._stops = self._updating = False
        self._connect()

    def setParameters(self, parameters: Any) -> None:
        """Work on these parameters from now on (a `ParameterNode`, already bound to the widgets); None: on nothing."""
        self._parameters = parameters
        self._inputs.setParameters(parameters)
        self._preset = parameters.samplerPreset if parameters is not None else None
        if parameters is None:
            self._refreshing.stop()
            return
        self.refresh()

    def chooseDefaults(self) -> None:
        """Choose the inputs that are clear, to save clicks; shown as chosen for the user."""
        self._inputs.chooseDefaults()

    def refreshLater(self, caller: Any = None, event: Any = None) -> None:
        """Refresh soon; many changes in a row make one refresh."""
        if not self._refreshing.isPending and self._parameters is not None:
            self._refreshing.call(self.refresh, _REFRESH_MS)

    def refresh(self) -> None:
        """Bring the panel in line with the parameters, and judge the inputs."""
        self._refreshing.stop()
        if self._parameters is None or self._updating:
            return
        self._updating = True
        try:
            self._followParameters()
        finally:
            self._updating = False
        self._judgeInputs()
        self._updateButton()

    def inputs(self) -> PredictionInputs:
        """Return the chosen nodes."""
        chosen = self._parameters
        return PredictionInputs(chosen.inputVolume, chosen.gtvSegmentation, chosen.gtvSegmentID, chosen.followUpVolume)

    def applyFix(self, fix: str) -> None:
        """Do what a fix button promises."""
        self._fixes.apply(fix)
        self.refresh()

    def say(self, sentence: str, isProblem: bool = False) -> None:
        """Show a sentence below the button; empty hides it."""
        label = self.ui.statusLabel
        label.text = sentence
        label.visible = bool(sentence)
        setProblem(label, isProblem)
        self.ui.failureButton.visible = isProblem

    def refreshRuns(self) -> None:
        """List the runs of the scene again."""
        self._results.refresh()

    def stopBlinking(self) -> None:
        """The panel is left."""
        self._results.stopBlinking()

    def forgetScene(self) -> None:
        """The scene is closing: let go of its nodes."""
        self._turns.cancel()
        self.whatIf.withdraw()
        self._results.forgetScene()
        self._openInputs()

    def close(self) -> None:
        """Stop timers; the panel is going."""
        self._turns.cancel()
        self._refreshing.stop()
        self._guardEnd.stop()
        self.whatIf.withdraw()
        self._results.close()
        self._models.close()
        self._parameters = None

    def _connect(self) -> None:
        ui = self.ui
        ui.predictButton.connect("clicked()", self.onPredictButton)
        self._shortcut = qt.QShortcut(ui.predictPage)
        self._shortcut.setKey(qt.QKeySequence("Ctrl+Return"))
        self._shortcut.setContext(qt.Qt.WidgetWithChildrenShortcut)
        self._shortcut.connect("activated()", ui.predictButton.click)
        self._inputs.changed.connect(self.refreshLater)
        ui.newSeedButton.connect("clicked()", self._onNewSeed)
        ui.diagnosticsButton.connect("clicked()", self._onDiagnostics)
        ui.editInputsButton.connect("clicked()", self._openInputs)
        ui.failureButton.connect("clicked()", self._onDiagnostics)
        self._models.chosen.connect(self._onModelChosen)
        self._models.said.connect(self.say)
        self._results.said.connect(self.say)
        self._survival.schemeChosen.connect(self._onSchemeChosen)
        self._survival.classChosen.connect(self._onClassChosen)
        controller = self._controller
        controller.progressChanged.connect(self._onProgress)
        controller.previewReady.connect(lambda className, path: self._preview.add(path, className))
        controller.expectedReady.connect(self._onExpected)
        controller.classified.connect(self._survival.showProbabilities)
        controller.warned.connect(self._log)
        controller.logged.connect(self._log)
        controller.finished.connect(self._onFinished)

    def onPredictButton(self) -> None:
        """Begin a prediction; stop or cancel the one that is running."""
        if self._controller.isInstalling:
            return
        if self._controller.isActive:
            if not self._guarding and self._controller.canStop:
                self._controller.stop()
                self.say(_("Stopping: the expected image and the samples that are complete become a result."))
                self._followStop()
            elif not self._guarding:
                self.ui.predictButton.enabled = False
                self.ui.predictButton.text = _("Cancelling...")
                self._controller.cancel()
            return
        self.refresh()
        if not self._blocking():
            self.start(self.inputs(), self._parameters.copy())

    def start(self, inputs: PredictionInputs, settings: PredictionSettings) -> None:
        """Begin a prediction, or say why not."""
        self._turns.finish()
        self.say("")
        self.whatIf.withdraw()
        self.failure = None
        self._preview.clear()
        self._survival.showProbabilities({})
        self.ui.predictButton.enabled = False  # packages may be installed now, which takes minutes
        try:
            with anyError():
                self._controller.start(inputs, settings)
        except Failure as failure:
            self._showFailure(failure)
        else:
            self._guard()
        self._updateButton()

    def _followParameters(self) -> None:
        chosen = self._parameters
        if self._preset is not chosen.samplerPreset:
            self._preset = chosen.samplerPreset
            chosen.samples, chosen.steps = self._preset.samples, PredictionSettings.steps
        if chosen.guidanceScale < 0.0:  # whatever was typed there
            chosen.guidanceScale = PredictionSettings.guidanceScale
        self._inputs.follow()
        self._model = self._models.show(chosen.bundleFolder)
        usable = isinstance(self._model, ModelDescription)
        scheme = chosen.scheme(self._model) if usable else ""
        self._showRecommended(vars(self._model.default_sampling) if usable else {})
        self._survival.show(self._model, chosen.classMode, scheme, chosen.className)
        self.ui.registerCheckBox.enabled = chosen.followUpVolume is not None

    def _showRecommended(self, sampling: dict[str, Any]) -> None:
        """Say in the widgets what their automatic value is with this model and preset."""
        sampling = {**sampling, **self._parameters.samplerPreset.sampling()}
        for spinBox, name in ((self.ui.stepsSpinBox, "steps"), (self.ui.guidanceSpinBox, "guidance_scale")):
            value = sampling.get(name)
            spinBox.specialValueText = _("Automatic") if value is None else _("Automatic ({value})").format(value=value)

    def _judgeInputs(self) -> None:
        facts = self._inputs.facts()
        self.findings = self._judge.findings(facts, self._model, self._parameters)
        self._findingsList.show(self.findings)
        self._inputs.show(facts)

    def _blocking(self) -> list[Finding]:
        return [finding for finding in self.findings if finding.severity is Severity.blocks]

    def _updateButton(self) -> None:
        active = self._controller.isActive or self._controller.isInstalling
        for name in _INPUT_SECTIONS:
            getattr(self.ui, name).enabled = not active
        self.ui.progressWidget.visible = self._controller.isActive
        button = self.ui.predictButton
        if self._controller.isInstalling:
            button.enabled = False
            return
        if active:
            stops = self._controller.canStop
            button.text = _("Stop") if stops else _("Cancel")
            button.enabled = not self._guarding
            button.toolTip = (
                _("Draw no more samples: the expected image and the complete samples become a result.")
                if stops
                else _("End the prediction; slices that are finished are kept for the next one.")
            )
            return
        blocking = self._blocking()
        button.text = _("Predict")
        button.enabled = not blocking
        sentences = [finding.sentence for finding in blocking]
        button.toolTip = "\n".join(sentences) if sentences else _("Predict the MRI after treatment (Ctrl+Return).")

    def _followStop(self) -> None:
        """Where a click would do something else than just before, it does nothing for a while."""
        if self._stops != self._controller.canStop:
            self._stops = self._controller.canStop
            self._guard()
            self._updateButton()

    def _guard(self) -> None:
        self._guarding = True
        self._guardEnd.call(self._endGuard, _GUARD_MS)

    def _endGuard(self) -> None:
        self._guarding = False
        self._updateButton()

    def _onProgress(self, progress: ProgressState) -> None:
        bar = self.ui.progressBar
        bar.setRange(0, 0 if progress.fraction is None else 1000)  # without a range it moves to and fro
        bar.setValue(round(1000 * (progress.fraction or 0.0)))
        self.ui.stageLabel.text = ": ".join(text for text in (progress.stage, progress.details) if text)
        self._followStop()

    def _onExpected(self, className: str, path: str) -> None:
        try:
            self._results.takeExpected(self._controller.run, className, Path(path))
        except Failure as failure:
            self._log(str(failure))
            return
        self._turns.add(self._results.prepareExpected, self._results.showExpected)
        sentences = [_("The expected image is shown. It is an average: it fades what is uncertain.")]
        if self._controller.canStop:
            sentences.append(_("Samples are drawn meanwhile; Stop keeps what is there."))
        self.say(" ".join(sentences))
        self._followStop()

    def _onFinished(self, run: PredictionRun) -> None:
        self._guarding = False
        self._turns.cancel()
        self._preview.clear()
        self.say("")
        if run.state is RunState.failed:
            self._showFailure(run.failure)
        elif run.state is RunState.cancelled:
            self._showCancelled(run)
        else:
            seconds = sum(run.manifest.seconds.values())
            sentence = _("Done in {seconds:.1f} s. The images are synthetic.").format(seconds=seconds)
            self.say("\n".join([sentence, *dict.fromkeys(run.warnings)]))
            self._closeInputs()
            self._results.takeNew(run.nodes, run.manifest)
            shown = (self._results.prepareNew, self._results.showNew, self._results.endPreview)
            self._turns.add(*shown, lambda: self.whatIf.offer(run))
        if run.state is not RunState.done:
            self._results.endPreview()
        self.refresh()
        self._updateButton()

    def _closeInputs(self) -> None:
        """After a run its results are what is looked at; one click brings the inputs back."""
        for name in _COLLAPSED:
            getattr(self.ui, name).collapsed = True
        self.ui.editInputsButton.visible = True

    def _openInputs(self) -> None:
        for name in _COLLAPSED[:-1]:
            getattr(self.ui, name).collapsed = False
        self.ui.editInputsButton.visible = False

    def _showFailure(self, failure: Failure) -> None:
        self.failure = failure
        self._log(f"{failure.code}: {failure} {failure.details}".rstrip())
        self.say(str(failure), True)

    def _showCancelled(self, run: PredictionRun) -> None:
        if run.failure is not None:
            self.failure = run.failure
            self.say(str(run.failure))
        elif run.keptSlices:
            sentence = _("Cancelled. {count} finished slices are kept: press Predict to continue.")
            self.say(sentence.format(count=run.keptSlices))
        else:
            self.say(_("Cancelled."))

    def _log(self, text: str) -> None:
        self.ui.logEdit.appendPlainText(text)

    def _onModelChosen(self, folder: str) -> None:
        if self._parameters is None:
            return
        self._parameters.bundleFolder = folder
        self._parameters.guidanceScale = PredictionSettings.guidanceScale
        self.refresh()

    def _onSchemeChosen(self, scheme: str) -> None:
        if self._parameters is not None:
            self._parameters.classScheme = scheme
            self._parameters.className = ""
            self.refresh()

    def _onClassChosen(self, name: str) -> None:
        if self._parameters is not None:
            self._parameters.className = name
            self.refresh()

    def _onNewSeed(self) -> None:
        if self._parameters is not None:
            self._parameters.seed = random.randrange(1, 1_000_000)

    def _onDiagnostics(self) -> None:
        model = self._model if isinstance(self._model, ModelDescription) else None
        settings = self._parameters.copy() if self._parameters is not None else None
        self._copyText(diagnosticsText(model, settings, self.failure, self.ui.logEdit.toPlainText()))
        self.say(_("Copied to the clipboard."))


def openInSystemViewer(path: Path) -> None:
    """Open a file with the program the system uses for it."""
    qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))
