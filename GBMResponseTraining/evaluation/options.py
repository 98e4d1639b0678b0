"""How to evaluate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from GBMResponseCore.errors import OptionError

from ..models.lpips import LPIPS
from ..store.splits import SPLITS
from .held_out import HeldOut
from .metrics.authors import authors_metrics
from .metrics.image import standard_metrics

METRICS = {"standard": standard_metrics, "authors": authors_metrics}

Measure = Callable[[np.ndarray, np.ndarray], list[dict[str, float]]]
"""Metrics of every slice of predicted (n, H, W) and true (n, H, W) images."""


@dataclass(frozen=True)
class EvaluationOptions:
    """How to evaluate.

    :param split: of the slice store: `test`, `validation` or `train`.
    :param seed: of the noise and of nothing else.
    :param samples: drawn per slice; a slice's metric is the mean over its samples.
    :param sampling: fields of `SamplingOptions` to use instead of each bundle's, such as `guidance_scale`, `steps`.
    :param metrics: `standard` or `authors`.
    :param batch_size: slices at once; None lets free memory decide.
    :param precision: `float32`, `bfloat16` or `auto`.
    :param max_slices_per_patient: evenly spaced; None takes all.
    :param figure_slices: rows of Figure 4.
    :param guidance_sweep: guidance scales to compare; empty for none.
    :param data: what the data are, for the tables, such as "CFB-GBM v4"; empty: the data sets that the records name.
    :param compose: judge pictures as a user sees them, with the input away from the GTV; else whole slices.
    :param tuning_store: slice store whose training patients tell the baselines rates and usual changes; None: the one
        that is evaluated on.
    :param stores: also write the evaluated slices, and the first samples of the figure's model, as slice stores.
    """

    split: str = "test"
    seed: int = 1
    samples: int = 1
    sampling: Mapping[str, Any] = field(default_factory=dict)
    metrics: str = "standard"
    batch_size: int | None = None
    device: str = "auto"
    precision: str = "float32"
    max_slices_per_patient: int | None = None
    figure_slices: int = 5
    guidance_sweep: Sequence[float] = ()
    data: str = ""
    compose: bool = True
    tuning_store: Path | None = None
    stores: bool = False

    def __post_init__(self) -> None:
        if self.split not in SPLITS:
            raise OptionError(f"Unknown split {self.split!r}.", f"Choose one of: {', '.join(SPLITS)}.")
        if self.metrics not in METRICS:
            raise OptionError(f"Unknown metrics {self.metrics!r}.", f"Choose one of: {', '.join(METRICS)}.")
        for name in ("samples", "max_slices_per_patient", "figure_slices"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}.", "Use 1 or more.")

    def measure(self, slices: HeldOut, lpips: LPIPS | None = None) -> Measure:
        """The chosen metrics, local ones inside the GTV of the slices; without `lpips` there is no LPIPS."""
        return partial(METRICS[self.metrics], gtv=slices.gtv, lpips=lpips)
