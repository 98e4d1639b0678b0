"""What to predict and how, as plain values."""

import enum
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..common.Failure import Failure
from ..common.Translation import tr as _
from ..model.ModelDescription import NO_CLASS, ModelDescription
from .Choices import ClassMode, ComputeDevice, SamplerPreset


@dataclass(frozen=True)
class PredictionSettings:
    """Settings of one prediction, independent of the scene.

    :param classScheme: scheme of the model (`2-class`), `none`, or empty for the model's first.
    :param className: class of the scheme; used if the class is chosen.
    :param sliceBatch: slices computed at once; 0 lets free memory decide.
    :param registerFollowUp: show the true follow-up aligned (rigidly) with the volume before treatment.
    """

    bundleFolder: Path
    classMode: ClassMode = ClassMode.predicted
    classScheme: str = ""
    className: str = ""
    samples: int = 1
    guidanceScale: float = 2.0
    samplerPreset: SamplerPreset = SamplerPreset.balanced
    steps: int = 10
    seed: int = 1
    device: str = "auto"
    sliceBatch: int = 0
    registerFollowUp: bool = True

    def __post_init__(self) -> None:
        """:raises Failure: a choice is none of those there are. Scripts may name choices by their values."""
        for name, kind in (("classMode", ClassMode), ("samplerPreset", SamplerPreset)):
            object.__setattr__(self, name, _choice(name, kind, getattr(self, name)))
        if isinstance(self.device, ComputeDevice):
            object.__setattr__(self, "device", self.device.value)

    def classes(self, model: ModelDescription) -> list[str]:
        """Return the `classes` of a request to this model."""
        scheme = self.scheme(model)
        if scheme == NO_CLASS or self.classMode is ClassMode.predicted:
            return ["predicted"]
        if self.classMode is ClassMode.chosen:
            return [self.className]
        return [entry.name for entry in model.schemes[scheme]]

    def scheme(self, model: ModelDescription) -> str:
        """Return the scheme to use: the chosen one if the model has it, else the model's first."""
        if self.classScheme == NO_CLASS or self.classScheme in model.schemes:
            return self.classScheme
        return next(iter(model.schemes), NO_CLASS)

    def request(
        self, model: ModelDescription, files: dict[str, str | None], out: Path, identifier: str
    ) -> dict[str, Any]:
        """Return the worker's `predict` request.

        :param files: `image`, `gtv` and `follow_up` (None without one).
        """
        return {
            "type": "predict",
            "id": identifier,
            **files,
            "out": str(out),
            "bundle": str(self.bundleFolder),
            "device": self.device,
            "precision": "auto",
            "scheme": self.scheme(model),
            "classes": self.classes(model),
            "samples": self.samples,
            "seed": self.seed,
            "sampling": self.samplerPreset.sampling(self.steps, self.guidanceScale),
            "batch_size": self.sliceBatch or None,
            "format": ".nrrd",
            "measure": True,
            "montage": False,
        }


def _choice(name: str, kind: type[enum.Enum], value: Any) -> enum.Enum:
    try:
        return kind(value)
    except ValueError as error:
        message = _("{value} is no choice for {name}.").format(value=repr(value), name=name)
        known = ", ".join(entry.value for entry in kind)
        raise Failure("option", message, _("Choose one of: {known}.").format(known=known)) from error
