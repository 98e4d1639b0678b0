"""Run requests: from files to a folder of results. Command, cohort and worker all end here, so their voxels agree.

torch and diffusers take seconds to import, so they are imported only after the inputs were found good.
"""

import shutil
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import SYNTHETIC_NOTICE
from .environment import imports_explained
from .errors import OptionError, OutOfMemoryError
from .files import ensure_output_folder, sha256_of_file, write_image, write_json
from .inputs.case import Case, load_case
from .inputs.follow_up import AlignedFollowUp, align_follow_up
from .measure.measurements import Measurements, measure, write_measurements
from .model.classes import NO_CLASS
from .outputs.picture import white_level, write_preview
from .progress import PredictionListener, RunListener, RunProgress, SamplingState
from .request import PREDICTED_CLASS, PredictionRequest

if TYPE_CHECKING:
    from .model.bundle import Bundle
    from .prediction import ClassChoice, Prediction, PredictionOptions, Predictor

PROVENANCE = "provenance.json"
UNFINISHED = ".unfinished"
PREVIEW = ".preview"
_WARM_PREDICTORS = 2
_WARM_FOLLOW_UPS = 2
_BEFORE_SAMPLING, _AFTER_SAMPLING = 0.05, 0.95
"""Fractions of the progress at which sampling begins and ends."""


@dataclass(frozen=True, eq=False)
class ClassResult:
    """The result for one class.

    :param requested: as asked, perhaps `predicted`.
    :param files: what each file holds -> path.
    """

    requested: str
    prediction: "Prediction"
    files: dict[str, Path]
    measurements: dict[str, Any]


@dataclass(frozen=True, eq=False)
class RunResult:
    """Everything is on disk.

    :param files: files of the whole run, by what they hold; `provenance` always.
    :param seconds: per stage, over all classes.
    """

    out: Path
    case: Case
    bundle: "Bundle"
    classes: list[ClassResult]
    files: dict[str, Path]
    seconds: dict[str, float]


class Runner:
    """Runs requests and keeps the models of recent ones loaded."""

    def __init__(self) -> None:
        self._predictors: OrderedDict[tuple[str, str, str, str], Predictor] = OrderedDict()
        self._follow_ups: OrderedDict[tuple[str, str, float], AlignedFollowUp] = OrderedDict()

    def predictor(self, bundle: Path | None, device: str = "auto", precision: str = "auto") -> "Predictor":
        """Return the loaded model of a bundle folder; None is the bundle that ships.

        :raises DependencyError: a package is missing or does not load.
        :raises BundleError: by the bundle.
        :raises DeviceError, OptionError: device or precision do not exist here.
        """
        with imports_explained():
            return self._predictor(bundle, device, precision)

    def _predictor(self, bundle: Path | None, device: str, precision: str) -> "Predictor":
        from .model.bundle import open_bundle
        from .model.manifest import default_bundle
        from .prediction import Predictor

        folder = bundle or default_bundle()
        description = folder / "bundle.json"
        content = sha256_of_file(description) if description.is_file() else ""
        key = (str(folder.resolve()), content, device, precision)
        if key not in self._predictors:
            self._predictors[key] = Predictor(open_bundle(folder), device, precision)
            while len(self._predictors) > _WARM_PREDICTORS:
                self._predictors.popitem(last=False)
        self._predictors.move_to_end(key)
        return self._predictors[key]

    def _follow_up(self, case: Case, clip_high: float) -> AlignedFollowUp | None:
        """The registered follow-up; that of recent cases is kept, as a registration takes seconds."""
        if case.follow_up is None:
            return None
        key = (case.sources["image"]["sha256"], case.sources["follow-up"]["sha256"], clip_high)
        if key not in self._follow_ups:
            self._follow_ups[key] = align_follow_up(case, clip_high)
            while len(self._follow_ups) > _WARM_FOLLOW_UPS:
                self._follow_ups.popitem(last=False)
        return self._follow_ups[key]

    def run(self, request: PredictionRequest, listener: RunListener | None = None) -> RunResult:
        """Predict, measure and write.

        Nothing of the result is written before all classes are predicted. After a cancel or a crash only finished
        slices are in the folder, in `.unfinished`, and the same request continues from them.

        :raises GBMResponseError: by inputs, options, bundle, machine or output folder.
        :raises CancelledError: a method of the listener raised it.
        """
        listener = listener or RunListener()
        try:
            with _memory_explained():
                return self._run(request, listener)
        finally:
            shutil.rmtree(request.out / PREVIEW, ignore_errors=True)

    def _run(self, request: PredictionRequest, listener: RunListener) -> RunResult:
        started = time.perf_counter()
        listener.stage("load", None)
        case = load_case(request.image, request.gtv, request.follow_up)
        ensure_output_folder(request.out)
        for note in case.notes:
            listener.warning(note.code, note.sentence)
        with imports_explained():
            from .prediction import PredictionOptions

        options = PredictionOptions(
            scheme=request.scheme,
            samples=request.samples,
            seed=request.seed,
            batch_size=request.batch_size,
            days_since_rt=request.days_since_rt,
        )
        predictor = self.predictor(request.bundle, request.device, request.precision)
        sampling = replace(predictor.bundle.default_sampling, **request.sampling)
        options = replace(options, sampling=sampling)
        _check_classes(predictor.bundle, request)
        seconds = {"load": time.perf_counter() - started}

        predictions = {}
        relay = _Relay(listener, request)
        for name in request.classes:
            relay.begin(name)
            predictions[name] = _predict(predictor, case, replace(options, survival_class=name), relay, request)
            for stage, spent in predictions[name].seconds.items():
                seconds[stage] = seconds.get(stage, 0.0) + spent
        measured = time.perf_counter()
        listener.stage("measure", None)
        first = next(iter(predictions.values()))
        shown = request.measure or request.montage or request.report
        follow_up = self._follow_up(case, first.scale.clip_high) if shown else None
        measurements = measure(case, predictions, follow_up) if request.measure else None
        seconds["measure"] = time.perf_counter() - measured
        done = _Done(case, predictor.bundle, options, predictions, follow_up, measurements)
        return _write(request, listener, done, seconds)


def kept_slices(out: Path) -> int:
    """Number of finished slices that an unfinished run left in its output folder."""
    return sum(1 for _ in (out / UNFINISHED).rglob("*.npy"))


@dataclass(frozen=True, eq=False)
class _Done:
    """What a run has computed and not yet written."""

    case: Case
    bundle: "Bundle"
    options: "PredictionOptions"
    predictions: dict[str, "Prediction"]
    follow_up: AlignedFollowUp | None
    measurements: Measurements | None


def _write(request: PredictionRequest, listener: RunListener, done: _Done, seconds: dict[str, float]) -> RunResult:
    """Write everything; the provenance comes last and marks a complete result."""
    from .outputs.provenance import provenance
    from .outputs.report import write_report
    from .outputs.volumes import write_volumes

    started = time.perf_counter()
    listener.stage("write", None)
    several = len(done.predictions) > 1
    folders = {name: request.out / name if several else request.out for name in done.predictions}
    for folder in (request.out, *folders.values()):
        (folder / PROVENANCE).unlink(missing_ok=True)
    files: dict[str, dict[str, Path]] = {}
    for name, prediction in done.predictions.items():
        chance = done.measurements.enhancement_probability.get(name) if done.measurements else None
        extra = {} if chance is None else {"enhancement_probability": chance}
        files[name] = write_volumes(prediction, ensure_output_folder(folders[name]), request.format, extra)
        if request.montage:
            files[name] |= _montage(done, prediction, folders[name], listener)
    records = {
        name: provenance(done.case, done.bundle, replace(done.options, survival_class=name), prediction)
        | {"files": sorted(path.name for path in files[name].values())}
        for name, prediction in done.predictions.items()
    }
    shared = write_measurements(done.measurements, request.out) if done.measurements else {}
    if request.report:
        page = request.out / "report.html"
        shared["report"] = write_report(page, done.case, done.predictions, records, done.measurements, done.follow_up)
    if done.follow_up is not None:
        path = request.out / f"registered_follow_up{request.format}"
        shared["registered_follow_up"] = write_image(done.follow_up.image, path)
    for name, record in records.items():
        files[name]["provenance"] = write_json(record, folders[name] / PROVENANCE)
    shared["provenance"] = request.out / PROVENANCE
    if several:
        write_json({"notice": SYNTHETIC_NOTICE, "synthetic": True, "classes": records}, shared["provenance"])
    shutil.rmtree(request.out / UNFINISHED, ignore_errors=True)

    seconds["write"] = time.perf_counter() - started
    rounded = {name: round(spent, 3) for name, spent in seconds.items()}
    measured = {name: done.measurements.of_class(name) if done.measurements else {} for name in files}
    results = [ClassResult(name, entry, files[name], measured[name]) for name, entry in done.predictions.items()]
    return RunResult(request.out, done.case, done.bundle, results, shared, rounded)


def _predict(
    predictor: "Predictor", case: Case, options: "PredictionOptions", relay: "_Relay", request: PredictionRequest
) -> "Prediction":
    """Predict, with fewer slices at once each time the memory is too small for them."""
    while True:
        try:
            with _memory_explained():
                return predictor.predict(case, options, listener=relay, unfinished=request.out / UNFINISHED)
        except OutOfMemoryError:
            if request.batch_size is not None or relay.slices_at_once <= 1:
                raise
        predictor.free_memory()
        relay.slices_at_once //= 2
        options = replace(options, batch_size=relay.slices_at_once)
        relay.warn("small-memory", f"There is little memory: {relay.slices_at_once} slice(s) are sampled at once.")


class _Relay(PredictionListener):
    """Turns what the prediction of each class reports into what the run reports."""

    def __init__(self, listener: RunListener, request: PredictionRequest) -> None:
        self._listener = listener
        self._names = request.classes
        self._folder = request.out / PREVIEW
        self._number = 0
        self._white = 1.0
        self.slices_at_once = 0
        self._start: tuple[float, float] | None = None

    def begin(self, name: str) -> None:
        """The prediction of a class begins."""
        self._number = self._names.index(name)

    def warn(self, code: str, sentence: str) -> None:
        """Pass on a warning."""
        self._listener.warning(code, sentence)

    def stage(self, name: str) -> None:
        self._listener.stage(name, self._names[self._number])

    def pulse(self) -> None:
        self._listener.pulse()

    def prepared(self, pre: np.ndarray, slices: list[int]) -> None:
        self._white = white_level(pre)
        ensure_output_folder(self._folder)

    def classified(self, choice: "ClassChoice") -> None:
        if self._number == 0:
            self._listener.classified(choice)

    def sampling(self, state: SamplingState) -> None:
        self.slices_at_once = state.working or self.slices_at_once
        now, done = time.perf_counter(), (self._number + state.fraction) / len(self._names)
        self._start = self._start or (now, done)
        began, before = self._start
        eta = (now - began) * (1.0 - done) / (done - before) if done > before else None
        fraction = _BEFORE_SAMPLING + done * (_AFTER_SAMPLING - _BEFORE_SAMPLING)
        self._listener.progress(RunProgress(fraction, eta, self._names[self._number], state))

    def slice_done(self, sample: int, index: int, pixels: np.ndarray) -> None:
        name = self._names[self._number]
        path = self._folder / f"{name}_{sample:03d}_{index:04d}.png"
        self._listener.preview(name, sample, index, write_preview(pixels, self._white, path))


def _check_classes(bundle: "Bundle", request: PredictionRequest) -> None:
    """:raises OptionError: the last of several classes does not exist, which would otherwise show late."""
    scheme = bundle.schemes.get(request.scheme or next(iter(bundle.schemes), NO_CLASS))
    if scheme is None and len(request.classes) > 1:
        raise OptionError("Without a class scheme there is only one result.", "Ask for one class only.")
    for name in request.classes if scheme else ():
        if name != PREDICTED_CLASS:
            scheme.by_name(name)


def _montage(done: _Done, prediction: "Prediction", folder: Path, listener: RunListener) -> dict[str, Path]:
    try:
        from .outputs.montage import write_montage

        return {"montage": write_montage(done.case, prediction, folder / "montage.png", done.follow_up)}
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        listener.warning("no-montage", "The montage needs the package matplotlib, which is not installed.")
        return {}


@contextmanager
def _memory_explained() -> Iterator[None]:
    """:raises OutOfMemoryError: the processor or the graphics card has too little memory."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        text = str(error).lower()
        if isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text:
            raise OutOfMemoryError("There is not enough memory for this prediction.") from error
        raise
