"""Parameters, work and memory of a preset's training steps, see `GBMResponseTraining/stages/step_cost.py`.

With autocast (bf16) kept activations are taken to be half as large, which is a little too little: normalizations stay
in 32 bit.
"""

import argparse
from collections.abc import Callable

import torch

from GBMResponseTraining.settings.configuration import Configuration
from GBMResponseTraining.settings.model_configurations import CLASS_NAMES
from GBMResponseTraining.settings.networks import Training
from GBMResponseTraining.settings.reader import load_configuration
from GBMResponseTraining.stages.step_cost import autoencoder_step, count_step, diffusion_step

GIBI = 2**30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="paper", choices=("paper", "small", "demo"))
    parser.add_argument("--size", type=int, default=256, help="side of the slices")
    parser.add_argument("--slices", type=int, default=7050, help="of the store (163 patients with 43)")
    parser.add_argument("--training-slices", type=int, default=5640, help="of the training patients (130 with 43)")
    parser.add_argument("--tflops", type=float, default=30, help="what the card sustains")
    arguments = parser.parse_args()
    settings = load_configuration(arguments.preset)
    print(
        f"{'':<18}{'M parameters':>13}{'TFLOP a step':>13}{'steps':>9}{'hours':>7}{'weights GiB':>12}{'kept GiB':>10}"
    )
    for name in ("image_autoencoder", "gtv_autoencoder"):
        section = getattr(settings, name)
        slices = (2 if name.startswith("image") else 1) * arguments.training_slices
        _print(name, section.training, slices, autoencoder_step(settings, name, arguments.size), arguments.tflops)
    for name, tokens in (("no-class", 0), ("2-class", len(CLASS_NAMES["2-class"]) + 1)):
        step = diffusion_step(settings, tokens, arguments.size)
        _print(name, settings.diffusion.training, arguments.training_slices, step, arguments.tflops)
    print("kept: activations for the backward pass, half of it with bf16")
    _print_folders(settings, arguments.size, arguments.slices)


def _print(
    name: str, training: Training, slices: int, step: tuple[torch.nn.Module, Callable[[], torch.Tensor]], tflops: float
) -> None:
    cost = count_step(*step)
    flops, steps = cost.flops, training.optimizer_steps(slices)
    hours = training.accumulate * steps * flops / (1e12 * tflops) / 3600
    print(
        f"{name:<18}{cost.parameters / 1e6:>14.1f}{training.accumulate * flops / 1e12:>14.2f}"
        f"{steps:>14}{hours:>14.1f}{cost.held / GIBI:>14.2f}{cost.kept / GIBI:>14.2f}"
    )


def _print_folders(settings: Configuration, size: int, slices: int) -> None:
    """Sizes of what the stages leave on the disk."""
    pixels, factor = size**2, settings.image_autoencoder.downsampling
    versions = 2 if settings.diffusion.flip else 1
    latent = (3 * settings.image_autoencoder.latent_channels + 1) * (size // factor) ** 2 * 2 * versions
    print(f"store: {slices * pixels * 5 / 1e9:.2f} GB ({pixels * 5 / 1e6:.2f} MB a slice)")
    print(f"latents: {slices * latent / 1e9:.2f} GB ({latent / 1e6:.2f} MB a slice)")


if __name__ == "__main__":
    main()
