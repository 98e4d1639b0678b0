"""Predict one case: the one function that runs from checked inputs to a synthetic volume."""

import hashlib
import json
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from .errors import NoOverlapError
from .inputs.case import Case, Note
from .inputs.grid import StackGrid
from .inputs.preprocessing import IntensityScale, fit_scale
from .inputs.resampling import image_like
from .model.runtime import batch_size
from .model.sampling import SamplingOptions, check_guidance
from .model.slice_cache import SliceCache
from .model.slice_model import ClassChoice, PredictionOptions, SliceModel
from .progress import PredictionListener, SamplingState


@dataclass(frozen=True, eq=False)
class Prediction:
    """A synthetic follow-up on the grid of the input image.

    :param samples: predicted volumes, same grid and pixel type as the input.
    :param mean, spread: voxel mean and standard deviation over the samples, float32; None for one sample.
    :param generated: uint8 mask of the voxels that were generated.
    :param days_since_rt: days that the model was told; None: none.
    :param slices: indices of the generated slices in the stack, which run from inferior to superior.
    """

    samples: list[sitk.Image]
    mean: sitk.Image | None
    spread: sitk.Image | None
    generated: sitk.Image
    slices: list[int]
    days_since_rt: float | None
    class_choice: ClassChoice
    sampling: SamplingOptions
    grid: StackGrid
    scale: IntensityScale
    notes: list[Note]
    seconds: dict[str, float]
    device: str
    precision: str


class Predictor(SliceModel):
    """A bundle with loaded networks that predicts whole cases."""

    def predict(
        self,
        case: Case,
        options: PredictionOptions | None = None,
        *,
        listener: PredictionListener | None = None,
        unfinished: Path | None = None,
    ) -> Prediction:
        """Predict a case.

        :param unfinished: folder that keeps finished slices; the same request continues from them after a cancel or a
            crash. The caller removes it once the result is safe.
        :raises NoOverlapError: no GTV lies inside the slices' field of view.
        :raises OptionError, GuidanceError: the bundle cannot do what `options` ask.
        """
        options = options or PredictionOptions()
        listener = listener or PredictionListener()
        sampling = options.sampling or self.bundle.default_sampling
        check_guidance(sampling, self.bundle.label_dropout, self.networks.denoiser.uses_class)
        options = replace(options, days_since_rt=self.choose_days(options.days_since_rt))
        clock = _Clock()

        listener.stage("prepare")
        grid = StackGrid.for_image(case.image, self.bundle.in_plane_rule)
        stack = grid.to_stack(case.image)
        gtv_stack = grid.to_stack(case.gtv, label=True)
        scale = fit_scale(sitk.GetArrayViewFromImage(case.image), self.bundle.normalization)
        generated = gtv_stack.any(axis=(1, 2))
        if not generated.any():
            raise NoOverlapError("The GTV lies outside the field of view around the head.")
        indices = np.flatnonzero(generated)
        pre = scale.normalize(stack[indices])
        gtv = gtv_stack[indices].astype(np.float32)
        batch = batch_size(options.batch_size, self.device, pre[0].size, self._widest_channels())
        listener.prepared(pre, indices.tolist())
        clock.mark("prepare")

        listener.stage("encode")
        sources = self.encode(pre, gtv, batch, indices, listener.pulse)
        clock.mark("encode")

        listener.stage("classify")
        choice = self.choose_class(pre, gtv, options)
        listener.classified(choice)
        clock.mark("classify")

        cache = None
        if unfinished is not None:
            cache = SliceCache(unfinished, self._request_key(pre, gtv, choice, sampling, options))
        listener.stage("sample")
        samples = [
            self._one_sample(sources, grid, indices, choice.token, sampling, options, sample, batch, cache, listener)
            for sample in range(options.samples)
        ]
        clock.mark("sample")

        listener.stage("assemble")
        volumes = []
        for pixels in samples:
            predicted = stack.copy()
            predicted[indices] = scale.restore(pixels)
            volume, mask = grid.to_volume(predicted, generated, case.image)
            volumes.append(volume)
        mean, spread = _mean_and_spread(volumes) if len(volumes) > 1 else (None, None)
        clock.mark("assemble")
        return Prediction(
            samples=volumes,
            mean=mean,
            spread=spread,
            generated=mask,
            slices=indices.tolist(),
            days_since_rt=options.days_since_rt,
            class_choice=choice,
            sampling=sampling,
            grid=grid,
            scale=scale,
            notes=list(case.notes),
            seconds=clock.seconds,
            device=str(self.device),
            precision=str(self._precision(sources)).removeprefix("torch."),
        )

    def _one_sample(
        self,
        sources: torch.Tensor,
        grid: StackGrid,
        indices: np.ndarray,
        token: int,
        sampling: SamplingOptions,
        options: PredictionOptions,
        sample: int,
        batch: int,
        cache: SliceCache | None,
        listener: PredictionListener,
    ) -> np.ndarray:
        """One sample of all slices, normalized (n, H, W), taking finished slices from the cache."""
        count, positions = len(sources), grid.slice_positions_mm[indices]
        finished = {k: cache.load(sample, k) for k in range(count)} if cache else {}
        finished = {k: pixels for k, pixels in finished.items() if pixels is not None}
        todo = [k for k in range(count) if k not in finished]
        for k, pixels in finished.items():
            listener.slice_done(sample, int(indices[k]), pixels)
        listener.sampling(SamplingState(sample, options.samples, len(finished), count))
        for start in range(0, len(todo), batch):
            chunk = todo[start : start + batch]
            state = SamplingState(sample, options.samples, len(finished), count, len(chunk), 0, sampling.steps)
            listener.sampling(state)

            def on_step(step: int, steps: int, state: SamplingState = state) -> None:
                listener.sampling(replace(state, step=step, steps=steps))

            images = self.generate(
                sources[chunk],
                positions[chunk],
                token,
                sampling,
                seed=options.seed,
                sample=sample,
                days_since_rt=options.days_since_rt,
                on_step=on_step,
            )
            for k, pixels in zip(chunk, images, strict=True):
                finished[k] = pixels
                if cache:
                    cache.store(sample, k, pixels)
                listener.slice_done(sample, int(indices[k]), pixels)
        return np.stack([finished[k] for k in range(count)])

    def _request_key(
        self,
        pre: np.ndarray,
        gtv: np.ndarray,
        choice: ClassChoice,
        sampling: SamplingOptions,
        options: PredictionOptions,
    ) -> str:
        request: dict[str, Any] = {
            "bundle": self.bundle.sha256,
            "token": choice.token,
            "sampling": asdict(sampling),
            "seed": options.seed,
            "days_since_rt": options.days_since_rt,
            "precision": self.precision_name,
        }
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode())
        digest.update(pre.tobytes())
        digest.update(gtv.tobytes())
        return digest.hexdigest()


class _Clock:
    """Seconds spent per stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = time.perf_counter()

    def mark(self, stage: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 3)
        self._last = now


def _mean_and_spread(volumes: list[sitk.Image]) -> tuple[sitk.Image, sitk.Image]:
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
