"""What one run is asked to do, in plain values: the same for the command, the cohort, the worker's messages, the panel.

Every setting is declared here once. Options of the command, fields of a message and the provenance derive from the
dataclasses; only the standard library is needed.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, replace
from datetime import date
from itertools import pairwise
from pathlib import Path
from reprlib import repr as short
from typing import Any, Self

from .errors import GuidanceError, OptionError, RequestError
from .setting import Setting, setting, settings

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
_UID_ROOT = re.compile(r"[012](\.(0|[1-9]\d*))+")
_LONGEST_ROOT = 24
"""What is left of a UID's 64 letters for a number of 128 bits."""


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
        f"class name, {PREDICTED_CLASS!r} by the classifier, {NO_CLASS!r}, or {AUTO_CLASS!r}: predicted if the "
        "classifier has shown skill, else none; several names are compared under the same noise, each in its own "
        "folder",
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
class CaseFacts:
    """What the report says of a case. The model is told nothing of it.

    :raises OptionError: a date is none, or later than what comes after it.
    """

    case_id: str | None = setting(
        "name of the case in the report; default: a pseudonym made of the image's hash", None, group="case"
    )
    scan_date: str | None = setting("date of the image, YYYY-MM-DD", None, group="case")
    rt_start: str | None = setting("first day of radiotherapy, YYYY-MM-DD", None, group="case")
    rt_end: str | None = setting("last day of radiotherapy, YYYY-MM-DD", None, group="case")
    follow_up_date: str | None = setting("date of the follow-up, true or to come, YYYY-MM-DD", None, group="case")
    made_by: str | None = setting("who made the report", None, group="case")

    def __post_init__(self) -> None:
        given = [(name, _date(getattr(self, name), name)) for name in _DATES if getattr(self, name) is not None]
        for (earlier, first), (later, second) in pairwise(given):
            if second < first:
                words = f"The {later} {second} lies before the {earlier} {first}.".replace("_", " ")
                raise OptionError(words, "Check the dates.")

    @property
    def weeks_since_rt(self) -> float | None:
        """From the end of radiotherapy to the follow-up; None: not known."""
        if self.rt_end is None or self.follow_up_date is None:
            return None
        return (date.fromisoformat(self.follow_up_date) - date.fromisoformat(self.rt_end)).days / 7


_DATES = ("scan_date", "rt_start", "rt_end", "follow_up_date")
"""In the order in which they come; the image of a patient may be made before the first day or on it."""


def _date(text: str, name: str) -> date:
    """:raises OptionError: no date."""
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        message = f"The {name.replace('_', ' ')} {short(text)} is no date."
        raise OptionError(message, "Write it as 2026-03-31.") from error


@dataclass(frozen=True)
class PredictionRequest:
    """A prediction from files to a folder.

    :raises RequestError: the format does not exist.
    """

    image: Path = setting("pre-treatment T1-Gd (NIfTI, NRRD, MetaImage), or a folder of DICOM files", group="files")
    gtv: Path = setting(
        "GTV mask, on any grid of the same patient; with DICOM also an RTSTRUCT, a SEG or a folder", group="files"
    )
    out: Path = setting("output folder", group="files")
    follow_up: Path | None = setting(
        "true follow-up T1-Gd, shown beside the prediction and scored", None, group="files"
    )
    gtv_labels: tuple[str, ...] = setting(
        "label values, or names of segments or of an RTSTRUCT's regions, that are the GTV; default: all, in DICOM "
        "those called GTV",
        (), option="--gtv-label", group="files",
    )  # fmt: skip
    bundle: Path | None = setting(
        "folder of a model bundle, or name of a known one (gbmresponse models list); default: the one that ships",
        None,
        group="model",
    )
    options: PredictionOptions = PredictionOptions()
    facts: CaseFacts = CaseFacts()
    format: str = setting("of the volumes", ".nii.gz", group="output", choices=FORMATS)
    measure: bool = setting("measure nothing", True, group="output", option="--no-measurements")
    montage: bool = setting("write no PNG montage", True, group="output", option="--no-montage")
    report: bool = setting("write no HTML report", True, group="output", option="--no-report")
    series: str | None = setting(
        "SeriesInstanceUID, number or description of the T1-Gd; default: by what the headers say", None, group="dicom"
    )
    dicom_out: bool = setting(
        "write the results as DICOM, too, for the patient and study of the image", False, group="dicom"
    )
    burn_in: bool = setting("write SYNTHETIC into the pixels of the DICOM images", False, group="dicom")
    uid_root: str = setting("of the new DICOM UIDs: that of your institution, or 2.25", "2.25", group="dicom")
    deidentify: bool = setting(
        "write the DICOM results, and all others, without what identifies the patient", False, group="dicom"
    )
    keep_dates: bool = setting("keep dates when de-identifying", False, group="dicom")
    pseudonym_key: Path | None = setting(
        "file that pseudonyms and UIDs are made with, alike in all runs; is created; default: one for this run alone",
        None, group="dicom",
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise RequestError(f"Unknown format {self.format!r}.", f"Choose one of: {', '.join(FORMATS)}.")
        if not _UID_ROOT.fullmatch(self.uid_root) or len(self.uid_root) > _LONGEST_ROOT:
            remedy = f"Use numbers with dots, {_LONGEST_ROOT} letters at most."
            raise RequestError(f"{short(self.uid_root)} is no root of DICOM UIDs.", remedy)

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
        values = _values(outer, [*settings(cls), *others, *settings(CaseFacts)])
        _check_present(values, settings(cls))
        options, facts = (
            {entry.attribute: values.pop(entry.attribute) for entry in part if entry.attribute in values}
            for part in (others, settings(CaseFacts))
        )
        options |= _values(sampling or {}, drawing)
        return cls(**values, options=PredictionOptions(**options), facts=CaseFacts(**facts))


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
