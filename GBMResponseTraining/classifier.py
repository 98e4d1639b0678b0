"""Training of the survival classifier: a small ResNet on pre-treatment slices and GTV, four quartile classes."""

from typing import Any

import lightning
import torch
from GBMResponseCore.networks import build_classifier
from torch.nn import functional

from .engine import warmup_cosine


class ClassifierModule(lightning.LightningModule):
    """Cross-entropy with label smoothing on batches of `inputs` (B, 2, h, w) and `label` (B,) int64."""

    def __init__(self, config: dict[str, Any], steps: int, learning_rate: float) -> None:
        super().__init__()
        self.model = build_classifier(config)
        self.steps = steps
        self.learning_rate = learning_rate

    def training_step(self, batch: dict[str, torch.Tensor], batch_index: int) -> torch.Tensor:
        logits = self.model(batch["inputs"])
        loss = functional.cross_entropy(logits, batch["label"], label_smoothing=0.1)
        accuracy = (logits.argmax(1) == batch["label"]).float().mean()
        self.log_dict({"loss": loss, "accuracy": accuracy}, prog_bar=True)
        return loss

    def configure_optimizers(self) -> dict[str, Any]:
        optimizer = torch.optim.AdamW(self.parameters(), lr=self.learning_rate, weight_decay=0.05)
        return {"optimizer": optimizer, "lr_scheduler": warmup_cosine(optimizer, self.steps, warmup=20)}
