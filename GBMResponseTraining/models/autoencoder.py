"""Training of the autoencoders, the paper's (section 2.1) image VQ-VAE and GTV VQ-VAE, or others in their place.

With `quantize_from` above 0 the first steps train a plain autoencoder; then the codebook is filled with latents of that
moment and training goes on with quantization. Starting quantized from random codes collapses to a few codes when the
training is short.
"""

from typing import Any

import lightning
import torch
from GBMResponseCore.model.networks import build_autoencoder, codebooks, decode_continuous, encode_continuous
from GBMResponseCore.model.quantizer import nearest_codes, quantize
from torch import nn
from torch.nn import functional

from ..settings.networks import Autoencoder
from .optimization import VALIDATION_LOSS, DivergedError, adamw, warmup_and_decay
from .patch_discriminator import PatchDiscriminator

BETA = 0.25
LARGEST_ADAPTIVE_WEIGHT = 1e4
NOT_YET_QUANTIZED = 1e3
"""Added to the validation loss of a network that does not quantize yet, so that it is never the best."""


class AutoencoderModule(lightning.LightningModule):
    """L1 + codebook + commitment loss; where asked for, squared error, LPIPS and, from a step on, a PatchGAN's.

    Batches are images (B, 1, H, W). The adversarial loss is scaled so that its gradient at the last layer has
    `weight` times the length of the reconstruction's (Esser et al. 2021, arXiv 2012.09841, equation 7).

    :param steps: planned optimizer steps.
    :param perceptual: differentiable distance of images (B, 1, H, W) x 2 -> (B,); None leaves the term out.
    """

    automatic_optimization = False

    def __init__(self, settings: Autoencoder, steps: int, perceptual: nn.Module | None = None) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.settings = settings
        self.steps = steps
        self._batch = 0
        self.model = build_autoencoder(settings.network())
        if settings.of_blocks:
            self.model.to(memory_format=torch.channels_last)  # a sixth faster on a CPU
        if settings.frozen_encoder:
            for name, parameter in self.model.named_parameters():
                parameter.requires_grad_(name.startswith(("decoder.", "post_quant_conv.")))
        self.quantize_from = int(settings.quantize_from * steps)
        # Continuous latents wait for no codebook.
        self.register_buffer("codebook_filled", torch.tensor(self.quantize_from == 0))
        # Kept out of the module's parameters and checkpoints: it is never trained.
        self._perceptual = [perceptual.requires_grad_(False).eval()] if perceptual is not None else []
        self.discriminator = None
        if settings.adversarial is not None:
            self.discriminator = PatchDiscriminator(settings.adversarial.channels, settings.adversarial.layers)

    @property
    def selectable_from(self) -> int:
        """Step from which a validation says something about the final model."""
        return self.quantize_from

    def training_step(self, images: torch.Tensor, batch_index: int) -> None:
        """Update the autoencoder, and the discriminator once it counts."""
        training, self._batch = self.settings.training, batch_index
        first, last = batch_index % training.accumulate == 0, (batch_index + 1) % training.accumulate == 0
        optimizers, schedules = _as_list(self.optimizers()), _as_list(self.lr_schedulers())
        step = self.global_step
        if not self.codebook_filled and step >= self.quantize_from:
            self._fill_codebook(images)

        if first:
            optimizers[0].zero_grad()
        reconstruction, losses = self._losses(images, quantized=bool(self.codebook_filled))
        total = losses["reconstruction"] + losses["codebook"]
        adversarial = self.settings.adversarial
        judged = adversarial is not None and step >= adversarial.start_step
        if judged:
            self.discriminator.requires_grad_(False)
            fooling = self.fooling(reconstruction)
            weight = adversarial.weight * self._adaptive_weight(losses["reconstruction"], fooling)
            total = total + weight * fooling
            losses |= {"fooling": fooling, "adaptive_weight": weight}
        self.manual_backward(total / training.accumulate)
        if judged:
            self._update_discriminator(images, reconstruction.detach(), first, last)
        if last:
            if training.gradient_clip:
                self.clip_gradients(optimizers[0], training.gradient_clip, "norm")
            optimizers[0].step()
            for schedule in schedules:
                schedule.step()
        self.log_dict({name: value.detach() for name, value in losses.items()}, prog_bar=True)

    def validation_step(self, images: torch.Tensor, batch_index: int) -> None:
        """L1, codebook loss and PSNR; before quantization begins, a loss that no later one exceeds."""
        quantized = bool(self.codebook_filled)
        reconstruction, losses = self._losses(images, quantized)
        mse = functional.mse_loss(reconstruction.clamp(-1, 1), images.clamp(-1, 1))
        values = {
            VALIDATION_LOSS: losses["l1"] + losses["codebook"] + (0.0 if quantized else NOT_YET_QUANTIZED),
            "val_l1": losses["l1"],
            "val_psnr": 10 * torch.log10(4.0 / mse.clamp_min(1e-12)),
        }
        self.log_dict(values, prog_bar=True, batch_size=len(images))

    def fooling(self, reconstruction: torch.Tensor) -> torch.Tensor:
        """Generator's part of the hinge loss: the discriminator's mean verdict, negated."""
        return -self.discriminator(reconstruction)[-1].mean()

    def configure_optimizers(self) -> tuple[list[Any], list[Any]]:
        training, adversarial = self.settings.training, self.settings.adversarial
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        optimizers = [adamw(trained, training)]
        schedules = [warmup_and_decay(optimizers[0], training, self.steps)]
        if adversarial is not None:
            optimizers.append(adamw(self.discriminator.parameters(), training))
            if adversarial.learning_rate is not None:
                optimizers[1].param_groups[0]["lr"] = adversarial.learning_rate
        return optimizers, schedules

    def _losses(self, images: torch.Tensor, quantized: bool) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        latents = encode_continuous(self.model, images).float()
        if not self.settings.quantizes:
            codebook_loss = latents.new_zeros(())
            latents = self._disturbed(latents)
        elif not quantized:
            codebook_loss = 1e-3 * latents.square().mean()
        else:
            if not bool(latents.isfinite().all()):
                raise DivergedError("The training of an autoencoder diverged: its latents are no numbers any more.")
            nearest = nearest_codes(latents, codebooks(self.model))
            to_codes = functional.mse_loss(nearest, latents.detach())
            commitment = functional.mse_loss(latents, nearest.detach())
            legacy = self.settings.legacy_beta
            codebook_loss = BETA * to_codes + commitment if legacy else to_codes + BETA * commitment
            latents = latents + (nearest - latents).detach()
        reconstruction = decode_continuous(self.model, latents)
        l1 = functional.l1_loss(reconstruction, images)
        losses = {"l1": l1, "codebook": codebook_loss, "reconstruction": l1}
        if self.settings.squared_weight:
            squared = functional.mse_loss(reconstruction, images)
            losses["reconstruction"] = l1 + self.settings.squared_weight * squared
        if self._perceptual:
            distance = self._perceptual[0].to(images.device)(reconstruction, images).mean()
            losses["perceptual"] = distance
            losses["reconstruction"] = losses["reconstruction"] + self.settings.perceptual_weight * distance
        return reconstruction, losses

    def _disturbed(self, latents: torch.Tensor) -> torch.Tensor:
        """Continuous latents with the noise of a training step, which depends on the step and the process alone."""
        if not (self.training and self.settings.latent_noise):
            return latents
        generator = torch.Generator(latents.device).manual_seed(self._batch * 4099 + self.global_rank)
        noise = torch.randn(latents.shape, generator=generator, device=latents.device)
        spread = latents.detach().float().std(dim=(0, 2, 3), keepdim=True)
        return latents + self.settings.latent_noise * spread * noise

    def _adaptive_weight(self, reconstruction_loss: torch.Tensor, fooling: torch.Tensor) -> torch.Tensor:
        last_layer = self.model.decoder.conv_out.weight
        lengths = [
            torch.autograd.grad(loss, last_layer, retain_graph=True)[0].norm()
            for loss in (reconstruction_loss, fooling)
        ]
        return (lengths[0] / (lengths[1] + 1e-4)).clamp(0, LARGEST_ADAPTIVE_WEIGHT).detach()

    def _update_discriminator(self, real: torch.Tensor, fake: torch.Tensor, first: bool, last: bool) -> None:
        # The raw optimizer: Lightning counts only the autoencoder's steps.
        optimizer = self.optimizers(use_pl_optimizer=False)[1]
        self.discriminator.requires_grad_(True)
        if first:
            optimizer.zero_grad()
        loss = hinge(*(self.discriminator(images)[-1] for images in (real, fake)))
        self.manual_backward(loss / self.settings.training.accumulate)
        if last:
            optimizer.step()
        self.log("discriminator", loss.detach())

    @torch.no_grad()
    def _fill_codebook(self, images: torch.Tensor) -> None:
        """Replace the codes by latents of the batch, of all processes, drawn without repetition as far as they go."""
        latents = self.all_gather(encode_continuous(self.model, images).float())
        channels = latents.shape[-3]
        rows = latents.reshape(-1, *latents.shape[-3:]).permute(0, 2, 3, 1).reshape(-1, channels)
        codes = codebooks(self.model)
        groups, count = codes.shape[:2]
        generator = torch.Generator().manual_seed(0)
        repeats = -(-count // len(rows))
        order = torch.cat([torch.randperm(len(rows), generator=generator) for _ in range(repeats)])
        chosen = rows[order[:count].to(rows.device)]
        chosen = chosen + 1e-3 * chosen.std(0) * torch.randn(chosen.shape, generator=generator).to(chosen)
        codes.copy_(torch.stack(chosen.chunk(groups, dim=1)))
        self.codebook_filled.fill_(True)


def hinge(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """Loss of a discriminator from its unbounded verdicts on real and on made images (Lim and Ye 2017, 1705.02894)."""
    return 0.5 * (functional.relu(1 - real).mean() + functional.relu(1 + fake).mean())


@torch.no_grad()
def latent_statistics(model: torch.nn.Module, images: torch.Tensor) -> tuple[list[float], list[float]]:
    """Return (shift, scale) per latent channel that standardize the latents of images (N, 1, H, W)."""
    codes = codebooks(model)
    latents = torch.cat([quantize(encode_continuous(model, part.to(codes.device)), codes) for part in images.split(8)])
    rows = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    return rows.mean(0).tolist(), (1.0 / rows.std(0).clamp_min(1e-6)).tolist()


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple)) else [value]
