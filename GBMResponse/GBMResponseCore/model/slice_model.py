"""A bundle's networks at work on slices: encode, classify, choose what to condition on, generate.

Volumes come in with `prediction`; evaluation and training use slices alone, and so need no SimpleITK.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch

from ..errors import GuidanceError, OptionError
from ..request import AUTO_CLASS, NO_CLASS, PREDICTED_CLASS, PredictionOptions, SamplingOptions, check_guidance
from ..setting import decided
from .bundle import Bundle
from .classes import ClassChoice, ClassScheme, coarsen, patient_probabilities
from .crops import Crops, find_crops
from .networks import guided_output
from .runtime import batch_size, choose_device, choose_precision
from .slice_cache import request_key
from .windows import Windows, find_windows

_CACHED_CASES = 4
_AUTOENCODER_SLICES = {"cpu": 2, "cuda": 40}
"""Slices that the autoencoders take at once: on a CPU more are no faster, and a cancel would have to wait for them."""
_CLASSIFIER_SLICES = 16


class SliceModel:
    """A bundle with loaded networks; keeps them and recent encodings for the next case or class.

    :param device: `auto`, or a torch device name.
    :param precision: `auto`, `float32` or `bfloat16` for the denoiser.
    """

    def __init__(self, bundle: Bundle, device: str = "auto", precision: str = "auto") -> None:
        self.bundle = bundle
        self.device = choose_device(device)
        self.precision_name = precision
        self.networks = bundle.load_networks(self.device)
        parts = (self.networks.image_autoencoder, self.networks.gtv_autoencoder, self.networks.denoiser)
        for network in parts:  # a third of the codec's time on a CPU, and a tenth of the denoiser's
            network.to(memory_format=torch.channels_last)
        self.networks.denoiser.ease()
        self._autoencoder_slices = _AUTOENCODER_SLICES.get(self.device.type, _AUTOENCODER_SLICES["cpu"])
        self._encodings: OrderedDict[str, torch.Tensor] = OrderedDict()
        self._crops: OrderedDict[str, Crops | None] = OrderedDict()
        self._details: OrderedDict[str, np.ndarray] = OrderedDict()
        self._precisions: dict[float, torch.dtype] = {}

    def resolve(self, options: PredictionOptions) -> PredictionOptions:
        """The options with everything filled in that the bundle or this machine decides. Nothing is computed yet.

        :raises OptionError: the bundle does not know the scheme, a class or the days, or the sampling is impossible.
        :raises GuidanceError: the model was not trained for this guidance, or not without a class.
        """
        options = options.with_defaults(self.bundle.description["sampling"])
        check_guidance(options, self.bundle.label_dropout, self.networks.denoiser.uses_class)
        if options.scheme is None and options.classes == (NO_CLASS,):
            options = replace(options, scheme=NO_CLASS)
        scheme = self._scheme(options.scheme)
        if options.class_weight is not None and scheme is None:
            raise OptionError("Without survival classes there is nothing to mix.", "Leave the class weight out.")
        if options.scheme == NO_CLASS and options.classes == (AUTO_CLASS,):
            options = replace(options, classes=(NO_CLASS,))
        if (
            scheme is not None
            and options.class_weight is None
            and AUTO_CLASS in options.classes
            and self._does_without_class(scheme)
        ):
            scheme = None
        for name in options.classes if options.class_weight is None else ():
            self._check_class(scheme, name)
        if scheme is None and len(options.classes) > 1:
            raise OptionError("Without a class scheme there is only one result.", "Ask for one class only.")
        if scheme is None:  # both branches of guidance would be the same
            options = replace(options, guidance_scale=1.0, guidance_form="standard")
        return replace(
            options,
            scheme=scheme.name if scheme else NO_CLASS,
            days_since_rt=self.choose_days(options.days_since_rt),
            device=str(self.device),
            precision=str(self.precision(options)).removeprefix("torch."),
            batch_size=self._batch_size(options.batch_size),
        )

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
        batch = min(batch, self._autoencoder_slices)
        # Encoded in another company, the last digits of a slice differ.
        key = f"{hashlib.sha256(pre.tobytes() + gtv.tobytes()).hexdigest()}-{batch}"
        if key not in self._encodings:
            parts = []
            for start in range(0, len(pre), batch):
                chunk = slice(start, start + batch)
                if pulse:
                    pulse()
                image_latents = self.networks.image_autoencoder.encode(self._tensor(pre[chunk]))
                gtv_latents = self.networks.gtv_autoencoder.encode(self._tensor(gtv[chunk]))
                parts.append(torch.cat([image_latents, gtv_latents], dim=1))
            self._encodings[key] = torch.cat(parts)
            while len(self._encodings) > _CACHED_CASES:
                self._encodings.popitem(last=False)
        self._encodings.move_to_end(key)
        return self._encodings[key]

    @torch.inference_mode()
    def classify(self, pre: np.ndarray, gtv: np.ndarray, batch: int = _CLASSIFIER_SLICES) -> np.ndarray | None:
        """Patient-level probabilities of the classifier's own scheme from slices (n, H, W); None without classifier."""
        if self.networks.classifier is None:
            return None
        settings = self.bundle.description["classifier"]
        # A classifier of one channel looks at the image alone.
        channels = self.networks.classifier.conv1.in_channels
        logits = []
        for start in range(0, len(pre), batch):
            chunk = slice(start, start + batch)
            inputs = torch.cat([self._tensor(pre[chunk]), self._tensor(gtv[chunk])], dim=1)[:, :channels]
            inputs = torch.nn.functional.avg_pool2d(inputs, settings["pooling"])
            logits.append(self.networks.classifier(inputs).float().cpu().numpy())
        return patient_probabilities(np.concatenate(logits), settings["temperature"])

    def choose_class(self, pre: np.ndarray, gtv: np.ndarray, options: PredictionOptions) -> ClassChoice:
        """Find the class to condition on, the first of `options.classes`.

        :raises OptionError: the bundle has no such scheme or class, or no classifier to predict one.
        :raises GuidanceError: no class is asked of a model whose null class was never trained.
        """
        scheme, wanted = self._scheme(options.scheme), options.classes[0]
        if scheme is not None and options.class_weight is not None:
            return scheme.mixed(options.class_weight)
        self._check_class(scheme, wanted)
        if scheme is None:
            note = self.bundle.classifier_doubt if wanted == AUTO_CLASS and self.bundle.schemes else ""
            return ClassChoice(NO_CLASS, NO_CLASS, self.bundle.null_token, NO_CLASS, note=note)
        named = {}
        if self._can_classify(scheme):
            batch = min(_CLASSIFIER_SLICES, 2 * (options.batch_size or _CLASSIFIER_SLICES))
            pooled = coarsen(self.classify(pre, gtv, batch), decided(self.bundle.classifier_scheme), scheme)
            named = {entry.name: float(p) for entry, p in zip(scheme.classes, pooled, strict=True)}
        note = self.bundle.class_note(named) if named else ""
        if wanted not in (AUTO_CLASS, PREDICTED_CLASS):
            chosen = scheme.by_name(wanted)
            return ClassChoice(scheme.name, chosen.name, chosen.token, "chosen", named, note)
        best = scheme.by_name(max(named, key=named.__getitem__))
        return ClassChoice(scheme.name, best.name, best.token, PREDICTED_CLASS, named, note)

    def _scheme(self, name: str | None) -> ClassScheme | None:
        """The class scheme of this name, or the bundle's first; None: no class.

        :raises OptionError, GuidanceError: there is none, or no class is not possible.
        """
        schemes = self.bundle.schemes
        name = name or next(iter(schemes), NO_CLASS)
        if name == NO_CLASS:
            if self.networks.denoiser.uses_class and self.bundle.label_dropout <= 0.0:
                raise GuidanceError(
                    "This model has no trained null class: it was trained without label dropout.",
                    f"Choose one of: {', '.join(schemes)}.",
                )
            return None
        if name not in schemes:
            raise OptionError(
                f"The bundle {self.bundle.name} has no class scheme {name!r}.",
                f"Choose one of: {', '.join([NO_CLASS, *schemes])}.",
            )
        return schemes[name]

    def _check_class(self, scheme: ClassScheme | None, name: str) -> None:
        """:raises OptionError: the scheme has no such class, or there is no classifier to predict one."""
        if scheme is None:
            if name not in (AUTO_CLASS, PREDICTED_CLASS, NO_CLASS):
                raise OptionError(
                    f"Without a class scheme there is no class {name!r}.", "Choose a scheme, or no class."
                )
        elif name not in (AUTO_CLASS, PREDICTED_CLASS):
            scheme.by_name(name)
        elif not self._can_classify(scheme):
            raise OptionError("This bundle has no survival classifier.", "Choose the class with --class.")

    def _does_without_class(self, scheme: ClassScheme) -> bool:
        """Whether `auto` predicts without a class: the classifier has shown no skill, and the null class is trained."""
        doubted = bool(self.bundle.classifier_doubt) or not self._can_classify(scheme)
        return doubted and self.bundle.label_dropout > 0.0

    def _can_classify(self, scheme: ClassScheme) -> bool:
        """Whether the classifier tells the classes apart: one of two classes says nothing about four."""
        fine = self.bundle.classifier_scheme
        return fine is not None and len(fine.classes) >= len(scheme.classes)

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

    def windows(self, gtv: np.ndarray) -> Windows | None:
        """What the denoiser sees of slices with this GTV (n, H, W); None: all."""
        rule = self.bundle.window_rule
        return None if rule is None else find_windows(gtv, rule, self.bundle.description["latents"]["downsampling"])

    @torch.inference_mode()
    def crops(
        self,
        sources: torch.Tensor,
        shares: np.ndarray,
        positions_mm: np.ndarray,
        pulse: Callable[[], None] | None = None,
    ) -> Crops | None:
        """What to decode of slices with these sources (n, S * C, h, w), see :func:`.crops.find_crops`; cached."""
        pre = sources[:, : self.bundle.latent_channels]
        key = request_key({}, pre.cpu().numpy(), shares, positions_mm)
        if key not in self._crops:
            self._crops[key] = find_crops(self.networks.image_autoencoder, pre, shares, positions_mm, pulse)
            while len(self._crops) > _CACHED_CASES:
                self._crops.popitem(last=False)
        self._crops.move_to_end(key)
        return self._crops[key]

    @torch.inference_mode()
    def decode(self, latents: torch.Tensor, sources: torch.Tensor, crops: Crops | None = None) -> Iterator[np.ndarray]:
        """Sampled latents (b, C, h, w) to normalized slices, in parts float32 (p, H, W).

        :param sources: what they were sampled from (b, S * C, h, w).
        :param crops: what to decode of them, black is the rest; None: all.
        """
        if self.bundle.residual_scale is not None:
            residual_scale = torch.tensor(self.bundle.residual_scale, device=self.device).view(1, -1, 1, 1)
            latents = sources[:, : self.bundle.latent_channels] + latents / residual_scale
        for start in range(0, len(latents), self._autoencoder_slices):
            rows = slice(start, start + self._autoencoder_slices)
            autoencoder, part = self.networks.image_autoencoder, latents[rows]
            images = autoencoder.decode(part) if crops is None else crops[rows].decode(autoencoder, part)
            yield images[:, 0].float().cpu().numpy()

    def detail(
        self,
        pre: np.ndarray,
        sources: torch.Tensor,
        crops: Crops | None,
        batch: int,
        pulse: Callable[[], None] | None = None,
    ) -> np.ndarray | None:
        """What the autoencoder loses of slices (n, H, W), which a prediction keeps; None: not with this model. Cached.

        Noise, texture and edges that are finer than latents can say belong to the scan and not to the model: a
        prediction that only changes the input has them too. Outside of what is decoded it is all of the input.

        :param sources: of the slices (n, S * C, h, w).
        """
        if not self.bundle.keeps_detail:
            return None
        boxes = None if crops is None else [crops.size, crops.corners.tolist()]
        key = request_key({"batch": batch, "boxes": boxes}, pre)  # in another company, the last digits differ
        if key not in self._details:
            self._details[key] = pre - self.decode_unchanged(sources, crops, batch, pulse)
            while len(self._details) > _CACHED_CASES:
                self._details.popitem(last=False)
        self._details.move_to_end(key)
        return self._details[key]

    @torch.inference_mode()
    def decode_unchanged(
        self, sources: torch.Tensor, crops: Crops | None, batch: int, pulse: Callable[[], None] | None = None
    ) -> np.ndarray:
        """What :meth:`decode` draws of source latents (n, S * C, h, w) if nothing changes, float32 (n, H, W).

        :param pulse: called before each part; may raise to stop.
        """
        parts = []
        for start in range(0, len(sources), batch):
            if pulse:
                pulse()
            part, rows = sources[start : start + batch], slice(start, start + batch)
            pre = part[:, : self.bundle.latent_channels]
            unchanged = pre if self.bundle.residual_scale is None else torch.zeros_like(pre)
            parts += self.decode(unchanged, part, None if crops is None else crops[rows])
        return np.concatenate(parts)

    @torch.inference_mode()
    def precision(self, options: SamplingOptions) -> torch.dtype:
        """Number format of the denoiser; the rounding error that `auto` looks at grows with the guidance scale.

        It is judged on latents that are always the same, so that no case depends on those before it.

        :raises OptionError: there is no such precision.
        """
        scale = options.standard_guidance_scale
        if scale not in self._precisions:
            self._precisions[scale] = choose_precision(self.precision_name, self.device, lambda: self._probe(scale))
        return self._precisions[scale]

    def _probe(self, scale: float) -> torch.Tensor:
        """Guided output of the denoiser for standard normal latents, half way through."""
        channels = self.bundle.latent_channels
        side = self.bundle.in_plane_rule.size // self.bundle.description["latents"]["downsampling"]
        if self.bundle.window_rule is not None:
            side = min(side, self.bundle.window_rule.size)
        sources = channels * (2 + 2 * self.bundle.neighbor_slices)
        count = self._batch_size(None) if self.device.type == "cuda" else 1  # a card is not busy with one slice
        drawn = torch.randn((count, sources + channels, side, side), generator=torch.Generator().manual_seed(0))
        drawn = drawn.to(self.device)
        tokens = torch.zeros(count, dtype=torch.long, device=self.device)
        timestep = torch.tensor(500, device=self.device)
        noisy, null_token = drawn[:, sources:], self.bundle.null_token
        return guided_output(self.networks.denoiser, noisy, drawn[:, :sources], timestep, tokens, null_token, scale)

    def free_memory(self) -> None:
        """Give back what the graphics card's allocator holds in reserve."""
        if self.device.type == "cuda":
            torch.cuda.empty_cache()

    def _batch_size(self, wanted: int | None) -> int:
        widest = int(self.networks.image_autoencoder.model.config.block_out_channels[0])
        return batch_size(wanted, self.device, self.bundle.in_plane_rule.size**2, widest)

    def _tensor(self, slices: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(slices, dtype=np.float32))[:, None].to(self.device)


def neighbor_rows(stack_indices: Sequence[int] | np.ndarray, count: int) -> np.ndarray:
    """Rows (2 * count, n) of the neighbors one step below, one above, two below, ... of each of n slices.

    A neighbor that is not among the slices (the GTV ends there, or has a gap) is replaced by the slice itself.

    :param stack_indices: index of each slice in its stack (n,), each once.
    :param count: neighbors on either side.
    """
    indices = np.asarray(stack_indices)
    row_of = {int(index): row for row, index in enumerate(indices)}
    steps = [sign * distance for distance in range(1, count + 1) for sign in (-1, 1)]
    rows = [[row_of.get(int(index) + step, row) for row, index in enumerate(indices)] for step in steps]
    return np.array(rows, dtype=np.int64).reshape(2 * count, len(indices))


def with_neighbors(sources: torch.Tensor, rows: np.ndarray, channels: int) -> torch.Tensor:
    """Append the pre latents of neighbors to source latents (n, S * C, h, w), whose first C channels are pre latents.

    :param rows: of :func:`neighbor_rows`.
    :param channels: C.
    """
    pre = sources[:, :channels]
    return torch.cat([sources, *(pre[torch.as_tensor(row)] for row in rows)], dim=1)
