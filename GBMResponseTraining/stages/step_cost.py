"""What one training step of a preset costs, counted and not computed: no graphics card is needed.

Tensors are on PyTorch's meta device, which has shapes and no content. Work is that of matrix products and convolutions,
forward and backward. Memory is what autograd keeps of a step for the backward pass, each tensor once, and what weights,
gradients, optimizer and averages take; a real step needs room for temporary tensors besides.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from ..models.autoencoder import AutoencoderModule, hinge
from ..models.diffusion import DiffusionModule
from ..models.unet_config import noise_schedule, unet_config
from ..settings.configuration import Configuration


@dataclass(frozen=True)
class StepCost:
    """Of one batch.

    :param parameters: that are trained.
    :param held: bytes of weights and averages, of gradients and of two moments of AdamW for what is trained.
    :param kept: bytes of activations for the backward pass, in 32 bit.
    """

    parameters: int
    flops: int
    held: int
    kept: int


def count_step(module: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> StepCost:
    """Count a step.

    :param module, loss: as of :func:`autoencoder_step` or :func:`diffusion_step`.
    """
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
    count = sum(parameter.numel() for parameter in trained)
    held = 4 * sum(parameter.numel() for parameter in module.parameters()) + 12 * count
    activations = sum(size for storage, size in kept.items() if storage not in weights)
    return StepCost(count, counter.get_total_flops(), held, activations)


def autoencoder_step(settings: Configuration, name: str, size: int) -> tuple[torch.nn.Module, Callable]:
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


def diffusion_step(settings: Configuration, tokens: int, size: int) -> tuple[torch.nn.Module, Callable]:
    """A step of the denoiser alone.

    :param tokens: classes that it is told, with the empty one; 0: none.
    """
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
