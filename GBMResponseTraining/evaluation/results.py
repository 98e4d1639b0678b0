"""What an evaluation finds, before it becomes a report, tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .held_out import HeldOut
from .model_predictions import ClassAssignment
from .options import EvaluationOptions
from .scores import ScoredRow

COPY = "copy of the pre image"
TRAINING_MEAN = "mean of the training follow-ups"
UPPER_BOUND = "autoencoder of the truth (upper bound)"
REPORT = "report.json"

EXPECTED = "expected image"
KINDS = ("baseline", "model", EXPECTED, "upper bound")
"""Of rows, in the order of the tables."""


@dataclass(frozen=True)
class Row:
    """One row of Table 1: metrics per slice, and the class of every slice's patient where there is one."""

    name: str
    kind: str
    per_slice: list[dict[str, float]]
    classes: list[str] | None = None

    def values(self, metric: str) -> list[float]:
        """One metric of every slice."""
        return [row[metric] for row in self.per_slice]


@dataclass(frozen=True)
class Prediction:
    """What a model predicted for the held-out slices.

    :param row: means over the samples.
    :param expected: metrics of the expected image.
    :param volumes: enhancing volume in ml of every sample and patient (samples, patients); None if not asked for.
    :param scored: proper scores of several samples; None with one.
    """

    row: Row
    expected: Row
    volumes: np.ndarray | None
    scored: ScoredRow | None


@dataclass(frozen=True)
class Reconstruction:
    """What an image autoencoder keeps of the true slices.

    :param row: of the follow-ups, quantized.
    :param copied: the pre-treatment slices, quantized, as predictions.
    :param summary: by images, `pre`, `post` and both without the codebook: summaries by metric.
    :param scored: proper scores of the pre-treatment slices, quantized, as predictions; None if not asked for.
    """

    row: Row
    copied: Row
    summary: dict[str, dict[str, dict[str, float]]]
    scored: ScoredRow | None


@dataclass(frozen=True)
class ModelResult:
    """All that an evaluation finds of one model.

    :param description: of its bundle, classes and split, JSON values.
    :param assigned: the class of every patient.
    :param classifier: figures of its classifier; None if it has none, or no class is known.
    :param reconstruction: None if a model before has the same image autoencoder.
    :param sweep: its guidance sweep; None if not asked for.
    """

    name: str
    description: dict[str, Any]
    assigned: ClassAssignment
    prediction: Prediction
    classifier: dict[str, Any] | None
    reconstruction: Reconstruction | None
    sweep: dict[str, Any] | None


@dataclass(frozen=True)
class EvaluatedStore:
    """Which slice store was evaluated; the SHA-256 tells it from another one of its name, see `store_sha256`."""

    name: str
    sha256: str


@dataclass(frozen=True)
class EvaluationResult:
    """All that an evaluation finds.

    :param figure_model: the model of Figure 4 and of the failures.
    :param images: its first sample (n, H, W), float32.
    :param spread: calibration of the samples' spread; None with too few, or if no voxel's size is known.
    :param scored: proper scores of baselines and of several samples; empty with one sample.
    :param fitted: what the baselines of the scores know: `blur` in hindsight, `training` of training patients, None if
        there are none. None with one sample.
    :param notes: what a reader of the figures must know.
    """

    slices: HeldOut
    options: EvaluationOptions
    store: EvaluatedStore
    baselines: Sequence[Row]
    models: Sequence[ModelResult]
    figure_model: str
    images: np.ndarray
    spread: dict[str, Any] | None
    scored: Sequence[ScoredRow]
    fitted: dict[str, Any] | None
    notes: Sequence[str]

    @property
    def rows(self) -> list[Row]:
        """Baselines, models, expected images, upper bounds."""
        rows = list(self.baselines)
        for model in self.models:
            rows += [model.prediction.row, model.prediction.expected]
            rows += [model.reconstruction.copied, model.reconstruction.row] if model.reconstruction else []
        return sorted(rows, key=lambda row: KINDS.index(row.kind))

    def row(self, name: str) -> Row:
        return next(row for row in self.rows if row.name == name)
