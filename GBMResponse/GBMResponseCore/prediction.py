"""Predict one case: the one function that runs from checked inputs to a synthetic volume."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from . import __version__
from .errors import NothingPredictedError, OptionError, OutOfMemoryError, RequestError
from .inputs.case import Case
from .inputs.resampling import spread_of
from .inputs.slices import CaseSlices, read_slices
from .model.bundle import Bundle
from .model.classes import ClassChoice
from .model.environment import translate_memory_errors
from .model.familiarity import autoencoder_features
from .model.manifest import AUTOENCODER_FEATURES
from .model.sampling import Conditions, answers_at_once, build_scheduler, generate_slices, mean_of_pair
from .model.slice_cache import SliceCache, kept_batch_size, request_key
from .model.slice_model import SliceModel
from .progress import Clock, EnoughError, Listener, Progress
from .request import AUTO_CLASS, NO_CLASS, PredictionOptions
from .setting import decided

_NOT_OF_A_SLICE = ("sample_count", "batch_size")
"""Options that say how many slices, not how one of them looks; those sampled together are kept apart by the cache."""
_DECODING_STEPS = 4
"""Steps of sampling that take about as long as decoding a slice, for the estimate of the time left."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """A synthetic follow-up on the grid of the input image, for one class.

    :param slices: the case it was made from.
    :param options: with everything filled in that bundle and machine have decided; as many samples as there are.
    :param samples_asked: samples that were asked for, if the listener found fewer enough.
    :param expected: the average of what the model thinks possible, same grid and pixel type as the input.
    :param expected_at_once: it is one evaluation of the network; else the mean of the first antithetic pair of samples.
    :param samples: single possibilities, same grid and pixel type as the input.
    :param spread: voxel standard deviation over the samples, float32; None with fewer than two.
    :param generated: uint8 mask of the voxels that were generated; all others are the input's.
    :param weight: share of the generated slices in each voxel, the rest is the input's, float32; None: no composition.
    """

    slices: CaseSlices
    options: PredictionOptions
    class_choice: ClassChoice
    expected: sitk.Image
    expected_at_once: bool
    samples: list[sitk.Image]
    spread: sitk.Image | None
    generated: sitk.Image
    weight: sitk.Image | None
    seconds: dict[str, float]
    samples_asked: int | None = None

    @property
    def predicted(self) -> sitk.Image:
        """The first sample, as in the paper; without samples the expected image."""
        return self.samples[0] if self.samples else self.expected

    @property
    def predicted_name(self) -> str:
        """What `predicted` is."""
        return "sample 1" if self.samples else "expected image"

    @property
    def stopped_sentence(self) -> str:
        """That there are fewer samples than were asked for; empty if there are as many."""
        return "" if self.samples_asked is None else _stopped(len(self.samples), self.samples_asked)

    @property
    def expected_method(self) -> str:
        """How the expected image was made."""
        return "one network evaluation" if self.expected_at_once else "mean of an antithetic pair of samples"

    @cached_property
    def pixels(self) -> list[np.ndarray]:
        """The generated slices of each sample as the volume holds them, normalized float32 (k, H, W)."""
        return [self.slices.read(volume) for volume in self.samples]

    @cached_property
    def expected_pixels(self) -> np.ndarray:
        """The same of the expected image."""
        return self.slices.read(self.expected)


class Predictor:
    """Predicts whole cases with the loaded networks of a bundle.

    :param device: `auto`, or a torch device name.
    :param precision: `auto`, `float32` or `bfloat16` for the denoiser.
    """

    def __init__(self, bundle: Bundle, device: str = "auto", precision: str = "auto") -> None:
        self.model = SliceModel(bundle, device, precision)
        self._last: tuple[PredictionOptions, _Run, ClassChoice] | None = None

    @property
    def bundle(self) -> Bundle:
        return self.model.bundle

    def read_slices(self, case: Case) -> CaseSlices:
        """The case's slices as this model sees them.

        :raises NoOverlapError: no GTV lies inside the slices' field of view.
        """
        slices = read_slices(case, self.bundle.in_plane_rule, self.bundle.normalization)
        if AUTOENCODER_FEATURES not in self.bundle.description["ranges"]:
            return slices
        return replace(slices, seen=autoencoder_features(self.model.networks.image_autoencoder, slices.pre))

    def unchanged(
        self, slices: CaseSlices, options: PredictionOptions, pulse: Callable[[], None] | None = None
    ) -> np.ndarray:
        """The slices to generate as a sample in which nothing changes would show them, normalized float32 (k, H, W).

        :param options: of a prediction that was made, whose encoded latents are taken.
        :param pulse: called before each part; may raise to stop.
        """
        gtv = slices.gtv[slices.indices]
        sources = self.model.encode(slices.pre, gtv.astype(np.float32), options.batch_size, slices.indices, pulse)
        shares, crops = None, None
        if options.compose:
            shares = self.bundle.composition.shares(gtv)
            crops = self.model.crops(sources, shares, slices.positions_mm, pulse)
        kept = self.bundle.keeps_detail
        pixels = slices.pre if kept else self.model.decode_unchanged(sources, crops, options.batch_size, pulse)
        return slices.read(slices.to_volume(pixels, shares)[0])

    def predict(
        self,
        case: Case,
        options: PredictionOptions | None = None,
        *,
        slices: CaseSlices | None = None,
        listener: Listener | None = None,
        progress: Progress | None = None,
        unfinished: Path | None = None,
    ) -> Prediction:
        """Predict a case for one class.

        :param slices: of the case, if they were read before.
        :param progress: which class of how many this is.
        :param unfinished: folder that keeps finished slices; the same request continues from them after a cancel or a
            crash. The caller removes it once the result is safe.
        :raises NoOverlapError: no GTV lies inside the slices' field of view.
        :raises OptionError, GuidanceError: the bundle cannot do what `options` ask.
        :raises OutOfMemoryError: also for one slice at once, or for the batch size that was asked for.
        """
        wanted = options or PredictionOptions()
        if len(wanted.classes) > 1:
            raise OptionError("Several classes are predicted one after the other.", "Ask for one class only.")
        self._last = None
        options, listener = self.model.resolve(wanted), listener or Listener()
        build_scheduler(self.bundle.scheduler_config, options)  # a bundle's schedule is refused before any work
        slices = slices or self.read_slices(case)
        run = _Run(self.model, slices, options, listener, progress or Progress(options.classes[0]), unfinished)
        if wanted.batch_size is None:
            run = run.with_kept_batch_size()
        while True:
            try:
                with translate_memory_errors():
                    prediction = run.predict()
                self._last = wanted, run, prediction.class_choice
                return prediction
            except OutOfMemoryError:
                at_once = min(decided(run.options.batch_size), len(slices.indices))
                if wanted.batch_size is not None or at_once == 1:
                    raise
            self.model.free_memory()
            run = run.with_batch_size(at_once // 2)
            sentence = f"There is little memory: {run.options.batch_size} slice(s) are sampled at once."
            listener.warning("small-memory", sentence)

    def what_if(self, index: int, weight: float | None, days: float | None) -> sitk.Image:
        """The expected image of one slice of the last predicted case, for other conditions.

        Its slices and encodings are kept: this is one evaluation of one slice, and its decoding.

        :param index: of the slice, in the stack.
        :param weight: see `class_weight` of `PredictionOptions`; None: the class of that prediction.
        :param days: days from the start of RT to the follow-up; None: those of that prediction.
        :returns: the part of the input's grid that the slice lies in.
        :raises NothingPredictedError: there is no such case.
        :raises RequestError: this slice was not predicted.
        :raises OptionError: the model knows no classes, or no days, or a value is not possible.
        """
        if self._last is None:
            raise NothingPredictedError("Nothing was predicted with this model yet.")
        wanted, run, choice = self._last
        rows = np.flatnonzero(run.slices.indices == index)
        if not rows.size:
            raise RequestError(f"Slice {index} was not predicted.", "Ask for a slice with GTV.")
        changes: dict[str, Any] = {"sample_count": 0, "batch_size": run.options.batch_size}
        if days is not None:
            changes["days_since_rt"] = days
        if weight is not None:
            scheme = None if wanted.scheme == NO_CLASS else wanted.scheme
            changes |= {"class_weight": weight, "classes": (AUTO_CLASS,), "scheme": scheme}
        options = self.model.resolve(replace(wanted, **changes))
        if weight is not None:
            choice = self.model.choose_class(run.slices.pre, run.slices.gtv, options)
        with translate_memory_errors():
            return replace(run, options=options, unfinished=None, listener=Listener()).what_if(int(rows[0]), choice)


@dataclass(frozen=True, eq=False)
class _Run:
    """One prediction with one number of slices at once."""

    model: SliceModel
    slices: CaseSlices
    options: PredictionOptions
    listener: Listener
    progress: Progress
    unfinished: Path | None
    clock: Clock = field(default_factory=Clock)
    _drawn: dict[tuple[int, ...], np.ndarray] = field(default_factory=dict)
    """Samples that the expected image was made from, by sample and rows: they are not drawn again."""

    def predict(self) -> Prediction:
        model, slices, options, listener = self.model, self.slices, self.options, self.listener
        name, pre, gtv = self.progress.survival_class, slices.pre, self._gtv
        listener.prepared(slices)
        listener.stage("encode", name)
        sources = model.encode(pre, gtv, options.batch_size, slices.indices, listener.pulse)
        self.clock.mark("encode")

        listener.stage("classify", name)
        choice = model.choose_class(pre, gtv, options)
        if self.progress.class_number == 0:
            listener.classified(choice)
        self.clock.mark("classify")

        listener.stage("expected", name)
        conditions = self._conditions(sources, choice)
        expected, mask = slices.to_volume(self._picture(conditions, None), self._shares)
        listener.expected_done(name, expected)
        self.clock.mark("expected")

        samples = []
        if options.sample_count:
            listener.stage("sample", name)
            try:
                for sample in range(options.sample_count):
                    samples.append(self._picture(conditions, sample))
            except EnoughError:
                listener.warning("stopped", _stopped(len(samples), options.sample_count))
            self.clock.mark("sample")

        listener.stage("assemble", name)
        volumes = [slices.to_volume(pixels, self._shares)[0] for pixels in samples]
        weight = None if self._shares is None else slices.share_volume(self._shares)
        spread = spread_of(volumes) if len(volumes) > 1 else None
        self.clock.mark("assemble")
        seconds = {stage: round(spent, 3) for stage, spent in self.clock.seconds.items()}
        asked = options.sample_count if len(samples) < options.sample_count else None
        options = replace(options, sample_count=len(samples))
        pictures = (expected, self._at_once, volumes, spread, mask, weight)
        return Prediction(slices, options, choice, *pictures, seconds, asked)

    def what_if(self, row: int, choice: ClassChoice) -> sitk.Image:
        """The expected image of one of the slices, for a class, on the part of the input's grid that it lies in."""
        slices, options = self.slices, self.options
        sources = self.model.encode(slices.pre, self._gtv, options.batch_size, slices.indices)
        pixels = generate_slices(
            self.model, self._conditions(sources, choice)[[row]], options,
            seed=options.seed, sample=None, listener=self.listener, progress=self._progress(None, 1),
        )  # fmt: skip
        shares = None if self._shares is None else self._shares[[row]]
        return replace(slices, indices=slices.indices[[row]]).to_slab(pixels, shares)

    def _conditions(self, sources: torch.Tensor, choice: ClassChoice) -> Conditions:
        """What all slices are generated from, and what of them is decoded."""
        crops, positions = None, self.slices.positions_mm
        if self._shares is not None:
            crops = self.model.crops(sources, self._shares, positions, self.listener.pulse)
        days = self.options.days_since_rt
        pre, gtv, batch = self.slices.pre, self._gtv, decided(self.options.batch_size)
        detail = self.model.detail(pre, sources, crops, batch, self.listener.pulse)
        windows = self.model.windows(gtv)
        return Conditions(sources, positions, choice.class_token, days, crops, choice.second, windows, detail)

    def with_batch_size(self, batch_size: int) -> "_Run":
        return replace(self, options=replace(self.options, batch_size=batch_size), clock=Clock(), _drawn={})

    def with_kept_batch_size(self) -> "_Run":
        """The same as an unfinished run of this request, so that its slices can be used."""
        kept = kept_batch_size(self.unfinished, self._key) if self.unfinished else None
        return self.with_batch_size(kept) if kept else self

    @property
    def _gtv(self) -> np.ndarray:
        return self.slices.gtv[self.slices.indices].astype(np.float32)

    @cached_property
    def _shares(self) -> np.ndarray | None:
        """Of the prediction in each pixel (k, H, W); None if the whole slice is asked for."""
        gtv = self.slices.gtv[self.slices.indices]
        return self.model.bundle.composition.shares(gtv) if self.options.compose else None

    @cached_property
    def _key(self) -> str:
        """Hash of everything that a slice of this class depends on, but for those sampled with it."""
        facts = {name: value for name, value in asdict(self.options).items() if name not in _NOT_OF_A_SLICE}
        facts |= {"bundle": self.model.bundle.sha256, "version": __version__}
        slices = self.slices
        return request_key(facts, slices.pre, self._gtv, slices.indices, slices.positions_mm)

    @property
    def _steps(self) -> int:
        return decided(self.options.steps)

    @property
    def _at_once(self) -> bool:
        return answers_at_once(self.model.bundle.scheduler_config)

    def _progress(self, sample: int | None, slices: int) -> Progress:
        """Where making a picture begins. What the expected image takes from its pair, the samples need not."""
        count, cost = self.options.sample_count, self._steps + _DECODING_STEPS
        first = 1 + _DECODING_STEPS if self._at_once else 2 * cost
        costs = [first, *(0 if number < 2 and not self._at_once else cost for number in range(count))]
        number = 0 if sample is None else sample + 1
        return replace(
            self.progress, sample=sample, sample_count=count, slices=slices,
            before=sum(costs[:number]) / sum(costs), after=sum(costs[: number + 1]) / sum(costs),
        )  # fmt: skip

    def _picture(self, conditions: Conditions, sample: int | None) -> np.ndarray:
        """One sample of all slices, or the expected image, normalized (k, H, W)."""
        listener, indices = self.listener, self.slices.indices
        done = self._progress(sample, len(conditions))
        steps = self._steps if sample is not None else 1 if self._at_once else 2 * self._steps
        listener.progress(done)
        parts = []
        for chunk in self._chunks(len(conditions)):
            pixels = self._slices(conditions, sample, chunk, replace(done, working=len(chunk), steps=steps))
            for row, plane in zip(chunk, self._shown(pixels, chunk), strict=True):
                listener.slice_done(self.progress.survival_class, sample, int(indices[row]), plane)
            done = replace(done, finished=done.finished + len(chunk))
            parts.append(pixels)
        listener.progress(done)
        return np.concatenate(parts)

    def _shown(self, pixels: np.ndarray, chunk: list[int]) -> np.ndarray:
        """Some slices (c, H, W) as they will look in the volume."""
        if self._shares is None:
            return pixels
        shares, kept = self._shares[chunk], np.clip(pixels, -1.0, self.slices.scale.clip_high)
        return shares * kept + (1.0 - shares) * self.slices.pre[chunk]

    def _slices(self, conditions: Conditions, sample: int | None, chunk: list[int], working: Progress) -> np.ndarray:
        """Some slices of a picture (c, H, W), taking finished ones from the cache."""
        if sample is not None and (sample, *chunk) in self._drawn:
            return self._drawn.pop((sample, *chunk))
        options = self.options
        cache = SliceCache(self.unfinished, self._key, options.batch_size) if self.unfinished else None
        pixels = cache.load_together(sample, chunk, self.slices.pre.shape[1:]) if cache else None
        if pixels is not None:
            return pixels
        self.listener.progress(working)
        if sample is None and not self._at_once:

            def draw(number: int) -> np.ndarray:
                at = replace(working, step=number * self._steps)
                self._drawn[(number, *chunk)] = self._slices(conditions, number, chunk, at)
                return self._drawn[(number, *chunk)]

            pixels = mean_of_pair(draw)
        else:
            pixels = generate_slices(
                self.model, conditions[chunk], options,
                seed=options.seed, sample=sample, listener=self.listener, progress=working,
            )  # fmt: skip
        if cache:
            for row, plane in zip(chunk, pixels, strict=True):
                cache.store(sample, row, plane)
        return pixels

    def _chunks(self, count: int) -> Iterator[list[int]]:
        """Rows that are sampled together: always the same ones, as their company shows in the last digits."""
        rows = list(range(count))
        at_once = decided(self.options.batch_size)
        for start in range(0, count, at_once):
            yield rows[start : start + at_once]


def _stopped(samples: int, asked: int) -> str:
    return f"Stopped, as asked, after {samples} of {asked} samples."
