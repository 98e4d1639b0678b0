"""Model bundles: open, verify, describe, load.

A bundle is a folder with `bundle.json` and one sub-folder per network in diffusers' own layout (`config.json` and
safetensors). Nothing in it is executed: no pickle, no code, no network access. Every file is checked against its
SHA-256 before it is used.
"""

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema
import torch
from safetensors.torch import load_file
from torch import nn

from ..errors import BundleError, BundleIntegrityError, BundleSchemaError
from ..files import sha256_of_file
from ..inputs.preprocessing import InPlaneRule, NormalizationSettings
from ..request import SamplingOptions
from .classes import ClassScheme
from .networks import Denoiser, LatentCodec, build_autoencoder, build_classifier, build_denoiser

SCHEMA_VERSION = 1
WEIGHTS = "diffusion_pytorch_model.safetensors"
BUNDLED_MODELS = Path(__file__).resolve().parents[2] / "Resources" / "Models"


@dataclass(frozen=True)
class Networks:
    """The loaded networks of a bundle, in evaluation mode, on one device."""

    image_codec: LatentCodec
    gtv_codec: LatentCodec
    denoiser: Denoiser
    classifier: nn.Module | None


@dataclass(frozen=True)
class Bundle:
    """A verified bundle; `description` is the content of its `bundle.json`."""

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
    def null_token(self) -> int:
        return self.description["conditioning"]["null_token"]

    @property
    def latent_channels(self) -> int:
        return self.description["latents"]["channels"]

    @property
    def change_scale(self) -> list[float] | None:
        """Per latent channel: the denoiser's output is the change from the pre latent, times this; None: the latent."""
        return self.description["latents"].get("change_scale")

    @property
    def neighbor_slices(self) -> int:
        """Slices on either side whose pre latents are sources too."""
        return self.description["neighbour_slices"]

    @property
    def default_days(self) -> float | None:
        """Days since the start of radiotherapy to predict when none are asked for; None: not known."""
        return self.description["conditioning"].get("default_days_since_rt")

    @property
    def default_sampling(self) -> SamplingOptions:
        return SamplingOptions().with_defaults(self.description["sampling"])

    @property
    def in_plane_rule(self) -> InPlaneRule:
        return InPlaneRule.from_dict(self.description["preprocessing"]["in_plane"])

    @property
    def normalization(self) -> NormalizationSettings:
        return NormalizationSettings.from_dict(self.description["preprocessing"]["intensity"])

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
    def scheduler_config(self) -> dict[str, Any]:
        return _read_json(self._verified("scheduler/scheduler_config.json"))

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of `bundle.json`, which itself holds the hash of every other file."""
        return sha256_of_file(self.folder / "bundle.json")

    def load_networks(self, device: torch.device | str = "cpu") -> Networks:
        """Build the networks and load their weights as float32."""
        latents = self.description["latents"]
        codecs = {}
        for part in ("image", "gtv"):
            model = build_autoencoder(self._config(f"{part}_autoencoder"))
            self._load_weights(model, f"{part}_autoencoder")
            codecs[part] = LatentCodec(model, **latents[part], requantize=latents["requantize"])
        denoiser = build_denoiser(self._config("denoiser"), latents["fold"])
        self._load_weights(denoiser.unet, "denoiser")
        classifier = None
        if "classifier" in self.description:
            classifier = build_classifier(self._config("classifier"))
            self._load_weights(classifier, "classifier")
        networks = Networks(codecs["image"], codecs["gtv"], denoiser, classifier)
        for network in vars(networks).values():
            if network is not None:
                network.to(device).eval().requires_grad_(False)
        return networks

    def _verified(self, name: str) -> Path:
        if name not in self.description["files"]:
            raise BundleError(f"bundle.json of {self.folder.name!r} lists no file {name}.")
        return self.folder / name

    def _config(self, part: str) -> dict[str, Any]:
        return _read_json(self._verified(f"{part}/config.json"))

    def _load_weights(self, model: nn.Module, part: str) -> None:
        weights = {name: tensor.float() for name, tensor in load_file(self._verified(f"{part}/{WEIGHTS}")).items()}
        missing, unexpected = model.load_state_dict(weights, strict=False)
        # The GTV decoder is not needed at prediction time, so a bundle may leave it out.
        optional = ("decoder.", "post_quant_conv.") if part == "gtv_autoencoder" else ()
        missing = [name for name in missing if not name.startswith(optional or ("\0",))]
        if missing or unexpected:
            raise BundleError(
                f"The weights of {part} do not fit its configuration: {len(missing)} missing, "
                f"{len(unexpected)} unexpected (first: {(missing + unexpected)[0]})."
            )


def open_bundle(folder: Path | str) -> Bundle:
    """Open and verify a bundle.

    :raises BundleError: the folder holds no readable bundle.json, or files are missing.
    :raises BundleSchemaError: unknown schema version, or a field is missing or has a wrong value.
    :raises BundleIntegrityError: a file's size or SHA-256 differs from bundle.json.
    """
    folder = Path(folder)
    path = folder / "bundle.json"
    if not path.is_file():
        raise BundleError(f"There is no bundle.json in the folder {folder.name!r}.")
    description = _read_json(path)
    version = description.get("schema_version") if isinstance(description, dict) else None
    if version != SCHEMA_VERSION:
        raise BundleSchemaError(f"The bundle {folder.name!r} has schema version {version!r}, not {SCHEMA_VERSION}.")
    try:
        jsonschema.validate(description, _read_json(Path(__file__).with_name("bundle_schema.json")))
    except jsonschema.ValidationError as error:
        place = "/".join(str(part) for part in error.absolute_path) or "top level"
        raise BundleSchemaError(f"bundle.json of {folder.name!r} is not valid at {place}: {error.message}.") from error
    _verify_files(folder, description["files"])
    return Bundle(folder, description)


def bundled_models(folder: Path = BUNDLED_MODELS) -> list[Path]:
    """Return the bundle folders that ship with the extension, sorted by name."""
    return sorted(path.parent for path in folder.glob("*/bundle.json"))


def default_bundle() -> Path:
    """Return the bundle to use when the user names none: the last of `bundled_models`.

    :raises BundleError: no bundle ships with this installation.
    """
    models = bundled_models()
    if not models:
        raise BundleError("No model bundle ships with this installation.", "Name one with --bundle.")
    return models[-1]


def _verify_files(folder: Path, files: dict[str, dict[str, Any]]) -> None:
    for name, expected in files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"The bundle {folder.name!r} lacks the file {name}.")
        if path.stat().st_size != expected["size"] or sha256_of_file(path) != expected["sha256"]:
            raise BundleIntegrityError(f"The file {name} of bundle {folder.name!r} differs from its SHA-256.")


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path.parent.name}/{path.name} is not readable JSON.") from error
