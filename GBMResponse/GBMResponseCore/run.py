"""Run requests: from files to a folder of results. Command, cohort and worker all end here, so their voxels agree.

torch and diffusers take seconds to import, so they are imported only after the inputs were found good.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import astuple, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .dicom.case import load_case
from .dicom.deidentify import plain_error, plain_notes
from .errors import DicomSeriesError, NothingPredictedError, StructureSetError
from .files import sha256_of_file
from .inputs.case import Case
from .inputs.follow_up import AlignedFollowUp, align_follow_up
from .inputs.preprocessing import NormalizationSettings
from .inputs.reading import Note
from .inputs.slices import CaseSlices
from .measure.enhancement import EnhancementRule
from .measure.guard import judge_case
from .measure.measurements import Measurements, measure
from .measure.own_segments import own_notes, read_own_segments, sample_names
from .measure.planning import Plan, PlanFiles
from .measure.probability import ProbabilityRule
from .model.environment import translate_import_errors, translate_memory_errors
from .model.loading import loading
from .outputs.dicom_export import check_export
from .outputs.folder import folder_in_use, refuse_to_replace
from .outputs.write import UNFINISHED, RunResult, check_complete, refuse_mixing, replaceable_files, write_results
from .progress import Clock, Listener, Progress
from .request import PredictionOptions, PredictionRequest
from .setting import decided

if TYPE_CHECKING:
    import numpy as np
    import SimpleITK as sitk

    from .model.bundle import Bundle
    from .prediction import Prediction, Predictor

_WARM_PREDICTORS = 2
_WARM_FOLLOW_UPS = 2
_ONLY = "class"
"""Name of the class in measurements of one."""


class Runner:
    """Runs requests and keeps the models of recent ones loaded."""

    def __init__(self) -> None:
        self._predictors: OrderedDict[tuple[str, str, str, str], Predictor] = OrderedDict()
        self._follow_ups: OrderedDict[tuple[Any, ...], AlignedFollowUp] = OrderedDict()
        self._last: Predictor | None = None

    def predictor(self, bundle: Path | str | None, device: str = "auto", precision: str = "auto") -> "Predictor":
        """Return the loaded model of a bundle, see :func:`.model.library.find_bundle`.

        :raises DependencyError: a package is missing or does not load.
        :raises BundleError: by the bundle.
        :raises DeviceError: the device does not exist here.
        :raises OptionError: the precision does not exist.
        """
        with translate_import_errors():
            return self._predictor(bundle, device, precision)

    def _predictor(self, bundle: Path | str | None, device: str, precision: str) -> "Predictor":
        from .model.library import find_bundle

        folder = find_bundle(bundle)  # before seconds of loading
        with loading():
            from .model.bundle import open_bundle
            from .outputs import montage, report  # noqa: F401  a package they miss shows now, not after the sampling
            from .prediction import Predictor

        description = folder / "bundle.json"
        content = sha256_of_file(description) if description.is_file() else ""
        key = (str(folder.resolve()), content, device, precision)
        if key not in self._predictors:
            self._predictors[key] = Predictor(open_bundle(folder), device, precision)
            while len(self._predictors) > _WARM_PREDICTORS:
                self._predictors.popitem(last=False)
        self._predictors.move_to_end(key)
        return self._predictors[key]

    def basis(self, request: PredictionRequest) -> dict[str, str]:
        """What results depend on besides their requests; the model is loaded for it, and stays.

        :raises GBMResponseError: model or device cannot be used.
        """
        options = request.options
        predictor = self.predictor(request.bundle, options.device, options.precision)
        from .model.runtime import has_fast_bfloat16

        # Where `auto` may take bfloat16, it decides by the first case.
        exact = options.precision == "auto" and not has_fast_bfloat16(predictor.model.device)
        return {
            "version": __version__,
            "bundle_sha256": predictor.bundle.sha256,
            "device": predictor.model.device.type,
            "precision": "float32" if exact else options.precision,
        }

    def what_if(self, index: int, weight: float | None = None, days: float | None = None) -> "sitk.Image":
        """A slice of the case that was predicted last, for other conditions; see `Predictor.what_if`.

        :raises NothingPredictedError: nothing was predicted yet.
        """
        if self._last is None:
            raise NothingPredictedError("Nothing was predicted yet.")
        return self._last.what_if(index, weight, days)

    def predict(
        self,
        case: Case,
        options: PredictionOptions | None = None,
        *,
        bundle: Path | str | None = None,
        listener: Listener | None = None,
    ) -> "Prediction":
        """Predict a case that is in memory, for one class; nothing is written.

        :raises GBMResponseError: by case, options, bundle or machine.
        """
        options, listener = options or PredictionOptions(), listener or Listener()
        with translate_memory_errors():
            predictor = self.predictor(bundle, options.device, options.precision)
            slices = _judged(predictor.read_slices(case), predictor.bundle, listener)
            return predictor.predict(case, options, slices=slices, listener=listener)

    def measure(self, prediction: "Prediction", *, bundle: Path | str | None = None) -> dict[str, Any]:
        """Measure a prediction of :meth:`predict`, against the true follow-up if its case has one.

        :param bundle: the model that it was made with.
        :returns: what `measurements.json` holds of one class: docs/measurements.md.
        :raises GBMResponseError: by the follow-up, bundle or machine.
        """
        with translate_memory_errors():
            predictor = self.predictor(bundle, prediction.options.device, prediction.options.precision)
            slices = self._with_follow_up(prediction.slices, predictor.bundle.normalization, Listener())
            predictions = {_ONLY: replace(prediction, slices=slices)}
            return self._measure(predictor, slices, predictions, Listener()).of_class(_ONLY)

    def revisit(
        self,
        request: PredictionRequest,
        listener: Listener | None = None,
        plan: PlanFiles | None = None,
        own: Mapping[str, Path] | None = None,
    ) -> RunResult:
        """Read a finished run again, from `request.out`, and measure it; nothing is predicted and nothing is written.

        :param request: image and GTV of the run, its model, and the true follow-up, which may be new.
        :param plan: contours and a dose whose coverage is measured.
        :param own: masks of what enhances, by what they outline, see :func:`.measure.own_segments.read_own_segments`.
        :raises RunFolderError: there is no finished run, or it was made of other inputs or with another model.
        :raises GBMResponseError: by inputs, bundle or machine.
        """
        with translate_memory_errors(), translate_import_errors():
            return self._revisit(request, listener or Listener(), plan or PlanFiles(), own or {})

    def _revisit(
        self, request: PredictionRequest, listener: Listener, plan: PlanFiles, own: Mapping[str, Path]
    ) -> RunResult:
        from .outputs.read import check_inputs, read_predictions, read_records

        clock = Clock()
        records = read_records(request.out)
        case = load_request(request)
        predictor = self.predictor(request.bundle, request.options.device, request.options.precision)
        check_inputs(records, case, predictor.bundle.sha256)
        slices = _judged(predictor.read_slices(case), predictor.bundle, listener)
        slices = self._with_follow_up(slices, predictor.bundle.normalization, listener)
        predictions = read_predictions(request.out, records, slices)
        clock.mark("load")
        planned = plan.on(slices.grid, case.origin and case.origin.series)
        names = [sample for entry in sample_names(predictions).values() for sample in entry]
        outlined = read_own_segments(own, slices, names)
        slices = _with_notes(slices, own_notes(outlined), listener)
        predictions = {name: replace(entry, slices=slices) for name, entry in predictions.items()}
        measurements = self._measure(predictor, slices, predictions, listener, planned, outlined)
        clock.mark("measure")
        return RunResult(request, predictor.bundle, slices, predictions, measurements, clock.seconds, records=records)

    def _follow_up(self, case: Case, normalization: NormalizationSettings) -> AlignedFollowUp | None:
        """The registered follow-up; that of recent cases is kept, as a registration takes seconds."""
        if case.follow_up is None:
            return None
        files = (case.sources["image"]["sha256"], case.sources["follow-up"]["sha256"])
        key = (*files, *astuple(normalization))
        if key not in self._follow_ups:
            self._follow_ups[key] = decided(align_follow_up(case, normalization))
            while len(self._follow_ups) > _WARM_FOLLOW_UPS:
                self._follow_ups.popitem(last=False)
        return self._follow_ups[key]

    def _with_follow_up(
        self, slices: CaseSlices, normalization: NormalizationSettings, listener: Listener
    ) -> CaseSlices:
        """The slices with the case's follow-up, if it shows the same head; what is to say of it is said."""
        slices, notes = slices.with_follow_up(self._follow_up(slices.case, normalization))
        return _with_notes(slices, notes, listener)

    def _measure(
        self,
        predictor: "Predictor",
        slices: CaseSlices,
        predictions: dict[str, "Prediction"],
        listener: Listener,
        plan: Plan | None = None,
        own: "Mapping[str, np.ndarray] | None" = None,
    ) -> Measurements:
        sampled = next((entry.options for entry in predictions.values() if entry.samples), None)
        if sampled and sampled.batch_size is None:
            sampled = predictor.model.resolve(sampled)
        unchanged = predictor.unchanged(slices, sampled, listener.pulse) if sampled else None
        found_by = EnhancementRule.with_head(predictor.bundle.enhancement_head)
        likely = ProbabilityRule(**predictor.bundle.enhancement_probability)
        factor = predictor.bundle.volume_interval_factor
        return measure(slices, predictions, unchanged, None, found_by, plan, own, likely, factor)

    def run(self, request: PredictionRequest, listener: Listener | None = None) -> RunResult:
        """Predict, measure and write.

        The result is made in `.unfinished`, and takes the place of an earlier one when it is complete. After a cancel
        or a failure only finished slices are there, and the same request continues from them.

        :raises GBMResponseError: by inputs, options, bundle, machine or output folder.
        :raises CancelledError: a method of the listener raised it.
        """
        with translate_memory_errors():
            return self._run(request, listener or Listener())

    def _run(self, request: PredictionRequest, listener: Listener) -> RunResult:
        clock = Clock()
        listener.stage("load", None)
        case = load_request(request)
        check_export(request, case)
        refuse_mixing(request)
        refuse_to_replace(
            {"image": request.image, "GTV": request.gtv, "follow-up": request.follow_up}, replaceable_files(request)
        )
        with folder_in_use(request.out):
            result = self._run_case(request, case, listener, clock)
        check_complete(request.out)
        return result

    def _run_case(self, request: PredictionRequest, case: Case, listener: Listener, clock: Clock) -> RunResult:
        options = request.options
        for note in case.notes:
            listener.warning(note.code, note.sentence)
        predictor = self.predictor(request.bundle, options.device, options.precision)
        predictor.model.resolve(options)  # a class that does not exist would otherwise show after the others
        clock.mark("load")

        listener.stage("prepare", None)
        slices = _judged(predictor.read_slices(case), predictor.bundle, listener)
        clock.mark("prepare")

        predictions = {}
        self._last = predictor
        for number, name in enumerate(options.classes):
            predictions[name] = predictor.predict(
                case,
                replace(options, classes=(name,)),
                slices=slices,
                listener=listener,
                progress=Progress(name, number, len(options.classes)),
                unfinished=request.out / UNFINISHED,
            )
        for prediction in predictions.values():
            for stage, spent in prediction.seconds.items():
                clock.seconds[stage] = clock.seconds.get(stage, 0.0) + spent

        measured = Clock()
        listener.stage("measure", None)
        if request.measure or request.montage or request.report:
            slices = self._with_follow_up(slices, predictor.bundle.normalization, listener)
            predictions = {name: replace(entry, slices=slices) for name, entry in predictions.items()}
        measurements = self._measure(predictor, slices, predictions, listener) if request.measure else None
        measured.mark("measure")
        seconds = clock.seconds | measured.seconds
        return write_results(RunResult(request, predictor.bundle, slices, predictions, measurements, seconds), listener)


def load_request(request: PredictionRequest) -> Case:
    """The case of a request, without what is quoted from headers if the results are to be de-identified.

    :raises GBMResponseError: by the inputs.
    """
    try:
        case = load_case(request.image, request.gtv, request.follow_up, request.gtv_labels, request.series)
    except (DicomSeriesError, StructureSetError) as error:
        raise plain_error(error) if request.deidentify else error from None
    return replace(case, notes=plain_notes(case.notes)) if request.deidentify else case


def _judged(slices: CaseSlices, bundle: "Bundle", listener: Listener) -> CaseSlices:
    """The slices with notes on what the bundle's model has not learned from."""
    return _with_notes(slices, judge_case(slices, bundle.description["ranges"]).notes, listener)


def _with_notes(slices: CaseSlices, notes: Sequence[Note], listener: Listener) -> CaseSlices:
    """The same with more notes about the case, which are said."""
    for note in notes:
        listener.warning(note.code, note.sentence)
    return replace(slices, case=replace(slices.case, notes=[*slices.case.notes, *notes])) if notes else slices
