"""From facts to findings: what forbids a prediction, what to watch, and what one click can fix."""

import enum
from dataclasses import dataclass

from GBMResponseCore.inputs.limits import LARGE_SLICE_SPACING_MM, SMALL_GTV_ML, SMALLEST_MATRIX
from GBMResponseCore.request import NO_CLASS, SamplingOptions

from ..common.Failure import Failure
from ..common.Translation import tr as _
from ..model.ModelDescription import ModelDescription
from ..settings.Choices import ClassMode, allowsSteps, nearestSteps
from ..settings.PredictionSettings import PredictionSettings
from .InputFacts import InputFacts, TumorFacts, VolumeFacts
from .SequenceHints import PRE_CONTRAST

LARGE_TUMOR_ML = 250.0
COARSE_PIXELS_MM = 1.6
_BYTES_PER_VOXEL = 4
_STRONG_GUIDANCE, _STRONGEST_GUIDANCE = 1.5, 5.0
"""Times the recommended one, and at all."""


class Severity(enum.IntEnum):
    """How much a finding matters; `blocks` forbids to predict."""

    informs = 0
    warns = 1
    blocks = 2


@dataclass(frozen=True)
class Finding:
    """One line of the findings list.

    :param code: short constant for programs.
    :param sentence: what was found and, where it helps, what to do.
    :param fix: what the one-click fix does (a name that the panel knows); empty without one.
    :param fixLabel: text of the fix button.
    """

    code: str
    severity: Severity
    sentence: str
    fix: str = ""
    fixLabel: str = ""


class InputFindings:
    """Judges inputs, model and settings before anything heavy starts. The engine checks again, with the voxels."""

    def findings(
        self, facts: InputFacts, model: ModelDescription | Failure, settings: PredictionSettings
    ) -> list[Finding]:
        """Return all findings, the ones that forbid a prediction first."""
        found = [*self._volume(facts), *self._tumor(facts), *self._followUp(facts)]
        if isinstance(model, Failure):
            found.append(_blocks(model.code, str(model), "chooseShippedModel", _("Use the bundled model")))
        else:
            found += self._model(model, settings)
        found += self._disk(facts, model, settings)
        return sorted(found, key=lambda finding: -finding.severity)

    def _volume(self, facts: InputFacts) -> list[Finding]:
        volume = facts.volume
        if volume is None:
            if facts.lostVolume:
                sentence = _("The volume {name} is gone: choose the T1-Gd volume before treatment.")
                return [_blocks("volume-gone", sentence.format(name=facts.lostVolume))]
            if facts.sceneHasVolumes:
                return [_blocks("no-volume", _("Choose the T1-Gd volume before treatment."))]
            sentence = _("Choose the T1-Gd volume before treatment: load one, or try the sample case.")
            return [_blocks("no-volume", sentence, "loadSampleCase", _("Load sample"))]
        found = _unusable(volume, _("The pre-treatment volume"))
        if not found:
            found += _sequence(volume)
        if volume.synthetic:
            found.append(_warns("synthetic-input", _("The chosen volume is itself synthetic.")))
        if volume.transform == "linear":
            sentence = _("The volume has a parent transform. The prediction applies it on a copy; you may harden it.")
            found.append(_informs("transform", sentence, "hardenTransform", _("Harden")))
        elif volume.transform == "nonlinear":
            sentence = _("The volume has a warping parent transform. The prediction resamples a copy of the volume.")
            found.append(_warns("warped", sentence))
        if max(volume.spacing) > LARGE_SLICE_SPACING_MM:
            sentence = _("Slices are {distance:.1f} mm apart; sizes across slices are uncertain.")
            found.append(_warns("thick-slices", sentence.format(distance=max(volume.spacing))))
        if sorted(volume.spacing)[1] > COARSE_PIXELS_MM:
            sentence = _("Pixels of {size:.1f} mm are coarse for this model; details will be missing.")
            found.append(_warns("coarse-pixels", sentence.format(size=sorted(volume.spacing)[1])))
        if volume.tiltDeg > 30.0:
            sentence = _("The volume was not acquired in axial slices; it is resampled to axial slices and back.")
            found.append(_informs("not-axial", sentence))
        return found

    def _tumor(self, facts: InputFacts) -> list[Finding]:
        if not facts.hasSegmentation:
            sentence = _("Choose the segmentation that holds the tumor (GTV).")
            if facts.labelmapName:
                label = _("Use labelmap {name}").format(name=facts.labelmapName)
                return [_blocks("no-segmentation", sentence, "importLabelmap", label)]
            return [_blocks("no-segmentation", sentence)]
        if facts.tumor is None:
            if facts.lostSegment:
                sentence = _("The segment {name} is gone: choose the segment that outlines the tumor (GTV).")
                return [_blocks("segment-gone", sentence.format(name=facts.lostSegment), *_suggestion(facts))]
            if not facts.segmentCount:
                return [_blocks("no-segment", _("The segmentation has no segment: draw the tumor first."))]
            sentence = _("Choose the segment that outlines the tumor (GTV).")
            return [_blocks("no-segment", sentence, *_suggestion(facts))]
        return _tumorFindings(facts, facts.tumor)

    def _followUp(self, facts: InputFacts) -> list[Finding]:
        if facts.followUp is None:
            return []
        if facts.followUpIsInput:
            sentence = _("The follow-up is the same volume as the pre-treatment one.")
            return [_blocks("same-follow-up", sentence, "clearFollowUp", _("Clear"))]
        found = _unusable(facts.followUp, _("The follow-up volume"))
        if facts.followUp.synthetic:
            found.append(_warns("synthetic-follow-up", _("The chosen follow-up is itself synthetic.")))
        return found

    def _model(self, model: ModelDescription, settings: PredictionSettings) -> list[Finding]:
        found = []
        scheme = settings.scheme(model)
        names = [entry.name for entry in model.classes(scheme)]
        asked = settings.classMode is ClassMode.predicted or (
            settings.classMode is ClassMode.auto and model.label_dropout <= 0.0
        )
        if asked and scheme != NO_CLASS and not model.hasClassifier:
            sentence = _("This model has no survival classifier: choose a class.")
            found.append(_blocks("no-classifier", sentence, "chooseFirstClass", _("Choose a class")))
        if settings.classMode in (ClassMode.chosen, ClassMode.compareAll) and not model.schemes:
            sentence = _("This model knows no survival classes.")
            found.append(_blocks("no-classes", sentence, "useAutomaticClass", _("Predict without class")))
        elif settings.classMode is ClassMode.chosen and settings.className not in names:
            sentence = _("Choose one of the model's survival classes.")
            found.append(_blocks("no-class", sentence, "chooseFirstClass", _("Choose the first")))
        sampling = settings.sampling(model)
        scale, form = sampling["guidance_scale"], sampling["guidance_form"]
        guidance = SamplingOptions(guidance_scale=scale, guidance_form=form).standard_guidance_scale
        if guidance != 1.0 and model.label_dropout <= 0.0:
            sentence = _("This model was trained without label dropout: only guidance 1 is possible.")
            found.append(_blocks("guidance", sentence, "setGuidanceOne", _("Set to 1")))
        elif guidance > (limit := _strongGuidance(model)):
            sentence = _("Guidance above {limit} exaggerates what the class does.").format(limit=f"{limit:g}")
            found.append(_warns("strong-guidance", sentence))
        sampler, steps = sampling["sampler"], sampling["steps"]
        if not allowsSteps(sampler, steps):
            sentence = _("The paper's sampler cannot take {steps} steps: it needs a divisor of 1000.")
            label = _("Use {steps}").format(steps=nearestSteps(sampler, steps))
            found.append(_blocks("steps", sentence.format(steps=steps), "useNearestSteps", label))
        return found

    def _disk(
        self, facts: InputFacts, model: ModelDescription | Failure, settings: PredictionSettings
    ) -> list[Finding]:
        if facts.volume is None or facts.freeMB is None:
            return []
        needed = self.neededMB(facts.volume, model, settings)
        if facts.freeMB >= needed:
            return []
        sentence = _("The temporary folder has {free} MB free, the prediction needs about {needed} MB.")
        return [_blocks("output-folder", sentence.format(free=round(facts.freeMB), needed=round(needed)))]

    def neededMB(self, volume: VolumeFacts, model: ModelDescription | Failure, settings: PredictionSettings) -> float:
        """Return an upper estimate of the files of a prediction, in millions of bytes."""
        columns, rows, slices = volume.dimensions
        classes = 1 if isinstance(model, Failure) else len(settings.classes(model))
        several = settings.samples + 4 if settings.samples > 1 else 3
        return 20.0 + columns * rows * slices * _BYTES_PER_VOXEL * (3 + classes * (several + 1)) / 1e6


def contoursOnly(name: str) -> str:
    """Return what to do about an outline of which this Slicer cannot make voxels."""
    sentence = _(
        "The outline {name} consists of contours that this Slicer cannot turn into voxels:"
        " install the extension SlicerRT in the Extensions Manager and restart Slicer."
    )
    return sentence.format(name=name)


def _unusable(volume: VolumeFacts, name: str) -> list[Finding]:
    if not volume.finite:
        return [_blocks("non-finite-image", _("{name} contains voxels that are not numbers.").format(name=name))]
    if volume.lowest == volume.highest:
        return [_blocks("constant-image", _("{name} has no contrast: all voxels are equal.").format(name=name))]
    if volume.lowest < -900:
        return [_blocks("not-mr", _("{name} looks like a CT; choose the T1-Gd MRI.").format(name=name))]
    if sorted(volume.dimensions)[1] < SMALLEST_MATRIX or min(volume.dimensions) < 2:
        return [_blocks("small-image", _("{name} is too small: choose a whole-head volume.").format(name=name))]
    return []


def _sequence(volume: VolumeFacts) -> list[Finding]:
    """What name and tags say against the volume: the tags forbid, a name only warns."""
    hints = volume.hints
    if hints.instead and hints.byTag:
        sentence = _("{name} is {modality} by its DICOM tags: choose the T1-Gd MRI.")
        return [_blocks("not-mr", sentence.format(name=volume.name, modality=hints.instead))]
    if hints.instead == PRE_CONTRAST:
        sentence = _(
            "{name} sounds like a T1 before contrast agent (pre-contrast): choose the one with contrast (T1-Gd)."
        )
        return [_warns("pre-contrast", sentence.format(name=volume.name))]
    if hints.instead:
        sentence = _("{name} sounds like {sequence}: choose the T1 with contrast agent (T1-Gd).")
        return [_warns("other-sequence", sentence.format(name=volume.name, sequence=hints.instead))]
    if hints.later:
        return [_warns("later", _("{name} sounds like an image from after treatment.").format(name=volume.name))]
    return []


def _tumorFindings(facts: InputFacts, tumor: TumorFacts) -> list[Finding]:
    if not tumor.convertible:
        return [_blocks("contours-only", contoursOnly(tumor.name))]
    if tumor.volumeMl <= 0.0:
        sentence = _("The segment {name} is empty: draw the tumor, or choose another segment.")
        return [_blocks("empty-gtv", sentence.format(name=tumor.name), *_suggestion(facts))]
    if facts.volume is not None and tumor.insideFraction <= 0.0:
        sentence = _("The segment {name} lies outside the volume: are both of the same patient?")
        return [_blocks("no-overlap", sentence.format(name=tumor.name))]
    found = []
    if facts.volume is not None and tumor.insideFraction < 0.95:
        sentence = _("Only a part of the segment {name} lies inside the volume.")
        found.append(_warns("gtv-partly-outside", sentence.format(name=tumor.name)))
    if tumor.volumeMl < SMALL_GTV_ML:
        sentence = _("The tumor is small ({volume:.2f} ml); the prediction has little to go by.")
        found.append(_warns("small-gtv", sentence.format(volume=tumor.volumeMl)))
    if tumor.volumeMl > LARGE_TUMOR_ML:
        sentence = _("The segment is large for a tumor ({volume:.0f} ml): is it the right one?")
        found.append(_warns("large-gtv", sentence.format(volume=tumor.volumeMl), *_suggestion(facts)))
    elif facts.suggestedSegment:
        sentence = _("The segment {name} is chosen, but {other} sounds like the tumor.")
        sentence = sentence.format(name=tumor.name, other=facts.suggestedSegment)
        found.append(_informs("other-segment", sentence, *_suggestion(facts)))
    if not tumor.sameTransform:
        found.append(_informs("other-transform", _("Volume and segmentation are under different transforms.")))
    return found


def _suggestion(facts: InputFacts) -> tuple[str, str]:
    if not facts.suggestedSegment:
        return "", ""
    return "useSuggestedSegment", _("Use {name}").format(name=facts.suggestedSegment)


def _strongGuidance(model: ModelDescription) -> float:
    """Return the scale above which the user is told that classes will differ by more than they do."""
    return min(_STRONGEST_GUIDANCE, _STRONG_GUIDANCE * max(1.0, model.default_sampling.standard_guidance_scale))


def _blocks(code: str, sentence: str, fix: str = "", fixLabel: str = "") -> Finding:
    return Finding(code, Severity.blocks, sentence, fix, fixLabel)


def _warns(code: str, sentence: str, fix: str = "", fixLabel: str = "") -> Finding:
    return Finding(code, Severity.warns, sentence, fix, fixLabel)


def _informs(code: str, sentence: str, fix: str = "", fixLabel: str = "") -> Finding:
    return Finding(code, Severity.informs, sentence, fix, fixLabel)
