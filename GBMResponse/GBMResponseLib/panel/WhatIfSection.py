"""The what-if part of the panel: sliders that recompute the slice in view, and a button that makes a run of them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import vtk

from ..common.Failure import Failure
from ..common.Translation import tr as _
from ..inputs.InputFacts import PredictionInputs
from ..model.ModelDescription import ModelDescription
from ..results.PreviewNodes import PreviewNodes
from ..run.PredictionRun import PredictionRun
from ..run.WhatIf import WhatIf
from ..settings.Choices import ClassMode
from ..settings.PredictionSettings import PredictionSettings
from ..views.ResultViews import ResultViews

_ALONE_MM = 5.0
"""Distance within which the only generated slice is that in view."""


class WhatIfSection:
    """Offers the run that was made last, as the prediction process still knows its case.

    :param start: begins a run with inputs and settings.
    """

    def __init__(
        self, ui: Any, whatIf: WhatIf, views: ResultViews, start: Callable[[PredictionInputs, PredictionSettings], None]
    ) -> None:
        self._ui = ui
        self._whatIf = whatIf
        self._views = views
        self._start = start
        self._run: PredictionRun | None = None
        self._previews = PreviewNodes()
        self._volume: Any = None
        self._weight: float | None = None
        self._days: float | None = None
        self._setting = False
        self._followed: tuple[Any, int] | None = None
        whatIf.answered.connect(self._onAnswer)
        whatIf.failed.connect(lambda failure: self._say(str(failure)))
        views.shownChanged.connect(self._onShownChanged)
        ui.whatIfWeightSlider.connect("valueChanged(double)", self._onWeight)
        ui.whatIfDaysSlider.connect("valueChanged(double)", self._onDays)
        ui.whatIfApplyButton.connect("clicked()", self._onApply)
        ui.whatIfCloseButton.connect("clicked()", self.clear)
        self.withdraw()

    def offer(self, run: PredictionRun) -> None:
        """Offer what-ifs of a run that was just made, if its model knows classes or days."""
        self.withdraw()
        names, days = _ends(run), run.model.defaultDays
        if not run.slices or (names is None and days is None):
            return
        self._run = run
        ui = self._ui
        ui.whatIfWeightWidget.visible = names is not None
        ui.whatIfDaysWidget.visible = days is not None
        ui.whatIfFirstLabel.text, ui.whatIfLastLabel.text = names or ("", "")
        self._rest()
        ui.whatIfSection.visible = True

    def withdraw(self) -> None:
        """Offer nothing: another run begins, or the scene is closing."""
        self.clear()
        self._run = None
        self._ui.whatIfSection.visible = False

    def clear(self) -> None:
        """Remove the preview."""
        self._whatIf.forget()
        self._follow(None)
        if self._volume is not None:
            self._views.showWhatIf("", None)
        self._previews.clear()
        self._volume = self._weight = self._days = None
        if self._run is not None:
            self._rest()

    def _rest(self) -> None:
        """Set the sliders to what the run was made with."""
        run, ui = self._run, self._ui
        chosen = run.nodes.classes[0] if run.nodes is not None else ""
        weights = {name: number for number, name in enumerate(_ends(run) or ())}
        days = run.settings.further.get("days_since_rt")
        self._setting = True
        ui.whatIfWeightSlider.value = run.settings.further.get("class_weight", weights.get(chosen, 0.5))
        ui.whatIfDaysSlider.value = (run.model.defaultDays if days is None else days) or 0.0
        self._setting = False
        ui.whatIfApplyButton.enabled = ui.whatIfCloseButton.enabled = False
        self._say(_("Move a slider: the expected image of the slice in view is computed again."))

    def _onWeight(self, value: float) -> None:
        if not self._setting and self._run is not None:
            self._weight = round(value, 3)
            self._ask()

    def _onDays(self, value: float) -> None:
        if not self._setting and self._run is not None:
            self._days = float(round(value))
            self._ask()

    def _ask(self) -> None:
        if self._views.nodes is None or self._views.nodes.run != self._run.identifier:
            self._say(_("What-ifs are about the last run: choose it and show it side by side."))
            return
        sliceNode = self._views.sliceNode()
        if sliceNode is None:
            self._say(_("Press Side by side to see what-ifs."))
            return
        self._follow(sliceNode)
        index = nearestSlice(self._run.slices, sliceNode.GetSliceToRAS())
        if index is None:
            self._say(_("This slice has no tumor: nothing is predicted here."))
        else:
            self._whatIf.ask(self._run.identifier, index, self._weight, self._days)
            if self._whatIf.isWaiting:
                self._say(_("A run is being scored: this slice is computed afterwards."))

    def _onSliceModified(self, _caller: Any, _event: str) -> None:
        if self._run is not None and self._volume is not None:
            self._ask()

    def _onShownChanged(self, shown: bool) -> None:
        if not shown and self._run is not None:
            self.clear()

    def _onAnswer(self, wish: dict[str, Any], path: Path, seconds: float) -> None:
        if self._run is None or wish["of"] != self._run.identifier:
            return
        conditions = self._conditions(wish)
        title = _("What if: {conditions} (preview)").format(conditions=conditions)
        try:
            if self._volume is None:
                self._volume = self._previews.add(path, _("SYNTHETIC what-if, preview"), self._run.inputs.volume)
            else:
                self._previews.replace(self._volume, path)
        except Failure as failure:
            self._say(str(failure))
            return
        self._views.showWhatIf(title, self._volume)
        self._ui.whatIfApplyButton.enabled = self._ui.whatIfCloseButton.enabled = True
        sentence = _("Synthetic preview of this slice, an average: {conditions}. Not saved until it is applied.")
        self._say(sentence.format(conditions=conditions))
        self._ui.whatIfLabel.toolTip = _("Computed in {seconds:.2f} s.").format(seconds=seconds)

    def _conditions(self, wish: dict[str, Any]) -> str:
        parts, names = [], _ends(self._run)
        if wish["weight"] is not None:
            shares = zip((1.0 - wish["weight"], wish["weight"]), names, strict=True)
            parts.append(", ".join(f"{share:.0%} {name}" for share, name in shares))
        if wish["days"] is not None:
            parts.append(_("day {days:.0f}").format(days=wish["days"]))
        return ", ".join(parts)

    def _onApply(self) -> None:
        run, further = self._run, {}
        settings = run.settings.copy()
        if self._weight is not None:
            settings.classMode, settings.className = ClassMode.auto, ""
            settings.classScheme = _scheme(run)
            further["class_weight"] = self._weight
        if self._days is not None:
            further["days_since_rt"] = self._days
        settings.further = run.settings.further | further
        self._start(run.inputs, settings)

    def _follow(self, sliceNode: Any) -> None:
        """Ask again when another slice is looked at."""
        if self._followed is not None and self._followed[0] is not sliceNode:
            self._followed[0].RemoveObserver(self._followed[1])
            self._followed = None
        if self._followed is None and sliceNode is not None:
            self._followed = sliceNode, sliceNode.AddObserver(vtk.vtkCommand.ModifiedEvent, self._onSliceModified)

    def _say(self, sentence: str) -> None:
        self._ui.whatIfLabel.text = sentence


def nearestSlice(slices: Sequence[dict[str, Any]], sliceToRAS: Any) -> int | None:
    """Return the index of the generated slice that a view shows; None if it shows none of them.

    :param slices: `index` and `center` (RAS) of each.
    :param sliceToRAS: of the view.
    """
    normal, place = (np.array([sliceToRAS.GetElement(row, column) for row in range(3)]) for column in (2, 3))
    distances = (np.array([entry["center"] for entry in slices]) - place) @ normal
    steps = np.diff(np.sort(distances))
    nearest = int(np.abs(distances).argmin())
    reach = 0.51 * float(steps.min()) if steps.size else _ALONE_MM
    return int(slices[nearest]["index"]) if abs(distances[nearest]) <= reach else None


def _scheme(run: PredictionRun) -> str:
    """The scheme between whose ends is mixed: that of the run, else the model's first; empty without classes."""
    scheme, model = run.settings.scheme(run.model), run.model
    return scheme if model.classes(scheme) else next(iter(model.schemes), "")


def _ends(run: PredictionRun) -> tuple[str, str] | None:
    """Names of the classes of the shortest and the longest survival; None for a model without classes."""
    model: ModelDescription = run.model
    classes = model.classes(_scheme(run))
    return (classes[0].name, classes[-1].name) if len(classes) > 1 else None
