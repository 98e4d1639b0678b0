"""Model bundles: check against the schema, verify, load.

A bundle is a folder with `bundle.json` and one sub-folder per network in diffusers' own layout (`config.json` and
safetensors). Nothing in it is executed: no pickle, no code, no network access. Every file is checked against its
SHA-256 before it is used.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import jsonschema
import torch
from jsonschema.protocols import Validator
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from ..errors import BundleError, BundleIntegrityError, BundleSchemaError
from ..inputs.composition import Composition
from ..inputs.preprocessing import InPlaneRule, NormalizationSettings
from .bundle_check import check_description, must_fit, try_networks
from .manifest import Manifest, read_json, read_manifest
from .networks import Denoiser, LatentAutoencoder, build_autoencoder, build_classifier, build_denoiser
from .windows import WindowRule

WEIGHTS = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class Networks:
    """The loaded networks of a bundle, in evaluation mode, on one device."""

    image_autoencoder: LatentAutoencoder
    gtv_autoencoder: LatentAutoencoder
    denoiser: Denoiser
    classifier: nn.Module | None


@dataclass(frozen=True)
class Bundle(Manifest):
    """A verified bundle."""

    @property
    def null_token(self) -> int:
        return self.description["conditioning"]["null_token"]

    @property
    def latent_channels(self) -> int:
        return self.description["latents"]["channels"]

    @property
    def residual_scale(self) -> list[float] | None:
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
    def in_plane_rule(self) -> InPlaneRule:
        return InPlaneRule.from_dict(self.description["preprocessing"]["in_plane"])

    @property
    def normalization(self) -> NormalizationSettings:
        return NormalizationSettings.from_dict(self.description["preprocessing"]["intensity"])

    @property
    def keeps_detail(self) -> bool:
        """Whether what the autoencoder loses of the input is added to what it draws."""
        return self.description["latents"].get("keep_detail", False)

    @property
    def window_rule(self) -> WindowRule | None:
        """What of a slice the denoiser sees; None: all."""
        windows = self.description["latents"].get("windows")
        return None if windows is None else WindowRule(**windows)

    @property
    def composition(self) -> Composition:
        """Where a prediction shows, unless the whole slice is asked for."""
        return Composition(**self.description.get("composition", {}))

    @property
    def enhancement_probability(self) -> dict[str, float]:
        """Fields of the rule that makes the probability of enhancement, see :mod:`..measure.probability`."""
        return self.description.get("enhancement_probability", {})

    @property
    def volume_interval_factor(self) -> float:
        """By which samples lie too close together for the interval of a volume, see :mod:`..measure.interval`."""
        return self.description.get("volume_interval_factor", 1.0)

    @property
    def enhancement_head(self) -> dict[str, Any] | None:
        """Weights of what finds enhancing tissue, see :mod:`..measure.enhancement_head`; None: a threshold does."""
        return self.description.get("enhancement_head")

    @cached_property
    def scheduler_config(self) -> dict[str, Any]:
        return read_json(self._verified("scheduler/scheduler_config.json"))

    def load_networks(self, device: torch.device | str = "cpu") -> Networks:
        """Build the networks and load their weights as float32.

        :raises BundleError: a file is missing.
        :raises BundleSchemaError: the networks do not fit their weights, each other or the description.
        :raises BundleIntegrityError: a file of weights is none, or holds values that are no numbers.
        """
        latents = self.description["latents"]
        autoencoders = {}
        for part in ("image", "gtv"):
            with self._part(f"{part}_autoencoder"):
                model = build_autoencoder(self._config(f"{part}_autoencoder"))
                self._load_weights(model, f"{part}_autoencoder")
                autoencoders[part] = LatentAutoencoder(model, **latents[part], requantize=latents["requantize"])
        with self._part("denoiser"):
            denoiser = build_denoiser(self._config("denoiser"), latents["fold"])
            self._load_weights(denoiser.unet, "denoiser")
        classifier = None
        if "classifier" in self.description:
            with self._part("classifier"):
                classifier = build_classifier(self._config("classifier"))
                self._load_weights(classifier, "classifier")
        networks = Networks(autoencoders["image"], autoencoders["gtv"], denoiser, classifier)
        loaded = [network for network in vars(networks).values() if network is not None]
        for network in loaded:
            network.eval().requires_grad_(False)
        try_networks(self, networks)
        for network in loaded:
            network.to(device)
        return networks

    def _part(self, name: str) -> AbstractContextManager[None]:
        return must_fit(f"The {name} of the bundle {self.name!r}")

    def _verified(self, name: str) -> Path:
        if name not in self.description["files"]:
            raise BundleError(f"bundle.json of {self.folder.name!r} lists no file {name}.")
        return self.folder / name

    def _config(self, part: str) -> dict[str, Any]:
        return read_json(self._verified(f"{part}/config.json"))

    def _load_weights(self, model: nn.Module, part: str) -> None:
        path = self._verified(f"{part}/{WEIGHTS}")
        try:
            weights = {name: tensor.float() for name, tensor in load_file(path).items()}
        except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
            raise BundleIntegrityError(f"The file {part}/{WEIGHTS} is no file of weights.") from error
        wrong = next((name for name, tensor in weights.items() if not bool(tensor.isfinite().all())), None)
        if wrong is not None:
            raise BundleIntegrityError(f"The weights {wrong} of {part} hold values that are no numbers.")
        missing, unexpected = model.load_state_dict(weights, strict=False)
        # The GTV decoder is not needed at prediction time, so a bundle may leave it out.
        optional = ("decoder.", "post_quant_conv.") if part == "gtv_autoencoder" else ()
        missing = [name for name in missing if not name.startswith(optional or ("\0",))]
        if missing or unexpected:
            raise BundleSchemaError(
                f"The weights of {part} do not fit its configuration: {len(missing)} missing, "
                f"{len(unexpected)} unexpected (first: {(missing + unexpected)[0]})."
            )


def open_bundle(folder: Path | str) -> Bundle:
    """Open and verify a bundle.

    :raises BundleError: the folder holds no readable bundle.json, or files are missing.
    :raises BundleSchemaError: unknown schema version, or a field is missing or has a wrong value.
    :raises BundleIntegrityError: a file's size or SHA-256 differs from bundle.json.
    """
    manifest = read_manifest(folder)
    try:
        wrong = jsonschema.exceptions.best_match(_schema().iter_errors(manifest.description))
    except RecursionError as error:
        raise BundleSchemaError(f"bundle.json of {manifest.folder.name!r} is nested too deep.") from error
    if wrong is not None:
        place = "/".join(str(part) for part in wrong.absolute_path) or "top level"
        message = f"bundle.json of {manifest.folder.name!r} is not valid at {place}: {wrong.message[:200]}."
        raise BundleSchemaError(message)
    manifest.check()
    for _fraction in manifest.verification_steps():
        pass
    bundle = Bundle(manifest.folder, manifest.description)
    check_description(bundle)
    return bundle


@cache
def _schema() -> Validator:
    """What bundle.json is checked with; that it is a valid schema itself is known by a test."""
    schema = read_json(Path(__file__).with_name("bundle_schema.json"))
    return jsonschema.validators.validator_for(schema)(schema)
