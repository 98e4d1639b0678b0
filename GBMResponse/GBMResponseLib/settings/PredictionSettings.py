"""What the user may set, declared once: for the parameter node and its widgets, for scripts and for the request."""

import enum
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from GBMResponseCore.request import AUTO_CLASS, NO_CLASS, PREDICTED_CLASS, PredictionOptions, SamplingOptions
from GBMResponseCore.setting import settings as engineSettings

from ..common.Failure import Failure, engineErrors
from ..common.Translation import tr as _
from ..model.ModelDescription import ModelDescription
from .Choices import RETIRED, ClassMode, ComputeDevice, SamplerPreset

try:
    from slicer.parameterNodeWrapper import WithinRange
except ImportError:  # without Slicer there are no widgets to limit

    @dataclass(frozen=True)
    class WithinRange:
        """Limits of a widget."""

        minimum: float
        maximum: float


_RECOMMENDED_GUIDANCE = -0.1
"""Widgets know numbers only: this one, just below the smallest scale, stands for the model's own."""


@dataclass(eq=False)
class PredictionSettings:
    """Settings of a prediction, as plain values; `ParameterNode` keeps the same ones in a scene.

    None stands for the default, and the default of what the model knows better is what it recommends.

    :param bundleFolder: folder of the model; empty for the one that ships.
    :param classScheme: scheme of the model (`2-class`), `none`, or empty for the model's first.
    :param className: class of the scheme; used if the class is chosen.
    :param samples: single possibilities beside the expected image; scripts that give none get those of the preset.
    :param guidanceScale: how strongly the class acts; by default as the model recommends.
    :param steps: 0 for those of the preset.
    :param device: a `ComputeDevice`, or another name that the engine knows, such as `cuda:1`.
    :param sliceBatch: slices computed at once; 0 lets free memory decide.
    :param registerFollowUp: show the true follow-up aligned (rigidly) with the volume before treatment.
    :raises Failure: a choice is none of those there are. Scripts may name choices by their values.
    """

    bundleFolder: str = ""
    classMode: ClassMode = ClassMode.auto
    classScheme: str = ""
    className: str = ""
    samples: Annotated[int, WithinRange(0, 32)] = PredictionOptions().sample_count
    guidanceScale: Annotated[float, WithinRange(_RECOMMENDED_GUIDANCE, 10.0)] = _RECOMMENDED_GUIDANCE
    samplerPreset: SamplerPreset = SamplerPreset.balanced
    steps: Annotated[int, WithinRange(0, 1000)] = 0
    seed: Annotated[int, WithinRange(0, 2147483647)] = 1
    device: ComputeDevice = ComputeDevice.auto
    sliceBatch: Annotated[int, WithinRange(0, 64)] = 0
    registerFollowUp: bool = True

    further = {}
    """Options of the engine that no widget sets, by their names in `PredictionOptions`."""

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if value is None:
                setattr(self, entry.name, entry.default)
            elif isinstance(entry.default, enum.Enum):
                setattr(self, entry.name, _choice(entry.name, type(entry.default), value))
        self.bundleFolder = str(self.bundleFolder)
        if self.guidanceScale < 0.0 and not math.isclose(self.guidanceScale, _RECOMMENDED_GUIDANCE):
            message = _("The guidance cannot be {value}.").format(value=self.guidanceScale)
            raise Failure("option", message, _("Give 0 or more, or None for what the model recommends."))

    @classmethod
    def fromKeywords(cls, values: dict[str, Any]) -> "PredictionSettings":
        """Take the fields of this class, and further options of the engine by their names in `PredictionOptions`.

        :raises Failure: there is no such setting, or a choice is none of those there are.
        """
        own = [entry.name for entry in fields(cls)]
        further = {name: value for name, value in values.items() if name not in own}
        unknown = set(further) - {entry.attribute for entry in engineSettings(PredictionOptions)}
        if unknown:
            message = _("There is no setting {name}.").format(name=min(unknown))
            raise Failure("option", message, _("Settings are: {names}.").format(names=", ".join(own)))
        made = cls(**{name: value for name, value in values.items() if name in own})
        made.further = further
        if values.get("samples") is None:
            made.samples = made.samplerPreset.samples
        return made

    def copy(self) -> "PredictionSettings":
        """Return the values as they are now, apart from any scene."""
        return PredictionSettings(**{entry.name: getattr(self, entry.name) for entry in fields(PredictionSettings)})

    def scheme(self, model: ModelDescription) -> str:
        """Return the scheme to use: the chosen one if the model has it, else the model's first."""
        if self.classScheme == NO_CLASS or self.classScheme in model.schemes:
            return self.classScheme
        return next(iter(model.schemes), NO_CLASS)

    def classes(self, model: ModelDescription) -> list[str]:
        """Return the `classes` of a request to this model."""
        scheme = self.scheme(model)
        if scheme == NO_CLASS or self.classMode is ClassMode.auto:
            return [AUTO_CLASS]
        if self.classMode is ClassMode.predicted:
            return [PREDICTED_CLASS]
        if self.classMode is ClassMode.chosen:
            return [self.className]
        return [entry.name for entry in model.classes(scheme)]

    def chosenSampling(self) -> dict[str, Any]:
        """Return the fields of `sampling` that the user chose; the model's own apply to the others."""
        chosen = self.samplerPreset.sampling()
        if self.steps:
            chosen["steps"] = self.steps
        if self.guidanceScale >= 0.0:
            chosen |= {"guidance_scale": round(self.guidanceScale, 3), "guidance_form": "standard"}
        return chosen

    def sampling(self, model: ModelDescription) -> dict[str, Any]:
        """Return all fields of the sampling that results with this model."""
        return asdict(model.default_sampling) | self.chosenSampling()

    def options(self, model: ModelDescription) -> PredictionOptions:
        """Return the engine's options for this model.

        :raises Failure: a value is not possible.
        """
        device = self.device.value if isinstance(self.device, ComputeDevice) else str(self.device)
        values = (
            self.samplerPreset.further()
            | self.chosenSampling()
            | {
                "scheme": self.scheme(model),
                "classes": tuple(self.classes(model)),
                "sample_count": self.samples,
                "seed": self.seed,
                "device": device,
                "batch_size": self.sliceBatch or None,
            }
        )
        with engineErrors():
            return PredictionOptions(**(values | self.further))

    def cohortOptions(self, model: ModelDescription) -> list[str]:
        """Return the options of `gbmresponse cohort`; the classes are those of its table.

        :raises Failure: a value is not possible.
        """
        values = self.copy()
        values.classMode, values.further = ClassMode.auto, self.further
        options = values.options(model)
        arguments = [f"--bundle={model.folder}", f"--devices={options.device}"]
        for entry in engineSettings(PredictionOptions):
            value = getattr(options, entry.attribute)
            if entry.attribute not in ("classes", "device") and value is not None and value != entry.default:
                arguments.append(entry.option if entry.kind is bool else f"{entry.option}={value}")
        return arguments

    def request(
        self, model: ModelDescription, files: dict[str, str | None], out: Path, identifier: str
    ) -> dict[str, Any]:
        """Return the worker's `predict` request.

        :param files: `image`, `gtv` and `follow_up` (None without one).
        :raises Failure: a value is not possible.
        """
        options = self.options(model)
        chosen, sampling = {}, {}
        for entry in engineSettings(PredictionOptions):
            value = getattr(options, entry.attribute)
            if value is not None:
                part = sampling if hasattr(SamplingOptions, entry.attribute) else chosen
                part[entry.name] = list(value) if entry.several else value
        return {
            "type": "predict",
            "id": identifier,
            **files,
            "out": str(out),
            "bundle": str(model.folder),
            **chosen,
            "sampling": sampling,
            "format": ".nrrd",
            "measure": True,
            "montage": False,
        }


def _choice(name: str, kind: type[enum.Enum], value: Any) -> Any:
    known = [entry.value for entry in kind]
    if isinstance(value, kind) or value in known:
        return kind(value)
    if kind is ComputeDevice:
        return value
    if value in RETIRED:
        message = _("There is no preset {value} any more.").format(value=repr(value))
        raise Failure("option", message, _("Give {known}, and steps=5.").format(known=RETIRED[value]))
    if value in kind.__members__:
        return kind[value]
    message = _("{value} is no choice for {name}.").format(value=repr(value), name=name)
    raise Failure("option", message, _("Choose one of: {known}.").format(known=", ".join(known)))
