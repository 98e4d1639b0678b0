"""The inputs part of the panel: what is chosen for the user is shown as such, and nothing replaces what is lost."""

import dataclasses
from typing import Any

import slicer

from ..common.Signal import Signal
from ..common.Translation import tr as _
from ..inputs.InputFacts import InputFacts, TumorFacts, VolumeFacts, guessTumorSegment
from ..inputs.InputInspector import InputInspector, likelyInput, likelySegmentation, segmentNames


class InputsSection:
    """Follows the chosen nodes. A choice that is gone from the scene stays empty until the user makes another one.

    Signals: `changed()` when the user chooses another segment, or the chosen one is gone.
    """

    def __init__(self, ui: Any, inspector: InputInspector) -> None:
        self.changed = Signal()
        self._ui = ui
        self._inspector = inspector
        self._parameters: Any = None
        self._following = False
        self.forget()
        ui.segmentSelector.connect("currentSegmentChanged(QString)", self._onSegmentChanged)

    def forget(self) -> None:
        """The scene is closing: what was chosen in it counts no more."""
        self._volume = self._segmentation = self._segment = ("", "")
        self._guessed: set[str] = set()
        self._lostVolume = self._lostSegment = ""

    def setParameters(self, parameters: Any) -> None:
        """Work on these parameters from now on; None: the scene is going."""
        self._parameters = parameters
        if parameters is None:
            self.forget()

    def chooseDefaults(self) -> None:
        """Choose what is clear, once; after the user has chosen or lost an input nothing is chosen for them."""
        chosen = self._parameters
        if chosen.inputVolume is None and not self._volume[0]:
            volume = likelyInput()
            if volume is not None:
                chosen.inputVolume = volume
                self._guessed.add(volume.GetID())
        if chosen.gtvSegmentation is None and not self._segmentation[0]:
            chosen.gtvSegmentation = likelySegmentation()

    def follow(self) -> None:
        """Bring selector and memory in line with the parameters."""
        self._following = True
        try:
            self._followVolume()
            self._followSegmentation()
        finally:
            self._following = False

    def facts(self) -> InputFacts:
        """Return what is known about the inputs, and what of them is gone."""
        chosen = self._parameters
        facts = self._inspector.facts(
            chosen.inputVolume, chosen.gtvSegmentation, chosen.gtvSegmentID, chosen.followUpVolume
        )
        return dataclasses.replace(facts, lostVolume=self._lostVolume, lostSegment=self._lostSegment)

    def show(self, facts: InputFacts) -> None:
        """Say beside *Predict* what would be predicted from."""
        lines = []
        if facts.volume is not None:
            lines.append(_volumeText(facts.volume) + self._whose(self._volume[0]))
        if facts.tumor is not None:
            lines.append(_tumorText(facts.tumor) + self._whose("/".join((self._segmentation[0], self._segment[0]))))
        self._ui.inputSummaryLabel.text = "\n".join(lines)
        self._ui.inputSummaryLabel.visible = bool(lines)

    def _whose(self, key: str) -> str:
        return " " + _("(chosen for you: please check)") if key in self._guessed else ""

    def _followVolume(self) -> None:
        volume = self._parameters.inputVolume
        if volume is not None:
            self._volume, self._lostVolume = _identity(volume), ""
        elif self._volume[0] and slicer.mrmlScene.GetNodeByID(self._volume[0]) is None:
            self._lostVolume = self._volume[1]

    def _followSegmentation(self) -> None:
        chosen, selector = self._parameters, self._ui.segmentSelector
        segmentation = chosen.gtvSegmentation
        isOther = segmentation is not None and segmentation.GetID() != self._segmentation[0]
        if segmentation is not None:
            self._segmentation = _identity(segmentation)
        if isOther:
            self._segment, self._lostSegment = ("", ""), ""
        if selector.currentNode() is not segmentation:
            selector.setCurrentNode(segmentation)
        names = segmentNames(segmentation)
        if chosen.gtvSegmentID in names:
            self._segment, self._lostSegment = (chosen.gtvSegmentID, names[chosen.gtvSegmentID]), ""
        elif self._segment[0]:
            self._loseSegment(names)
        else:
            self._guessSegment(names)
        if selector.currentSegmentID() != chosen.gtvSegmentID:
            selector.setCurrentSegmentID(chosen.gtvSegmentID)

    def _guessSegment(self, names: dict[str, str]) -> None:
        guess = guessTumorSegment(names)
        self._parameters.gtvSegmentID = guess
        if guess:
            self._segment = (guess, names[guess])
            self._guessed.add("/".join((self._segmentation[0], guess)))

    def _loseSegment(self, names: dict[str, str]) -> None:
        if names and self._segment[0] not in names:
            self._lostSegment = self._segment[1]
        self._parameters.gtvSegmentID = ""

    def _onSegmentChanged(self, segmentID: str) -> None:
        if self._parameters is None or self._following:
            return
        names = segmentNames(self._parameters.gtvSegmentation)
        if self._segment[0] and self._segment[0] not in names and not self._lostSegment:
            # The selector takes the first of the remaining segments when the current one is removed
            # (qMRMLSegmentSelectorWidget::populateSegmentCombobox); that is not the user's choice.
            self._loseSegment(names)
        else:
            self._parameters.gtvSegmentID = segmentID or ""
            self._guessed.discard("/".join((self._segmentation[0], segmentID or "")))
        self.changed.emit()


def _identity(node: Any) -> tuple[str, str]:
    return node.GetID(), node.GetName() or ""


def _volumeText(volume: VolumeFacts) -> str:
    spacing = " x ".join(f"{size:.3g}" for size in volume.spacing)
    details = [volume.hints.text] if volume.hints.text else []
    text = _("From {name}: {details}")
    return text.format(name=volume.name, details=", ".join([*details, _("{spacing} mm").format(spacing=spacing)]))


def _tumorText(tumor: TumorFacts) -> str:
    parts = [_("{volume:.1f} ml").format(volume=tumor.volumeMl)]
    if tumor.slices:
        parts.append(_("{count} slice(s)").format(count=tumor.slices))
    if tumor.pieces:
        parts.append(_("{count} part(s)").format(count=tumor.pieces))
    return _("Tumor {name}: {details}").format(name=tumor.name, details=", ".join(parts))
