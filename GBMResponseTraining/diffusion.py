"""Training of the conditional latent diffusion model (paper, section 2.2), with a trained null class.

Label dropout replaces the class by the null token for a share of the items, which is what classifier-free guidance
needs at prediction time. The exponential moving average holds the class embedding too.
"""

import copy
from typing import Any

import lightning
import torch
from diffusers import DDPMScheduler
from GBMResponseCore.networks import build_denoiser
from torch.nn import functional

from .engine import warmup_cosine


class DiffusionModule(lightning.LightningModule):
    """Denoising objective on latents.

    Batches are dicts: `sources` (B, S*C, h, w), `target` (B, C, h, w), `token` (B,) int64 class token, `gtv`
    (B, 1, h, w) in [0, 1].

    :param unet: configuration of the UNet.
    :param scheduler: configuration of the noise schedule; `prediction_type` is `v_prediction` or `epsilon`.
    :param null_token: token that stands for "no class".
    :param label_dropout: share of items trained with the null token.
    :param gtv_weight: extra weight of the loss at GTV positions; the minimiser stays the conditional mean.
    """

    def __init__(
        self,
        unet: dict[str, Any],
        fold: int,
        scheduler: dict[str, Any],
        *,
        null_token: int,
        label_dropout: float,
        gtv_weight: float,
        steps: int,
        learning_rate: float,
        ema_decay: float,
        seed: int,
    ) -> None:
        super().__init__()
        self.denoiser = build_denoiser(unet, fold)
        self.ema = copy.deepcopy(self.denoiser).requires_grad_(False).eval()
        self.register_buffer("ema_updates", torch.tensor(0))
        self.schedule = DDPMScheduler.from_config(scheduler)
        self.null_token = null_token
        self.label_dropout = label_dropout
        self.gtv_weight = gtv_weight
        self.steps = steps
        self.learning_rate = learning_rate
        self.ema_decay = ema_decay
        self.seed = seed

    def training_step(self, batch: dict[str, torch.Tensor], batch_index: int) -> torch.Tensor:
        """Weighted mean square error between predicted and true velocity (or noise)."""
        loss = self.loss(self.denoiser, batch, seed=self.seed * 1_000_003 + self.global_step)
        self.log("loss", loss, prog_bar=True)
        return loss

    def loss(self, denoiser: torch.nn.Module, batch: dict[str, torch.Tensor], seed: int) -> torch.Tensor:
        """Loss of `denoiser` with noise, time steps and label dropout drawn from `seed`."""
        target = batch["target"]
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(target.shape, generator=generator).to(target)
        # Stratified time steps: one per equal share of the range, which lowers the variance of small batches.
        strata = (torch.arange(len(target)) + torch.rand(len(target), generator=generator)) / len(target)
        timesteps = (strata * self.schedule.config.num_train_timesteps).long().to(target.device)
        dropped = torch.rand(len(target), generator=generator) < self.label_dropout
        tokens = torch.where(dropped.to(target.device), self.null_token, batch["token"])

        noisy = self.schedule.add_noise(target, noise, timesteps)
        predicted = denoiser(noisy, batch["sources"], timesteps, tokens)
        if self.schedule.config.prediction_type == "v_prediction":
            wanted = self.schedule.get_velocity(target, noise, timesteps)
        else:
            wanted = noise
        weight = 1.0 + self.gtv_weight * batch["gtv"]
        error = functional.mse_loss(predicted, wanted, reduction="none")
        return (weight * error).sum() / weight.expand_as(error).sum()

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Update the moving average with every step, before Lightning can write a checkpoint of that step."""
        super().optimizer_step(*arguments, **options)
        self.ema_updates += 1
        count = int(self.ema_updates)
        decay = min(self.ema_decay, (1 + count) / (10 + count))
        torch._foreach_lerp_(list(self.ema.parameters()), list(self.denoiser.parameters()), 1.0 - decay)

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = torch.optim.AdamW(self.denoiser.parameters(), lr=self.learning_rate, weight_decay=1e-4)
        return {"optimizer": optimizer, "lr_scheduler": warmup_cosine(optimizer, self.steps, warmup=50)}
