"""Patient logits of the survival classifier, and temperature scaling on patients that did not train it.

Method: Guo et al. 2017, arXiv 1706.04599.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from GBMResponseCore.model.classes import patient_probabilities
from torch import nn

from ..store.slice_store import SliceStore

TEMPERATURES = np.geomspace(0.5, 50.0, 80)
_BATCH = 32


@torch.inference_mode()
def patient_logits(
    classifier: nn.Module, store: SliceStore, patients: Iterable[int], pooling: int
) -> dict[int, np.ndarray]:
    """Slice logits (slices, classes) of each patient of a store."""
    logits = {}
    for patient in patients:
        rows = np.flatnonzero(np.asarray(store.patient) == patient)
        pair = torch.from_numpy(np.stack([store.pre[rows], store.gtv[rows]], axis=1).astype(np.float32))
        inputs = torch.nn.functional.avg_pool2d(pair[:, : classifier.conv1.in_channels], pooling)
        parts = [classifier(chunk.to(classifier.conv1.weight.device)).cpu() for chunk in inputs.split(_BATCH)]
        logits[int(patient)] = torch.cat(parts).numpy()
    return logits


def fit_temperature(logits: Sequence[np.ndarray], labels: Sequence[int]) -> float:
    """Return the temperature with the smallest negative log-likelihood of the patients' true classes."""

    def loss(temperature: float) -> float:
        chances = [patient_probabilities(rows, temperature)[k] for rows, k in zip(logits, labels, strict=True)]
        return -float(np.log(np.clip(chances, 1e-12, None)).mean())

    return float(min(TEMPERATURES, key=loss))
