"""Parameters, work and memory of a preset's training steps, counted and not computed: no graphics card is needed.

Tensors are on PyTorch's meta device, which has shapes and no content. Work is that of matrix products and convolutions,
forward and backward. Memory is what autograd keeps of a step for the backward pass, each tensor once, and what weights,
gradients, optimizer and averages take; a real step needs room for temporary tensors besides. With autocast (bf16) kept
activations are taken to be half as large, which is a little too little: normalizations stay in 32 bit.
"""

import argparse
from collections.abc import Callable

import torch
from torch.utils.flop_counter import FlopCounterMode

from GBMResponseTraining.models.autoencoder import AutoencoderModule, hinge
from GBMResponseTraining.models.diffusion import DiffusionModule
from GBMResponseTraining.models.unet_config import noise_schedule, unet_config
from GBMResponseTraining.settings.configuration import Configuration
from GBMResponseTraining.settings.model_configurations import CLASS_NAMES
from GBMResponseTraining.settings.networks import Training
from GBMResponseTraining.settings.reader import load_configuration

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
        _print(name, section.training, slices, _autoencoder_step(settings, name, arguments.size), arguments.tflops)
    for name, tokens in (("no-class", 0), ("2-class", len(CLASS_NAMES["2-class"]) + 1)):
        step = _diffusion_step(settings, tokens, arguments.size)
        _print(name, settings.diffusion.training, arguments.training_slices, step, arguments.tflops)
    print("kept: activations for the backward pass, half of it with bf16")
    _print_folders(settings, arguments.size, arguments.slices)


def _print(
    name: str, training: Training, slices: int, step: tuple[torch.nn.Module, Callable[[], torch.Tensor]], tflops: float
) -> None:
    module, loss = step
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        kept[storage._cdata] = storage.nbytes()
        return tensor

    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    weights = {parameter.untyped_storage()._cdata for parameter in module.parameters()}
    with FlopCounterMode(display=False) as counter:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            total = loss()
        total.backward()
    flops, steps = counter.get_total_flops(), training.optimizer_steps(slices)
    # Weights and averages; gradients and two moments of AdamW for what is trained.
    held = 4 * sum(p.numel() for p in module.parameters()) + 12 * sum(p.numel() for p in trained)
    activations = sum(size for storage, size in kept.items() if storage not in weights)
    hours = training.accumulate * steps * flops / (1e12 * tflops) / 3600
    print(
        f"{name:<18}{sum(p.numel() for p in trained) / 1e6:>14.1f}{training.accumulate * flops / 1e12:>14.2f}"
        f"{steps:>14}{hours:>14.1f}{held / GIBI:>14.2f}{activations / GIBI:>14.2f}"
    )


def _autoencoder_step(settings: Configuration, name: str, size: int) -> tuple[torch.nn.Module, Callable]:
    """Reconstruction, and both turns of the discriminator where there is one."""
    section = getattr(settings, name)
    side = section.crop or size
    with torch.device("meta"):
        module = AutoencoderModule(section, 1)
        images = torch.empty(section.training.batch_size, 1, side, side)

    def loss() -> torch.Tensor:
        # The codes themselves are found by a search tree or by distances in parts, which costs memory for a moment.
        latents = module.model.quant_conv(module.model.encoder(images))
        made = module.model.decoder(module.model.post_quant_conv(latents))
        total = (made - images).abs().mean()
        if module.discriminator is not None:
            real, fake = (module.discriminator(shown)[-1] for shown in (images, made.detach()))
            total = total + module.fooling(made) + hinge(real, fake)
        return total

    return module, loss


def _diffusion_step(settings: Configuration, tokens: int, size: int) -> tuple[torch.nn.Module, Callable]:
    section, autoencoder = settings.diffusion, settings.image_autoencoder
    side = size // autoencoder.downsampling
    channels, count = autoencoder.latent_channels, section.training.batch_size
    with torch.device("meta"):
        unet = unet_config(section, tokens, channels, side)
        module = DiffusionModule(section, unet, noise_schedule(section.prediction), 1)
        sources = torch.empty(count, (2 + 2 * section.neighbor_slices) * channels, side, side)
        noisy = torch.empty(count, channels, side, side)
        steps = torch.zeros(count, dtype=torch.long)
        # What one_hot makes of tokens needs their values, which no meta tensor has.
        one_hot = torch.empty(count, 1, max(tokens, 1))

    def loss() -> torch.Tensor:
        stacked = torch.cat([sources, noisy], dim=1)
        if section.fold > 1:
            stacked = torch.nn.functional.pixel_unshuffle(stacked, section.fold)
        network = module.denoiser.unet
        labels = steps if network.config.get("num_class_embeds") else None
        told = [one_hot] if network.config.get("encoder_hid_dim") else []
        return network(stacked, steps, *told, class_labels=labels).sample.square().mean()

    return module, loss


def _print_folders(settings: Configuration, size: int, slices: int) -> None:
    """Sizes of what the stages leave on the disk."""
    pixels, factor = size**2, settings.image_autoencoder.downsampling
    versions = 2 if settings.diffusion.flip else 1
    latent = (3 * settings.image_autoencoder.latent_channels + 1) * (size // factor) ** 2 * 2 * versions
    print(f"store: {slices * pixels * 5 / 1e9:.2f} GB ({pixels * 5 / 1e6:.2f} MB a slice)")
    print(f"latents: {slices * latent / 1e9:.2f} GB ({latent / 1e6:.2f} MB a slice)")


if __name__ == "__main__":
    main()
