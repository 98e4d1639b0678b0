"""Guided reverse diffusion in latent space.

Guidance (Ho and Salimans 2021, arXiv 2207.12598): output = unconditional + s * (conditional - unconditional), both
branches in one batch of 2B. s = 1 is the conditional model and s = 0 the unconditional one. The paper's Algorithm 2
prints conditional + s * (unconditional - conditional), which is the same line with s' = 1 - s.

Noise belongs to a physical slice: it depends on the seed, the sample and the slice's position in millimeters only, so
batch size, slice order and the chosen class do not change it.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import BundleError, BundleSchemaError, OptionError
from ..request import SamplingOptions
from .networks import Denoiser, guided_output

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
    :param positions_mm: positions of the slices (b,), see `slice_generator`.
    :param days_since_rt: None: not known.
    """

    sources: torch.Tensor
    positions_mm: np.ndarray
    class_token: int
    days_since_rt: float | None = None

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, rows: slice | list[int]) -> "Conditions":
        """Those of some of the slices."""
        return replace(self, sources=self.sources[rows], positions_mm=self.positions_mm[rows])


def build_scheduler(config: dict[str, Any], options: SamplingOptions) -> Any:
    """Return diffusers' scheduler for `options`, with its time steps set.

    :param config: configuration of the training noise schedule (a diffusers scheduler configuration).
    :raises BundleSchemaError: it lacks a key, or has one that is not known here, which would change the result.
    :raises OptionError: the schedule cannot be taken in this number of steps.
    """
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

    wrong = [key for key in _SCHEDULE if key not in config] + sorted(set(config) - {*_SCHEDULE, *_NOT_NEEDED})
    if wrong or config.get("clip_sample"):
        raise BundleSchemaError(f"The noise schedule is not supported (see {(wrong or ['clip_sample'])[0]!r}).")
    common = {key: config[key] for key in _SCHEDULE}
    training_steps = config["num_train_timesteps"]
    if options.steps > training_steps or (options.sampler in ("ddim", "ddpm") and training_steps % options.steps):
        raise OptionError(
            f"{options.sampler} cannot take {options.steps} steps.", f"Choose a divisor of {training_steps}."
        )
    spacing = "leading" if options.steps >= _FEW_STEPS else "trailing"
    if options.sampler == "ddim":
        offset = 1 if options.steps < training_steps else 0
        scheduler = DDIMScheduler(
            **common, clip_sample=False, set_alpha_to_one=False, steps_offset=offset, timestep_spacing=spacing
        )
    elif options.sampler == "ddpm":
        scheduler = DDPMScheduler(**common, clip_sample=False, variance_type="fixed_small", timestep_spacing=spacing)
    elif options.sampler == "dpmpp":
        scheduler = DPMSolverMultistepScheduler(**common, algorithm_type="dpmsolver++", use_lu_lambdas=True)
    else:
        scheduler = UniPCMultistepScheduler(**common, use_exponential_sigmas=True)
    scheduler.set_timesteps(options.steps)
    return scheduler


def slice_generator(seed: int, sample: int, position_mm: float, purpose: str = "start") -> torch.Generator:
    """Return a CPU generator that belongs to one physical slice of one sample.

    :param position_mm: position of the slice center along its normal; rounded to 0.1 mm.
    """
    key = f"{seed}/{sample}/{round(position_mm * 10)}/{purpose}".encode()
    return torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(key).digest()[:8], "little") >> 1)


def draw_noise(seed: int, sample: int, positions_mm: Sequence[float], shape: tuple[int, int, int]) -> torch.Tensor:
    """Return start noise (slices, *shape), float32 on the CPU, one independent draw per physical slice."""
    return torch.stack([torch.randn(shape, generator=slice_generator(seed, sample, z)) for z in positions_mm])


@torch.inference_mode()
def sample_latents(
    denoiser: Denoiser,
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
    on_step: Callable[[int, int], None] | None = None,
) -> torch.Tensor:
    """Draw one latent per slice.

    :param sources: source latents (B, S * C, h, w), in the bundle's order.
    :param tokens: class tokens (B,) int64.
    :param positions_mm: positions of the B slices, see `slice_generator`.
    :param channels: channels C of a latent.
    :param days: days since the start of radiotherapy (B,), NaN or None: not known.
    :param on_step: called with (steps done, steps in all) after each network call; may raise to stop.
    :returns: latents (B, C, h, w), float32.
    """
    options = options.with_defaults({})
    scheduler = build_scheduler(scheduler_config, options)
    guidance_scale = options.standard_guidance_scale
    if guidance_scale == 0.0 or bool((tokens == null_token).all()):  # both branches would be the same
        tokens, guidance_scale = torch.full_like(tokens, null_token), 1.0
    shape = (channels, *sources.shape[-2:])
    latents = draw_noise(seed, sample, positions_mm, shape).to(sources.device) * scheduler.init_noise_sigma
    latents = latents * options.temperature
    step_noise = [slice_generator(seed, sample, z, "steps") for z in positions_mm]
    extra: dict[str, Any] = {}
    if options.sampler == "ddim":
        extra = {"eta": options.eta, "generator": step_noise}
    elif options.sampler == "ddpm":
        extra = {"generator": step_noise}
    for index, timestep in enumerate(scheduler.timesteps):
        model_input = scheduler.scale_model_input(latents, timestep)
        output = guided_output(
            denoiser, model_input, sources, timestep.to(sources.device), tokens, null_token, guidance_scale, days
        ).float()
        latents = scheduler.step(output, timestep, latents, **extra, return_dict=False)[0]
        if on_step:
            on_step(index + 1, len(scheduler.timesteps))
    return latents


@torch.inference_mode()
def generate_slices(
    model: "SliceModel",
    conditions: Conditions,
    options: SamplingOptions,
    *,
    seed: int,
    sample: int,
    listener: "Listener | None" = None,
    progress: "Progress | None" = None,
) -> np.ndarray:
    """Draw one sample of slices and decode it: normalized float32 (b, H, W).

    :param progress: told to the listener after each step, with the step.
    :raises BundleError: the model's numbers overflow.
    """
    bundle, sources = model.bundle, conditions.sources
    full = (len(conditions),)
    days = conditions.days_since_rt

    def on_step(step: int, steps: int) -> None:
        if listener is not None:
            listener.progress(replace(progress, step=step, steps=steps))

    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.precision(options) == torch.bfloat16):
        latents = sample_latents(
            model.networks.denoiser,
            bundle.scheduler_config,
            options,
            sources,
            torch.full(full, conditions.class_token, dtype=torch.long, device=model.device),
            null_token=bundle.null_token,
            seed=seed,
            sample=sample,
            positions_mm=conditions.positions_mm,
            channels=bundle.latent_channels,
            days=None if days is None else torch.full(full, days, device=model.device),
            on_step=on_step,
        )
    images = []
    for part in model.decode(latents, sources):
        images.append(part)
        on_step(options.steps, options.steps)  # decoding takes as long as many steps, so it may stop here
    pixels = np.concatenate(images)
    if not np.isfinite(pixels).all():
        raise BundleError(
            "The model's numbers overflow: the slices are not finite.", "Use a smaller guidance scale, or float32."
        )
    return pixels
