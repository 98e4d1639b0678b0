"""Predict one case: the one function that runs from checked inputs to a synthetic volume."""

import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch

from .bundle import Bundle
from .case import Case, Note
from .errors import GuidanceError, NoOverlapError, OptionError
from .geometry import StackGrid, image_like
from .intensity import IntensityScale, fit_scale
from .progress import PredictionListener, SamplingState
from .request import PREDICTED_CLASS
from .runtime import batch_size, choose_device, choose_precision
from .sampling import SamplingOptions, check_guidance, sample_latents
from .slice_cache import SliceCache
from .survival import NO_CLASS, coarsen, patient_probabilities

_CACHED_CASES = 4
_CODEC_SLICES = {"cpu": 2, "cuda": 40}
"""Slices that the autoencoders take at once: on a CPU more are no faster, and a cancel would have to wait for them."""


@dataclass(frozen=True)
class PredictionOptions:
    """What to predict.

    :param scheme: a class scheme of the bundle (`2-class`, `4-class`), or `none` for the unconditional model; None
        takes the bundle's first scheme.
    :param survival_class: `predicted` for the classifier's choice, or the name of a class of the scheme.
    :param sampling: None takes the bundle's default.
    :param batch_size: slices at once; None lets free memory decide.
    """

    scheme: str | None = None
    survival_class: str = PREDICTED_CLASS
    samples: int = 1
    seed: int = 1
    sampling: SamplingOptions | None = None
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise OptionError(f"The number of samples is {self.samples}.", "Ask for 1 or more samples.")
        if self.seed < 0:
            raise OptionError(f"The seed is {self.seed}.", "Use a whole number from 0.")


@dataclass(frozen=True)
class ClassChoice:
    """The survival class a prediction was made for.

    :param source: `predicted`, `chosen` or `none`.
    :param probabilities: classifier's patient-level probability per class of the scheme; empty without classifier.
    """

    scheme: str
    name: str
    token: int
    source: str
    probabilities: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Prediction:
    """A synthetic follow-up on the grid of the input image.

    :param samples: predicted volumes, same grid and pixel type as the input.
    :param mean, spread: voxel mean and standard deviation over the samples, float32; None for one sample.
    :param generated: uint8 mask of the voxels that were generated.
    :param slices: indices of the generated slices in the stack, which run from inferior to superior.
    """

    samples: list[sitk.Image]
    mean: sitk.Image | None
    spread: sitk.Image | None
    generated: sitk.Image
    slices: list[int]
    class_choice: ClassChoice
    sampling: SamplingOptions
    grid: StackGrid
    scale: IntensityScale
    notes: list[Note]
    seconds: dict[str, float]
    device: str
    precision: str


class Predictor:
    """A bundle with loaded networks; keeps them and recent encodings for the next case or class.

    :param device: `auto`, or a torch device name.
    :param precision: `auto`, `float32` or `bfloat16` for the denoiser.
    """

    def __init__(self, bundle: Bundle, device: str = "auto", precision: str = "auto") -> None:
        self.bundle = bundle
        self.device = choose_device(device)
        self.precision_name = precision
        self.precision: torch.dtype | None = None
        self.networks = bundle.load_networks(self.device)
        for codec in (self.networks.image_codec, self.networks.gtv_codec):
            codec.to(memory_format=torch.channels_last)
        self._codec_slices = _CODEC_SLICES.get(self.device.type, _CODEC_SLICES["cpu"])
        self._encodings: OrderedDict[str, torch.Tensor] = OrderedDict()

    @torch.inference_mode()
    def encode(
        self, pre: np.ndarray, gtv: np.ndarray, batch: int, pulse: Callable[[], None] | None = None
    ) -> torch.Tensor:
        """Source latents (n, 2 C, h, w) of normalised slices and masks (n, H, W); cached.

        :param pulse: called before each part; may raise to stop.
        """
        batch = min(batch, self._codec_slices)
        key = hashlib.sha256(pre.tobytes() + gtv.tobytes()).hexdigest()
        if key not in self._encodings:
            parts = []
            for start in range(0, len(pre), batch):
                chunk = slice(start, start + batch)
                if pulse:
                    pulse()
                image_latents = self.networks.image_codec.encode(self._tensor(pre[chunk]))
                gtv_latents = self.networks.gtv_codec.encode(self._tensor(gtv[chunk]))
                parts.append(torch.cat([image_latents, gtv_latents], dim=1))
            self._encodings[key] = torch.cat(parts)
            while len(self._encodings) > _CACHED_CASES:
                self._encodings.popitem(last=False)
        self._encodings.move_to_end(key)
        return self._encodings[key]

    @torch.inference_mode()
    def classify(self, pre: np.ndarray, gtv: np.ndarray) -> np.ndarray | None:
        """Patient-level probabilities of the classifier's own scheme from slices (n, H, W); None without classifier."""
        if self.networks.classifier is None:
            return None
        settings = self.bundle.description["classifier"]
        inputs = torch.cat([self._tensor(pre), self._tensor(gtv)], dim=1)
        inputs = torch.nn.functional.avg_pool2d(inputs, settings["pooling"])
        logits = torch.cat([self.networks.classifier(chunk) for chunk in inputs.split(16)])
        return patient_probabilities(logits.float().cpu().numpy(), settings["temperature"])

    def choose_class(self, pre: np.ndarray, gtv: np.ndarray, options: PredictionOptions) -> ClassChoice:
        """Find the class to condition on.

        :raises OptionError: the bundle has no such scheme or class, or no classifier to predict one.
        :raises GuidanceError: no class is asked of a model whose null class was never trained.
        """
        schemes = self.bundle.schemes
        name = options.scheme or next(iter(schemes), NO_CLASS)
        if name == NO_CLASS:
            if self.networks.denoiser.uses_class and self.bundle.label_dropout <= 0.0:
                raise GuidanceError(
                    "This model has no trained null class: it was trained without label dropout.",
                    f"Choose one of: {', '.join(schemes)}.",
                )
            return ClassChoice(NO_CLASS, NO_CLASS, self.bundle.null_token, NO_CLASS)
        if name not in schemes:
            raise OptionError(
                f"The bundle {self.bundle.name} has no class scheme {name!r}.",
                f"Choose one of: {', '.join([NO_CLASS, *schemes])}.",
            )
        scheme = schemes[name]
        probabilities = self.classify(pre, gtv)
        named = {}
        if probabilities is not None:
            fine = schemes[self.bundle.description["classifier"]["scheme"]]
            pooled = coarsen(probabilities, fine, scheme)
            named = {entry.name: float(p) for entry, p in zip(scheme.classes, pooled, strict=True)}
        if options.survival_class != PREDICTED_CLASS:
            chosen = scheme.by_name(options.survival_class)
            return ClassChoice(scheme.name, chosen.name, chosen.token, "chosen", named)
        if not named:
            raise OptionError("This bundle has no survival classifier.", "Choose the class with --class.")
        best = scheme.by_name(max(named, key=named.__getitem__))
        return ClassChoice(scheme.name, best.name, best.token, PREDICTED_CLASS, named)

    @torch.inference_mode()
    def generate(
        self,
        sources: torch.Tensor,
        positions_mm: np.ndarray,
        token: int,
        sampling: SamplingOptions,
        *,
        seed: int,
        sample: int,
        on_step: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Draw one sample of slices: source latents (b, 2 C, h, w) to normalised slices float32 (b, H, W)."""
        tokens = torch.full((len(sources),), token, dtype=torch.long, device=self.device)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self._precision(sources) == torch.bfloat16):
            latents = sample_latents(
                self.networks.denoiser,
                self.bundle.scheduler_config,
                sampling,
                sources,
                tokens,
                null_token=self.bundle.null_token,
                seed=seed,
                sample=sample,
                positions_mm=positions_mm,
                channels=self.bundle.latent_channels,
                on_step=on_step,
            )
        if self.bundle.change_scale is not None:
            scale = torch.tensor(self.bundle.change_scale, device=self.device).view(1, -1, 1, 1)
            latents = sources[:, : self.bundle.latent_channels] + latents / scale
        images = []
        for part in latents.split(self._codec_slices):
            images.append(self.networks.image_codec.decode(part)[:, 0].float().cpu().numpy())
            if on_step:
                on_step(sampling.steps, sampling.steps)  # decoding takes as long as many steps, so it may stop here
        return np.concatenate(images)

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
        clock = _Clock()

        listener.stage("prepare")
        grid = StackGrid.for_image(case.image, self.bundle.in_plane_rule)
        stack = grid.to_stack(case.image)
        gtv_stack = grid.to_stack(case.gtv, label=True)
        scale = fit_scale(sitk.GetArrayViewFromImage(case.image), self.bundle.normalisation)
        generated = gtv_stack.any(axis=(1, 2))
        if not generated.any():
            raise NoOverlapError("The GTV lies outside the field of view around the head.")
        indices = np.flatnonzero(generated)
        pre = scale.normalise(stack[indices])
        gtv = gtv_stack[indices].astype(np.float32)
        batch = batch_size(options.batch_size, self.device, pre[0].size, self._widest_channels())
        listener.prepared(pre, indices.tolist())
        clock.mark("prepare")

        listener.stage("encode")
        sources = self.encode(pre, gtv, batch, listener.pulse)
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
        """One sample of all slices, normalised (n, H, W), taking finished slices from the cache."""
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
                sources[chunk], positions[chunk], token, sampling, seed=options.seed, sample=sample, on_step=on_step
            )
            for k, pixels in zip(chunk, images, strict=True):
                finished[k] = pixels
                if cache:
                    cache.store(sample, k, pixels)
                listener.slice_done(sample, int(indices[k]), pixels)
        return np.stack([finished[k] for k in range(count)])

    def free_memory(self) -> None:
        """Give back what the graphics card's allocator holds in reserve."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _precision(self, sources: torch.Tensor) -> torch.dtype:
        if self.precision is None:
            token = torch.full((1,), self.bundle.null_token, dtype=torch.long, device=self.device)
            noisy = sources[:1, : self.bundle.latent_channels]

            def probe() -> torch.Tensor:
                return self.networks.denoiser(noisy, sources[:1], torch.tensor(500, device=self.device), token)

            self.precision = choose_precision(self.precision_name, self.device, probe)
        return self.precision

    def _widest_channels(self) -> int:
        return int(self.networks.image_codec.model.config.block_out_channels[0])

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
            "precision": self.precision_name,
        }
        digest = hashlib.sha256(json.dumps(request, sort_keys=True).encode())
        digest.update(pre.tobytes())
        digest.update(gtv.tobytes())
        return digest.hexdigest()

    def _tensor(self, slices: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(slices, dtype=np.float32))[:, None].to(self.device)


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
