"""Training of the vector-quantised autoencoders (paper, section 2.1): image VQ-VAE and GTV VQ-VAE.

The first steps train a plain autoencoder; then the codebook is filled with latents of that moment and training goes
on with quantisation. Starting quantised from random codes collapses to a few codes at this budget.
"""

from typing import Any

import lightning
import torch
from GBMResponseCore.networks import build_autoencoder, codebook, decode_continuous, encode_continuous
from GBMResponseCore.quantizer import nearest_code_indices
from torch.nn import functional

from .engine import warmup_cosine

COMMITMENT = 0.25


class AutoencoderModule(lightning.LightningModule):
    """L1 reconstruction + codebook + commitment loss; no perceptual or adversarial term.

    :param config: configuration of `VQModel` or `PlainVQVAE`.
    :param steps: planned optimiser steps.
    :param quantize_from: step at which the codebook is filled and quantisation begins.
    """

    def __init__(self, config: dict[str, Any], steps: int, quantize_from: int, learning_rate: float) -> None:
        super().__init__()
        self.model = build_autoencoder(config)
        self.steps = steps
        self.quantize_from = quantize_from
        self.learning_rate = learning_rate
        self._recent_latents: list[torch.Tensor] = []

    def training_step(self, images: torch.Tensor, batch_index: int) -> torch.Tensor:
        """Images (B, 1, H, W) to the total loss."""
        latents = encode_continuous(self.model, images)
        rows = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
        if self.global_step < self.quantize_from:
            self._remember(rows)
            codebook_loss = 1e-3 * rows.square().mean()
            decoder_input = latents
        else:
            if self.global_step == self.quantize_from:
                self._fill_codebook(rows)
            codes = codebook(self.model)
            nearest = codes[nearest_code_indices(rows, codes)]
            codebook_loss = functional.mse_loss(nearest, rows.detach())
            codebook_loss = codebook_loss + COMMITMENT * functional.mse_loss(rows, nearest.detach())
            straight_through = rows + (nearest - rows).detach()
            batch, channels, height, width = latents.shape
            decoder_input = straight_through.view(batch, height, width, channels).permute(0, 3, 1, 2)
        reconstruction = decode_continuous(self.model, decoder_input)
        l1 = functional.l1_loss(reconstruction, images)
        mse = functional.mse_loss(reconstruction, images)
        self.log_dict({"l1": l1, "mse": mse, "codebook": codebook_loss}, prog_bar=True)
        return l1 + codebook_loss

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.learning_rate, betas=(0.9, 0.99), weight_decay=0.0)
        return {"optimizer": optimizer, "lr_scheduler": warmup_cosine(optimizer, self.steps, warmup=20)}

    def _remember(self, rows: torch.Tensor) -> None:
        self._recent_latents = [*self._recent_latents, rows.detach()][-8:]

    def _fill_codebook(self, rows: torch.Tensor) -> None:
        codes = codebook(self.model)
        candidates = torch.cat([*self._recent_latents, rows.detach()])
        generator = torch.Generator().manual_seed(0)
        repeats = -(-len(codes) // len(candidates))
        order = torch.cat([torch.randperm(len(candidates), generator=generator) for _ in range(repeats)])
        with torch.no_grad():
            chosen = candidates[order[: len(codes)].to(candidates.device)]
            codes.copy_(chosen + 1e-3 * chosen.std(0) * torch.randn(chosen.shape, generator=generator).to(chosen))
        self._recent_latents = []


@torch.no_grad()
def latent_statistics(model: torch.nn.Module, images: torch.Tensor) -> tuple[list[float], list[float]]:
    """Return (shift, scale) per latent channel that standardise the quantised latents of `images` (N, 1, H, W)."""
    codes = codebook(model)
    latents = torch.cat([encode_continuous(model, chunk) for chunk in images.split(8)])
    rows = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
    rows = codes[nearest_code_indices(rows, codes)]
    return rows.mean(0).tolist(), (1.0 / rows.std(0).clamp_min(1e-6)).tolist()
