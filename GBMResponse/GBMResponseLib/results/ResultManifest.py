"""The worker's `result` event, checked: which files make up the result of which class."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from GBMResponseCore.request import FORMATS

from ..common.Failure import Failure
from ..common.Translation import tr as _

_VOLUMES = ("predicted", "generated_mask", "expected", "spread", "enhancement_probability")
_OPTIONAL_VOLUMES = _VOLUMES[2:]


@dataclass(frozen=True)
class ClassResult:
    """Result for one survival class.

    :param source: `predicted`, `chosen` or `none`.
    :param volumes: role (`predicted`, `generated_mask`, `expected`, ...) -> file.
    :param samples: files of the single samples; empty for one sample.
    :param measurements: as the engine wrote them; may be empty.
    """

    name: str
    source: str
    volumes: dict[str, Path]
    samples: list[Path] = field(default_factory=list)
    measurements: dict[str, Any] = field(default_factory=dict)

    @property
    def volumeIsShown(self) -> bool:
        """Whether volumes of enhancement were measured and are not withheld."""
        return "withheld" in self.measurements and not self.measurements["withheld"]["volume"]


@dataclass(frozen=True)
class ResultManifest:
    """A complete result on disk.

    :param registeredFollowUp: the true follow-up, aligned, on the input's grid; None without one, or if the engine
        could not align it.
    """

    folder: Path
    classes: list[ClassResult]
    probabilities: dict[str, float]
    seconds: dict[str, float]
    provenance: Path
    report: Path | None
    registeredFollowUp: Path | None = None

    @classmethod
    def fromMessage(cls, message: dict[str, Any]) -> "ResultManifest":
        """Read a `result` event.

        :raises Failure: it lacks a part, or a file it names is not there.
        """
        try:
            classes = [_classResult(entry) for entry in message["results"]]
            if not classes:
                raise ValueError("no class")
            report = _optionalPath(message.get("report"))
            manifest = cls(
                folder=Path(message["out"]),
                classes=classes,
                probabilities=dict(message.get("class_choice", {}).get("probabilities", {})),
                seconds=dict(message.get("seconds", {})),
                provenance=Path(message["provenance"]),
                report=report if report is not None and report.is_file() else None,
                registeredFollowUp=_registeredFollowUp(message),
            )
        except (OSError, KeyError, TypeError, ValueError, AttributeError) as error:
            details = f"{type(error).__name__}: {error}"
            raise Failure("result", _("The result of the prediction is incomplete."), _remedy(), details) from error
        missing = [path for path in manifest.files() if not path.is_file()]
        if missing:
            message = _("The file {name} of the result is missing.").format(name=missing[0].name)
            raise Failure("result", message, _remedy(), str(missing[0]))
        return manifest

    @classmethod
    def fromFolder(cls, folder: Path) -> "ResultManifest":
        """Read the result that a folder holds, as a cohort or the command has written it.

        :raises Failure: it holds none, or a file is missing.
        """
        try:
            record = json.loads((folder / "provenance.json").read_text(encoding="utf-8"))
            records = record.get("classes") or {str(record["class"].get("asked", record["class"]["name"])): record}
            first = next(iter(records.values()))
            measurements = folder / "measurements.json"
            measured = json.loads(measurements.read_text(encoding="utf-8")) if measurements.is_file() else {}
            shared = {name: measured[name] for name in ("title", "before", "check") if name in measured}
            message = {
                "out": folder,
                "results": [
                    {
                        "class": entry["class"]["name"],
                        "token_source": entry["class"]["source"],
                        "files": _namedFiles(folder / name if len(records) > 1 else folder, entry["files"]),
                        "measurements": shared | measured["classes"][name] if measured else {},
                    }
                    for name, entry in records.items()
                ],
                "class_choice": {"probabilities": first["class"]["probabilities"]},
                "seconds": first.get("seconds", {}),
                "provenance": folder / "provenance.json",
                "report": folder / "report.html",
                "measurements": measurements,
                "registered_follow_up": _namedFiles(folder, record["files"]).get("registered_follow_up"),
            }
        except (OSError, KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
            details = f"{type(error).__name__}: {error}"
            raise Failure("result", _("The result of the prediction is incomplete."), _remedy(), details) from error
        return cls.fromMessage(message)

    def files(self) -> list[Path]:
        """Return the files that must exist."""
        volumes = [path for entry in self.classes for path in (*entry.volumes.values(), *entry.samples)]
        followUp = [] if self.registeredFollowUp is None else [self.registeredFollowUp]
        return [*volumes, *followUp, self.provenance]


def _classResult(entry: dict[str, Any]) -> ClassResult:
    files = entry["files"]
    volumes = {role: Path(files[role]) for role in _VOLUMES[:2]}
    volumes |= {role: Path(files[role]) for role in _OPTIONAL_VOLUMES if files.get(role)}
    return ClassResult(
        name=str(entry["class"]),
        source=str(entry["token_source"]),
        volumes=volumes,
        samples=[Path(path) for path in files.get("samples", [])],
        measurements=dict(entry.get("measurements") or {}),
    )


def _namedFiles(folder: Path, names: list[str]) -> dict[str, Any]:
    """Volumes of a folder by what they hold, the samples in a list; other files are left out."""
    named: dict[str, Any] = {"samples": []}
    for name in sorted(names):
        what = next((name[: -len(suffix)] for suffix in FORMATS if name.endswith(suffix)), "")
        if what.startswith("sample_"):
            named["samples"].append(folder / name)
        elif what:
            named[what] = folder / name
    return named


def _registeredFollowUp(message: dict[str, Any]) -> Path | None:
    measurements = _optionalPath(message.get("measurements"))
    if measurements is not None and measurements.is_file():
        truth = json.loads(measurements.read_text(encoding="utf-8")).get("true_follow_up") or {}
        if not truth.get("registered", True):
            return None
    return _optionalPath(message.get("registered_follow_up"))


def _optionalPath(text: str | None) -> Path | None:
    return Path(text) if text else None


def _remedy() -> str:
    return _("Predict again; if it stays, look at the log.")
