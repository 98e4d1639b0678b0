"""Predict one case: the one function that runs from checked inputs to a synthetic volume."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from . import __version__
from .errors import OptionError, OutOfMemoryError
from .inputs.case import Case
from .inputs.resampling import image_like
from .inputs.slices import CaseSlices, read_slices
from .model.bundle import Bundle
from .model.classes import ClassChoice
from .model.environment import translate_memory_errors
from .model.sampling import Conditions, build_scheduler, generate_slices
from .model.slice_cache import SliceCache, kept_batch_size, request_key
from .model.slice_model import SliceModel
from .progress import Clock, Listener, Progress
from .request import PredictionOptions

_NOT_OF_A_SLICE = ("sample_count", "batch_size")
"""Options that say how many slices, not how one of them looks; those sampled together are kept apart by the cache."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """A synthetic follow-up on the grid of the input image, for one class.

    :param slices: the case it was made from.
    :param options: with everything filled in that bundle and machine have decided.
    :param samples: predicted volumes, same grid and pixel type as the input.
    :param mean, spread: voxel mean and standard deviation over the samples, float32; None for one sample.
    :param generated: uint8 mask of the voxels that were generated.
    """

    slices: CaseSlices
    options: PredictionOptions
    class_choice: ClassChoice
    samples: list[sitk.Image]
    mean: sitk.Image | None
    spread: sitk.Image | None
    generated: sitk.Image
    seconds: dict[str, float]

    @cached_property
    def pixels(self) -> list[np.ndarray]:
        """The generated slices of each sample as the volume holds them, normalized float32 (k, H, W)."""
        return [self.slices.read(volume) for volume in self.samples]


class Predictor:
    """Predicts whole cases with the loaded networks of a bundle.

    :param device: `auto`, or a torch device name.
    :param precision: `auto`, `float32` or `bfloat16` for the denoiser.
    """

    def __init__(self, bundle: Bundle, device: str = "auto", precision: str = "auto") -> None:
        self.model = SliceModel(bundle, device, precision)

    @property
    def bundle(self) -> Bundle:
        return self.model.bundle

    def read_slices(self, case: Case) -> CaseSlices:
        """The case's slices as this model sees them.

        :raises NoOverlapError: no GTV lies inside the slices' field of view.
        """
        return read_slices(case, self.bundle.in_plane_rule, self.bundle.normalization)

    def unchanged(self, slices: CaseSlices, batch: int, pulse: Callable[[], None] | None = None) -> np.ndarray:
        """The slices to generate as a sample in which nothing changes would show them, normalized float32 (k, H, W).

        :param batch: slices at once; that of a prediction takes the latents which it has encoded.
        :param pulse: called before each part; may raise to stop.
        """
        gtv = slices.gtv[slices.indices].astype(np.float32)
        sources, parts = self.model.encode(slices.pre, gtv, batch, slices.indices, pulse), []
        for start in range(0, len(sources), batch):
            if pulse:
                pulse()
            parts += self.model.decode_unchanged(sources[start : start + batch])
        return slices.read(slices.to_volume(np.concatenate(parts))[0])

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
        options, listener = self.model.resolve(wanted), listener or Listener()
        build_scheduler(self.bundle.scheduler_config, options)  # a bundle's schedule is refused before any work
        slices = slices or self.read_slices(case)
        run = _Run(self.model, slices, options, listener, progress or Progress(options.classes[0]), unfinished)
        if wanted.batch_size is None:
            run = run.with_kept_batch_size()
        while True:
            try:
                with translate_memory_errors():
                    return run.predict()
            except OutOfMemoryError:
                at_once = min(run.options.batch_size, len(slices.indices))
                if wanted.batch_size is not None or at_once == 1:
                    raise
            self.model.free_memory()
            run = run.with_batch_size(at_once // 2)
            sentence = f"There is little memory: {run.options.batch_size} slice(s) are sampled at once."
            listener.warning("small-memory", sentence)


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

        listener.stage("sample", name)
        conditions = Conditions(sources, slices.positions_mm, choice.class_token, options.days_since_rt)
        samples = [self._sample(conditions, sample) for sample in range(options.sample_count)]
        self.clock.mark("sample")

        listener.stage("assemble", name)
        volumes = []
        for pixels in samples:
            volume, mask = slices.to_volume(pixels)
            volumes.append(volume)
        mean, spread = _mean_and_spread(volumes) if len(volumes) > 1 else (None, None)
        self.clock.mark("assemble")
        seconds = {stage: round(spent, 3) for stage, spent in self.clock.seconds.items()}
        return Prediction(slices, options, choice, volumes, mean, spread, mask, seconds)

    def with_batch_size(self, batch_size: int) -> "_Run":
        return replace(self, options=replace(self.options, batch_size=batch_size), clock=Clock())

    def with_kept_batch_size(self) -> "_Run":
        """The same as an unfinished run of this request, so that its slices can be used."""
        kept = kept_batch_size(self.unfinished, self._key) if self.unfinished else None
        return self.with_batch_size(kept) if kept else self

    @property
    def _gtv(self) -> np.ndarray:
        return self.slices.gtv[self.slices.indices].astype(np.float32)

    @cached_property
    def _key(self) -> str:
        """Hash of everything that a slice of this class depends on, but for those sampled with it."""
        facts = {name: value for name, value in asdict(self.options).items() if name not in _NOT_OF_A_SLICE}
        facts |= {"bundle": self.model.bundle.sha256, "version": __version__}
        slices = self.slices
        return request_key(facts, slices.pre, self._gtv, slices.indices, slices.positions_mm)

    def _sample(self, conditions: Conditions, sample: int) -> np.ndarray:
        """One sample of all slices, normalized (k, H, W), taking finished slices from the cache."""
        options, listener, indices = self.options, self.listener, self.slices.indices
        cache = SliceCache(self.unfinished, self._key, options.batch_size) if self.unfinished else None
        done = replace(self.progress, sample=sample, sample_count=options.sample_count, slices=len(conditions))
        listener.progress(done)
        parts = []
        for chunk in self._chunks(len(conditions)):
            pixels = cache.load_together(sample, chunk, self.slices.pre.shape[1:]) if cache else None
            if pixels is None:
                working = replace(done, working=len(chunk), steps=options.steps)
                listener.progress(working)
                pixels = generate_slices(
                    self.model, conditions[chunk], options,
                    seed=options.seed, sample=sample, listener=listener, progress=working,
                )  # fmt: skip
                if cache:
                    for row, plane in zip(chunk, pixels, strict=True):
                        cache.store(sample, row, plane)
            for row, plane in zip(chunk, pixels, strict=True):
                listener.slice_done(self.progress.survival_class, sample, int(indices[row]), plane)
            done = replace(done, finished=done.finished + len(chunk))
            parts.append(pixels)
        listener.progress(done)
        return np.concatenate(parts)

    def _chunks(self, count: int) -> Iterator[list[int]]:
        """Rows that are sampled together: always the same ones, as their company shows in the last digits."""
        rows = list(range(count))
        for start in range(0, count, self.options.batch_size):
            yield rows[start : start + self.options.batch_size]


def _mean_and_spread(volumes: list[sitk.Image]) -> tuple[sitk.Image, sitk.Image]:
    """Voxel mean and sample standard deviation, float32."""
    total = np.zeros(volumes[0].GetSize()[::-1], dtype=np.float64)
    squares = np.zeros_like(total)
    for volume in volumes:
        voxels = sitk.GetArrayViewFromImage(volume).astype(np.float64)
        total += voxels
        squares += voxels**2
    mean = total / len(volumes)
    variance = (squares - len(volumes) * mean**2) / (len(volumes) - 1)
    spread = np.sqrt(np.clip(variance, 0.0, None))
    return image_like(volumes[0], mean.astype(np.float32)), image_like(volumes[0], spread.astype(np.float32))
