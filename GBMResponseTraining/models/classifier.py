"""Training of the survival classifier: a ResNet on pre-treatment slices and GTV."""

import lightning
import torch
from GBMResponseCore.model.networks import build_classifier
from torch.nn import functional

from ..settings.networks import Classifier
from .optimization import VALIDATION_LOSS, adamw, warmup_and_decay


class ClassifierModule(lightning.LightningModule):
    """Cross-entropy with label smoothing on batches of `inputs` (B, 2, h, w) and `label` (B,) int64."""

    def __init__(self, settings: Classifier, steps: int) -> None:
        super().__init__()
        self.settings = settings
        self.steps = steps
        self.model = build_classifier(settings.network())

    def training_step(self, batch: dict[str, torch.Tensor], batch_index: int) -> torch.Tensor:
        logits = self.model(batch["inputs"])
        loss = functional.cross_entropy(logits, batch["label"], label_smoothing=self.settings.label_smoothing)
        accuracy = (logits.argmax(1) == batch["label"]).float().mean()
        self.log_dict({"loss": loss, "accuracy": accuracy}, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, torch.Tensor], batch_index: int) -> None:
        logits = self.model(batch["inputs"])
        values = {
            VALIDATION_LOSS: functional.cross_entropy(logits, batch["label"]),
            "val_accuracy": (logits.argmax(1) == batch["label"]).float().mean(),
        }
        self.log_dict(values, prog_bar=True, batch_size=len(logits))

    def configure_optimizers(self) -> dict:
        optimizer = adamw(self.parameters(), self.settings.training)
        schedule = warmup_and_decay(optimizer, self.settings.training, self.steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
