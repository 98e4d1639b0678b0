"""What a model bundle says about itself, for people."""

import html
from pathlib import Path
from typing import Any

from GBMResponseCore.model.classes import SurvivalClass
from GBMResponseCore.model.manifest import Manifest, read_manifest

from ..common.Failure import engineErrors
from ..common.Translation import tr as _

_DAYS_PER_MONTH = 30.4


class ModelDescription(Manifest):
    """A bundle's manifest with what the panel shows of it."""

    @classmethod
    def read(cls, folder: Path) -> "ModelDescription":
        """Read a bundle's description. Its files are not opened.

        :raises Failure: no bundle, or one of another kind.
        """
        with engineErrors():
            manifest = read_manifest(folder)
            manifest.check()
        return cls(manifest.folder, manifest.description)

    @property
    def hasClassifier(self) -> bool:
        """Whether the model can predict the survival class."""
        return self.classifier_scheme is not None

    @property
    def defaultDays(self) -> float | None:
        """Days since radiotherapy that the model assumes; None for a model that does not know them."""
        return self.description["conditioning"].get("default_days_since_rt")

    @property
    def sizeMB(self) -> float:
        """Size of all files in millions of bytes."""
        return sum(entry["size"] for entry in self.files.values()) / 1e6

    def classes(self, scheme: str) -> tuple[SurvivalClass, ...]:
        """Return the classes of a scheme; none if the model has no such scheme."""
        return self.schemes[scheme].classes if scheme in self.schemes else ()

    def card(self) -> str:
        """Return the model card as rich text. All texts come from a file and are escaped."""
        rows = [
            (_("Model"), f"{self.name} {self.version}"),
            (_("About"), self.description["description"]),
            (_("Intended use"), self.description["intended_use"]),
            (_("Training data"), self.description["training_data"]),
            (_("Survival classes"), self._classesText()),
            (_("Classifier"), _("yes") if self.hasClassifier else _("no: choose the class yourself")),
            (_("Guidance"), _("any") if self.label_dropout > 0 else _("1 only: trained without label dropout")),
            (_("License"), self.description["license"]),
            (_("Size"), _("{size} MB").format(size=round(self.sizeMB))),
        ]
        rows += [("" if number else _("Held-out figures"), line) for number, line in enumerate(self._metricsLines())]
        cells = "".join(
            f"<tr><td style='padding-right:8px'><b>{html.escape(name)}</b></td><td>{html.escape(text)}</td></tr>"
            for name, text in rows
        )
        return f"<table>{cells}</table>"

    def _classesText(self) -> str:
        texts = [f"{name}: " + ", ".join(map(classLabel, self.classes(name))) for name in self.schemes]
        return "; ".join(texts) or _("none")

    def _evaluations(self) -> dict[str, Any]:
        """Evaluations by title: `metrics` is one, perhaps with others below it, or has several by title."""
        metrics = self.description["metrics"]
        if "table" not in metrics:
            return metrics
        return {str(metrics.get("split", "")): metrics, **_entries(metrics.get("others"))}

    def _metricsLines(self) -> list[str]:
        lines = []
        for data, entry in self._evaluations().items():
            for system, row in _entries(_entries(entry).get("table")).items():
                row = _entries(row)
                if row.get("kind", "model") not in ("model", "baseline"):
                    continue
                figures = _entries(row.get("metrics", row))
                values = [
                    f"{metric.upper()} {figures[metric]['mean']:.3g}"
                    for metric in ("psnr", "ssim")
                    if isinstance(figures.get(metric), dict) and isinstance(figures[metric].get("mean"), int | float)
                ]
                if values:
                    lines.append(f"{data}, {system}: {', '.join(values)}")
            sentences = _entries(entry).get("sentences")
            for sentence in sentences if isinstance(sentences, list) else ():
                lines.append(f"{data}: {str(sentence).strip('*')}")
        return lines


def _entries(value: Any) -> dict[str, Any]:
    """A part of the metrics, which no schema describes; nothing of it if it is no object."""
    return value if isinstance(value, dict) else {}


def classLabel(entry: SurvivalClass) -> str:
    """Return the name of a class with its range of survival in months, as far as it is known."""
    if entry.min_days is None:
        return entry.name
    low = round(entry.min_days / _DAYS_PER_MONTH)
    if entry.max_days is None:
        return _("{name} (over {low} months)").format(name=entry.name, low=low)
    high = round(entry.max_days / _DAYS_PER_MONTH)
    if not entry.min_days:
        return _("{name} (up to {high} months)").format(name=entry.name, high=high)
    return _("{name} ({low} to {high} months)").format(name=entry.name, low=low, high=high)
