"""What a model bundle says about itself, read without loading it."""

import html
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..common.Failure import Failure
from ..common.Translation import tr as _

NO_CLASS = "none"
_SCHEMA_VERSION = 1


@dataclass(frozen=True)
class SurvivalClass:
    """One class of a scheme; survival in days from `minDays` up to `maxDays` (None: no limit)."""

    name: str
    minDays: float
    maxDays: float | None

    @property
    def label(self) -> str:
        """The name with its range in months of 30.4 days."""
        low = round(self.minDays / 30.4)
        if self.maxDays is None:
            return _("{name} (over {low} months)").format(name=self.name, low=low)
        high = round(self.maxDays / 30.4)
        if not self.minDays:
            return _("{name} (up to {high} months)").format(name=self.name, high=high)
        return _("{name} ({low} to {high} months)").format(name=self.name, low=low, high=high)


@dataclass(frozen=True)
class ModelDescription:
    """The parts of `bundle.json` that the panel needs.

    :param schemes: class schemes by name, in the bundle's order.
    :param classifierScheme: the classifier's own scheme; empty without classifier.
    :param files: file name -> size and SHA-256.
    """

    folder: Path
    name: str
    version: str
    license: str
    description: str
    intendedUse: str
    trainingData: str
    schemes: dict[str, list[SurvivalClass]]
    classifierScheme: str
    labelDropout: float
    sampling: dict[str, Any]
    files: dict[str, dict[str, Any]]
    metrics: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path) -> "ModelDescription":
        """Read a bundle's description. Its files are not opened.

        :raises Failure: no bundle, or one of another kind.
        """
        folder = Path(folder)
        path = folder / "bundle.json"
        if not path.is_file():
            message = _("There is no model in the folder {name}.").format(name=folder.name or folder)
            raise Failure("bundle", message, _("Choose a folder that contains bundle.json."), str(folder))
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            version = content["schema_version"]
            if version != _SCHEMA_VERSION:
                message = _("The model {name} was made for another version of GBMResponse.").format(name=folder.name)
                raise Failure("bundle-schema", message, _("Update GBMResponse, or choose another model."))
            return cls._fromContent(folder, content)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = _("The description of the model {name} is damaged.").format(name=folder.name)
            details = f"{type(error).__name__}: {error}"
            raise Failure("bundle", message, _("Install the model again."), details) from error

    @classmethod
    def _fromContent(cls, folder: Path, content: dict[str, Any]) -> "ModelDescription":
        conditioning = content["conditioning"]
        schemes = {
            name: [SurvivalClass(entry["name"], entry["min_days"], entry["max_days"]) for entry in classes]
            for name, classes in conditioning["schemes"].items()
        }
        return cls(
            folder=folder,
            name=content["name"],
            version=content["version"],
            license=content["license"],
            description=content["description"],
            intendedUse=content["intended_use"],
            trainingData=content["training_data"],
            schemes=schemes,
            classifierScheme=content.get("classifier", {}).get("scheme", ""),
            labelDropout=conditioning["label_dropout"],
            sampling=content["sampling"],
            files=content["files"],
            metrics=content.get("metrics", {}),
        )

    @property
    def hasClassifier(self) -> bool:
        """Whether the model can predict the survival class."""
        return bool(self.classifierScheme)

    @property
    def sizeMB(self) -> float:
        """Size of all files in millions of bytes."""
        return sum(entry["size"] for entry in self.files.values()) / 1e6

    def findClass(self, scheme: str, name: str) -> SurvivalClass | None:
        """Return a class by name; None if the scheme has no such class."""
        return next((entry for entry in self.schemes.get(scheme, []) if entry.name == name), None)

    def card(self) -> str:
        """Return the model card as rich text. All texts come from a file and are escaped."""
        rows = [
            (_("Model"), f"{self.name} {self.version}"),
            (_("About"), self.description),
            (_("Intended use"), self.intendedUse),
            (_("Training data"), self.trainingData),
            (_("Survival classes"), self._classesText()),
            (_("Classifier"), _("yes") if self.hasClassifier else _("no: choose the class yourself")),
            (_("Guidance"), _("any") if self.labelDropout > 0 else _("1 only: trained without label dropout")),
            (_("License"), self.license),
            (_("Size"), _("{size} MB").format(size=round(self.sizeMB))),
        ]
        rows += [("" if number else _("Held-out figures"), line) for number, line in enumerate(self._metricsLines())]
        cells = "".join(
            f"<tr><td style='padding-right:8px'><b>{html.escape(name)}</b></td><td>{html.escape(text)}</td></tr>"
            for name, text in rows
        )
        return f"<table>{cells}</table>"

    def _classesText(self) -> str:
        texts = [f"{name}: " + ", ".join(entry.label for entry in classes) for name, classes in self.schemes.items()]
        return "; ".join(texts) or _("none")

    def _evaluations(self) -> dict[str, Any]:
        """Evaluations by title: `metrics` is one, perhaps with others below it, or has several by title."""
        if "table" not in self.metrics:
            return self.metrics
        return {str(self.metrics.get("split", "")): self.metrics, **self.metrics.get("others", {})}

    def _metricsLines(self) -> list[str]:
        lines = []
        for data, entry in self._evaluations().items():
            table = entry.get("table", {}) if isinstance(entry, dict) else {}
            for system, row in table.items():
                if row.get("kind", "model") not in ("model", "baseline"):
                    continue
                figures = row.get("metrics", row)
                values = [
                    f"{metric.upper()} {figures[metric]['mean']:.3g}"
                    for metric in ("psnr", "ssim")
                    if isinstance(figures.get(metric), dict) and isinstance(figures[metric].get("mean"), int | float)
                ]
                if values:
                    lines.append(f"{data}, {system}: {', '.join(values)}")
        return lines
