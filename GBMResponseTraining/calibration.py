"""Temperature scaling of the survival classifier on patients that did not train it.

Method: Guo et al. 2017, arXiv 1706.04599.
"""

from collections.abc import Sequence

import numpy as np
import torch
from GBMResponseCore.survival import ClassScheme, patient_probabilities
from torch import nn

from .slice_store import SliceStore

TEMPERATURES = np.geomspace(0.5, 50.0, 80)


def held_out_patients(store: SliceStore, every: int) -> np.ndarray:
    """Slices (n,) of every `every`-th patient as a bool array."""
    return np.asarray(store.patient) % every == 0


@torch.inference_mode()
def patient_logits(
    classifier: nn.Module, store: SliceStore, scheme: ClassScheme, selected: np.ndarray, pooling: int
) -> tuple[list[np.ndarray], list[int]]:
    """Slice logits (slices, classes) and class index of every patient among the `selected` slices (n,)."""
    logits, labels = [], []
    for patient in np.unique(store.patient[selected]):
        rows = np.flatnonzero(store.patient == patient)
        pair = np.stack([store.pre[rows], store.gtv[rows]], axis=1).astype(np.float32)
        inputs = torch.nn.functional.avg_pool2d(torch.from_numpy(pair), pooling)
        logits.append(classifier(inputs).numpy())
        labels.append(scheme.classes.index(scheme.of_survival(store.patients[patient]["survival_days"])))
    return logits, labels


def fit_temperature(logits: Sequence[np.ndarray], labels: Sequence[int]) -> float:
    """Return the temperature with the smallest negative log-likelihood of the patients' true classes."""

    def loss(temperature: float) -> float:
        chances = [patient_probabilities(rows, temperature)[k] for rows, k in zip(logits, labels, strict=True)]
        return -float(np.log(np.clip(chances, 1e-12, None)).mean())

    return float(min(TEMPERATURES, key=loss))
