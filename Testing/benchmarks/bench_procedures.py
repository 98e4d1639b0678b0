"""What a case costs by the paper's procedure, by a plain loop of diffusers, and by each of ours; in turn, in one run.

Same weights, same case, same start noise. Per procedure: network evaluations per slice, seconds by stage (the best of
the rounds), and for those that draw samples the relative L2 distance of the latents to the converged solution from the
same noise (DDIM with `--reference-steps`), for speed alone says nothing.

- paper: DDIM-200, conditional and unconditional pass one after the other, float32, whole slices (the authors' code).
- diffusers: the loop that diffusers' documentation shows: DDIM-50, both branches in one batch, whole slices.
- instant, balanced, paper preset: `Predictor.predict` as the command and the panel use it.

With `--paper-size` the networks have the paper's size and random weights: one evaluation and one pass of the
autoencoder are timed, and multiplied by their number. With `--growth` ours is timed over slices and samples.

    python Testing/benchmarks/bench_procedures.py [--slices 8] [--rounds 2] [--paper-size] [--growth]
"""

import argparse
import copy
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from bench_predict import SAMPLE, with_slices
from diffusers import DDIMScheduler
from GBMResponseCore.inputs.case import load_case
from GBMResponseCore.model.bundle import open_bundle
from GBMResponseCore.model.manifest import default_bundle
from GBMResponseCore.model.networks import (
    Denoiser,
    build_autoencoder,
    build_denoiser,
    decode_continuous,
    encode_continuous,
)
from GBMResponseCore.model.noise import draw_noise
from GBMResponseCore.model.sampling import sample_latents
from GBMResponseCore.prediction import Predictor
from GBMResponseCore.request import PredictionOptions, SamplingOptions

from GBMResponseTraining.models.unet_config import unet_config
from GBMResponseTraining.settings.reader import load_configuration

GUIDANCE = 2.0
PAPER_STEPS, PLAIN_STEPS = 200, 50
STAGES = ("encode", "make pictures", "decode")
PRESETS = {
    "instant": {"sample_count": 0},
    "balanced": {"sample_count": 4},
    "paper preset": {"sample_count": 1, "sampler": "ddim", "steps": PAPER_STEPS},
}
SECONDS_OF_A_RUN = {"encode": ("encode",), "make pictures": ("expected", "sample"), "decode": ("assemble",)}


class Bench:
    """A case, and the networks of a bundle as anybody could use them.

    :param count: slices with tumor.
    """

    def __init__(self, count: int, folder: Path) -> None:
        files = with_slices(count, SAMPLE / "btp05_pre_t1gd.nii.gz", SAMPLE / "btp05_pre_gtv.nii.gz", folder)
        self.case = load_case(*files)
        self.predictor = Predictor(open_bundle(default_bundle()))
        self.bundle, self.networks = self.predictor.bundle, self.predictor.model.networks
        self.slices = self.predictor.read_slices(self.case)
        self.token = self.bundle.schemes["2-class"].classes[0].token

    def encode(self) -> torch.Tensor:
        """Latents of image and GTV (n, 2 C, h, w), slice by slice as the authors' code does."""
        pre = torch.from_numpy(self.slices.pre)[:, None]
        gtv = torch.from_numpy(self.slices.gtv[self.slices.indices]).float()[:, None]
        parts = (self.networks.image_autoencoder.encode(pre), self.networks.gtv_autoencoder.encode(gtv))
        return torch.cat(parts, dim=1)

    def decode(self, latents: torch.Tensor, sources: torch.Tensor) -> torch.Tensor:
        """Whole slices (n, 1, H, W)."""
        if self.bundle.residual_scale is not None:
            scale = torch.tensor(self.bundle.residual_scale).view(1, -1, 1, 1)
            latents = sources[:, : self.bundle.latent_channels] + latents / scale
        return torch.cat([self.networks.image_autoencoder.decode(part) for part in latents.split(2)])

    def start(self, sources: torch.Tensor) -> torch.Tensor:
        shape = (self.bundle.latent_channels, *sources.shape[-2:])
        return draw_noise(1, 0, self.slices.positions_mm, shape)

    def ddim(self, steps: int) -> DDIMScheduler:
        config = {key: value for key, value in self.bundle.scheduler_config.items() if not key.startswith("_")}
        scheduler = DDIMScheduler(**config | {"clip_sample": False, "set_alpha_to_one": False, "steps_offset": 1})
        scheduler.set_timesteps(steps)
        return scheduler

    def denoise(self, sources: torch.Tensor, steps: int, *, in_one_batch: bool) -> torch.Tensor:
        """A guided DDIM loop: latents (n, C, h, w)."""
        denoiser, scheduler, latents = self.networks.denoiser, self.ddim(steps), self.start(sources)
        tokens = torch.full((len(sources),), self.token)
        null = torch.full_like(tokens, self.bundle.null_token)
        for timestep in scheduler.timesteps:
            if in_one_batch:
                doubled = torch.cat([latents, latents]), torch.cat([sources, sources])
                free, conditional = denoiser(*doubled, timestep, torch.cat([null, tokens])).chunk(2)
            else:
                free = denoiser(latents, sources, timestep, null)
                conditional = denoiser(latents, sources, timestep, tokens)
            output = free + GUIDANCE * (conditional - free)
            latents = scheduler.step(output, timestep, latents, eta=0.0, return_dict=False)[0]
        return latents

    @torch.inference_mode()
    def by_hand(self, steps: int, *, in_one_batch: bool) -> tuple[dict[str, float], torch.Tensor]:
        """Seconds by stage, and latents."""
        times = [time.perf_counter()]
        sources = self.encode()
        times.append(time.perf_counter())
        latents = self.denoise(sources, steps, in_one_batch=in_one_batch)
        times.append(time.perf_counter())
        self.decode(latents, sources)
        times.append(time.perf_counter())
        return dict(zip(STAGES, (b - a for a, b in pairwise(times)), strict=True)), latents

    def ours(self, **options: object) -> dict[str, float]:
        """Seconds by stage; decoding is a part of making pictures here."""
        self.predictor.model._encodings.clear()  # every round encodes
        chosen = PredictionOptions(classes=("short",), guidance_scale=GUIDANCE, **options)
        seconds = self.predictor.predict(self.case, chosen, slices=self.slices).seconds
        return {stage: sum(seconds.get(part, 0.0) for part in parts) for stage, parts in SECONDS_OF_A_RUN.items()}

    @torch.inference_mode()
    def error(self, options: SamplingOptions, reference: torch.Tensor, sources: torch.Tensor) -> float:
        """Relative L2 distance of our sampler's latents to the converged ones from the same noise."""
        latents = sample_latents(
            self.networks.denoiser, self.bundle.scheduler_config, options, sources,
            torch.full((len(sources),), self.token), null_token=self.bundle.null_token, seed=1, sample=0,
            positions_mm=self.slices.positions_mm, channels=self.bundle.latent_channels,
        )  # fmt: skip
        return relative(latents, reference)


def relative(latents: torch.Tensor, reference: torch.Tensor) -> float:
    return float((latents - reference).norm() / reference.norm())


def best(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The round that took least."""
    return min(rounds, key=lambda seconds: sum(seconds.values()))


def compare(bench: Bench, rounds: int, reference_steps: int) -> None:
    """All procedures in turn."""
    slices, sampling = len(bench.slices.indices), bench.bundle.description["sampling"]
    procedures: dict[str, tuple[int, Callable[[], dict[str, float]]]] = {
        f"paper: DDIM-{PAPER_STEPS}, two passes": (
            2 * PAPER_STEPS, lambda: bench.by_hand(PAPER_STEPS, in_one_batch=False)[0]
        ),
        f"diffusers: DDIM-{PLAIN_STEPS}, one batch": (
            2 * PLAIN_STEPS, lambda: bench.by_hand(PLAIN_STEPS, in_one_batch=True)[0]
        ),
    }  # fmt: skip
    for name, options in PRESETS.items():
        drawn = options["sample_count"] * options.get("steps", sampling["steps"])
        procedures[name] = (2 * (1 + drawn), lambda options=options: bench.ours(**options))
    measured: dict[str, list[dict[str, float]]] = {name: [] for name in procedures}
    for _ in range(rounds):
        for name, (_, run) in procedures.items():
            measured[name].append(run())
    first = sum(best(next(iter(measured.values()))).values())
    print(f"{slices} slices, guidance {GUIDANCE:g}, {torch.get_num_threads()} threads, best of {rounds} rounds in turn")
    print(f"{'procedure':<30}{'evaluations':>12}" + "".join(f"{stage:>15}" for stage in STAGES) + f"{'all':>9}{'':>8}")
    for name, (evaluations, _) in procedures.items():
        seconds = best(measured[name])
        total = sum(seconds.values())
        row = "".join(f"{seconds[stage]:>13.2f} s" for stage in STAGES)
        print(f"{name:<30}{evaluations:>12}{row}{total:>7.2f} s{first / total:>7.1f}x", flush=True)
    if reference_steps:
        errors(bench, reference_steps)


@torch.inference_mode()
def errors(bench: Bench, reference_steps: int) -> None:
    """How far each sampler ends from the converged solution."""
    sources = bench.encode()
    reference = bench.denoise(sources, reference_steps, in_one_batch=True)
    print(f"relative error of the latents to DDIM-{reference_steps} from the same noise:")
    for steps in (PLAIN_STEPS, PAPER_STEPS):
        print(f"  ddim-{steps:<10}{relative(bench.denoise(sources, steps, in_one_batch=True), reference):.4f}")
    for steps in (5, 10, 20):
        options = SamplingOptions("unipc", steps, GUIDANCE, noise_length=0.0)  # that of `start`
        print(f"  unipc-{steps:<9}{bench.error(options, reference, sources):.4f}", flush=True)


@torch.inference_mode()
def paper_size(rounds: int) -> None:
    """Networks of the paper's size: one evaluation each, multiplied by the number that a slice needs.

    Ours are laid out and eased as `SliceModel` does, and decode a box of 128 pixels, as composition around a GTV needs.
    """
    settings = load_configuration("paper")
    autoencoder = build_autoencoder(settings.image_autoencoder.network()).eval()
    unet = unet_config(settings.diffusion, 3, latent_channels=4, latent_size=64)
    denoiser: Denoiser = build_denoiser(unet, settings.diffusion.fold).eval()
    own, fast = (copy.deepcopy(part).to(memory_format=torch.channels_last) for part in (autoencoder, denoiser))
    fast.ease()
    image, latent, sources = torch.zeros(1, 1, 256, 256), torch.randn(1, 4, 64, 64), torch.randn(1, 8, 64, 64)
    time_step, token, pair = torch.tensor(500), torch.zeros(1, dtype=torch.long), torch.tensor([0, 2])
    doubled = torch.cat([latent, latent]), torch.cat([sources, sources])
    calls: dict[str, Callable[[], object]] = {
        "paper's encode": lambda: encode_continuous(autoencoder, image),
        "evaluation": lambda: denoiser(latent, sources, time_step, token),
        "decode": lambda: decode_continuous(autoencoder, latent),
        "our encode": lambda: encode_continuous(own, image),
        "one branch": lambda: fast(latent, sources, time_step, token),
        "two branches": lambda: fast(*doubled, time_step, pair),
        "whole decode": lambda: decode_continuous(own, latent),
        "box decode": lambda: decode_continuous(own, latent[..., :32, :32]),
    }
    for call in calls.values():  # the first call of each also prepares
        call()
    seconds = {name: float("inf") for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    million = sum(parameter.numel() for parameter in denoiser.parameters()) / 1e6
    print(f"networks of the paper's size ({million:.0f} M in the denoiser), random weights, one slice, multiplied out:")
    print("  " + ", ".join(f"{name} {value:.3f} s" for name, value in seconds.items()))
    paper = 2 * seconds["paper's encode"] + seconds["decode"] + 2 * PAPER_STEPS * seconds["evaluation"]
    encode, one, two = (seconds[name] for name in ("our encode", "one branch", "two branches"))
    box, whole = seconds["box decode"], seconds["whole decode"]
    totals = {
        f"paper: DDIM-{PAPER_STEPS}, two passes, whole slices": paper,
        "expected image, no class": 2 * encode + one + box,
        "expected image, class": 2 * encode + two + box,
        "expected image, class, whole slices": 2 * encode + two + whole,
        "balanced: expected + 4 x UniPC-10, no class": 2 * encode + 41 * one + 5 * box,
        "balanced, class": 2 * encode + 41 * two + 5 * box,
    }
    for name, total in totals.items():
        print(f"  {name:<46}{total:>9.2f} s a slice{paper / total:>8.1f}x")


def growth(folder: Path, slices: list[int], samples: list[int]) -> None:
    """Seconds of ours over slices and samples."""
    print("seconds of a prediction (without reading and writing) by slices and samples:")
    print(f"{'slices':>8}" + "".join(f"{count:>10}" for count in samples))
    for count in slices:
        bench = Bench(count, folder)
        row = [sum(bench.ours(sample_count=number).values()) for number in samples]
        print(f"{count:>8}" + "".join(f"{total:>8.1f} s" for total in row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--slices", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--reference-steps", type=int, default=500, help="0: no errors; must divide 1000")
    parser.add_argument("--paper-size", action="store_true")
    parser.add_argument("--growth", action="store_true")
    parser.add_argument("--growth-slices", type=int, nargs="+", default=[5, 20, 40, 160])
    parser.add_argument("--growth-samples", type=int, nargs="+", default=[0, 1, 4, 32])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.paper_size:
            paper_size(arguments.rounds)
        elif arguments.growth:
            growth(Path(folder), arguments.growth_slices, arguments.growth_samples)
        else:
            compare(Bench(arguments.slices, Path(folder)), arguments.rounds, arguments.reference_steps)
    # ru_maxrss is in kilobytes on Linux and in bytes on macOS
    unit = 1 if sys.platform == "darwin" else 1024
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
