"""What a bundle says about itself, found, read and verified with the standard library alone.

The panel reads bundles in Slicer's own Python, where none of the engine's packages need be; `bundle` adds the schema
and the networks.
"""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import BundleError, BundleIntegrityError, BundleSchemaError, OptionError
from ..files import sha256_of_file
from ..request import SamplingOptions
from .classes import ClassScheme

SCHEMA_VERSION = 1
BUNDLE_FILE = "bundle.json"
AUTOENCODER_FEATURES, REBUILT = "autoencoder_features", "rebuilt"
"""In `ranges`: those of what the image autoencoder makes of training patients, of them that of its error."""
_ROOT = Path(__file__).resolve().parents[2]
RESOURCES = next((path for path in [_ROOT / "GBMResponseResources"] if path.is_dir()), _ROOT / "Resources")
"""Folder of bundles and sample case: in a wheel it has a name of its own."""
BUNDLED_MODELS = RESOURCES / "Models"
_CHUNK = 4 * 1024 * 1024


@dataclass(frozen=True)
class Manifest:
    """A bundle's folder and the content of its `bundle.json`."""

    folder: Path
    description: dict[str, Any]

    @property
    def name(self) -> str:
        return self.description["name"]

    @property
    def version(self) -> str:
        return self.description["version"]

    @property
    def label_dropout(self) -> float:
        return self.description["conditioning"]["label_dropout"]

    @property
    def default_sampling(self) -> SamplingOptions:
        """What the bundle recommends, with every field set."""
        return SamplingOptions().with_defaults(self.description["sampling"])

    @property
    def files(self) -> dict[str, dict[str, Any]]:
        """File name, relative to the folder, -> `size` in bytes and `sha256`."""
        return self.description["files"]

    @cached_property
    def schemes(self) -> dict[str, ClassScheme]:
        """Class schemes by name, for example `2-class`; empty for a model without class."""
        entries = self.description["conditioning"]["schemes"]
        return {name: ClassScheme.from_dict(name, classes) for name, classes in entries.items()}

    @cached_property
    def classifier_scheme(self) -> ClassScheme | None:
        """The classes that the classifier tells apart, which the denoiser need not know; None without classifier."""
        entry = self.description.get("classifier")
        if entry is None:
            return None
        classes = entry.get("classes")
        return ClassScheme.from_dict(entry["scheme"], classes) if classes else self.schemes[entry["scheme"]]

    @cached_property
    def classifier_doubt(self) -> str:
        """Why the classifier is not asked unless the user wants it; empty if its held-out AUC is above chance."""
        entry = self.description.get("classifier")
        if entry is None:
            return "This model has no survival classifier."
        held_out = entry.get("held_out")
        if held_out is None:
            return "The survival classifier of this model was not measured on held-out patients."
        if held_out["ci_low"] > 0.5:
            return ""
        return (
            "The survival classifier of this model is no better than chance: "
            "AUC {auc:.2f} [{ci_low:.2f}, {ci_high:.2f}] in {patients} held-out patients."
        ).format(**held_out)

    def class_note(self, probabilities: Mapping[str, float]) -> str:
        """What a classifier's answer is worth; empty if there is nothing to say.

        Probabilities are no information where they are nearer to even than the standard error of a frequency in the
        held-out patients: so many cannot tell them from even.
        """
        if self.classifier_doubt or not probabilities:
            return self.classifier_doubt
        patients = self.description["classifier"]["held_out"]["patients"]
        even = 1 / len(probabilities)
        noise = math.sqrt(even * (1 - even) / patients)
        if max(abs(chance - even) for chance in probabilities.values()) > noise:
            return ""
        return (
            f"The survival classifier gives no information here: its probabilities are within {noise:.0%} of even, "
            f"which {patients} held-out patients cannot tell apart."
        )

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of `bundle.json`, which itself holds the hash of every other file."""
        return sha256_of_file(self.folder / BUNDLE_FILE)

    def check(self) -> None:
        """Check the parts that are used without the networks.

        :raises BundleSchemaError: a field is missing or has a wrong value.
        """
        try:
            _check(self)
        except (AttributeError, KeyError, TypeError, ValueError, OptionError) as error:
            message = f"bundle.json of {self.folder.name!r} is not valid: {type(error).__name__}: {error}."
            raise BundleSchemaError(message) from error

    def verification_steps(self) -> Iterator[float]:
        """Compare every file with its size and SHA-256; after each step of at most 4 MB yield the fraction done.

        :raises BundleError: a file is missing or cannot be read.
        :raises BundleIntegrityError: a file differs.
        """
        total = sum(entry["size"] for entry in self.files.values()) or 1
        done = 0
        for name, expected in self.files.items():
            path = self.folder / name
            if not path.is_file():
                raise BundleError(f"The bundle {self.folder.name!r} lacks the file {name}.")
            digest = hashlib.sha256()
            try:
                matches = path.stat().st_size == expected["size"]
                with open(path, "rb") as file:
                    while matches and (chunk := file.read(_CHUNK)):
                        digest.update(chunk)
                        done += len(chunk)
                        yield min(1.0, done / total)
            except OSError as error:
                raise BundleError(f"The file {name} of bundle {self.folder.name!r} cannot be read.") from error
            if not matches or digest.hexdigest() != expected["sha256"]:
                raise BundleIntegrityError(f"The file {name} of bundle {self.folder.name!r} differs from its SHA-256.")


def read_manifest(folder: Path | str) -> Manifest:
    """Read what a bundle says about itself. Its fields are not checked yet: `Manifest.check`, or the whole schema.

    :raises BundleError: the folder holds no readable bundle.json.
    :raises BundleSchemaError: unknown schema version.
    """
    folder = Path(folder)
    path = folder / BUNDLE_FILE
    if not path.is_file():
        name = folder.name or str(folder)
        raise BundleError(
            f"There is no bundle.json in the folder {name!r}." if folder.is_dir() else f"There is no folder {name!r}."
        )
    description = read_json(path)
    version = description.get("schema_version") if isinstance(description, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleSchemaError(f"The bundle {folder.name!r} has schema version {version!r}, not {SCHEMA_VERSION}.")
    return Manifest(folder, description)


def bundled_models(folder: Path = BUNDLED_MODELS) -> list[Path]:
    """Return the bundles in a folder, by default those that ship with the extension, sorted by name."""
    return sorted(path.parent for path in folder.glob(f"*/{BUNDLE_FILE}"))


def default_bundle(folder: Path = BUNDLED_MODELS) -> Path:
    """Return the bundle to use when the user names none: the last of `bundled_models`.

    :raises BundleError: no bundle ships with this installation.
    """
    models = bundled_models(folder)
    if not models:
        raise BundleError("No model bundle ships with this installation.", "Name one with --bundle.")
    return models[-1]


def read_json(path: Path) -> Any:
    """Read a JSON file whose numbers are finite.

    :raises BundleError: the file cannot be read.
    :raises BundleSchemaError: it is no such JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
    except OSError as error:
        raise BundleError(f"{path.parent.name}/{path.name} cannot be read.") from error
    except (ValueError, RecursionError) as error:
        raise BundleSchemaError(f"{path.parent.name}/{path.name} is not readable JSON.") from error


def _finite(text: str) -> float:
    """:raises ValueError: no number of double precision."""
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no number")
    return value


def _check(manifest: Manifest) -> None:
    """:raises AttributeError, KeyError, TypeError, ValueError, OptionError: a part is missing or of another kind."""
    texts = ("name", "version", "license", "description", "intended_use", "training_data")
    for name in texts:
        _expect(name, manifest.description[name], str)
    _expect("metrics", manifest.description["metrics"], dict)
    for name, value in vars(manifest.default_sampling).items():
        _expect(name, value, int, float, str)
    _expect("label_dropout", manifest.label_dropout, int, float)
    for scheme in (*manifest.schemes.values(), manifest.classifier_scheme):
        for entry in scheme.classes if scheme is not None else ():
            _expect("name of a class", entry.name, str)
            for days in (entry.min_days, entry.max_days):
                _expect("days of a class", days, int, float, type(None))
    held_out = (manifest.description.get("classifier") or {}).get("held_out")
    if held_out is not None:
        for name in ("auc", "ci_low", "ci_high", "patients"):
            _expect(name, held_out[name], int, float)
    for name, file in manifest.files.items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            raise ValueError(f"{name!r} is no file inside the bundle")
        _expect("size", file["size"], int)
        _expect("sha256", file["sha256"], str)


def _expect(name: str, value: Any, *kinds: type) -> None:
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise TypeError(f"{name} is {value!r}")
