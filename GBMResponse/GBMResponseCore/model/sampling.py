"""Guided reverse diffusion in latent space.

Guidance (Ho and Salimans 2021, arXiv 2207.12598): output = unconditional + s * (conditional - unconditional), both
branches in one batch of 2B. s = 1 is the conditional model and s = 0 the unconditional one. The paper's Algorithm 2
prints conditional + s * (unconditional - conditional), which is the same line with s' = 1 - s.

Noise belongs to a physical slice: it depends on the seed, the sample and the slice's position in millimeters only, so
batch size, slice order and the chosen class do not change it.
"""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ..errors import GuidanceError, OptionError
from .networks import Denoiser

SAMPLERS = ("unipc", "dpmpp", "ddim", "ddpm")
TRAINING_STEPS = 1000
GUIDANCE_FORMS = ("standard", "algorithm2")


@dataclass(frozen=True)
class SamplingOptions:
    """How to draw samples.

    :param sampler: `unipc` (exponential sigma spacing) and `dpmpp` (2M, Lu spacing) are fast multistep solvers;
        `ddim` is the paper's sampler; `ddpm` is ancestral sampling.
    :param eta: DDIM's stochasticity; 0 deterministic, 1 as in the authors' code.
    """

    sampler: str = "unipc"
    steps: int = 10
    guidance_scale: float = 1.0
    guidance_form: str = "standard"
    eta: float = 0.0

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise OptionError(f"Unknown sampler {self.sampler!r}.", f"Choose one of: {', '.join(SAMPLERS)}.")
        if self.guidance_form not in GUIDANCE_FORMS:
            raise OptionError(
                f"Unknown guidance form {self.guidance_form!r}.", f"Choose one of: {', '.join(GUIDANCE_FORMS)}."
            )
        if not math.isfinite(self.guidance_scale):
            raise OptionError(f"The guidance scale is {self.guidance_scale}.", "Give a number.")
        if not 1 <= self.steps <= TRAINING_STEPS:
            raise OptionError(f"The number of steps is {self.steps}.", "Choose between 1 and 1000 steps.")
        if self.sampler in ("ddim", "ddpm") and TRAINING_STEPS % self.steps:
            # diffusers steps back by T // steps: other counts would start below the noisy end or miss time steps.
            raise OptionError(
                f"{self.sampler} cannot take {self.steps} steps.",
                "Choose a divisor of 1000, for example 50 or 200.",
            )
        if not 0.0 <= self.eta <= 1.0:
            raise OptionError(f"Eta is {self.eta}.", "Choose a value between 0 and 1.")
        if self.eta and self.sampler != "ddim":
            raise OptionError(f"Eta {self.eta} has no meaning for {self.sampler}.", "Use --sampler ddim or eta 0.")

    @property
    def scale(self) -> float:
        """The guidance scale in the standard form."""
        return 1.0 - self.guidance_scale if self.guidance_form == "algorithm2" else self.guidance_scale


def build_scheduler(config: dict[str, Any], options: SamplingOptions) -> Any:
    """Return diffusers' scheduler for `options`, with its time steps set.

    :param config: configuration of the training noise schedule (a diffusers scheduler configuration).
    """
    from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler, UniPCMultistepScheduler

    common = {key: config[key] for key in ("num_train_timesteps", "beta_start", "beta_end", "beta_schedule")}
    common["prediction_type"] = config["prediction_type"]
    if options.sampler == "ddim":
        offset = 1 if options.steps < TRAINING_STEPS else 0
        scheduler = DDIMScheduler(
            **common, clip_sample=False, set_alpha_to_one=False, steps_offset=offset, timestep_spacing="leading"
        )
    elif options.sampler == "ddpm":
        scheduler = DDPMScheduler(**common, clip_sample=False, variance_type="fixed_small")
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


def check_guidance(options: SamplingOptions, label_dropout: float, uses_class: bool) -> None:
    """Refuse guidance that the model was not trained for.

    :raises GuidanceError: the scale is not 1 and the model has no trained null class.
    """
    if options.scale == 1.0:
        return
    if not uses_class:
        raise GuidanceError(
            f"Guidance scale {options.guidance_scale} needs a model with survival classes; this one has none."
        )
    if label_dropout <= 0.0:
        raise GuidanceError(
            f"Guidance scale {options.guidance_scale} is not possible: the model was trained without label dropout, "
            "so its null class is random."
        )


def guided_output(
    denoiser: Denoiser,
    latents: torch.Tensor,
    sources: torch.Tensor,
    timestep: torch.Tensor,
    tokens: torch.Tensor,
    null_token: int,
    scale: float,
    days: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the denoiser's output under guidance `scale`, with one network call.

    The form is linear, so it holds for noise and for velocity predictions alike. Both branches know the days.
    """
    if scale == 1.0:
        return denoiser(latents, sources, timestep, tokens, days)
    both_tokens = torch.cat([torch.full_like(tokens, null_token), tokens])
    both_days = None if days is None else days.repeat(2)
    both = denoiser(latents.repeat(2, 1, 1, 1), sources.repeat(2, 1, 1, 1), timestep, both_tokens, both_days)
    unconditional, conditional = both.chunk(2)
    return unconditional + scale * (conditional - unconditional)


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
    scheduler = build_scheduler(scheduler_config, options)
    shape = (channels, *sources.shape[-2:])
    latents = draw_noise(seed, sample, positions_mm, shape).to(sources.device) * scheduler.init_noise_sigma
    step_noise = [slice_generator(seed, sample, z, "steps") for z in positions_mm]
    extra: dict[str, Any] = {}
    if options.sampler == "ddim":
        extra = {"eta": options.eta, "generator": step_noise}
    elif options.sampler == "ddpm":
        extra = {"generator": step_noise}
    for index, timestep in enumerate(scheduler.timesteps):
        model_input = scheduler.scale_model_input(latents, timestep)
        output = guided_output(
            denoiser, model_input, sources, timestep.to(sources.device), tokens, null_token, options.scale, days
        ).float()
        latents = scheduler.step(output, timestep, latents, **extra, return_dict=False)[0]
        if on_step:
            on_step(index + 1, len(scheduler.timesteps))
    return latents
