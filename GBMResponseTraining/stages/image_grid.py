"""Picture after every validation: the same slices with the same noise, so that pictures can be compared."""

from collections.abc import Callable
from pathlib import Path

import lightning
import numpy as np
import torch
from GBMResponseCore.files import make_folder, write_bytes
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger


class ImageGrid(Callback):
    """Write `synthetic_step_NNNNNNN.png` and show it in TensorBoard.

    :param make: module -> picture (rows, columns) in [-1, 1].
    """

    def __init__(self, make: Callable[[lightning.LightningModule], np.ndarray], folder: Path) -> None:
        self._make = make
        self._folder = folder

    def on_validation_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        if not trainer.is_global_zero or trainer.sanity_checking:
            return
        with torch.no_grad():
            picture = np.clip((self._make(pl_module) + 1) / 2, 0, 1)
        make_folder(self._folder)
        write_bytes(_png(picture), self._folder / f"synthetic_step_{trainer.global_step:07d}.png")
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger):
                logger.experiment.add_image("synthetic", picture[None], trainer.global_step)


def _png(picture: np.ndarray) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray((picture * 255).round().astype(np.uint8)).save(buffer, format="png")
    return buffer.getvalue()
