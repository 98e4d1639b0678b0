"""A bundle's networks at work on slices: encode, classify, choose what to condition on, generate.

Volumes come in with `prediction`; evaluation and training use slices alone, and so need no SimpleITK.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from ..errors import GuidanceError, OptionError
from ..request import PREDICTED_CLASS
from .bundle import Bundle
from .classes import NO_CLASS, coarsen, patient_probabilities
from .neighbors import neighbor_rows, with_neighbors
from .runtime import choose_device, choose_precision
from .sampling import SamplingOptions, sample_latents

MOST_DAYS = 3650
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
    :param days_since_rt: days from the start of radiotherapy to the follow-up that is predicted, for a model that knows
        them; None takes the bundle's default.
    """

    scheme: str | None = None
    survival_class: str = PREDICTED_CLASS
    samples: int = 1
    seed: int = 1
    sampling: SamplingOptions | None = None
    batch_size: int | None = None
    days_since_rt: float | None = None

    def __post_init__(self) -> None:
        if self.days_since_rt is not None and not 0 <= self.days_since_rt <= MOST_DAYS:
            raise OptionError(
                f"{self.days_since_rt:g} days since radiotherapy is not possible.", f"Use 0 to {MOST_DAYS} days."
            )
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


class SliceModel:
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
        self,
        pre: np.ndarray,
        gtv: np.ndarray,
        batch: int,
        stack_indices: np.ndarray | None = None,
        pulse: Callable[[], None] | None = None,
    ) -> torch.Tensor:
        """Source latents (n, S * C, h, w) of normalized slices and masks (n, H, W); cached.

        :param stack_indices: index of each slice in its stack (n,), for a model that sees neighbors: then all slices
            of a patient must come in one call. None: consecutive.
        :param pulse: called before each part; may raise to stop.
        """
        latents = self._encode_each(pre, gtv, batch, pulse)
        count = self.bundle.neighbor_slices
        if not count:
            return latents
        rows = neighbor_rows(np.arange(len(pre)) if stack_indices is None else stack_indices, count)
        return with_neighbors(latents, rows, self.bundle.latent_channels)

    @torch.inference_mode()
    def _encode_each(
        self, pre: np.ndarray, gtv: np.ndarray, batch: int, pulse: Callable[[], None] | None
    ) -> torch.Tensor:
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
        # A classifier of one channel looks at the image alone.
        inputs = torch.cat([self._tensor(pre), self._tensor(gtv)], dim=1)
        inputs = inputs[:, : self.networks.classifier.conv1.in_channels]
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
        fine = self.bundle.classifier_scheme
        # A classifier of two classes says nothing about four.
        if probabilities is not None and len(fine.classes) >= len(scheme.classes):
            pooled = coarsen(probabilities, fine, scheme)
            named = {entry.name: float(p) for entry, p in zip(scheme.classes, pooled, strict=True)}
        if options.survival_class != PREDICTED_CLASS:
            chosen = scheme.by_name(options.survival_class)
            return ClassChoice(scheme.name, chosen.name, chosen.token, "chosen", named)
        if not named:
            raise OptionError("This bundle has no survival classifier.", "Choose the class with --class.")
        best = scheme.by_name(max(named, key=named.__getitem__))
        return ClassChoice(scheme.name, best.name, best.token, PREDICTED_CLASS, named)

    def choose_days(self, days_since_rt: float | None) -> float | None:
        """Return the days to condition on: those asked for, or the bundle's default; None for a model without days.

        :raises OptionError: days are asked of a model that does not know them.
        """
        if self.networks.denoiser.uses_days:
            return self.bundle.default_days if days_since_rt is None else days_since_rt
        if days_since_rt is not None:
            raise OptionError(
                f"The model {self.bundle.name} was not trained with the time since radiotherapy.", "Leave it out."
            )
        return None

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
        days_since_rt: float | None = None,
        on_step: Callable[[int, int], None] | None = None,
    ) -> np.ndarray:
        """Draw one sample of slices: source latents (b, S * C, h, w) to normalized slices float32 (b, H, W)."""
        tokens = torch.full((len(sources),), token, dtype=torch.long, device=self.device)
        days = None if days_since_rt is None else torch.full((len(sources),), days_since_rt, device=self.device)
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
                days=days,
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

    def _tensor(self, slices: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(slices, dtype=np.float32))[:, None].to(self.device)
