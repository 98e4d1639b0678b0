"""Training of the conditional latent diffusion model (paper, section 2.2), with a trained null class.

Label dropout, which classifier-free guidance needs, is part of the items (`latent_items.py`), as are noise and time
step. The exponential moving average holds the class embedding too.
"""

import copy
from typing import Any

import lightning
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from GBMResponseCore.model.networks import build_denoiser

from ..settings.networks import Diffusion
from .optimization import VALIDATION_LOSS, adamw, warmup_and_decay

_SECOND_LOSS = "val_loss_second"


class DiffusionModule(lightning.LightningModule):
    """Denoising objective on latents; see `latent_items.py` for the batches.

    :param unet: configuration of the UNet.
    :param noise_schedule: configuration of the diffusers scheduler that adds noise.
    :param steps: planned optimizer steps.
    """

    def __init__(self, settings: Diffusion, unet: dict[str, Any], noise_schedule: dict[str, Any], steps: int) -> None:
        super().__init__()
        self.settings = settings
        self.steps = steps
        self.denoiser = build_denoiser(unet, settings.fold)
        self.ema = copy.deepcopy(self.denoiser).requires_grad_(False).eval()
        self._averages = {"ema": settings.ema_decay}
        if settings.second_ema_decay is not None:
            self.second_ema = copy.deepcopy(self.ema)
            self._averages["second_ema"] = settings.second_ema_decay
            self.register_buffer("second_is_better", torch.tensor(False))
        self.register_buffer("ema_updates", torch.tensor(0))
        self._updates = 0
        self.schedule = DDPMScheduler.from_config(noise_schedule)

    @property
    def averaged(self) -> torch.nn.Module:
        """The averaged weights to use: of two averages those that the last validation found better."""
        second = len(self._averages) > 1 and bool(self.second_is_better)
        return self.second_ema if second else self.ema

    def networks(self) -> list[torch.nn.Module]:
        """The trained weights, and their averages."""
        return [self.denoiser, *(getattr(self, name) for name in self._averages)]

    def training_step(self, batch: dict[str, torch.Tensor], batch_index: int) -> torch.Tensor:
        """Weighted mean square error between predicted and true velocity (or noise)."""
        loss = self.loss(self.denoiser, batch)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, torch.Tensor], batch_index: int) -> None:
        """The same loss of the averaged weights, on noise and time steps that never change."""
        for name, network in zip((VALIDATION_LOSS, _SECOND_LOSS), self.networks()[1:], strict=False):
            self.log(name, self.loss(network, batch), prog_bar=True, batch_size=len(batch["target"]))

    def on_validation_epoch_end(self) -> None:
        losses = self.trainer.callback_metrics
        if _SECOND_LOSS in losses:
            self.second_is_better.copy_(losses[_SECOND_LOSS] < losses[VALIDATION_LOSS])

    def loss(self, denoiser: torch.nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Mean over the items of their loss, so that it does not matter how items are spread over batches."""
        target, noise, timesteps = batch["target"], batch["noise"], batch["timestep"]
        noisy = self.schedule.add_noise(target, noise, timesteps)
        predicted = denoiser(noisy, batch["sources"], timesteps, batch["token"], batch["days"])
        velocity = self.settings.prediction == "v_prediction"
        wanted = self.schedule.get_velocity(target, noise, timesteps) if velocity else noise
        weight = 1.0 + self.settings.gtv_weight * batch["gtv"]
        squared = (predicted.float() - wanted).square()
        per_item = (weight * squared).mean(dim=(1, 2, 3)) / weight.mean(dim=(1, 2, 3))
        return (self._importance(timesteps) * per_item).mean()

    def _importance(self, timesteps: torch.Tensor) -> torch.Tensor:
        """Min-SNR weight of each time step, for the kind of prediction; 1 without."""
        gamma = self.settings.min_snr_gamma
        if gamma is None:
            return torch.ones_like(timesteps, dtype=torch.float32)
        snr = compute_snr(self.schedule, timesteps)
        clipped = snr.clamp_max(gamma)
        return clipped / (snr + 1) if self.settings.prediction == "v_prediction" else clipped / snr

    def on_train_start(self) -> None:
        self._updates = int(self.ema_updates)

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Update the moving average with every step, before Lightning can write a checkpoint of that step."""
        super().optimizer_step(*arguments, **options)
        self.ema_updates += 1
        # Counted here too: to read the buffer, which checkpoints keep, would stop a GPU at every step.
        self._updates += 1
        for name, longest in self._averages.items():
            decay = min(longest, (1 + self._updates) / (10 + self._updates))
            average = list(getattr(self, name).parameters())
            with torch.no_grad():
                torch._foreach_lerp_(average, list(self.denoiser.parameters()), 1.0 - decay)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = adamw(self.denoiser.parameters(), self.settings.training)
        schedule = warmup_and_decay(optimizer, self.settings.training, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
