"""Patient logits of the survival classifier, and temperature scaling on patients that did not train it.

A temperature belongs to the network whose logits it was fitted on. That of the final network is fitted on validation
patients where there are enough; with fewer the folds' is taken, whose networks are trained and selected alike.

Method: Guo et al. 2017, arXiv 1706.04599.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from GBMResponseCore.model.classes import patient_probabilities
from torch import nn

from ..store.slice_store import SliceStore

TEMPERATURES = np.geomspace(0.5, 50.0, 80)
FEWEST_PATIENTS = 10
"""With fewer validation patients one of them would decide the temperature."""
_BATCH = 32


@dataclass(frozen=True)
class Calibration:
    """Temperatures of the final network and of the fold networks, and how many patients they were fitted on."""

    temperature: float
    patients: int
    out_of_fold_temperature: float
    out_of_fold_patients: int


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


def calibrate(
    out_of_fold: Sequence[np.ndarray],
    out_of_fold_labels: Sequence[int],
    held_out: Sequence[np.ndarray],
    held_out_labels: Sequence[int],
) -> Calibration:
    """Fit the temperatures of the fold networks and of the final one.

    :param out_of_fold: logits (slices, classes) of training patients by the network that did not see them.
    :param held_out: logits of validation patients by the final network.
    """
    folds, count = round(fit_temperature(out_of_fold, out_of_fold_labels), 3), len(out_of_fold)
    if len(held_out) < FEWEST_PATIENTS:
        return Calibration(folds, count, folds, count)
    return Calibration(round(fit_temperature(held_out, held_out_labels), 3), len(held_out), folds, count)


def fit_temperature(logits: Sequence[np.ndarray], labels: Sequence[int]) -> float:
    """Return the temperature with the smallest negative log-likelihood of the patients' true classes."""

    def loss(temperature: float) -> float:
        chances = [patient_probabilities(rows, temperature)[k] for rows, k in zip(logits, labels, strict=True)]
        return -float(np.log(np.clip(chances, 1e-12, None)).mean())

    return float(min(TEMPERATURES, key=loss))
