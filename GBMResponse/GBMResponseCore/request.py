"""What one run is asked to do, in plain values: the same for the command, the cohort, the worker's messages, the panel.

Every setting is declared here once. Options of the command, fields of a message and the provenance derive from the
dataclasses; only the standard library is needed.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from pathlib import Path
from reprlib import repr as short
from typing import Any, Self, get_args, get_origin

from .errors import GuidanceError, OptionError, RequestError

AUTO_CLASS = "auto"
"""Asks for the predicted class if the classifier has shown skill on held-out patients, else for none."""
PREDICTED_CLASS = "predicted"
"""Asks for the class that the classifier finds most probable."""
NO_CLASS = "none"

FORMATS = (".nii.gz", ".nrrd", ".mha")
SAMPLERS = ("unipc", "dpmpp", "ddim", "ddpm")
GUIDANCE_FORMS = ("standard", "algorithm2")
PRECISIONS = ("auto", "float32", "bfloat16")
TRAINING_STEPS = 1000
MOST_DAYS = 3650


def setting(help: str, default: Any = MISSING, **details: Any) -> Any:
    """Declare a field of a dataclass of settings.

    :param help: for people: `--help`, tool tips.
    :param default: None is the bundle's own value, or that of this machine.
    :param details: what differs from the rule, see `Setting`.
    """
    return dataclasses.field(default=default, metadata={"help": help, **details})


@dataclass(frozen=True)
class Setting:
    """How a declared field looks from outside.

    :param attribute: the field's name in its dataclass.
    :param name: in messages and in the provenance.
    :param option: of the command. That of a field that is true without it switches the field off.
    :param kind: `str`, `int`, `float`, `bool` or `Path`.
    :param several: it is a list of them.
    :param group: `files`, `output`, `model`, `sampling` or `machine`.
    :param otherwise: value of a sampling setting that neither the user nor the bundle gives.
    """

    attribute: str
    name: str
    option: str
    kind: type
    several: bool
    default: Any
    help: str
    group: str = "sampling"
    otherwise: Any = None
    choices: tuple[str, ...] = ()
    lowest: float | None = None
    highest: float | None = None

    def check(self, value: Any) -> None:
        """:raises OptionError: the value is none of the choices, or out of range."""
        words = self.name.replace("_", " ")
        if self.choices and value not in self.choices:
            raise OptionError(f"Unknown {words} {short(value)}.", f"Choose one of: {', '.join(self.choices)}.")
        low = -math.inf if self.lowest is None else self.lowest
        high = math.inf if self.highest is None else self.highest
        if (self.lowest, self.highest) != (None, None) and not low <= value <= high:
            limit = f"{low:g} or more" if self.highest is None else f"{low:g} to {high:g}"
            raise OptionError(f"The {words} cannot be {value}.", f"Use {limit}.")

    def check_type(self, value: Any) -> None:
        """Check a value of a decoded message; JSON's true is no number.

        :raises RequestError: it is of another type, or nothing here can hold it.
        """
        entries = [value]
        if self.several:
            if not isinstance(value, list):
                raise RequestError(f"The field {self.name!r} has the value {short(value)}, which is no list.")
            entries = value
        accepted = {float: (int, float), Path: (str,)}.get(self.kind, (self.kind,))
        for entry in entries:
            if not isinstance(entry, accepted) or (isinstance(entry, bool) and self.kind is not bool):
                names = " or ".join(kind.__name__ for kind in accepted)
                raise RequestError(
                    f"The field {self.name!r} has the value {short(entry)}, which is not of type {names}."
                )
            if isinstance(entry, float) and not math.isfinite(entry):
                raise RequestError(f"The field {self.name!r} is not a finite number.")
            if isinstance(entry, int) and abs(entry) >= 1 << 63:
                raise RequestError(f"The field {self.name!r} is a number of more than 64 bits.")
            if isinstance(entry, str) and ("\0" in entry or any("\ud800" <= letter <= "\udfff" for letter in entry)):
                raise RequestError(f"The field {self.name!r} holds a character that no text can have.")


@cache
def settings(cls: type) -> tuple[Setting, ...]:
    """The fields that a dataclass declares by `setting`, also inherited ones, in order."""
    found = []
    for entry in fields(cls):
        if "help" not in entry.metadata:
            continue
        details = dict(entry.metadata)
        name = details.pop("name", entry.name)
        kind = next(part for part in get_args(entry.type) or (entry.type,) if part is not type(None))
        several = get_origin(entry.type) is tuple
        option = details.pop("option", "--" + name.replace("_", "-"))
        found.append(Setting(entry.name, name, option, kind, several, entry.default, **details))
    return tuple(found)


@dataclass(frozen=True)
class SamplingOptions:
    """How to draw samples. None: as the bundle says.

    `unipc` (exponential sigma spacing) and `dpmpp` (2M, Lu spacing) are fast multistep solvers; `ddim` is the paper's
    sampler; `ddpm` is ancestral sampling. Eta is DDIM's stochasticity; 0 is deterministic, 1 as in the authors' code.

    :raises OptionError: a value is not possible.
    """

    sampler: str | None = setting("unipc, dpmpp, ddim or ddpm", None, choices=SAMPLERS, otherwise="unipc")
    steps: int | None = setting("network evaluations per sample", None, lowest=1, highest=TRAINING_STEPS, otherwise=10)
    guidance_scale: float | None = setting(
        "guidance scale: 0 unconditional, 1 conditional", None,
        option="--guidance", lowest=-100, highest=100, otherwise=1.0,
    )  # fmt: skip
    guidance_form: str | None = setting(
        "standard, or algorithm2 for the sign printed in the paper", None, choices=GUIDANCE_FORMS, otherwise="standard"
    )
    eta: float | None = setting("stochasticity of ddim: 0 to 1", None, lowest=0, highest=1, otherwise=0.0)
    temperature: float | None = setting("factor on the start noise: 0 to 2", None, lowest=0, highest=2, otherwise=1.0)

    noise_length: float | None = setting(
        "mm along the patient at which the start noise of two slices is correlated by one half; 0: independent slices",
        None, lowest=0, highest=1000, otherwise=25.0,
    )  # fmt: skip

    def __post_init__(self) -> None:
        for entry in settings(type(self)):
            value = getattr(self, entry.attribute)
            if value is not None:
                entry.check(value)
        if self.sampler in ("ddim", "ddpm") and self.steps and TRAINING_STEPS % self.steps:
            # diffusers steps back by T // steps: other counts would start below the noisy end or miss time steps.
            raise OptionError(
                f"{self.sampler} cannot take {self.steps} steps.", "Choose a divisor of 1000, for example 50 or 200."
            )
        if self.eta and self.sampler not in (None, "ddim"):
            raise OptionError(f"Eta {self.eta} has no meaning for {self.sampler}.", "Use --sampler ddim or eta 0.")

    def with_defaults(self, bundle: Mapping[str, Any]) -> Self:
        """The same with every field set.

        :param bundle: a bundle's own sampling, which may lack fields.
        :raises OptionError: the fields do not go together.
        """
        missing = [entry for entry in settings(SamplingOptions) if getattr(self, entry.attribute) is None]
        return replace(self, **{entry.attribute: bundle.get(entry.name, entry.otherwise) for entry in missing})

    @property
    def standard_guidance_scale(self) -> float:
        """The guidance scale in the standard form."""
        scale = 1.0 if self.guidance_scale is None else self.guidance_scale
        return 1.0 - scale if self.guidance_form == "algorithm2" else scale


@dataclass(frozen=True)
class PredictionOptions(SamplingOptions):
    """How to predict: every setting that does not name a file.

    Several classes are predicted under the same noise, which makes a paired what-if.

    :raises OptionError: a value is not possible.
    :raises RequestError: the classes are no different names of folders.
    """

    scheme: str | None = setting(
        f"survival class scheme of the bundle, or {NO_CLASS!r}; default: its first", None, group="model"
    )
    classes: tuple[str, ...] = setting(
        f"class name, {PREDICTED_CLASS!r} by the classifier, or {AUTO_CLASS!r}: predicted if the classifier has shown "
        "skill, else none; several names are compared under the same noise, each in its own folder",
        (AUTO_CLASS,), option="--class", group="model",
    )  # fmt: skip
    days_since_rt: float | None = setting(
        "days from the start of RT to the follow-up, if the model knows them", None, lowest=0, highest=MOST_DAYS
    )
    class_weight: float | None = setting(
        "0 the first, 1 the last class of the scheme, between them a mix of what the model says of both, instead of a "
        "class", None, lowest=0, highest=1, group="model",
    )  # fmt: skip
    sample_count: int = setting(
        "samples beside the expected image, in antithetic pairs; 2 or more add spread and chances, 0 makes the "
        "expected image alone, in which no volumes are measured", 4, name="samples", lowest=0, highest=1000,
    )  # fmt: skip
    compose: bool = setting(
        "show the whole slice as the model makes it, as in the paper; without it the input shows away from the GTV",
        True, option="--no-compose", group="output",
    )  # fmt: skip
    seed: int = setting("same seed, same result; also across classes", 1, lowest=0, highest=2**63 - 1)
    device: str = setting("auto, cpu, cuda, cuda:1, mps", "auto", group="machine")
    precision: str = setting("auto, float32 or bfloat16", "auto", group="machine", choices=PRECISIONS)
    batch_size: int | None = setting("slices at once; default: as memory allows", None, group="machine", lowest=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise RequestError("The classes must be one or more different names.", "Name each class once.")
        if self.class_weight is not None and self.classes != (AUTO_CLASS,):
            raise OptionError("A class weight stands in the place of a class.", "Give the weight, or the class.")
        for name in self.classes:  # also a folder's name
            if not name or name.startswith(".") or set(name) & set("/\\:"):
                raise RequestError(f"{short(name)} is no name of a class.")


@dataclass(frozen=True)
class PredictionRequest:
    """A prediction from files to a folder.

    :raises RequestError: the format does not exist.
    """

    image: Path = setting("pre-treatment T1-Gd (NIfTI, NRRD, MetaImage)", group="files")
    gtv: Path = setting("GTV mask, on any grid of the same patient", group="files")
    out: Path = setting("output folder", group="files")
    follow_up: Path | None = setting(
        "true follow-up T1-Gd, shown beside the prediction and scored", None, group="files"
    )
    gtv_labels: tuple[str, ...] = setting(
        "label values or segment names of the GTV file that are the GTV; default: all",
        (), option="--gtv-label", group="files",
    )  # fmt: skip
    bundle: Path | None = setting(
        "folder of a model bundle, or name of a known one (gbmresponse models list); default: the one that ships",
        None,
        group="model",
    )
    options: PredictionOptions = PredictionOptions()
    format: str = setting("of the volumes", ".nii.gz", group="output", choices=FORMATS)
    measure: bool = setting("measure nothing", True, group="output", option="--no-measurements")
    montage: bool = setting("write no PNG montage", True, group="output", option="--no-montage")
    report: bool = setting("write no HTML report", True, group="output", option="--no-report")

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise RequestError(f"Unknown format {self.format!r}.", f"Choose one of: {', '.join(FORMATS)}.")

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "PredictionRequest":
        """Build a request from decoded JSON: paths are text, `null` or an absent field is the default.

        Fields of `SamplingOptions` are in the object `sampling`.

        :raises RequestError: a field is missing, unknown or of a wrong type.
        :raises OptionError: a value is out of range.
        """
        sampling = message.get("sampling")
        if sampling is not None and not isinstance(sampling, dict):
            raise RequestError(f"The field 'sampling' has the value {short(sampling)}, which is not of type dict.")
        drawing = settings(SamplingOptions)
        others = [entry for entry in settings(PredictionOptions) if entry not in drawing]
        outer = {name: value for name, value in message.items() if name != "sampling"}
        values = _values(outer, [*settings(cls), *others])
        _check_present(values, settings(cls))
        options = {entry.attribute: values.pop(entry.attribute) for entry in others if entry.attribute in values}
        return cls(**values, options=PredictionOptions(**options, **_values(sampling or {}, drawing)))


@dataclass(frozen=True)
class WhatIf:
    """Another look at one slice of the last prediction.

    :raises OptionError: a value is not possible.
    """

    of: str = setting("id of the prediction, which must be the last one", group="files")
    out: Path = setting("folder for the slice; is created", group="files")
    index: int = setting("of the slice, in the stack", lowest=0)
    weight: float | None = setting(
        "see `class_weight`; default: the class of the prediction", None, lowest=0, highest=1
    )
    days: float | None = setting("see `days_since_rt`", None, lowest=0, highest=MOST_DAYS)

    def __post_init__(self) -> None:
        for entry in settings(type(self)):
            if getattr(self, entry.attribute) is not None:
                entry.check(getattr(self, entry.attribute))

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "WhatIf":
        """Build it from decoded JSON.

        :raises RequestError: a field is missing, unknown or of a wrong type.
        :raises OptionError: a value is out of range.
        """
        values = _values(message, settings(cls))
        _check_present(values, settings(cls))
        return cls(**values)


def _check_present(values: Mapping[str, Any], known: Sequence[Setting]) -> None:
    """:raises RequestError: a field without a default is missing."""
    for entry in known:
        if entry.default is MISSING and entry.attribute not in values:
            raise RequestError(f"The field {entry.name!r} is missing.")


def _values(message: Mapping[str, Any], known: Sequence[Setting]) -> dict[str, Any]:
    """Checked values of a message's object by attribute; absent and null ones are left out."""
    by_name = {entry.name: entry for entry in known}
    unknown = [str(name) for name in message if name not in by_name]
    if unknown:
        raise RequestError(f"Unknown field {short(min(unknown))}.")
    values = {}
    for name, value in message.items():
        if value is not None:
            entry = by_name[name]
            entry.check_type(value)
            values[entry.attribute] = tuple(value) if entry.several else entry.kind(value)
    return values


def check_guidance(options: SamplingOptions, label_dropout: float, uses_class: bool) -> None:
    """Refuse guidance that a model was not trained for.

    :raises GuidanceError: the scale is not 1 and the model has no trained null class.
    """
    if options.standard_guidance_scale == 1.0:
        return
    if not uses_class:
        raise GuidanceError(
            f"Guidance scale {options.guidance_scale} needs a model with survival classes; this one has none."
        )
    if label_dropout <= 0.0:
        raise GuidanceError(
            f"Guidance scale {options.guidance_scale} is not possible: the model was trained without label dropout, "
            "so its null class is random."
        )
