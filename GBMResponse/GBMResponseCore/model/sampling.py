"""Guided reverse diffusion in latent space.

Guidance (Ho and Salimans 2021, arXiv 2207.12598): output = unconditional + s * (conditional - unconditional), both
branches in one batch of 2B. s = 1 is the conditional model and s = 0 the unconditional one. The paper's Algorithm 2
prints conditional + s * (unconditional - conditional), which is the same line with s' = 1 - s.

The expected image is what the network answers at the last training step, where hardly any of the image is left: the
mean of what it has learned for the condition. A network that predicts noise does not say it there (its answer is
divided by sqrt(alpha) = 0.01), so the mean of an antithetic pair of samples takes its place.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import BundleError, BundleSchemaError, OptionError
from ..request import SamplingOptions
from ..setting import decided
from .crops import Crops
from .loading import of_diffusers
from .networks import guided_output
from .noise import draw_noise, pair_and_sign, slice_generator
from .windows import Windows

if TYPE_CHECKING:
    from ..progress import Listener, Progress
    from .slice_model import SliceModel

_SCHEDULE = ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "prediction_type")
_NOT_NEEDED = {"_class_name", "_diffusers_version", "clip_sample"}
"""Keys of a scheduler's configuration that say nothing about the noise: latents are never clipped here."""
_FEW_STEPS = 4
"""With fewer, DDIM's and DDPM's usual time steps would begin where half of the noise is gone (T / 2 and below)."""


@dataclass(frozen=True, eq=False)
class Conditions:
    """What slices are generated from.

    :param sources: source latents (b, S * C, h, w), in the bundle's order.
    :param positions_mm: positions of the slices (b,), see `noise`.
    :param days_since_rt: None: not known.
    :param crops: what is decoded of the slices; None: all.
    :param second: token of a second class, and its share, see :func:`.networks.guided_output`.
    :param windows: what is denoised of the slices; None: all.
    :param detail: added to what is decoded (b, H, W), see :meth:`.slice_model.SliceModel.detail`; None: nothing.
    """

    sources: torch.Tensor
    positions_mm: np.ndarray
    class_token: int
    days_since_rt: float | None = None
    crops: Crops | None = None
    second: tuple[int, float] | None = None
    windows: Windows | None = None
    detail: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, rows: slice | list[int]) -> "Conditions":
        """Those of some of the slices."""
        return replace(
            self,
            sources=self.sources[rows],
            positions_mm=self.positions_mm[rows],
            crops=None if self.crops is None else self.crops[rows],
            windows=None if self.windows is None else self.windows[rows],
            detail=None if self.detail is None else self.detail[rows],
        )


def build_scheduler(config: dict[str, Any], options: SamplingOptions) -> Any:
    """Return diffusers' scheduler for `options`, with its time steps set.

    :param config: configuration of the training noise schedule (a diffusers scheduler configuration).
    :raises BundleSchemaError: it lacks a key, or has one that is not known here, which would change the result.
    :raises OptionError: the schedule cannot be taken in this number of steps.
    """
    wrong = [key for key in _SCHEDULE if key not in config] + sorted(set(config) - {*_SCHEDULE, *_NOT_NEEDED})
    if wrong or config.get("clip_sample"):
        raise BundleSchemaError(f"The noise schedule is not supported (see {(wrong or ['clip_sample'])[0]!r}).")
    common = {key: config[key] for key in _SCHEDULE}
    training_steps = config["num_train_timesteps"]
    if options.steps > training_steps or (options.sampler in ("ddim", "ddpm") and training_steps % options.steps):
        raise OptionError(
            f"{options.sampler} cannot take {options.steps} steps.", f"Choose a divisor of {training_steps}."
        )
    spacing = "leading" if decided(options.steps) >= _FEW_STEPS else "trailing"
    if options.sampler == "ddim":
        offset = 1 if options.steps < training_steps else 0
        scheduler = of_diffusers("DDIMScheduler")(
            **common, clip_sample=False, set_alpha_to_one=False, steps_offset=offset, timestep_spacing=spacing
        )
    elif options.sampler == "ddpm":
        scheduler = of_diffusers("DDPMScheduler")(
            **common, clip_sample=False, variance_type="fixed_small", timestep_spacing=spacing
        )
    elif options.sampler == "dpmpp":
        scheduler = of_diffusers("DPMSolverMultistepScheduler")(
            **common, algorithm_type="dpmsolver++", use_lu_lambdas=True
        )
    else:
        scheduler = of_diffusers("UniPCMultistepScheduler")(**common, use_exponential_sigmas=True)
    scheduler.set_timesteps(options.steps)
    return scheduler


def answers_at_once(scheduler_config: dict[str, Any]) -> bool:
    """Whether a network of this noise schedule says the expected image in one evaluation."""
    return scheduler_config["prediction_type"] != "epsilon"


@torch.inference_mode()
def sample_latents(
    denoiser: Callable[..., torch.Tensor],
    scheduler_config: dict[str, Any],
    options: SamplingOptions,
    sources: torch.Tensor,
    tokens: torch.Tensor,
    *,
    null_token: int,
    seed: int,
    sample: int,
    positions_mm: Sequence[float],
    channels: int,
    days: torch.Tensor | None = None,
    second: tuple[int, float] | None = None,
    on_step: Callable[[int], None] | None = None,
) -> torch.Tensor:
    """Draw one latent per slice.

    :param denoiser: a :class:`.networks.Denoiser`, or what :meth:`.windows.Windows.within` makes of one.
    :param sources: source latents (B, S * C, h, w), in the bundle's order.
    :param tokens: class tokens (B,) int64.
    :param sample: counted from 0; 2k and 2k + 1 are an antithetic pair.
    :param positions_mm: positions of the B slices, see `noise`.
    :param channels: channels C of a latent.
    :param days: days since the start of radiotherapy (B,), NaN or None: not known.
    :param second: a second class, see :func:`.networks.guided_output`.
    :param on_step: called with the steps done after each network call; may raise to stop.
    :returns: latents (B, C, h, w), float32.
    """
    options = options.with_defaults({})
    scheduler = build_scheduler(scheduler_config, options)
    tokens, second, guidance_scale = _branches(options, tokens, second, null_token)
    pair, sign = pair_and_sign(sample)
    shape = (channels, *sources.shape[-2:])
    noise = draw_noise(seed, pair, positions_mm, shape, decided(options.noise_length))
    latents = noise.to(sources.device) * scheduler.init_noise_sigma
    latents = sign * latents * options.temperature
    step_noise = [slice_generator(seed, pair, z, "steps") for z in positions_mm]
    extra: dict[str, Any] = {}
    if options.sampler == "ddim":
        extra = {"eta": options.eta, "generator": step_noise}
    elif options.sampler == "ddpm":
        extra = {"generator": step_noise}
    for index, timestep in enumerate(scheduler.timesteps):
        model_input = scheduler.scale_model_input(latents, timestep)
        output = guided_output(
            denoiser,
            model_input,
            sources,
            timestep.to(sources.device),
            tokens,
            null_token,
            guidance_scale,
            days,
            second,
        ).float()
        # A step is linear in output, latents and its own noise: so the other sign takes the noise with the other sign.
        latents = sign * scheduler.step(sign * output, timestep, sign * latents, **extra, return_dict=False)[0]
        if on_step:
            on_step(index + 1)
    return latents


@torch.inference_mode()
def expected_latents(
    denoiser: Callable[..., torch.Tensor],
    scheduler_config: dict[str, Any],
    options: SamplingOptions,
    sources: torch.Tensor,
    tokens: torch.Tensor,
    *,
    null_token: int,
    channels: int,
    days: torch.Tensor | None = None,
    second: tuple[int, float] | None = None,
) -> torch.Tensor:
    """The mean of what the model has learned for each slice, by one evaluation at the last training step from x_T = 0.

    x0 = sqrt(alpha) x_T - sqrt(1 - alpha) v for a network that predicts velocity (Salimans and Ho 2022, arXiv
    2202.00512), the output itself for one that predicts the image. Guided as samples are.

    :param sources, tokens, channels, days, second: as in :func:`sample_latents`.
    :returns: latents (B, C, h, w), float32.
    :raises ValueError: the network predicts noise.
    """
    if not answers_at_once(scheduler_config):
        raise ValueError("A network that predicts noise does not say the expected image in one evaluation.")
    options = options.with_defaults({})
    scheduler = build_scheduler(scheduler_config, options)
    tokens, second, guidance_scale = _branches(options, tokens, second, null_token)
    start = torch.zeros((len(sources), channels, *sources.shape[-2:]), device=sources.device)
    last = torch.tensor(scheduler_config["num_train_timesteps"] - 1, device=sources.device)
    output = guided_output(denoiser, start, sources, last, tokens, null_token, guidance_scale, days, second).float()
    if scheduler_config["prediction_type"] == "sample":
        return output
    return -float((1.0 - scheduler.alphas_cumprod[-1]).sqrt()) * output


def _branches(
    options: SamplingOptions, tokens: torch.Tensor, second: tuple[int, float] | None, null_token: int
) -> tuple[torch.Tensor, tuple[int, float] | None, float]:
    """Tokens, second class and guidance scale: one branch where all would be the same."""
    scale = options.standard_guidance_scale
    if scale == 0.0 or (second is None and bool((tokens == null_token).all())):
        return torch.full_like(tokens, null_token), None, 1.0
    return tokens, second, scale


def mean_of_pair(draw: Callable[[int], np.ndarray]) -> np.ndarray:
    """The mean of the first antithetic pair of samples.

    :param draw: makes a sample, 0 or 1.
    """
    return (draw(0) + draw(1)) / np.float32(2.0)


@torch.inference_mode()
def generate_slices(
    model: "SliceModel",
    conditions: Conditions,
    options: SamplingOptions,
    *,
    seed: int,
    sample: int | None,
    listener: "Listener | None" = None,
    progress: "Progress | None" = None,
) -> np.ndarray:
    """Make one picture of slices and decode it: normalized float32 (b, H, W).

    :param sample: counted from 0, see :func:`sample_latents`; None is the expected image.
    :param progress: told to the listener after each step, with the step added.
    :raises BundleError: the model's numbers overflow.
    """
    bundle, sources = model.bundle, conditions.sources
    if sample is None and not answers_at_once(bundle.scheduler_config):

        def draw(number: int) -> np.ndarray:
            part = progress and replace(progress, step=progress.step + number * decided(options.steps))
            return generate_slices(
                model, conditions, options, seed=seed, sample=number, listener=listener, progress=part
            )

        return mean_of_pair(draw)
    full = (len(conditions),)
    days = conditions.days_since_rt

    def on_step(step: int) -> None:
        if listener is not None:
            listener.progress(replace(decided(progress), step=decided(progress).step + step))

    common: dict[str, Any] = {
        "null_token": bundle.null_token,
        "channels": bundle.latent_channels,
        "days": None if days is None else torch.full(full, days, device=model.device),
        "second": conditions.second,
    }
    tokens = torch.full(full, conditions.class_token, dtype=torch.long, device=model.device)
    windows = conditions.windows
    denoiser = windows.within(model.networks.denoiser) if windows is not None else model.networks.denoiser
    inputs = (denoiser, bundle.scheduler_config, options, sources, tokens)
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.precision(options) == torch.bfloat16):
        if sample is None:
            latents = expected_latents(*inputs, **common)
        else:
            where = {"seed": seed, "sample": sample, "positions_mm": conditions.positions_mm}
            latents = sample_latents(*inputs, **common, **where, on_step=on_step)
    if windows is not None:
        latents = windows.keep(latents)
    images = []
    steps = 1 if sample is None else options.steps
    for part in model.decode(latents, sources, conditions.crops):
        images.append(part)
        on_step(decided(steps))  # decoding takes as long as many steps, so it may stop here
    pixels = np.concatenate(images)
    if conditions.detail is not None:
        pixels += conditions.detail
    if not np.isfinite(pixels).all():
        raise BundleError(
            "The model's numbers overflow: the slices are not finite.", "Use a smaller guidance scale, or float32."
        )
    return pixels
